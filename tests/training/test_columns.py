"""Columns that a model cannot learn."""

import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.errors import DataError
from refold.sequences import as_sequences


def test_too_many_categories_are_refused_at_once():
    words = as_sequences([np.array([[str(i)] for i in range(60_000)], dtype=object)])
    message = "Column 'x0' has 60000 categories, and a model can have 50000 in all columns"
    with pytest.raises(DataError, match=message):
        SequenceAutoencoder(2).fit(words)
