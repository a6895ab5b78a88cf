"""Grid of 256 levels per latent dimension, on which codes are stored as int8."""

import json
from typing import Any, NamedTuple

import numpy as np

from refold.errors import DataError

# Least scale, in standard deviations, so that a dimension that is nearly constant keeps its tails.
_LEAST = 1e-3
_PERCENTILES = (15.87, 50.0, 84.13)  # mean and standard deviation of a normal distribution


class CodeGrid(NamedTuple):
    """Grid that stores codes in 8 bits per latent dimension.

    Level ``q`` of a dimension, an integer from -128 to 127, stands for the value
    ``center + scale * sinh(shift + step * q)``. The levels are dense where most codes are, and the
    outermost levels are the smallest and the largest code, so that an outlier costs the other codes
    little.

    Attributes
    ----------
    center, scale, shift, step : arrays of float32 of shape (latent_dim,)
        Parameters of each latent dimension.

    See Also
    --------
    codes_to_arrow : Stores codes on a grid, with ``dtype="int8"``.

    Examples
    --------
    >>> codes = np.random.default_rng(0).normal(size=(100, 2))
    >>> grid = CodeGrid.fit(codes)
    >>> levels = grid.quantize(codes)
    >>> levels.dtype, levels.min(), levels.max()
    (dtype('int8'), np.int8(-128), np.int8(127))
    >>> bool(abs(grid.dequantize(levels) - codes).max() < 0.03)
    True
    """

    center: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    step: np.ndarray

    @classmethod
    def fit(cls, codes: Any) -> "CodeGrid":
        """Choose the grid of codes, one dimension at a time.

        Parameters
        ----------
        codes : array of shape (n_sequences, latent_dim)
            All codes that the grid has to cover. A memory-mapped array works.

        Returns
        -------
        CodeGrid
        """
        found = [_fit(codes[:, i].astype(np.float64)) for i in range(codes.shape[1])]
        return cls(*np.array(found, np.float32).reshape(-1, 4).T)

    def quantize(self, codes: Any) -> np.ndarray:
        """Return the nearest levels of codes.

        Parameters
        ----------
        codes : array of shape (n_sequences, latent_dim)
            Codes. Values outside the grid get its outermost level.

        Returns
        -------
        array of int8 of shape (n_sequences, latent_dim)
        """
        center, scale, shift, step = self._exact()
        level = (np.arcsinh((codes - center) / scale) - shift) / np.where(step > 0, step, 1.0)
        return np.clip(np.rint(level), -128, 127).astype(np.int8)

    def dequantize(self, levels: Any) -> np.ndarray:
        """Return the codes that levels stand for.

        Parameters
        ----------
        levels : array of int8 of shape (n_sequences, latent_dim)
            Levels from `quantize`.

        Returns
        -------
        array of float32 of shape (n_sequences, latent_dim)
        """
        center, scale, shift, step = self._exact()
        return (center + scale * np.sinh(shift + step * np.asarray(levels))).astype(np.float32)

    def _exact(self) -> list[np.ndarray]:
        return [part.astype(np.float64) for part in self]

    def to_json(self) -> str:
        """Return the grid as JSON, with the shortest decimals that read back as the same float32.

        Returns
        -------
        str
        """
        return json.dumps(
            {name: part.astype(str).astype(float).tolist() for name, part in self._asdict().items()}
        )

    @classmethod
    def from_json(cls, text: str | bytes, width: int) -> "CodeGrid":
        """Read the grid of codes with ``width`` latent dimensions from JSON.

        Parameters
        ----------
        text : str or bytes
            Text from `to_json`.
        width : int
            Number of latent dimensions of the codes.

        Returns
        -------
        CodeGrid

        Raises
        ------
        DataError
            If the text is not a grid of that width.
        """
        try:
            stored = json.loads(text)
            grid = cls(*(np.array(stored[name], np.float32) for name in cls._fields))
        except (ValueError, TypeError, KeyError) as error:
            raise DataError("The grid of the int8 codes is damaged. Encode again.") from error
        if any(part.shape != (width,) or not np.isfinite(part).all() for part in grid):
            raise DataError(
                f"The grid of the int8 codes does not fit their {width} dimensions. Encode again."
            )
        return grid


def _fit(values: np.ndarray) -> list[Any]:
    """Return center, scale, shift and step of one dimension."""
    if not len(values):
        return [0.0, 1.0, 0.0, 0.0]
    low, center, high = np.percentile(values, _PERCENTILES)
    scale = max((high - low) / 2, _LEAST * values.std())
    center, scale = np.float32(center), np.float32(scale) or np.float32(1.0)
    ends = np.arcsinh((np.array([values.min(), values.max()]) - center) / scale)
    step = (ends[1] - ends[0]) / 255
    return [center, scale, ends[0] + 128 * step, step]
