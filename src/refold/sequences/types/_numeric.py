"""Numeric columns: any number; a decoder writes its mean."""

from typing import Any

import numpy as np

from refold.sequences.types._column_type import Array, ArrayModule, ColumnType


class Numeric(ColumnType):
    """Numbers with a normal distribution around the mean that a decoder writes."""

    name = "numeric"
    link = "identity"
    is_number = True
    loss_is_squared = True
    loss_slope = 2.0
    generality = 2

    def describes(self, raw: np.ndarray) -> bool:
        """Return True: what is nothing else is numeric."""
        del raw
        return True

    def loss(self, target: Array, output: Array, xp: ArrayModule) -> Any:
        """Return squared errors."""
        return xp.square(target - output)

    def is_right(
        self, true: np.ndarray, written: np.ndarray, tolerance: float, num_categories: int
    ) -> np.ndarray:
        """Return which values are within the tolerance; it is relative above a magnitude of 1."""
        del num_categories
        return np.abs(written - true) <= tolerance * np.maximum(1.0, np.abs(true))

    def error(self, true: Array, written: Array, xp: ArrayModule) -> Any:
        """Return squared differences."""
        return xp.square(true - written)


NUMERIC = Numeric()
