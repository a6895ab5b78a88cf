"""Sequences in two."""

import numpy as np
import pytest

from refold.errors import DataError
from refold.sequences import as_sequences, split_at


def test_both_parts_are_all_there_is():
    sequences = as_sequences(["abcd", "", "ef"])
    before, after = split_at(sequences, [3, 0, 2])
    assert (before.to_list(), after.to_list()) == (["abc", "", "ef"], ["d", "", ""])
    assert before.schema == sequences.schema
    assert np.array_equal(after.ids, sequences.ids)


def test_one_number_for_all():
    before, _ = split_at(as_sequences([[1.0, 2.0], [3.0, 4.0]]), 1)
    assert before.lengths.tolist() == [1, 1]


@pytest.mark.parametrize("at", [3, -1])
def test_not_so_many_steps(at):
    with pytest.raises(DataError, match=f"Sequence 1 has 2 steps and cannot be split after {at}"):
        split_at(as_sequences([[1.0, 2.0, 3.0], [4.0, 5.0]]), [1, at])
