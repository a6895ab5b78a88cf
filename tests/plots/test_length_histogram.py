import numpy as np
import pytest

from refold.errors import DataError
from refold.plots import lengths
from refold.plots.charts import length_bins


def test_every_length_is_counted_once():
    given = np.random.default_rng(0).integers(3, 500, 1000)
    first, last, counts = length_bins(given)
    assert counts.sum() == 1000
    assert len(first) <= 40
    assert (first[1:] == last[:-1] + 1).all()
    for low, high, count in zip(first, last, counts, strict=True):
        assert count == ((given >= low) & (given <= high)).sum()


def test_bars():
    ax = lengths([0, 2, 2])
    assert [bar.get_height() for bar in ax.patches] == [1, 0, 2]
    assert ax.get_xlabel() == "steps"
    assert len(lengths([7, 7]).patches) == 1


def test_no_length_is_refused():
    with pytest.raises(DataError, match="no sequence"):
        lengths([])
