"""Back to what the user works with: one sequence in the layout of its schema."""

from typing import Any

import numpy as np

from refold.sequences.schema._schema import UNKNOWN, Column, Schema

# A character that was never seen in training, or is missing (U+FFFD).
REPLACEMENT = "\ufffd"


def to_form(values: np.ndarray, schema: Schema) -> Any:
    """Return one sequence's (length, F) values in the user's layout.

    Arrays with a text column become object arrays; integer labels stay numbers.
    """
    if schema.layout == "array":
        return _to_array(values, schema)
    column = schema.columns[0]
    if schema.layout == "series":
        return decode_column(values[:, 0], column) if column.categories else values[:, 0].copy()
    labels = decode_column(values[:, 0], column).tolist()
    if schema.layout == "characters":
        return "".join(
            REPLACEMENT if label is None or label == UNKNOWN else str(label) for label in labels
        )
    if column.has_integer_categories:
        return [None if label != label else int(label) for label in labels]
    return labels


def decode_column(values: np.ndarray, column: Column) -> np.ndarray:
    """Return a flat column with labels for indices.

    Text gives objects: None where missing, ``"<unknown>"`` where unknown. Integers give floats,
    NaN for both. Other kinds are returned as they are.
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
