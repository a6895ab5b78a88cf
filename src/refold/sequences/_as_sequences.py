"""Whatever a user passes as `Sequences`, and several of them as one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences._sequences import Sequences
from refold.sequences.conversion._arrow_columns import is_table
from refold.sequences.schema._column_types import Kinds
from refold.sequences.schema._parts import offsets_from_lengths
from refold.sequences.schema._schema import Column, Schema


def as_sequences(
    x: Any,
    *,
    column_types: Kinds = None,
    names: Sequence[str] | None = None,
    schema: Schema | None = None,
) -> Sequences:
    """Return whatever holds sequences as `Sequences`.

    Parameters
    ----------
    x : Sequences, list, array or table
        A list as in `Sequences.from_list`, an array of shape (n, T, F) or (n, T) as in
        `Sequences.from_array`, a table or column of lists as in `Sequences.from_arrow`.
    column_types : str, list of str or dict, optional
        Kind of all columns, of each, or of those named; the rest are inferred.
    names : list of str, optional
        Names of the features of a list or an array.
    schema : Schema, optional
        A schema to read the data under, such as that of a fitted model.

    Returns
    -------
    Sequences

    Raises
    ------
    DataError
        If it holds no sequences, or one that cannot be used.
    SchemaError
        If it is a long table, whose ids have to be named, or differs from ``schema``.

    Examples
    --------
    >>> import numpy as np
    >>> as_sequences(np.zeros((2, 5, 3)))
    Sequences(n=2, lengths=5 to 5, 3 numeric)
    """
    sequences = _convert(x, column_types, names)
    return sequences if schema is None else sequences.align(schema)


def _convert(x: Any, column_types: Kinds, names: Sequence[str] | None) -> Sequences:
    if isinstance(x, Sequences):
        if column_types is not None or names is not None:
            raise ParameterError(
                "column_types= and names= apply to a conversion, and these are Sequences already. "
                "Leave them out."
            )
        return x
    if hasattr(x, "block_offsets"):  # a Scan, whose module needs this one
        raise DataError(
            "Got a Scan, which may be larger than memory. Take its blocks one by one, "
            "`for block in scan`, or some sequences, scan.take(indices)."
        )
    if hasattr(x, "tocoo"):
        raise DataError(
            f"Sparse data is not supported: got a {type(x).__name__} of shape {x.shape}. Expected "
            "a list of sequences, an array or a table; x.toarray() is an array."
        )
    if is_table(x) and not _holds_arrays(x):
        return Sequences.from_arrow(x, columns=names, column_types=column_types)
    if hasattr(x, "__array__") and not isinstance(x, list | tuple):
        x = np.asanyarray(x)
        if x.ndim > 1:
            return Sequences.from_array(x, column_types=column_types, names=names)
        if x.dtype.kind in "OUT" and x.ndim == 1:
            return Sequences.from_list(x.tolist(), column_types=column_types, names=names)
        raise DataError(
            f"Got an array of shape {x.shape}. Expected (n, T, features), or (n, T) for series of "
            "one feature; one sequence alone belongs into a list."
        )
    if isinstance(x, str | bytes | dict) or not hasattr(x, "__iter__"):
        raise DataError(
            f"Expected a list of sequences, an array or a table. Got a {type(x).__name__}; "
            "one sequence alone belongs into a list."
        )
    return Sequences.from_list(x, column_types=column_types, names=names)


def _holds_arrays(x: Any) -> bool:
    """Say whether a column of objects, as of pandas, holds arrays of several features."""
    if hasattr(x, "columns") or str(getattr(x, "dtype", None)) != "object":
        return False
    return any(getattr(one, "ndim", 1) > 1 for one in x)


def concatenate(sequences: Sequence[Sequences]) -> Sequences:
    """Return several sets of sequences as one.

    Parameters
    ----------
    sequences : list of Sequences
        With the same columns. Labels are put together, and a binary column becomes numeric where
        another set has numbers in it.

    Returns
    -------
    Sequences
        Under their own ids if no two are alike, else numbered anew.

    Raises
    ------
    DataError
        If the list is empty.
    SchemaError
        If the columns differ.

    Examples
    --------
    >>> both = concatenate([Sequences.from_list(["ab"]), Sequences.from_list(["bc"])])
    >>> both.to_list(), both.schema.columns[0].categories
    (['ab', 'bc'], ('a', 'b', 'c'))
    """
    sequences = list(sequences)
    if not sequences:
        raise DataError("Got an empty list. Expected at least one set of sequences.")
    first = sequences[0].schema
    for i, other in enumerate(sequences):
        if other.schema.names != first.names:
            raise SchemaError(
                f"Set {i} has the columns {other.schema.names}, but set 0 has {first.names}. "
                "Choose the same columns, in the same order."
            )
    columns = zip(*(part.schema.columns for part in sequences), strict=True)
    schema = Schema(tuple(union_of(same) for same in columns), first.layout)
    parts = [part.align(schema) for part in sequences]
    ids = [part.ids for part in parts]
    column_types = {array.dtype.kind for array in ids}
    joined = np.concatenate(ids) if len(column_types) == 1 else None
    if joined is not None and len(np.unique(joined)) < len(joined):
        joined = None
    lengths = np.concatenate([part.lengths for part in parts])
    values = np.concatenate([part.values for part in parts])
    return Sequences(values, offsets_from_lengths(lengths), joined, schema)


def union_of(columns: tuple[Column, ...]) -> Column:
    """Return one column that holds what all of these hold.

    Raises
    ------
    SchemaError
        If there is none.
    """
    first = columns[0]
    if all(column == first for column in columns):
        return first
    column_types = {column.type for column in columns}
    if column_types == {"binary", "numeric"}:
        return Column(first.name, "numeric")
    if column_types != {"categorical"}:
        raise SchemaError(
            f"Column {first.name!r} is {' in one set and '.join(sorted(column_types))} in another. "
            "Pass column_types= where the sets are made."
        )
    labels: dict[Any, None] = dict.fromkeys(
        label for column in columns for label in column.categories
    )
    if len({isinstance(label, str) for label in labels}) > 1:
        raise SchemaError(
            f"The labels of column {first.name!r} are text in one set and integers in another."
        )
    return Column(first.name, "categorical", tuple(sorted(labels)))
