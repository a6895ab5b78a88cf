"""Splitting sequences into two parts."""

import numpy as np
import pytest

from refold.errors import DataError
from refold.sequences import as_sequences, split_at


def test_both_parts_together_are_the_sequence():
    sequences = as_sequences(["abcd", "", "ef"])
    before, after = split_at(sequences, [3, 0, 2])
    assert (before.to_list(), after.to_list()) == (["abc", "", "ef"], ["d", "", ""])
    assert before.schema == sequences.schema
    assert np.array_equal(after.ids, sequences.ids)


def test_one_position_for_all_sequences():
    before, _ = split_at(as_sequences([[1.0, 2.0], [3.0, 4.0]]), 1)
    assert before.lengths.tolist() == [1, 1]


@pytest.mark.parametrize("at", [3, -1])
def test_a_position_beyond_the_end_is_refused(at):
    with pytest.raises(DataError, match=f"Sequence 1 has 2 steps and cannot be split after {at}"):
        split_at(as_sequences([[1.0, 2.0, 3.0], [4.0, 5.0]]), [1, at])
