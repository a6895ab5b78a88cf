"""New rows of an index: their ids, codes and metadata as columns of Arrow, with checks."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import ArrayLike

from refold._support.argument_checks import check_one_each
from refold.errors import DataError
from refold.model import ArrowTable
from refold.search._features import SequenceFeatures
from refold.search._source import RowSource
from refold.sequences import codes_to_arrow

# its functions are made when it is imported
_compute: Any = pyarrow.compute

Metadata: TypeAlias = Mapping[str, ArrayLike] | ArrowTable

# Names of columns that the index or its hits need for themselves.
RESERVED = ("id", "code", "vector", "query", "rank", "distance")


def new_ids(ids: np.ndarray, expected: pa.DataType | None = None) -> pa.Array:
    """Return ids, of which each occurs once, as an array of the type of the index."""
    array = codes_to_arrow(np.zeros((len(ids), 1)), ids)["id"].combine_chunks()
    counts = _compute.value_counts(array)
    repeated = counts.filter(_compute.greater(counts.field("counts"), 1))
    if len(repeated):
        raise DataError(
            f"The id {repeated.field('values')[0].as_py()!r} occurs "
            f"{repeated.field('counts')[0]} times. Give every sequence its own id."
        )
    if expected is not None and array.type != expected:
        numbers = pa.types.is_integer(expected)
        raise DataError(
            f"The ids of the index are {'integers' if numbers else 'text'}, and those of the "
            f"new rows are {'text' if numbers else 'integers'}. Pass ids of the same type."
        )
    return array


def as_ids(ids: ArrayLike, expected: pa.DataType) -> pa.Array:
    """Return ids to look up as an array of the type of the index."""
    if isinstance(ids, str | int):
        ids = [ids]
    try:
        return pa.array(np.asarray(ids).tolist()).cast(pa.string()).cast(expected)
    except (ValueError, TypeError, pa.ArrowException) as error:
        kind = "integers" if pa.types.is_integer(expected) else "text"
        raise DataError(
            f"The ids of the index are {kind}. Got {np.asarray(ids).ravel()[:1].tolist()}."
        ) from error


def metadata_of(
    metadata: Metadata | None, num_rows: int, schema: pa.Schema | None = None
) -> pa.Table:
    """Return checked metadata, with the columns and types of ``schema`` if there is one."""
    try:
        table = pa.table(metadata if metadata is not None else {})
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"metadata must be a mapping of names to columns, or a table. {str(error)[:120]}"
        ) from error
    names = table.column_names
    if schema is not None:
        stored = [name for name in schema.names if name not in RESERVED]
        if set(names) != set(stored):
            raise DataError(
                f"The index has the columns {', '.join(stored) or 'none'} of metadata. Got "
                f"{', '.join(names) or 'none'}. Pass the same columns."
            )
        table = _cast(table.select(stored), schema)
    for name in names:
        if name in RESERVED or name.startswith("_"):
            raise DataError(f"A column of metadata cannot be named {name!r}. Give it another name.")
    if names:
        check_one_each(table.num_rows, "rows of metadata", num_rows, "sequences")
    return table


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return columns with the types of a schema."""
    columns = {}
    for name in table.column_names:
        expected = schema.field(name).type
        try:
            columns[name] = table[name].cast(expected)
        except pa.ArrowException as error:
            raise DataError(
                f"The column {name!r} of the index has the type {expected}. Got "
                f"{table[name].type} ({str(error).splitlines()[0][:80]})."
            ) from error
    return pa.table(columns)


def new_rows(
    source: RowSource, features: SequenceFeatures | None, metadata: pa.Table
) -> Iterator[pa.Table]:
    """Yield rows as tables with the columns of an index, block by block."""
    for rows, codes, vectors in source.blocks(features):
        table = codes_to_arrow(codes, source.ids[rows])
        columns = {name: table[name] for name in table.column_names}
        if features is not None:  # otherwise the vectors are the codes
            columns["vector"] = codes_to_arrow(vectors)["code"]
        for number, values in enumerate(metadata.columns):
            columns[f"m{number}"] = values.slice(rows.start, len(codes))
        yield pa.table(columns)
