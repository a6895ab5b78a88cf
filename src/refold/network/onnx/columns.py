"""Convert between columns in the units of the data, and what a network reads and writes.

`add_encoder_inputs` adds the inputs of an encoder to a graph, and the nodes that scale them.
`add_recent_values` does the same for the last steps of a sequence, which a decoder may read.
`add_decoder_outputs` adds the nodes that turn the logits of a decoder into outputs.
"""

from collections.abc import Callable
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from refold.network.onnx.graph import Graph, Operand, add_max_length_or_one, add_real_step_mask
from refold.network.specification import Specification
from refold.sequences import MIN_STD_PER_TRAINING_DISTANCE, Scaler, Schema
from refold.sequences.types import MAX_EXPONENT, output_slices

# Minimum number of float32 numbers between the mean of a column and one standard deviation above
# the mean. If there are fewer numbers, float32 would round the values too much, and float64 is
# used.
_MIN_FLOAT32_NUMBERS_PER_STD = 2.0**18
# Minimum standard deviation for which float32 is used, far above the smallest float32, 1e-38.
_MIN_FLOAT32_STD = 1e-30
# Maximum mean or standard deviation for which float32 is used, far below the largest float32, 3e38.
_MAX_FLOAT32_MEAN = 1e30
# The smallest int64 stands for a missing category where categories are integers.
_MISSING_INT64_CATEGORY = int(np.iinfo(np.int64).min)


class ColumnGroups:
    """Which columns of a model are in which tensor of a graph: values or categories."""

    def __init__(
        self,
        specification: Specification,
        schema: Schema,
        scaler: Scaler,
        *,
        categories_as_indices: bool,
    ) -> None:
        self.specification, self.schema, self.scaler = specification, schema, scaler
        # whether the tensors of the graph hold categories as indices, not as names
        self.categories_as_indices = categories_as_indices
        # Each column is in one of two tensors. The tensor of categories has the categorical
        # columns, and the tensor of values has all others: numeric and binary columns, and counts.
        # Only numeric columns and counts (``is_numeric_``) are scaled. These lists have column
        # indices.
        self.categorical_columns = categorical = [int(i) for i in schema.categorical_indices]
        self.value_columns = [i for i in range(schema.num_columns) if i not in categorical]
        # The type of values is float32 if it is precise enough for all scaled columns, else
        # float64.
        is_numeric = scaler.is_numeric_
        mean, std = np.abs(scaler.mean_[is_numeric]), scaler.scale_[is_numeric]
        if scaler.num_statistics:
            # Each sequence has its own mean and standard deviation. Almost all means lie within
            # three standard deviations of the mean of all means. The same holds for the logarithms
            # of the standard deviations.
            mean_of_means, mean_log_std = np.split(scaler.statistics_mean_, 2)
            std_of_means, std_of_log_std = np.split(scaler.statistics_scale_, 2)
            mean = np.abs(mean_of_means) + 3 * std_of_means
            std = np.exp(mean_log_std - 3 * std_of_log_std)
        # distance from each mean to the next float32 number
        spacing = np.spacing(np.minimum(mean, _MAX_FLOAT32_MEAN).astype(np.float32)).astype(float)
        is_precise = bool((std >= _MIN_FLOAT32_NUMBERS_PER_STD * spacing).all())
        is_small = np.maximum(mean, std).max(initial=0) < _MAX_FLOAT32_MEAN
        in_range = is_small and std.min(initial=1) > _MIN_FLOAT32_STD
        self.value_dtype = np.dtype(np.float32 if is_precise and in_range else np.float64)
        names = [name for i in categorical for name in schema.columns[i].categories]
        has_text = not categories_as_indices and any(isinstance(name, str) for name in names)
        # NumPy type of categories; ``object`` stands for text
        self.category_dtype: Any = object if has_text else np.int64
        self.missing_category: str | int = -1 if categories_as_indices else _MISSING_INT64_CATEGORY
        if has_text:
            # an empty text stands for a missing category, unless it is a category itself
            self.missing_category = "<missing>" if "" in names else ""

    def category_array(self, column_index: int) -> np.ndarray:
        """Return the categories of a column in the type of the graph's tensor."""
        categories = self.schema.columns[column_index].categories
        if self.category_dtype is object:
            return np.array([str(category) for category in categories], object)
        return np.array(categories, np.int64)

    def shift_and_scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what is subtracted from each column of values, and what it is divided by."""
        shift, scale = self.scaler.shift(self.schema), self.scaler.scale_
        return shift[self.value_columns], scale[self.value_columns]

    def to_json(self) -> list[dict[str, Any]]:
        """Return the entry ``columns`` of the metadata of a file, as plain JSON values."""
        shift, entries = self.scaler.shift(self.schema), []
        for i, column in enumerate(self.schema.columns):
            entry: dict[str, Any] = {"name": column.name, "type": column.type}
            if i in self.categorical_columns:
                entry |= {"tensor": "categories", "index": self.categorical_columns.index(i)}
                entry["categories"] = list(column.categories)
            else:
                entry |= {"tensor": "values", "index": self.value_columns.index(i)}
                # if each sequence is scaled by itself, a column has no mean and scale of its own
                if column.column_type.is_number and not self.scaler.num_statistics:
                    entry |= {"mean": float(shift[i]), "scale": float(self.scaler.scale_[i])}
            entries.append(entry)
        return entries


class EncoderTensors(NamedTuple):
    """Tensors that the encoder reads."""

    channels: Any  # (n, steps, channels): scaled values, one-hot categories and observed flags
    is_real_step: Any  # (n, steps): whether a step is before the end of its sequence
    lengths: Any  # (n,) int64
    # (n, statistics): the mean and the logarithm of the standard deviation of each numeric column
    # in each sequence, scaled; None unless each sequence is scaled by itself
    statistics: Any


def add_encoder_inputs(graph: Graph, columns: ColumnGroups) -> EncoderTensors:
    """Add the inputs of an encoder, and the nodes that turn them into channels."""
    values, categories = _add_column_inputs(graph, columns, name_prefix="", num_steps="steps")
    lengths = graph.add_input("lengths", np.int64, ["n"])
    # the entry at index 1 of the shape, (1,)
    num_steps = graph("Shape", categories if values is None else values, start=1, end=2)
    is_real = add_real_step_mask(graph, lengths, num_steps)
    is_inside = graph("Unsqueeze", is_real, [2])  # (n, steps, 1)
    scaled: Any = None  # 0 where a value is missing, and after the end of a sequence
    statistics: Any = None
    observed_masks = []
    if values is not None:
        is_observed = graph("And", graph("Not", graph("IsNaN", values)), is_inside)
        observed_masks.append(is_observed)
        if columns.scaler.num_statistics:
            scaled, statistics = _scale_values_by_sequence(graph, values, is_observed, columns)
        else:
            scaled = _scale_values(graph, values, columns)
        scaled = graph("Where", is_observed, scaled, np.float32(0))
    if categories is not None:
        # after the end of a sequence, categories count as missing
        categories = graph("Where", is_inside, categories, np.int64(-1))
        observed_masks.append(graph("GreaterOrEqual", categories, np.int64(0)))
    channels = _make_column_channels(graph, columns, scaled, categories)
    if columns.specification.observed_flags:
        flags = graph.concat(observed_masks, axis=2)
        if len(observed_masks) > 1:
            # the masks have the columns of values first; the flags need the order of the model
            order = np.argsort([*columns.value_columns, *columns.categorical_columns])
            flags = graph("Gather", flags, order.tolist(), axis=2)
        channels.append(graph.cast(flags, np.float32))
    return EncoderTensors(graph.concat(channels, axis=2), is_real, lengths, statistics)


def add_recent_values(graph: Graph, columns: ColumnGroups) -> Any:
    """Add the inputs of the last steps; return the recent values (n, num_recent_values)."""
    # As in `refold.model.recent_values`, the recent values are the last step, scaled, and then the
    # differences of earlier steps from the last step. The latest of these steps comes first.
    num_steps = columns.specification.recent_steps
    values, categories = _add_column_inputs(
        graph, columns, name_prefix="recent_", num_steps=num_steps
    )
    if values is not None:
        values = _scale_values(graph, values, columns)
        values = _fill_from_neighbors(graph, values, num_steps, lambda step: graph("IsNaN", step))
        values = graph("Where", graph("IsNaN", values), np.float32(0), values)
    if categories is not None:
        categories = _fill_from_neighbors(
            graph, categories, num_steps, lambda step: graph("Less", step, np.int64(0))
        )
    x = graph.concat(_make_column_channels(graph, columns, values, categories), axis=2)
    # the arguments of a slice are its starts, ends, axes and steps
    recent = graph("Slice", x, [num_steps - 1], [num_steps], [1])  # (n, 1, channels)
    if num_steps > 1:
        # a slice with the step -1 goes backwards; its end must lie before the first index
        earlier = graph("Slice", x, [num_steps - 2], [-num_steps - 1], [1], [-1])
        recent = graph("Concat", recent, graph("Sub", earlier, recent), axis=1)
    return graph("Reshape", recent, [-1, columns.specification.num_recent_values])


def _add_column_inputs(
    graph: Graph, columns: ColumnGroups, name_prefix: str, num_steps: int | str
) -> tuple[Any, Any]:
    """Add inputs (n, steps, columns); return values and category indices, or None for each."""
    # each result is None if the model has no such column
    values = categories = None
    if columns.value_columns:
        shape = ["n", num_steps, len(columns.value_columns)]
        values = graph.add_input(f"{name_prefix}values", columns.value_dtype, shape)
        # markers of missing values, such as -99999, become NaN
        types = [columns.schema.columns[i].column_type for i in columns.value_columns]
        for marker in columns.schema.missing:
            # whether the marker means a missing value, for each column of values
            has_marker = [bool(type_.filter_missing_markers((marker,))) for type_ in types]
            if any(has_marker):
                is_marker = graph("Equal", values, np.asarray(marker, columns.value_dtype))
                is_marker = graph("And", is_marker, np.array(has_marker))
                values = graph("Where", is_marker, np.asarray(np.nan, columns.value_dtype), values)
    if columns.categorical_columns:
        shape = ["n", num_steps, len(columns.categorical_columns)]
        categories = graph.add_input(f"{name_prefix}categories", columns.category_dtype, shape)
    if categories is not None and not columns.categories_as_indices:
        # A missing category gets the index -1, and an unknown category gets the number of
        # categories.
        indices = []
        for k, column in enumerate(columns.categorical_columns):
            names = columns.category_array(column).tolist()
            keys = "keys_strings" if columns.category_dtype is object else "keys_int64s"
            table = {
                keys: [*names, columns.missing_category],
                "values_int64s": [*range(len(names)), -1],
                "default_int64": len(names),
            }
            one_column = graph("Gather", categories, [k], axis=-1)
            indices.append(graph("LabelEncoder", one_column, **table))
        categories = graph.concat(indices, axis=-1)
    return values, categories


def _fill_from_neighbors(
    graph: Graph, values: Operand, num_steps: int, make_missing_mask: Callable[[Any], Any]
) -> Any:
    """Replace a missing entry by the last entry before it, or else by the first after it."""
    if num_steps == 1:
        return values
    steps = list(graph("Split", values, num_results=num_steps, axis=1, num_outputs=num_steps))
    # Pairs of a step and the neighbor that fills it. The first pairs fill forwards, and the last
    # pairs fill backwards what is still missing.
    pairs = [(i, i - 1) for i in range(1, num_steps)]
    pairs += [(i, i + 1) for i in reversed(range(num_steps - 1))]
    for i, neighbor in pairs:
        steps[i] = graph("Where", make_missing_mask(steps[i]), steps[neighbor], steps[i])
    return graph("Concat", *steps, axis=1)


def _scale_values(graph: Graph, values: Operand, columns: ColumnGroups) -> Any:
    """Return values (n, steps, columns) scaled by the statistics of training, as float32."""
    mean, scale = columns.shift_and_scale()
    if columns.value_dtype == np.float64:
        return graph.cast(graph("Div", graph("Sub", values, mean), scale), np.float32)
    # The mean is a sum of two float32 numbers: the rounded mean, and a small rest. For a value near
    # the mean, the difference from the rounded mean is exact in float32. So the result is as
    # precise as in float64.
    rounded_mean = mean.astype(np.float32)
    rest = (mean - rounded_mean).astype(np.float32)
    centered = graph("Sub", graph("Sub", values, rounded_mean), rest)
    return graph("Div", centered, scale.astype(np.float32))


def _scale_values_by_sequence(
    graph: Graph, values: Operand, is_observed: Operand, columns: ColumnGroups
) -> tuple[Any, Any]:
    """Scale each sequence of values by itself; return the result and statistics (n, width)."""
    # as `refold.sequences.Scaler` does
    scaler = columns.scaler
    float64_values = graph.cast(values, np.float64)
    zero = np.float64(0)
    indices = [i for i, column in enumerate(columns.value_columns) if scaler.is_numeric_[column]]
    # (n, steps, numeric columns)
    numeric = graph("Gather", float64_values, indices, axis=2)
    is_observed = graph("Gather", is_observed, indices, axis=2)
    # (n, 1, numeric columns)
    count = graph("ReduceSum", graph.cast(is_observed, np.float64), [1], keepdims=1)
    sums = graph("ReduceSum", graph("Where", is_observed, numeric, zero), [1], keepdims=1)
    mean = graph("Div", sums, count)  # NaN where nothing was observed
    difference = graph("Where", is_observed, graph("Sub", numeric, mean), zero)
    squares = graph("ReduceSum", graph("Mul", difference, difference), [1], keepdims=1)
    std = graph("Sqrt", graph("Div", squares, count))
    # The standard deviation has a lower limit, because a constant sequence cannot be divided by 0.
    # The limit grows with the distance of the mean from usual means, because rounding errors do.
    distance = graph("Abs", graph("Sub", mean, scaler.statistics_mean_[: len(indices)]))
    min_std = graph("Mul", distance, np.float64(MIN_STD_PER_TRAINING_DISTANCE))
    min_std = graph("Max", scaler.min_std_, min_std)
    log_std = graph("Log", graph("Max", std, min_std))
    mean_and_log_std = graph("Concat", mean, log_std, axis=2)
    centered = graph("Sub", mean_and_log_std, scaler.statistics_mean_)
    statistics = graph.cast(graph("Div", centered, scaler.statistics_scale_), np.float32)
    statistics = graph("Where", graph("IsNaN", statistics), np.float32(0), statistics)
    # The statistics were rounded to float32. The values are scaled by the rounded statistics,
    # because a decoder reads these from the code.
    center, scale = _unscale_mean_std(graph, statistics, columns)
    scaled = graph.cast(graph("Div", graph("Sub", float64_values, center), scale), np.float32)
    return scaled, graph("Squeeze", statistics, [1])


def _unscale_mean_std(graph: Graph, statistics: Operand, columns: ColumnGroups) -> tuple[Any, Any]:
    """Return the mean and the standard deviation (n, 1, columns) from statistics (n, 1, width)."""
    scaler = columns.scaler
    unscaled = graph("Mul", graph.cast(statistics, np.float64), scaler.statistics_scale_)
    unscaled = graph("Add", unscaled, scaler.statistics_mean_)
    means, log_stds = graph("Split", unscaled, num_results=2, axis=2, num_outputs=2)
    is_numeric = scaler.is_numeric_[columns.value_columns]
    # For each column of values, its index among the numeric columns. Columns that are not numeric
    # get the index 0, and below the mean 0 and the standard deviation 1.
    indices = np.where(is_numeric, np.cumsum(is_numeric) - 1, 0).tolist()
    types = [columns.schema.columns[i].column_type for i in columns.value_columns]
    # counts are divided, but no mean is subtracted from them
    has_mean = is_numeric & [type_.is_centered for type_ in types]
    mean = graph("Where", has_mean, graph("Gather", means, indices, axis=2), np.float64(0))
    std = graph("Exp", graph("Gather", log_stds, indices, axis=2))
    return mean, graph("Where", is_numeric, std, np.float64(1))


def _make_column_channels(
    graph: Graph, columns: ColumnGroups, values: Operand, categories: Operand
) -> list[Any]:
    """Return the channels (n, steps, ...) of columns in their order, with one-hot categories."""
    if categories is None:
        return [values]
    channels = []
    # adjacent columns of values stay together in one slice
    for is_categorical, group in groupby(
        range(columns.schema.num_columns), lambda i: i in columns.categorical_columns
    ):
        group_columns = list(group)
        if not is_categorical:
            first = columns.value_columns.index(group_columns[0])
            channels.append(graph("Slice", values, [first], [first + len(group_columns)], [2]))
            continue
        for i in group_columns:
            column = graph("Gather", categories, [columns.categorical_columns.index(i)], axis=2)
            all_indices = np.arange(columns.specification.num_categories[i])
            channels.append(graph.cast(graph("Equal", column, all_indices), np.float32))
    return channels


# From logits (..., width) to the likeliest values (..., 1), by the name of a link function. The
# likeliest value of a binary column is 0 or 1, and that of a categorical column is an index.
LINKS: dict[str, Callable[[Graph, Any], Any]] = {
    "identity": lambda _, logits: logits,
    "sigmoid": lambda graph, logits: graph.cast(
        graph("Greater", graph("Sigmoid", logits), np.float32(0.5)), np.float32
    ),
    "softmax": lambda graph, logits: graph("ArgMax", logits, axis=-1, keepdims=1),
    "exponential": lambda graph, logits: graph(
        "Exp", graph("Min", logits, np.float32(MAX_EXPONENT))
    ),
}


def add_decoder_outputs(
    graph: Graph, columns: ColumnGroups, logits: Any, lengths: Operand, statistics: Operand
) -> None:
    """Add the outputs of a decoder: values and categories in the units of the data, and lengths."""
    # ``logits`` (n, steps, outputs) may have more steps than the longest sequence, because patches
    # are complete. ``statistics`` (n, statistics) are a part of the code, as in `EncoderTensors`.
    num_steps = add_max_length_or_one(graph, lengths)
    logits = graph("Slice", logits, [0], num_steps, [1])
    is_inside = graph("Unsqueeze", add_real_step_mask(graph, lengths, num_steps), [2])
    values, categories = [], []
    specification = columns.specification
    for i, type_, block in output_slices(specification.column_types, specification.num_categories):
        column_logits = graph("Slice", logits, [block.start], [block.stop], [2])
        likeliest = LINKS[type_.link](graph, column_logits)
        if not type_.has_categories:
            values.append(likeliest)
            continue
        if not columns.categories_as_indices:
            likeliest = graph("Gather", columns.category_array(i), likeliest)
        categories.append(likeliest)
    # after the end of a sequence, values are NaN, and categories are missing
    if values:
        joined = graph.concat(values, axis=2)
        if statistics is not None:
            mean, scale = _unscale_mean_std(graph, graph("Unsqueeze", statistics, [1]), columns)
            joined = graph("Add", graph("Mul", graph.cast(joined, np.float64), scale), mean)
            joined = graph.cast(joined, columns.value_dtype)
        else:
            if columns.value_dtype == np.float64:
                joined = graph.cast(joined, np.float64)
            mean, scale = (array.astype(columns.value_dtype) for array in columns.shift_and_scale())
            joined = graph("Add", graph("Mul", joined, scale), mean)
        # columns of whole numbers, such as counts, are rounded
        types = [columns.schema.columns[i].column_type for i in columns.value_columns]
        is_whole = np.array([type_.is_whole for type_ in types])
        if is_whole.any():
            joined = graph("Where", is_whole, graph("Round", joined), joined)
        padding = np.asarray(np.nan, columns.value_dtype)
        joined = graph("Where", is_inside, joined, padding)
        graph.add_output("values", joined, padding.dtype, ["n", "steps", len(values)])
    if categories:
        padding = np.asarray(columns.missing_category, columns.category_dtype)
        joined = graph("Where", is_inside, graph.concat(categories, axis=2), padding)
        graph.add_output("categories", joined, padding.dtype, ["n", "steps", len(categories)])
    graph.add_output("lengths", lengths, np.int64, ["n"])
