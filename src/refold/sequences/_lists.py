"""Conversion of lists with one entry per sequence, and of padded arrays.

An array becomes a list of sequences without padding, which `flat_arrays_from_list` converts.
"""

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from refold._support.arrays import offsets_from_lengths
from refold._support.messages import pluralize, warn
from refold._support.rules import check, check_counts_match, check_not_empty, one_of
from refold.errors import DataError, Message, SchemaError, argument, python_or_cli
from refold.sequences._encoding import (
    ColumnTypes,
    RowNamer,
    SequenceArrays,
    StepLocator,
    encode_columns,
    expand_column_types,
    is_missing_value,
    make_object_array,
    name_sequence,
    to_id_array,
)
from refold.sequences._schema import DecodedLayout, default_names
from refold.sequences.types import CATEGORICAL

# An array (n, T) may be a single series of n steps and T features. A warning says so if it has at
# least this many rows, and each row has at most this many steps: such sequences are rare.
_MIN_ROWS_LIKE_STEPS = 20
_MAX_STEPS_LIKE_FEATURES = 3


def flat_arrays_from_list(
    sequences: Iterable[Any],
    *,
    column_types: ColumnTypes = None,
    names: Sequence[str] | None = None,
    ids: ArrayLike | None = None,
    output_layout: DecodedLayout | None = None,
    row_namer: RowNamer | None = None,  # if the list comes from a file
) -> SequenceArrays:
    """Convert a list; implements `Sequences.from_list`."""
    if isinstance(sequences, str | bytes | Mapping) or not hasattr(sequences, "__iter__"):
        raise DataError(
            f"Expected a list of sequences, an array or a table. Got a {type(sequences).__name__}; "
            "put a single sequence into a list."
        )
    items = list(sequences)
    check_not_empty(len(items), "sequence", "in the list")
    ids = to_id_array(ids, len(items))
    # each (length,) or (length, features)
    arrays = [_convert_sequence(item, i, ids[i]) for i, item in enumerate(items)]
    table_names = _get_common_column_names(items, arrays, ids)
    # without empty lists, which fit any number of features
    with_features = [array for array in arrays if array.ndim == 2 or array.size]
    raw_values = np.concatenate(with_features or [np.zeros(0, np.float32)])
    locate = StepLocator(offsets_from_lengths([len(array) for array in arrays]), ids, row_namer)
    has_columns = raw_values.ndim == 2
    if has_columns:
        check_not_empty(raw_values.shape[1], "feature", "in the sequences")
        names = names or table_names or default_names(raw_values.shape[1])
    elif names is None:
        # the default name of the only column is "token" for text and categories, else "x0"
        if column_types and isinstance(column_types, Mapping):
            has_tokens = "token" in column_types
        # a type that the user gave for all columns, not by name
        elif requested := expand_column_types(column_types or None, ["x0"])[0]:
            has_tokens = requested == CATEGORICAL.name
        else:
            types = {type(value) for value in raw_values} if raw_values.dtype == object else set()
            # text, perhaps with None for missing tokens
            has_tokens = str in types and types <= {str, type(None)}
        names = ["token" if has_tokens else "x0"]
    names = (names,) if isinstance(names, str) else tuple(names)
    raw_columns = list(raw_values.T) if has_columns else [raw_values]
    check_counts_match(len(names), argument("names"), len(raw_columns), "features")
    types = expand_column_types(column_types, names)
    encoded = encode_columns(names, raw_columns, types, locate, has_1d_sequences=not has_columns)
    are_strings = all(isinstance(item, str) for item in items)
    if output_layout is None and encoded.schema.layout == "tokens" and are_strings:
        output_layout = "characters"
    if output_layout is None or output_layout == encoded.schema.layout:
        return encoded
    return encoded._replace(schema=replace(encoded.schema, layout=output_layout))


def _convert_sequence(sequence: Any, index: int, sequence_id: Any) -> np.ndarray:
    """Return one sequence as a (length,) or (length, features) array of numbers or objects."""
    if isinstance(sequence, str):  # each character is a step
        return make_object_array(sequence)
    sequence = fill_masked_entries(sequence)
    is_array = hasattr(sequence, "__array__")
    is_list = hasattr(sequence, "__len__") and not isinstance(sequence, bytes | Mapping | set)
    # NumPy would turn numbers beside text into text
    if is_list and not is_array and any(isinstance(value, str) for value in sequence):
        return make_object_array(sequence)
    try:
        array = np.asarray(sequence)
        if array.dtype.kind in "US":  # text; its width may differ between sequences
            array = np.asarray(sequence, dtype=object)
    except (ValueError, TypeError):  # lists of unequal length, or a table with dates and numbers
        array = make_object_array(sequence)
    # if steps differ in their number of features, the entries of the array are lists
    steps = array if array.dtype == object and array.ndim == 1 else ()
    if not (is_array or is_list) or array.ndim == 0:
        got = reprlib.repr(sequence)
    elif any(isinstance(step, list | tuple | np.ndarray) for step in steps):
        got = "steps with differing numbers of features"
    elif array.ndim > 2:
        got = f"an array of {array.ndim} dimensions, shape {array.shape},"
    else:
        # an array of shape (0, 0), like an empty list, fits any number of features
        return array.reshape(0) if array.shape == (0, 0) else array
    raise DataError(
        f"Got {got} for {name_sequence(index, sequence_id)}. Expected a str, or an array or a list "
        "of shape (length,) or (length, features). Put a single sequence into a list, and fill "
        "missing entries with NaN or None."
    )


def _get_common_column_names(
    sequences: list[Any], converted_arrays: list[np.ndarray], ids: np.ndarray
) -> tuple[str, ...] | None:
    """Return the column names of sequences that are tables, or None; raise if forms differ."""
    first = None  # index and form (see below) of the first sequence
    for i, (sequence, array) in enumerate(zip(sequences, converted_arrays, strict=True)):
        if array.shape == (0,):  # an empty list, which fits any form
            continue
        columns = getattr(sequence, "column_names", getattr(sequence, "columns", None))
        names = None if columns is None else tuple(map(str, columns))
        # whether it is text, its number of features, and its column names
        form = isinstance(sequence, str), array.shape[1:], names
        first = first or (i, form)
        if form != first[1]:
            descriptions = [
                f"a {type(sequences[k]).__name__} of shape {converted_arrays[k].shape}"
                f"{f' with the columns {names}' if names else ''} for {name_sequence(k, ids[k])}"
                for k, (_, _, names) in ((i, form), first)
            ]
            raise SchemaError(
                f"Got {descriptions[0]}, but {descriptions[1]}. All sequences need the same "
                "features in the same order, and either all or none are a str."
            )
    return None if first is None else first[1][2]  # the column names of the form


def fill_masked_entries(x: Any) -> Any:
    """Return a masked array of NumPy with NaN or None where masked; anything else unchanged."""
    if not isinstance(x, np.ma.MaskedArray):
        return x
    is_numeric = x.dtype.kind in "biuf"
    filled = np.array(x.data, dtype=np.result_type(x.dtype, np.float32) if is_numeric else object)
    filled[np.ma.getmaskarray(x)] = np.nan if is_numeric else None
    return filled


def describe_array_like_single_series(x: Any) -> str | None:
    """Describe an array (n, T) that may be a single series of n steps; None if it hardly is."""
    if not isinstance(x, np.ndarray) or x.ndim != 2:
        return None
    num_rows, num_columns = x.shape
    if num_rows < _MIN_ROWS_LIKE_STEPS or not 1 <= num_columns <= _MAX_STEPS_LIKE_FEATURES:
        return None
    one_series = f"one series of {num_rows} steps with {pluralize(num_columns, 'feature')}"
    sequences = f"{num_rows} sequences of {pluralize(num_columns, 'step')}"
    verb = python_or_cli("pass", "save")  # the array of a command comes from a file
    return Message(
        f"An array of shape ({num_rows}, {num_columns}) was read as {sequences}. If it is "
        f"{one_series}, {verb} X[None]; if it is {sequences}, {verb} X[..., None] to confirm."
    )


def unpad_array(
    x: Any, lengths: Any = None, padding_value: float | str = np.nan, side: str = "post"
) -> list[np.ndarray]:
    """Return the sequences of an array without padding, each (length, F) or (length,)."""
    # ``side`` is the argument ``padding_side`` of users
    check("padding_side", side, one_of("post", "pre"))
    try:
        x = np.asarray(fill_masked_entries(x))
    except ValueError as error:
        raise DataError(
            "The sequences differ in length and do not form an array. Use Sequences.from_list."
        ) from error
    if x.ndim not in {2, 3}:
        raise DataError(
            f"Got an array of shape {x.shape}. Expected (n, T, features), or (n, T) for series of "
            "one feature; put a single sequence into a list."
        )
    check_not_empty(len(x), "sequence", f"in an array of shape {x.shape}")
    if x.dtype.kind in "UST":  # text
        x = x.astype(object)
    num_steps = x.shape[1]
    if lengths is None:
        if not is_missing_value(padding_value):
            is_padded = np.asarray(x == padding_value)
        elif x.dtype == object:
            is_padded = np.asarray(np.frompyfunc(is_missing_value, 1, 1)(x), dtype=bool)
        else:
            is_padded = np.asarray(x != x)  # True for NaN; `np.isnan` refuses dates
        if x.ndim == 3:
            is_padded = np.all(is_padded, axis=2)
        lengths = lengths_without_padding(is_padded, side)
        num_trimmed = int((lengths < num_steps).sum())
        # number of sequences in which steps between the others look like padding
        num_with_stray = int(find_inner_padding(is_padded, side).any(axis=1).sum())
        # Keras pads in front by default. Then no step at the end is padded, but first steps are.
        is_padded_in_front = side == "post" and is_padded[:, :1].any()
        doubt = ""
        if num_with_stray and (num_trimmed or is_padded_in_front):
            doubt = f"{num_with_stray} sequences have such steps elsewhere"
        elif num_trimmed and lengths.max() < num_steps:
            doubt = f"no sequence fills the {num_steps} steps of the array"
        if doubt and not is_missing_value(padding_value):  # steps of NaN are hardly data
            advice = ", or padding_side='pre' if the padding is in front" if side == "post" else ""
            warn(
                f"Steps of {padding_value!r} were treated as padding in {num_trimmed} sequences, "
                f"but {doubt}, so they may be data. Pass lengths= instead{advice}."
            )
    else:
        lengths = np.asarray(lengths).reshape(-1)
        check_counts_match(len(lengths), argument("lengths"), len(x), "sequences")
        wrong = np.flatnonzero(~np.isin(lengths, np.arange(num_steps + 1)))
        if len(wrong):
            raise DataError(
                f"Sequence {wrong[0]} has the length {lengths[wrong[0]]}. Expected an integer from "
                f"0 to {num_steps}, the number of steps of the array."
            )
        lengths = lengths.astype(np.int64)
    starts = num_steps - lengths if side == "pre" else np.zeros_like(lengths)
    bounds = zip(x, starts, starts + lengths, strict=True)
    return [sequence[start:stop] for sequence, start, stop in bounds]


def lengths_without_padding(is_padded: np.ndarray, side: str = "post") -> np.ndarray:
    """Return lengths (n,) without the padding on one side, from the mask (n, T) of padded steps."""
    is_padded = is_padded if side == "post" else is_padded[:, ::-1]
    # the length is the number of the last real step, counted from 1
    step_numbers = np.arange(1, is_padded.shape[1] + 1)
    return np.where(is_padded, 0, step_numbers).max(axis=1, initial=0).astype(np.int64)


def find_inner_padding(is_padded: np.ndarray, side: str) -> np.ndarray:
    """Return the mask (n, T) of steps that look like padding, but are not at the padded end."""
    # a real step comes after them, or before them if the padding is in front
    is_step = np.arange(is_padded.shape[1]) < lengths_without_padding(is_padded, side)[:, None]
    return is_padded & (is_step if side == "post" else is_step[:, ::-1])
