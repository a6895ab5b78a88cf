"""Shapes to measure, and the arrays that every implementation is given."""

from typing import NamedTuple

import numpy as np

__all__ = ["MATMUL_SIZE", "ROWS", "SWEEP", "Case", "Data", "matmul_matrix"]

MATMUL_SIZE = 2048


class Case(NamedTuple):
    """Shape of one LSTM layer and its input."""

    steps: int
    batch: int
    features: int
    units: int

    @property
    def forward_flops(self) -> int:
        """Floating-point operations of the forward matrix products; others do not count."""
        return 2 * self.steps * self.batch * 4 * self.units * (self.features + self.units)

    @property
    def flops(self) -> int:
        """Operations of the forward and backward pass; the latter has twice as many products."""
        return 3 * self.forward_flops

    @property
    def title(self) -> str:
        """The shape as tables show it."""
        return ", ".join(map(str, self))


ROWS = (
    Case(30, 32, 12, 64),
    Case(100, 64, 8, 64),
    Case(100, 64, 8, 128),
    Case(50, 128, 16, 256),
    Case(10, 100, 5, 20),
    Case(200, 16, 1, 32),
    Case(1000, 8, 3, 64),
)
SWEEP = tuple(
    Case(50, 64, 16, units) for units in (8, 16, 20, 32, 48, 64, 96, 128, 192, 256, 384, 512)
)


class Data(NamedTuple):
    """Arrays of a case in float32, with Keras's order of gates: i, f, c, o.

    ``lengths`` are uniform from 1 to ``steps``.  ``cotangent`` is the cotangent of the outputs.
    """

    x: np.ndarray
    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray
    cotangent: np.ndarray
    lengths: np.ndarray

    @classmethod
    def draw(cls, case: Case) -> "Data":
        """Draw the arrays of a case, with a fixed seed."""
        rng = np.random.default_rng(0)
        steps, batch, features, units = case

        def uniform(*shape: int) -> np.ndarray:
            return (rng.uniform(-1, 1, shape) / np.sqrt(units)).astype(np.float32)

        return cls(
            rng.normal(size=(batch, steps, features)).astype(np.float32),
            uniform(features, 4 * units),
            uniform(units, 4 * units),
            uniform(4 * units),
            rng.normal(size=(batch, steps, units)).astype(np.float32),
            rng.integers(1, steps, batch, endpoint=True),
        )

    @property
    def mask(self) -> np.ndarray:
        """True at real steps, of shape (batch, steps)."""
        return np.arange(self.x.shape[1]) < self.lengths[:, None]

    @property
    def ragged_cotangent(self) -> np.ndarray:
        """The cotangent of a loss over the real steps, which is zero at padded steps."""
        return self.cotangent * self.mask[..., None]


def matmul_matrix() -> np.ndarray:
    """Return a square matrix; the time to square it gives the rate of the machine."""
    return np.random.default_rng(0).normal(size=(MATMUL_SIZE,) * 2).astype(np.float32)
