"""Binary columns: 0 and 1; a decoder writes the probability of 1."""

import math
from typing import Any

import numpy as np

from refold.sequences.types._column_type import (
    MIN_PROBABILITY,
    Array,
    ArrayModule,
    ColumnType,
    Where,
    refuse,
)


class Binary(ColumnType):
    """Yes and no, stored as 1 and 0; numbers between are probabilities."""

    name = "binary"
    link = "sigmoid"
    generality = 0

    def describes(self, raw: np.ndarray) -> bool:
        """Return whether a column holds booleans, or nothing but 0 and 1 and both of them."""
        if raw.dtype.kind == "b":
            return True
        # the first value decides about most numeric columns, and a Python float does it fastest
        if len(raw):
            first = raw[0].item()
            if first != 0 and first != 1 and not math.isnan(first):
                return False
        zeros = raw == 0
        if not zeros.any():  # as of most numeric columns
            return False
        ones = raw == 1
        return bool(ones.any() and (zeros | ones | np.isnan(raw)).all())

    def dtype(self, raw: np.dtype, num_categories: int) -> np.dtype:
        """Return float32 for whole numbers, of which there are only 0 and 1."""
        return np.dtype(np.float32) if raw.kind in "biu" else super().dtype(raw, num_categories)

    def check(self, values: np.ndarray, name: str, where: Where) -> None:
        """Raise a DataError if a value is outside 0 to 1."""
        advice = "A binary column holds values from 0 to 1; make it numeric or correct the entry."
        refuse((values < 0) | (values > 1), values, name, where, advice)

    def markers(self, missing: tuple[float, ...]) -> tuple[float, ...]:
        """Return the numbers outside 0 to 1."""
        # A binary column cannot hold such a number at first, but data that are aligned with its
        # schema later may.
        return tuple(value for value in missing if not 0 <= value <= 1)

    def loss(self, target: Array, output: Array, xp: ArrayModule) -> Any:
        """Return binary cross-entropies of probabilities."""
        output = xp.clip(output, MIN_PROBABILITY, 1.0 - MIN_PROBABILITY)
        return -(target * xp.log(output) + (1.0 - target) * xp.log(1.0 - output))

    def is_right(
        self, true: np.ndarray, written: np.ndarray, tolerance: float, num_categories: int
    ) -> np.ndarray:
        """Return which values round to the truth."""
        del tolerance, num_categories
        return ~np.isnan(written) & ((written >= 0.5) == (true >= 0.5))

    def error(self, true: Array, written: Array, xp: ArrayModule) -> Any:
        """Return 1 for values that round to another one."""
        return xp.where((true >= 0.5) != (written >= 0.5), 1.0, 0.0)

    def clean(self, values: np.ndarray) -> np.ndarray:
        """Return 0 and 1."""
        return (values >= 0.5).astype(float)

    def noise(self, rng: "np.random.Generator", size: tuple[int, int]) -> np.ndarray:
        """Return logistic noise, the difference of two Gumbel variables."""
        return rng.logistic(size=size)

    def draw(self, output: Array, noise: Array, temperature: Array, xp: ArrayModule) -> Any:
        """Return 0 and 1."""
        output = xp.clip(output, MIN_PROBABILITY, 1.0 - MIN_PROBABILITY)
        logits = (xp.log(output) - xp.log1p(-output)) / temperature + noise
        return xp.where(logits > 0, 1.0, 0.0)


BINARY = Binary()
