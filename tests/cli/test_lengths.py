"""Values of ``--lengths``."""

import numpy as np
import pytest

from refold.cli._lengths import read_lengths
from refold.errors import ParameterError


def test_a_single_length_is_used_for_all():
    assert read_lengths(None, 3) is None
    assert read_lengths("10", 3) == [10, 10, 10]


def test_a_list_can_be_longer_than_a_file_name():
    given = list(range(300))
    assert read_lengths(",".join(map(str, given)), 300) == given


def test_a_file_has_one_length_per_line(tmp_path):
    (tmp_path / "lengths.txt").write_text("2\n0\n5\n", encoding="utf-8")
    assert read_lengths(str(tmp_path / "lengths.txt"), 3) == [2, 0, 5]


def test_bad_lengths_are_refused(tmp_path):
    np.save(tmp_path / "lengths.npy", np.arange(3))
    for given in (str(tmp_path / "lengths.npy"), str(tmp_path), "2,many", "3," * 300 + "x"):
        with pytest.raises(ParameterError, match="must be comma-separated integers or a file"):
            read_lengths(given, 3)
