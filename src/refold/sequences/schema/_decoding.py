"""Decoding of encoded values into the user's layout, with categories for indices."""

from typing import Any

import numpy as np

from refold.sequences.schema._schema import UNKNOWN, Column, Schema

# Stands for an unknown or missing character (U+FFFD).
REPLACEMENT = "\ufffd"


def to_form(values: np.ndarray, schema: Schema) -> Any:
    """Return one sequence's (length, F) values in the user's layout.

    An array with a text column becomes an object array; integer categories stay numbers.
    """
    if schema.layout == "array":
        return _to_array(values, schema)
    column = schema.columns[0]
    if schema.layout == "series":
        return decode_column(values[:, 0], column) if column.categories else values[:, 0].copy()
    tokens = decode_column(values[:, 0], column).tolist()
    if schema.layout == "characters":
        return "".join(
            REPLACEMENT if token is None or token == UNKNOWN else str(token) for token in tokens
        )
    if column.has_integer_categories:
        return [None if token != token else int(token) for token in tokens]
    return tokens


def decode_column(values: np.ndarray, column: Column) -> np.ndarray:
    """Return a flat column with categories in place of indices.

    Text gives objects: None for missing, ``"<unknown>"`` for unknown. Integers give floats with
    NaN for both. Numeric and binary columns are returned unchanged.
    """
    if column.type != "categorical":
        return values
    missing = np.isnan(values)
    index = np.where(missing, len(column.categories) + 1, values).astype(np.int64)
    return column.forms[index]


def _to_array(values: np.ndarray, schema: Schema) -> np.ndarray:
    if not len(schema.categorical):
        return values.copy()
    decoded = [decode_column(values[:, i], column) for i, column in enumerate(schema.columns)]
    textual = any(column.dtype == object for column in decoded)
    out = np.empty(values.shape, dtype=object if textual else np.float64)
    for i, column in enumerate(decoded):
        out[:, i] = column
    return out
