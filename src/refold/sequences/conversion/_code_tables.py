"""Conversion of codes to and from Arrow tables, for use in other tools."""

from typing import Any

import numpy as np
import pyarrow as pa

from refold.errors import DataError, SchemaError
from refold.sequences.conversion._arrow_columns import (
    as_list,
    flatten_lists,
    has_lists,
    ids_to_arrow,
    open_table,
)
from refold.sequences.schema._parts import check_ids


def codes_to_arrow(codes: Any, ids: Any = None) -> pa.Table:
    """Convert codes to an Arrow table, which DuckDB, polars and pandas can read.

    Parameters
    ----------
    codes : array of shape (n_sequences, width)
        Codes (latent vectors, embeddings) from ``transform``.
    ids : array of shape (n_sequences,), optional
        Integers or strings, such as ``Sequences.ids``; by default ``0`` to ``n - 1``.

    Returns
    -------
    pyarrow.Table
        One row per sequence: ``id``, and ``code``, a fixed-size list of float32.

    Raises
    ------
    DataError
        If the codes are not numbers of that shape, or there is not one id per code.

    See Also
    --------
    codes_from_arrow : Inverse conversion.

    Examples
    --------
    >>> table = codes_to_arrow([[0.5, 1.0], [2.0, -1.0]], ids=["a", "b"])
    >>> table["code"].to_pylist()
    [[0.5, 1.0], [2.0, -1.0]]
    >>> str(table.schema.field("code").type)
    'fixed_size_list<item: float>[2]'
    """
    try:
        codes = np.ascontiguousarray(codes, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError("codes must be an array of numbers.") from error
    if codes.ndim != 2 or not codes.shape[1]:
        raise DataError(
            "codes must have shape (n_sequences, width), as transform returns them. "
            f"Got {codes.shape}."
        )
    item = pa.field("item", pa.float32())
    flat = pa.array(codes.reshape(-1), item.type)
    lists = pa.FixedSizeListArray.from_arrays(flat, type=pa.list_(item, codes.shape[1]))
    return pa.table({"id": ids_to_arrow(check_ids(ids, len(codes))), "code": lists})


def codes_from_arrow(
    table: Any,
    id: str = "id",  # noqa: A002
    code: str = "code",
) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes and ids of a table, for ``inverse_transform``.

    Parameters
    ----------
    table : pyarrow.Table, pandas or polars data frame, DuckDB relation, dict of columns
        A table with a column of lists of equal length.
    id, code : str
        Names of the two columns. Without a column ``id``, rows are numbered from 0.

    Returns
    -------
    codes : array of float32 of shape (n_sequences, width)
    ids : array of shape (n_sequences,)

    Raises
    ------
    SchemaError
        If the column ``code`` does not exist, or does not hold lists of numbers.
    DataError
        If a code is missing, has a missing value, or differs in length from the others.

    Examples
    --------
    >>> codes, ids = codes_from_arrow({"id": ["a", "b"], "code": [[0.5, 1.0], [2.0, -1.0]]})
    >>> codes
    array([[ 0.5,  1. ],
           [ 2. , -1. ]], dtype=float32)
    >>> ids.tolist()
    ['a', 'b']
    """
    opened = open_table(table)
    column = opened.get(code, "code")
    if not has_lists(column) or not _are_numbers(column.type.value_type):
        got = "lists and something else" if isinstance(column, list) else column.type
        raise SchemaError(
            f"Column {code!r} holds {got}. Expected lists of numbers, one per sequence."
        )
    if column.null_count:
        row = int(np.flatnonzero(np.asarray(column.is_null()))[0])
        raise DataError(f"Row {row} has no code in column {code!r}. Drop it or encode it again.")
    widths, flat = flatten_lists(column)
    different = np.flatnonzero(widths != widths[0]) if len(widths) else widths
    if len(different):
        row = int(different[0])
        raise DataError(
            f"The code of row {row} has {widths[row]} entries, but that of row 0 has "
            f"{widths[0]}. Pass codes of one model."
        )
    if flat.null_count:
        row = int(np.flatnonzero(np.asarray(flat.is_null()))[0]) // int(widths[0])
        raise DataError(f"The code of row {row} has a missing value. Encode it again.")
    width = widths[0] if len(widths) else getattr(column.type, "list_size", 0)
    codes = np.asarray(flat.to_numpy(), dtype=np.float32).reshape(len(widths), width)
    names = opened.columns.get(id)
    if names is None:
        return codes, np.arange(len(codes))
    return codes, check_ids(as_list(names), len(codes))


def _are_numbers(type_: pa.DataType) -> bool:
    return pa.types.is_floating(type_) or pa.types.is_integer(type_)
