"""The inputs and outputs of graphs: values, categories and lengths in the units of the data.

`add_inputs` adds the inputs of an encoder, and the nodes that turn them into scaled channels.
`add_outputs` adds the nodes that turn the logits of a decoder into values and categories.
"""

from collections.abc import Callable
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from refold.network.onnx.graph import Graph, Value, greatest_length, real_step_mask
from refold.network.specification import Specification
from refold.sequences import MIN_STD_TO_DISTANCE, Scaler, Schema
from refold.sequences.types import MAX_EXPONENT, column_outputs

# Minimum number of float32 numbers from the mean to one standard deviation above the mean. If there
# are fewer, float64 is used.
_MIN_RESOLUTION = 2.0**18
# Stands for a missing category where categories are integers: the smallest int64.
_MISSING_INTEGER = int(np.iinfo(np.int64).min)


class GraphColumns:
    """Columns of a model as tensors of a graph: numbers in one, and categories in another."""

    def __init__(
        self,
        specification: Specification,
        schema: Schema,
        scaler: Scaler,
        *,
        category_indices: bool,
    ) -> None:
        self.specification, self.schema, self.scaler = specification, schema, scaler
        self.category_indices = category_indices  # whether categories are indices
        self.categorical_columns = [int(i) for i in schema.categorical]
        # columns that are not categorical
        categorical = self.categorical_columns
        self.number_columns = [i for i in range(schema.num_columns) if i not in categorical]
        # type of numbers: float32, or float64 where float32 would round them too much
        self.dtype = _value_dtype(scaler)
        names = [name for i in self.categorical_columns for name in schema.columns[i].categories]
        as_text = not category_indices and any(isinstance(name, str) for name in names)
        # type of categories, where ``object`` stands for text
        self.category_type: Any = object if as_text else np.int64
        self.missing_category: str | int = -1 if category_indices else _MISSING_INTEGER
        if as_text:
            # an empty text stands for a missing category, unless it is a category itself
            self.missing_category = "<missing>" if "" in names else ""

    def categories(self, column: int) -> np.ndarray:
        """Return the categories of a column in the type of the graph's tensor."""
        categories = self.schema.columns[column].categories
        if self.category_type is object:
            return np.array([str(category) for category in categories], object)
        return np.array(categories, np.int64)

    def shift_and_scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the shift and the scale of each number column."""
        shift, scale = self.scaler.shift(self.schema), self.scaler.scale_
        return shift[self.number_columns], scale[self.number_columns]

    def to_json(self) -> list[dict[str, Any]]:
        """Return the columns as plain JSON values."""
        shift, entries = self.scaler.shift(self.schema), []
        for i, column in enumerate(self.schema.columns):
            entry: dict[str, Any] = {"name": column.name, "type": column.type}
            if i in self.categorical_columns:
                entry |= {"tensor": "categories", "index": self.categorical_columns.index(i)}
                entry["categories"] = list(column.categories)
            else:
                entry |= {"tensor": "values", "index": self.number_columns.index(i)}
                if column.column_type.is_number and not self.scaler.num_statistics:
                    entry |= {"mean": float(shift[i]), "scale": float(self.scaler.scale_[i])}
            entries.append(entry)
        return entries


def _value_dtype(scaler: Scaler) -> np.dtype:
    """Return float32 if it is precise enough for all numeric columns, else float64."""
    numeric = scaler.is_numeric_
    mean, scale = np.abs(scaler.mean_[numeric]), scaler.scale_[numeric]
    if scaler.num_statistics:
        # Each sequence has its own mean and standard deviation. Almost all means lie within three
        # standard deviations of the mean of all means, and so do the logarithms of the deviations.
        mean_of_means, mean_log_std = np.split(scaler.statistics_mean_, 2)
        std_of_means, std_of_log_std = np.split(scaler.statistics_scale_, 2)
        mean = np.abs(mean_of_means) + 3 * std_of_means
        scale = np.exp(mean_log_std - 3 * std_of_log_std)
    spacing = np.spacing(np.minimum(mean, 1e30).astype(np.float32)).astype(float)
    is_precise = bool((scale >= _MIN_RESOLUTION * spacing).all())
    # float32 has numbers from 1e-38 to 3e38
    in_range = np.maximum(mean, scale).max(initial=0) < 1e30 and scale.min(initial=1) > 1e-30
    return np.dtype(np.float32 if is_precise and in_range else np.float64)


class EncoderInputs(NamedTuple):
    """Tensors that the encoder reads."""

    x: Any  # (n, steps, channels): scaled values, one-hot blocks and observed flags
    is_real: Any  # (n, steps): whether a step is before the end of its sequence
    lengths: Any  # (n,) int64
    statistics: Any  # (n, statistics): mean and standard deviation of each sequence, or None


def add_inputs(graph: Graph, columns: GraphColumns) -> EncoderInputs:
    """Add the inputs of an encoder, and the nodes that turn them into channels."""
    values, categories, lengths = _add_value_inputs(graph, columns)
    num_steps = graph("Shape", categories if values is None else values, start=1, end=2)
    is_real = real_step_mask(graph, lengths, num_steps)
    is_inside = graph("Unsqueeze", is_real, [2])  # for all columns
    numbers: Any = None
    masks: dict[str, Any] = {}
    statistics = None
    if values is not None:
        values = _replace_missing_markers(graph, values, columns)
        is_observed = graph("And", graph("Not", graph("IsNaN", values)), is_inside)
        masks["values"] = is_observed
        if columns.scaler.num_statistics:
            scaled, statistics = _scale_by_sequence(graph, values, is_observed, columns)
        else:
            scaled = _scale(graph, values, columns)
        numbers = graph("Where", is_observed, scaled, np.float32(0))
    if categories is not None:
        categories = graph("Where", is_inside, categories, np.int64(-1))
        masks["categories"] = graph("GreaterOrEqual", categories, np.int64(0))
    channels = _value_channels(graph, columns, numbers, categories)
    if columns.specification.observed_flags:
        flags = _reorder_flags(graph, columns, masks)
        channels += [graph.cast(array, np.float32) for array in flags]
    x = graph.concat(channels, axis=2)
    return EncoderInputs(x, is_real, lengths, statistics)


def _add_value_inputs(graph: Graph, columns: GraphColumns) -> tuple[Any, Any, Any]:
    """Add the inputs; return values and category indices (n, steps, columns), and lengths (n,)."""
    values = tokens = None
    if columns.number_columns:
        shape = ["n", "steps", len(columns.number_columns)]
        values = graph.input("values", columns.dtype, shape)
    if columns.categorical_columns:
        shape = ["n", "steps", len(columns.categorical_columns)]
        tokens = graph.input("categories", columns.category_type, shape)
        tokens = _encode_categories(graph, tokens, columns)
    return values, tokens, graph.input("lengths", np.int64, ["n"])


def add_last_steps_input(graph: Graph, columns: GraphColumns) -> Any:
    """Add the inputs of the last steps; return the recent values (n, num_recent_values)."""
    # As in `refold.model.recent_values`, these are the last step, and then the differences of the
    # earlier steps from the last step, backwards.
    specification = columns.specification
    steps = specification.recent_steps
    numbers: Any = None
    tokens: Any = None
    if columns.number_columns:
        shape = ["n", steps, len(columns.number_columns)]
        values = graph.input("recent_values", columns.dtype, shape)
        values = _scale(graph, _replace_missing_markers(graph, values, columns), columns)
        values = _fill_missing(graph, values, steps, lambda step: graph("IsNaN", step))
        numbers = graph("Where", graph("IsNaN", values), np.float32(0), values)
    if columns.categorical_columns:
        shape = ["n", steps, len(columns.categorical_columns)]
        tokens = graph.input("recent_categories", columns.category_type, shape)
        tokens = _encode_categories(graph, tokens, columns)
        tokens = _fill_missing(graph, tokens, steps, lambda step: graph("Less", step, np.int64(0)))
    channels = _value_channels(graph, columns, numbers, tokens)
    x = graph.concat(channels, axis=2)
    last = graph("Slice", x, [steps - 1], [steps], [1])
    if steps > 1:
        earlier = graph("Slice", x, [steps - 2], [-steps - 1], [1], [-1])
        last = graph("Concat", last, graph("Sub", earlier, last), axis=1)
    return graph("Reshape", last, [-1, specification.num_recent_values])


def _fill_missing(
    graph: Graph, values: Value, num_steps: int, is_missing: Callable[[Any], Any]
) -> Any:
    """Replace missing entries by those of the step before, or else of the first step after."""
    if num_steps == 1:
        return values
    steps = list(graph("Split", values, num_results=num_steps, axis=1, num_outputs=num_steps))
    forward = [(i, i - 1) for i in range(1, num_steps)]
    backward = [(i, i + 1) for i in reversed(range(num_steps - 1))]
    for i, neighbor in forward + backward:
        steps[i] = graph("Where", is_missing(steps[i]), steps[neighbor], steps[i])
    return graph("Concat", *steps, axis=1)


def _replace_missing_markers(graph: Graph, values: Value, columns: GraphColumns) -> Any:
    """Replace the markers of missing values, such as -99999, by NaN."""
    types = [columns.schema.columns[i].column_type for i in columns.number_columns]
    for marker in columns.schema.missing:
        has_marker = [bool(type_.valid_missing_markers((marker,))) for type_ in types]
        if any(has_marker):
            is_marker = graph("Equal", values, np.asarray(marker, columns.dtype))
            is_marker = graph("And", is_marker, np.array(has_marker))
            values = graph("Where", is_marker, np.asarray(np.nan, columns.dtype), values)
    return values


def _scale(graph: Graph, values: Value, columns: GraphColumns) -> Any:
    """Subtract the mean of each column, and divide by its standard deviation, to float32."""
    mean, scale = columns.shift_and_scale()
    if columns.dtype == np.float64:
        return graph.cast(graph("Div", graph("Sub", values, mean), scale), np.float32)
    # The mean is the sum of two float32 numbers. The difference of a value near the mean from the
    # first number is exact, so the result has the precision of float64.
    high = mean.astype(np.float32)
    low = (mean - high).astype(np.float32)
    centered = graph("Sub", graph("Sub", values, high), low)
    return graph("Div", centered, scale.astype(np.float32))


def _scale_by_sequence(
    graph: Graph, values: Value, is_observed: Value, columns: GraphColumns
) -> tuple[Any, Any]:
    """Return values scaled by the statistics of their sequence, and the statistics (n, width)."""
    # as `refold.sequences.Scaler` does
    scaler = columns.scaler
    float64_values = graph.cast(values, np.float64)
    zero = np.float64(0)
    indices = [i for i, column in enumerate(columns.number_columns) if scaler.is_numeric_[column]]
    numeric = graph("Gather", float64_values, indices, axis=2)
    is_observed = graph("Gather", is_observed, indices, axis=2)
    count = graph("ReduceSum", graph.cast(is_observed, np.float64), [1], keepdims=1)
    sums = graph("ReduceSum", graph("Where", is_observed, numeric, zero), [1], keepdims=1)
    mean = graph("Div", sums, count)  # NaN where nothing was observed
    difference = graph("Where", is_observed, graph("Sub", numeric, mean), zero)
    squares = graph("ReduceSum", graph("Mul", difference, difference), [1], keepdims=1)
    std = graph("Sqrt", graph("Div", squares, count))
    # the standard deviation of a constant sequence is not 0 but a floor
    distance = graph("Abs", graph("Sub", mean, scaler.statistics_mean_[: len(indices)]))
    floor = graph("Max", scaler.min_std_, graph("Mul", distance, np.float64(MIN_STD_TO_DISTANCE)))
    log_std = graph("Log", graph("Max", std, floor))
    mean_and_log_std = graph("Concat", mean, log_std, axis=2)
    centered = graph("Sub", mean_and_log_std, scaler.statistics_mean_)
    statistics = graph.cast(graph("Div", centered, scaler.statistics_scale_), np.float32)
    statistics = graph("Where", graph("IsNaN", statistics), np.float32(0), statistics)
    # The mean and the scale come from the rounded statistics, because a decoder reads the same
    # statistics from the code.
    center, scale = _sequence_mean_std(graph, statistics, columns)
    scaled = graph.cast(graph("Div", graph("Sub", float64_values, center), scale), np.float32)
    return scaled, graph("Squeeze", statistics, [1])


def _sequence_mean_std(graph: Graph, statistics: Value, columns: GraphColumns) -> tuple[Any, Any]:
    """Return the mean and the standard deviation (n, 1, columns) from statistics (n, 1, width)."""
    scaler = columns.scaler
    unscaled = graph("Mul", graph.cast(statistics, np.float64), scaler.statistics_scale_)
    unscaled = graph("Add", unscaled, scaler.statistics_mean_)
    means, log_stds = graph("Split", unscaled, num_results=2, axis=2, num_outputs=2)
    numeric = scaler.is_numeric_[columns.number_columns]
    # other columns than numeric ones have the mean 0 and the standard deviation 1
    indices = np.where(numeric, np.cumsum(numeric) - 1, 0).tolist()
    centered = [columns.schema.columns[i].column_type.is_centered for i in columns.number_columns]
    zero = np.float64(0)
    mean = graph("Where", numeric & centered, graph("Gather", means, indices, axis=2), zero)
    std = graph("Exp", graph("Gather", log_stds, indices, axis=2))
    return mean, graph("Where", numeric, std, np.float64(1))


def _encode_categories(graph: Graph, categories: Value, columns: GraphColumns) -> Any:
    """Return the index of each category: -1 if missing, and the number of categories if unknown."""
    if columns.category_indices:
        return categories
    indices = []
    for k, column in enumerate(columns.categorical_columns):
        names = columns.categories(column).tolist()
        keys = "keys_strings" if columns.category_type is object else "keys_int64s"
        tables = {
            keys: [*names, columns.missing_category],
            "values_int64s": [*range(len(names)), -1],
            "default_int64": len(names),
        }
        one_column = graph("Gather", categories, [k], axis=-1)
        indices.append(graph("LabelEncoder", one_column, **tables))
    return graph.concat(indices, axis=-1)


def _value_channels(
    graph: Graph, columns: GraphColumns, numbers: Value, tokens: Value
) -> list[Any]:
    """Return the channels of columns in their order, with categories as one-hot blocks."""
    if tokens is None:
        return [numbers]
    channels = []
    # adjacent number columns stay together
    for is_categorical, group in groupby(
        range(columns.schema.num_columns), lambda i: i in columns.categorical_columns
    ):
        group_columns = list(group)
        if not is_categorical:
            first = columns.number_columns.index(group_columns[0])
            channels.append(graph("Slice", numbers, [first], [first + len(group_columns)], [2]))
            continue
        for i in group_columns:
            one_column = graph("Gather", tokens, [columns.categorical_columns.index(i)], axis=2)
            all_indices = np.arange(columns.specification.num_categories[i])
            channels.append(graph.cast(graph("Equal", one_column, all_indices), np.float32))
    return channels


def _reorder_flags(graph: Graph, columns: GraphColumns, masks: dict[str, Any]) -> list[Any]:
    """Return flags (n, steps, columns) in the order of the columns."""
    if len(masks) == 1:
        return list(masks.values())
    order = [*columns.number_columns, *columns.categorical_columns]
    flags = graph("Concat", *masks.values(), axis=2)
    return [graph("Gather", flags, np.argsort(order).tolist(), axis=2)]


# From the logits of a decoder to values and categories


def _round_probability(graph: Graph, logits: Value) -> Any:
    return graph.cast(graph("Greater", graph("Sigmoid", logits), np.float32(0.5)), np.float32)


def _most_likely_category(graph: Graph, logits: Value) -> Any:
    return graph("ArgMax", logits, axis=-1, keepdims=1)


def _exp_mean(graph: Graph, logits: Value) -> Any:
    """Return the mean of which the logit is the logarithm."""
    return graph("Exp", graph("Min", logits, np.float32(MAX_EXPONENT)))


# From logits (..., width) to the likeliest values (..., 1), by the name of a link function. The
# values are numbers, or indices of categories.
LINKS: dict[str, Callable[[Graph, Any], Any]] = {
    "identity": lambda _, logits: logits,
    "sigmoid": _round_probability,
    "softmax": _most_likely_category,
    "exponential": _exp_mean,
}


def add_outputs(
    graph: Graph, columns: GraphColumns, logits: Any, lengths: Value, statistics: Value
) -> None:
    """Add the outputs of a decoder with logits (n, at least steps, outputs)."""
    # ``statistics`` (n, statistics) are None unless values are scaled by sequence
    num_steps = greatest_length(graph, lengths)
    logits = graph("Slice", logits, [0], num_steps, [1])
    is_real = real_step_mask(graph, lengths, num_steps)
    values, categories = [], []
    specification = columns.specification
    for i, type_, block in column_outputs(specification.column_types, specification.num_categories):
        column_logits = graph("Slice", logits, [block.start], [block.stop], [2])
        likeliest = LINKS[type_.link](graph, column_logits)
        if not type_.has_categories:
            values.append(likeliest)
            continue
        if not columns.category_indices:
            likeliest = graph("Gather", columns.categories(i), likeliest)
        categories.append(likeliest)
    if values:
        joined = _unscale(graph, graph.concat(values, axis=2), columns, statistics)
        missing_value = np.asarray(np.nan, columns.dtype)
        _add_output(graph, "values", joined, is_real, missing_value, len(values))
    if categories:
        missing_value = np.asarray(columns.missing_category, columns.category_type)
        joined = graph.concat(categories, axis=2)
        _add_output(graph, "categories", joined, is_real, missing_value, len(categories))
    graph.output("lengths", lengths, np.int64, ["n"])


def _unscale(graph: Graph, values: Value, columns: GraphColumns, statistics: Value) -> Any:
    """Return scaled values in the units of the training data."""
    if statistics is not None:
        mean, scale = _sequence_mean_std(graph, graph("Unsqueeze", statistics, [1]), columns)
        scaled = graph("Mul", graph.cast(values, np.float64), scale)
        return _round_whole(graph, graph.cast(graph("Add", scaled, mean), columns.dtype), columns)
    mean, scale = columns.shift_and_scale()
    if columns.dtype == np.float64:
        values = graph.cast(values, np.float64)
    scaled = graph("Mul", values, scale.astype(columns.dtype))
    return _round_whole(graph, graph("Add", scaled, mean.astype(columns.dtype)), columns)


def _round_whole(graph: Graph, values: Value, columns: GraphColumns) -> Any:
    """Round the columns whose values are whole numbers, such as counts."""
    types = [columns.schema.columns[i].column_type for i in columns.number_columns]
    is_whole = np.array([type_.is_whole for type_ in types])
    return graph("Where", is_whole, graph("Round", values), values) if is_whole.any() else values


def _add_output(
    graph: Graph, name: str, values: Value, is_real: Value, missing_value: np.ndarray, width: int
) -> None:
    """Add an output (n, steps, width), with ``missing_value`` after the end of each sequence."""
    padded = graph("Where", graph("Unsqueeze", is_real, [2]), values, missing_value)
    graph.output(name, padded, missing_value.dtype, ["n", "steps", width])
