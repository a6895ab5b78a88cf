"""The columns of a model as the inputs and outputs of a graph: names, types and missing values."""

from typing import Any, NamedTuple

import numpy as np

from refold.network.specification import Specification
from refold.sequences import Scaler, Schema

# A standard deviation must be this many times the resolution of a type at the mean.
_RESOLUTION = 2.0**18
LEAST_INTEGER = int(np.iinfo(np.int64).min)
"""Stands for a missing category where categories are integers."""


class Columns(NamedTuple):
    """How a graph receives and returns columns."""

    specification: Specification
    schema: Schema
    scaler: Scaler
    values: list[int]  # numeric and binary columns
    categorical: list[int]
    dtype: np.dtype  # of the values: float32, or float64 where float32 would round them too much
    category_type: Any  # object for strings, or numpy.int64
    missing_category: str | int
    indices: bool  # whether categories are indices
    packed: bool  # whether the steps of all sequences are in one dimension

    def categories(self, column: int) -> np.ndarray:
        """Return the categories of a column in the type of the graph's tensor."""
        found = self.schema.columns[column].categories
        if self.category_type is object:
            return np.array([str(one) for one in found], object)
        return np.array(found, np.int64)

    def units(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the shift and the scale of the columns of ``values``."""
        shift, scale = self.scaler.shift(self.schema), self.scaler.scale_
        return shift[self.values], scale[self.values]

    def describe(self) -> list[dict[str, Any]]:
        """Return the columns as plain JSON values."""
        return [self._described(i) for i in range(self.schema.num_columns)]

    def _described(self, i: int) -> dict[str, Any]:
        column = self.schema.columns[i]
        entry: dict[str, Any] = {"name": column.name, "type": column.type}
        if i in self.categorical:
            entry |= {"tensor": "categories", "index": self.categorical.index(i)}
            return entry | {"categories": list(column.categories)}
        entry |= {"tensor": "values", "index": self.values.index(i)}
        if column.column_type.is_number and not self.scaler.num_statistics:
            shift = self.scaler.shift(self.schema)
            entry |= {"mean": float(shift[i]), "scale": float(self.scaler.scale_[i])}
        return entry


def columns_of(
    specification: Specification, schema: Schema, scaler: Scaler, *, indices: bool, packed: bool
) -> Columns:
    """Return how a graph of a model receives and returns its columns."""
    categorical = [int(i) for i in schema.categorical]
    values = [i for i in range(schema.num_columns) if i not in categorical]
    names = [schema.columns[i].categories for i in categorical]
    as_text = not indices and any(isinstance(one, str) for found in names for one in found)
    missing: str | int = LEAST_INTEGER
    if indices:
        missing = -1
    elif as_text:
        missing = "<missing>" if any("" in found for found in names) else ""
    return Columns(
        specification,
        schema,
        scaler,
        values,
        categorical,
        _dtype(scaler),
        object if as_text else np.int64,
        missing,
        indices,
        packed,
    )


def _dtype(scaler: Scaler) -> np.dtype:
    """Return float32 if it resolves the values of numeric columns, else float64."""
    numeric = scaler.numeric_
    mean, scale = np.abs(scaler.mean_[numeric]), scaler.scale_[numeric]
    if scaler.num_statistics:
        # means and logarithms of standard deviations, of which most lie within three of their own
        means, logs = np.split(scaler.statistics_mean_, 2)
        of_means, of_logs = np.split(scaler.statistics_scale_, 2)
        mean, scale = np.abs(means) + 3 * of_means, np.exp(logs - 3 * of_logs)
    least = _RESOLUTION * np.spacing(np.minimum(mean, 1e30).astype(np.float32)).astype(float)
    most = np.maximum(mean, scale).max(initial=0)
    fits = most < 1e30 and (scale.min(initial=1) > 1e-30) and bool((scale >= least).all())
    return np.dtype(np.float32 if fits else np.float64)
