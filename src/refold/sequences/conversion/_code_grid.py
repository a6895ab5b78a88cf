"""Grid of 256 levels per latent dimension, on which codes are stored as int8."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from refold.errors import DataError

# Least scale, in standard deviations, so that a dimension that is nearly constant keeps its tails.
_LEAST = 1e-3
_PERCENTILES = (15.87, 50.0, 84.13)  # mean and standard deviation of a normal distribution

_DAMAGED = "The grid of the int8 codes is damaged. Encode again."


class CodeGrid(NamedTuple):
    """Grid that stores codes in 8 bits per latent dimension.

    Level ``q`` of a dimension, an integer from -128 to 127, stands for the value
    ``center + scale * sinh(shift + step * q)``. The levels are dense where most codes are, and the
    outermost levels are the smallest and the largest code, so that an outlier costs the other codes
    little.

    A dimension that must stay exact, such as that of the length, has 16 bits: the level of what is
    left, in units of ``fine``, is in a column of its own after those of all dimensions.

    Attributes
    ----------
    center, scale, shift, step : arrays of float32 of shape (latent_dim,)
        Parameters of each latent dimension.
    fine : array of float32 of shape (latent_dim,)
        Step of the second level of each dimension; 0 for those that have one level.

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
    fine: np.ndarray

    @classmethod
    def fit(cls, codes: Any, exact: Sequence[int] = ()) -> "CodeGrid":
        """Choose the grid of codes, one dimension at a time.

        Parameters
        ----------
        codes : array of shape (n_sequences, latent_dim)
            All codes that the grid has to cover. A memory-mapped array works.
        exact : sequence of int
            Dimensions that have 16 bits.

        Returns
        -------
        CodeGrid
        """
        found = [
            _fit(codes[:, i].astype(np.float64), exact=i in exact) for i in range(codes.shape[1])
        ]
        return cls(*np.array(found, np.float32).reshape(-1, 5).T)

    def quantize(self, codes: Any) -> np.ndarray:
        """Return the nearest levels of codes.

        Parameters
        ----------
        codes : array of shape (n_sequences, latent_dim)
            Codes. Values outside the grid get its outermost level.

        Returns
        -------
        array of int8 of shape (n_sequences, latent_dim + number of exact dimensions)
        """
        center, scale, shift, step, fine = self._exact()
        level = (np.arcsinh((codes - center) / scale) - shift) / np.where(step > 0, step, 1.0)
        levels = np.clip(np.rint(level), -128, 127)
        exact = np.flatnonzero(fine)
        if len(exact):
            rest = np.asarray(codes)[:, exact] - self._coarse(levels)[:, exact]
            second = np.clip(np.rint(rest / fine[exact]), -128, 127)
            levels = np.concatenate([levels, second], axis=1)
        return levels.astype(np.int8)

    def dequantize(self, levels: Any) -> np.ndarray:
        """Return the codes that levels stand for.

        Parameters
        ----------
        levels : array of int8
            Levels from `quantize`.

        Returns
        -------
        array of float32 of shape (n_sequences, latent_dim)
        """
        levels, fine = np.asarray(levels), self._exact()[-1]
        codes, exact = self._coarse(levels[:, : len(fine)]), np.flatnonzero(fine)
        codes[:, exact] += fine[exact] * levels[:, len(fine) :]
        return codes.astype(np.float32)

    def _coarse(self, levels: np.ndarray) -> np.ndarray:
        center, scale, shift, step, _ = self._exact()
        return center + scale * np.sinh(shift + step * levels)

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
        """Read the grid of levels with ``width`` columns from JSON.

        Parameters
        ----------
        text : str or bytes
            Text from `to_json`.
        width : int
            Number of columns of levels: latent dimensions, and those that are exact again.

        Returns
        -------
        CodeGrid

        Raises
        ------
        DataError
            If the text is not a grid of that width.
        """
        try:
            arrays = json.loads(text)
        except ValueError as error:
            raise DataError(_DAMAGED) from error
        return cls.from_arrays(arrays, width)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], width: int) -> "CodeGrid":
        """Take the grid of levels with ``width`` columns from arrays by name.

        Parameters
        ----------
        arrays : mapping from names to arrays
            Fields of a grid. Other names are ignored.
        width : int
            Number of columns of levels, as for `from_json`.

        Returns
        -------
        CodeGrid

        Raises
        ------
        DataError
            If these are not a grid of that width.
        """
        try:
            grid = cls(*(np.array(arrays[name], np.float32) for name in cls._fields))
        except KeyError as error:
            raise DataError(
                f"The grid of the int8 codes has no array {error}. Encode again."
            ) from error
        except (ValueError, TypeError) as error:
            raise DataError(_DAMAGED) from error
        shape = (width - np.count_nonzero(grid.fine),)
        if any(part.shape != shape or not np.isfinite(part).all() for part in grid):
            raise DataError(
                f"The grid of the int8 codes does not fit their {width} dimensions. Encode again."
            )
        return grid


def _fit(values: np.ndarray, *, exact: bool) -> list[Any]:
    """Return center, scale, shift, step and fine of one dimension."""
    if not len(values):
        return [0.0, 1.0, 0.0, 0.0, float(exact)]
    low, center, high = np.percentile(values, _PERCENTILES)
    scale = max((high - low) / 2, _LEAST * values.std())
    center, scale = np.float32(center), np.float32(scale) or np.float32(1.0)
    ends = np.arcsinh((np.array([values.min(), values.max()]) - center) / scale)
    step = (ends[1] - ends[0]) / 255
    # half of the largest distance between two levels, which is that of an outermost one
    half = scale * np.cosh(np.abs(ends).max()) * step / 2
    fine = max(half / 127, np.finfo(np.float32).tiny) if exact else 0.0
    return [center, scale, ends[0] + 128 * step, step, fine]
