"""From the user's values, categories and lengths to the channels of the encoder, and back."""

from collections.abc import Callable
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from refold.network.onnx.graph import (
    Graph,
    Value,
    longest,
    real_steps,
)
from refold.network.specification import Specification
from refold.sequences import MIN_SHARE, Scaler, Schema
from refold.sequences.types import MAX_EXPONENT, outputs_of

# A standard deviation must be this many times the resolution of a type at the mean.
_RESOLUTION = 2.0**18
# Stands for a missing category where categories are integers.
_MISSING_INTEGER = int(np.iinfo(np.int64).min)


class Columns:
    """How a graph receives and returns columns."""

    def __init__(
        self, specification: Specification, schema: Schema, scaler: Scaler, *, indices: bool
    ) -> None:
        self.specification, self.schema, self.scaler = specification, schema, scaler
        self.indices = indices  # whether categories are indices
        self.categorical = [int(i) for i in schema.categorical]
        # numeric and binary columns
        self.values = [i for i in range(schema.num_columns) if i not in self.categorical]
        # of the values: float32, or float64 where float32 would round them too much
        self.dtype = _dtype(scaler)
        names = [name for i in self.categorical for name in schema.columns[i].categories]
        as_text = not indices and any(isinstance(name, str) for name in names)
        self.category_type: Any = object if as_text else np.int64  # object for strings
        self.missing_category: str | int = -1 if indices else _MISSING_INTEGER
        if as_text:
            self.missing_category = "<missing>" if "" in names else ""

    def categories(self, column: int) -> np.ndarray:
        """Return the categories of a column in the type of the graph's tensor."""
        categories = self.schema.columns[column].categories
        if self.category_type is object:
            return np.array([str(category) for category in categories], object)
        return np.array(categories, np.int64)

    def units(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the shift and the scale of the columns of ``values``."""
        shift, scale = self.scaler.shift(self.schema), self.scaler.scale_
        return shift[self.values], scale[self.values]

    def describe(self) -> list[dict[str, Any]]:
        """Return the columns as plain JSON values."""
        shift, entries = self.scaler.shift(self.schema), []
        for i, column in enumerate(self.schema.columns):
            entry: dict[str, Any] = {"name": column.name, "type": column.type}
            if i in self.categorical:
                entry |= {"tensor": "categories", "index": self.categorical.index(i)}
                entry["categories"] = list(column.categories)
            else:
                entry |= {"tensor": "values", "index": self.values.index(i)}
                if column.column_type.is_number and not self.scaler.num_statistics:
                    entry |= {"mean": float(shift[i]), "scale": float(self.scaler.scale_[i])}
            entries.append(entry)
        return entries


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


class Channels(NamedTuple):
    """What the encoder reads."""

    x: Any  # (n, steps, channels): scaled, one-hot, observed flags; 0 where missing
    real: Any  # (n, steps): whether a step is within its sequence
    lengths: Any  # (n,) int64
    statistics: Any  # (n, statistics): mean and spread of each sequence, or None


def read_inputs(graph: Graph, columns: Columns) -> Channels:
    """Add the inputs of an encoder, and what turns them into channels."""
    values, index, lengths = _inputs(graph, columns)
    steps = graph("Shape", index if values is None else values, start=1, end=2)
    real = real_steps(graph, lengths, steps)
    inside = graph("Unsqueeze", real, [2])
    numbers: Any = None
    observed: dict[str, Any] = {}
    statistics = None
    if values is not None:
        values = _without_markers(graph, values, columns)
        is_observed = graph("And", graph("Not", graph("IsNaN", values)), inside)
        observed["values"] = is_observed
        if columns.scaler.num_statistics:
            scaled, statistics = _scaled_by_sequence(graph, values, is_observed, columns)
        else:
            scaled = _scaled(graph, values, columns)
        numbers = graph("Where", is_observed, scaled, np.float32(0))
    if index is not None:
        index = graph("Where", inside, index, np.int64(-1))
        observed["categories"] = graph("GreaterOrEqual", index, np.int64(0))
    parts = _channels(graph, columns, numbers, index)
    if columns.specification.observed_flags:
        parts += [graph.cast(flags, np.float32) for flags in _in_order(graph, columns, observed)]
    x = graph.concat(parts, axis=2)
    return Channels(x, real, lengths, statistics)


def _inputs(graph: Graph, columns: Columns) -> tuple[Any, Any, Any]:
    """Add the inputs, and return values, indices (n, steps, columns) and lengths (n,)."""
    values = index = None
    if columns.values:
        shape = ["n", "steps", len(columns.values)]
        values = graph.input("values", columns.dtype, shape)
    if columns.categorical:
        shape = ["n", "steps", len(columns.categorical)]
        index = graph.input("categories", columns.category_type, shape)
        index = _indices(graph, index, columns)
    return values, index, graph.input("lengths", np.int64, ["n"])


def read_last_steps(graph: Graph, columns: Columns) -> Any:
    """Add the input of the last steps; return what `recent_values` of a model does."""
    specification, parts = columns.specification, []
    steps = specification.recent_steps
    numbers: Any = None
    index: Any = None
    if columns.values:
        shape = ["n", steps, len(columns.values)]
        values = graph.input("recent_values", columns.dtype, shape)
        values = _scaled(graph, _without_markers(graph, values, columns), columns)
        values = _filled(graph, values, steps, lambda step: graph("IsNaN", step))
        numbers = graph("Where", graph("IsNaN", values), np.float32(0), values)
    if columns.categorical:
        shape = ["n", steps, len(columns.categorical)]
        index = graph.input("recent_categories", columns.category_type, shape)
        index = _indices(graph, index, columns)
        index = _filled(graph, index, steps, lambda step: graph("Less", step, np.int64(0)))
    parts = _channels(graph, columns, numbers, index)
    x = graph.concat(parts, axis=2)
    last = graph("Slice", x, [steps - 1], [steps], [1])
    if steps > 1:
        earlier = graph("Slice", x, [steps - 2], [-steps - 1], [1], [-1])
        last = graph("Concat", last, graph("Sub", earlier, last), axis=1)
    return graph("Reshape", last, [-1, specification.recent_dim])


def _filled(graph: Graph, values: Value, steps: int, is_missing: Callable[[Any], Any]) -> Any:
    """Give a missing entry the value of the step before, or else of the first step after."""
    if steps == 1:
        return values
    parts = list(graph("Split", values, outputs=steps, axis=1, num_outputs=steps))
    forward = [(step, step - 1) for step in range(1, steps)]
    backward = [(step, step + 1) for step in reversed(range(steps - 1))]
    for step, source in forward + backward:
        parts[step] = graph("Where", is_missing(parts[step]), parts[source], parts[step])
    return graph("Concat", *parts, axis=1)


def _without_markers(graph: Graph, values: Value, columns: Columns) -> Any:
    """Turn the markers of missing values, such as -99999, into NaN."""
    schema = columns.schema
    for marker in schema.missing:
        takes = [bool(schema.columns[i].column_type.markers((marker,))) for i in columns.values]
        if any(takes):
            is_marker = graph("Equal", values, np.asarray(marker, columns.dtype))
            is_marker = graph("And", is_marker, np.array(takes))
            values = graph("Where", is_marker, np.asarray(np.nan, columns.dtype), values)
    return values


def _scaled(graph: Graph, values: Value, columns: Columns) -> Any:
    mean, scale = columns.units()
    if columns.dtype == np.float64:
        return graph.cast(graph("Div", graph("Sub", values, mean), scale), np.float32)
    # in two parts, whose difference from a value near the mean is exact
    first = mean.astype(np.float32)
    rest = (mean - first).astype(np.float32)
    centred = graph("Sub", graph("Sub", values, first), rest)
    return graph("Div", centred, scale.astype(np.float32))


def _scaled_by_sequence(
    graph: Graph, values: Value, is_observed: Value, columns: Columns
) -> tuple[Any, Any]:
    """Return values scaled by the mean and spread of their sequence, and these statistics."""
    scaler = columns.scaler
    wide = graph.cast(values, np.float64)
    zero = np.float64(0)
    at = [i for i, column in enumerate(columns.values) if scaler.numeric_[column]]
    numeric, there = (graph("Gather", array, at, axis=2) for array in (wide, is_observed))
    count = graph("ReduceSum", graph.cast(there, np.float64), [1], keepdims=1)
    total = graph("ReduceSum", graph("Where", there, numeric, zero), [1], keepdims=1)
    mean = graph("Div", total, count)  # NaN where nothing was observed
    away = graph("Where", there, graph("Sub", numeric, mean), zero)
    square = graph("ReduceSum", graph("Mul", away, away), [1], keepdims=1)
    deviation = graph("Sqrt", graph("Div", square, count))
    far = graph("Abs", graph("Sub", mean, scaler.statistics_mean_[: len(at)]))
    floor = graph("Max", scaler.floor_, graph("Mul", far, np.float64(MIN_SHARE)))
    logarithm = graph("Log", graph("Max", deviation, floor))
    raw = graph("Concat", mean, logarithm, axis=2)
    standardized = graph(
        "Div", graph("Sub", raw, scaler.statistics_mean_), scaler.statistics_scale_
    )
    statistics = graph.cast(standardized, np.float32)
    statistics = graph("Where", graph("IsNaN", statistics), np.float32(0), statistics)
    center, spread = _sequence_units(graph, statistics, columns)
    scaled = graph.cast(graph("Div", graph("Sub", wide, center), spread), np.float32)
    return scaled, graph("Squeeze", statistics, [1])


def _sequence_units(graph: Graph, statistics: Value, columns: Columns) -> tuple[Any, Any]:
    """Return the mean and the standard deviation (n, 1, columns) from statistics (n, 1, width)."""
    scaler = columns.scaler
    raw = graph("Mul", graph.cast(statistics, np.float64), scaler.statistics_scale_)
    raw = graph("Add", raw, scaler.statistics_mean_)
    means, logarithms = graph("Split", raw, outputs=2, axis=2, num_outputs=2)
    numeric = scaler.numeric_[columns.values]
    # binary columns have the mean 0 and the deviation 1
    at = np.where(numeric, np.cumsum(numeric) - 1, 0).tolist()
    centered = [columns.schema.columns[i].column_type.is_centered for i in columns.values]
    mean = graph("Where", numeric & centered, graph("Gather", means, at, axis=2), np.float64(0))
    deviation = graph("Exp", graph("Gather", logarithms, at, axis=2))
    return mean, graph("Where", numeric, deviation, np.float64(1))


def _indices(graph: Graph, categories: Value, columns: Columns) -> Any:
    """Return the index of each category; unknown ones follow, and missing ones are negative."""
    if columns.indices:
        return categories
    parts = []
    for k, column in enumerate(columns.categorical):
        names = columns.categories(column).tolist()
        kind = "keys_strings" if columns.category_type is object else "keys_int64s"
        tables = {
            kind: [*names, columns.missing_category],
            "values_int64s": [*range(len(names)), -1],
            "default_int64": len(names),
        }
        part = graph("Gather", categories, [k], axis=-1)
        parts.append(graph("LabelEncoder", part, **tables))
    return graph.concat(parts, axis=-1)


def _channels(graph: Graph, columns: Columns, numbers: Value, index: Value) -> list[Any]:
    """Return the channels of columns in their order, with categories as one-hot blocks."""
    if index is None:
        return [numbers]
    parts = []
    for is_categorical, group in groupby(
        range(columns.schema.num_columns), lambda i: i in columns.categorical
    ):
        members = list(group)
        if not is_categorical:
            first = columns.values.index(members[0])
            parts.append(graph("Slice", numbers, [first], [first + len(members)], [2]))
            continue
        for i in members:
            own = graph("Gather", index, [columns.categorical.index(i)], axis=2)
            all_indices = np.arange(columns.specification.num_categories[i])
            parts.append(graph.cast(graph("Equal", own, all_indices), np.float32))
    return parts


def _in_order(graph: Graph, columns: Columns, observed: dict[str, Any]) -> list[Any]:
    """Return flags (n, steps, columns) in the order of the columns."""
    if len(observed) == 1:
        return list(observed.values())
    places = [*columns.values, *columns.categorical]
    both = graph("Concat", *observed.values(), axis=2)
    return [graph("Gather", both, np.argsort(places).tolist(), axis=2)]


# From the outputs of a decoder to values and categories


def _is_likely(graph: Graph, logits: Value) -> Any:
    return graph.cast(graph("Greater", graph("Sigmoid", logits), np.float32(0.5)), np.float32)


def _index(graph: Graph, logits: Value) -> Any:
    return graph("ArgMax", logits, axis=-1, keepdims=1)


def _mean(graph: Graph, logits: Value) -> Any:
    return graph("Exp", graph("Min", logits, np.float32(MAX_EXPONENT)))


# From the outputs (..., width) of the last layer to values (..., 1): numbers, or indices.
LINKS: dict[str, Callable[[Graph, Any], Any]] = {
    "identity": lambda _, logits: logits,
    "sigmoid": _is_likely,
    "softmax": _index,
    "exponential": _mean,
}


def write_outputs(
    graph: Graph, columns: Columns, outputs: Any, lengths: Value, statistics: Value
) -> None:
    """Add the outputs of a decoder, whose logits are ``outputs`` (n, steps, outputs)."""
    # ``statistics`` (n, statistics) are None unless values are scaled by sequence
    steps = longest(graph, lengths)
    outputs = graph("Slice", outputs, [0], steps, [1])
    real = real_steps(graph, lengths, steps)
    values, categories = [], []
    specification = columns.specification
    for i, type_, block in outputs_of(specification.column_types, specification.num_categories):
        logits = graph("Slice", outputs, [block.start], [block.stop], [2])
        likeliest = LINKS[type_.link](graph, logits)
        if not type_.has_categories:
            values.append(likeliest)
            continue
        if not columns.indices:
            likeliest = graph("Gather", columns.categories(i), likeliest)
        categories.append(likeliest)
    if values:
        together = _in_units(graph, graph.concat(values, axis=2), columns, statistics)
        _write(graph, "values", together, real, np.asarray(np.nan, columns.dtype), len(values))
    if categories:
        missing = np.asarray(columns.missing_category, columns.category_type)
        together = graph.concat(categories, axis=2)
        _write(graph, "categories", together, real, missing, len(categories))
    graph.output("lengths", lengths, np.int64, ["n"])


def _in_units(graph: Graph, values: Value, columns: Columns, statistics: Value) -> Any:
    """Return scaled values to the units of the training data."""
    if statistics is not None:
        mean, scale = _sequence_units(graph, graph("Unsqueeze", statistics, [1]), columns)
        wide = graph("Mul", graph.cast(values, np.float64), scale)
        return _whole(graph, graph.cast(graph("Add", wide, mean), columns.dtype), columns)
    mean, scale = columns.units()
    if columns.dtype == np.float64:
        values = graph.cast(values, np.float64)
    scaled = graph("Mul", values, scale.astype(columns.dtype))
    return _whole(graph, graph("Add", scaled, mean.astype(columns.dtype)), columns)


def _whole(graph: Graph, values: Value, columns: Columns) -> Any:
    """Round the columns that hold whole numbers."""
    whole = np.array([columns.schema.columns[i].column_type.is_whole for i in columns.values])
    return graph("Where", whole, graph("Round", values), values) if whole.any() else values


def _write(
    graph: Graph, name: str, padded: Value, real: Value, missing: np.ndarray, width: int
) -> None:
    padded = graph("Where", graph("Unsqueeze", real, [2]), padded, missing)
    graph.output(name, padded, missing.dtype, ["n", "steps", width])
