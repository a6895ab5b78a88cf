"""Rows of an index: ids, codes and metadata as columns of Arrow."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import ArrayLike

from refold._support.argument_checks import check_one_each
from refold.errors import DataError, ParameterError, argument
from refold.model import ArrowTable
from refold.search._features import SequenceFeatures
from refold.search._source import RowSource
from refold.sequences import codes_to_arrow

# its functions are made when it is imported
_compute: Any = pyarrow.compute

Metadata: TypeAlias = Mapping[str, ArrayLike] | ArrowTable

# Names of columns that the index or its hits need for themselves.
RESERVED = ("id", "code", "vector", "query", "rank", "distance")


class IndexRows(NamedTuple):
    """All rows of an index, in memory."""

    version: int  # of the table in the store
    table: pa.Table
    vectors: np.ndarray  # (n_rows, n_dimensions)
    norms: np.ndarray  # (n_rows,), squared norms of the vectors


def check_new_ids(ids: np.ndarray) -> pa.Array:
    """Return ids as an array of Arrow, and check that none occurs twice."""
    found = codes_to_arrow(np.zeros((len(ids), 1)), ids)["id"].combine_chunks()
    counts = _compute.value_counts(found)
    twice = counts.filter(_compute.greater(counts.field("counts"), 1))
    if len(twice):
        raise DataError(
            f"The id {twice.field('values')[0].as_py()!r} occurs {twice.field('counts')[0]} times. "
            "Give every sequence its own id."
        )
    return found


def new_rows(
    source: RowSource, features: SequenceFeatures | None, metadata: Mapping[str, Any]
) -> Iterator[pa.Table]:
    """Yield rows as tables, block by block."""
    for rows, codes, vectors in source.blocks(features):
        table = codes_to_arrow(codes, source.ids[rows])
        columns = {name: table[name] for name in table.column_names}
        if features is not None:  # otherwise the vectors are the codes
            columns["vector"] = codes_to_arrow(vectors)["code"]
        for name, values in metadata.items():
            columns[name] = values.slice(rows.start, len(codes))
        yield pa.table(columns)


def metadata_of(
    given: Metadata | None, num_rows: int, schema: pa.Schema | None = None
) -> dict[str, Any]:
    """Return columns of metadata with checked names and lengths, and the types of ``schema``."""
    try:
        table = pa.table(given if given is not None else {})
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"metadata must be a mapping of names to columns, or a table. {str(error)[:120]}"
        ) from error
    names = table.column_names
    if schema is not None:
        known = [name for name in schema.names if name not in RESERVED]
        if set(names) != set(known):
            raise DataError(
                f"The index has the columns {', '.join(known) or 'none'} of metadata. Got "
                f"{', '.join(names) or 'none'}. Pass the same columns."
            )
        table = _cast(table.select(known), schema)
    for name in names:
        if name in RESERVED or name.startswith("_"):
            raise DataError(f"A column of metadata cannot be named {name!r}. Give it another name.")
    if names:
        check_one_each(table.num_rows, "rows of metadata", num_rows, "sequences")
    return {name: table[name] for name in table.column_names}


def refuse_known(table: Any, ids: pa.Array) -> None:
    """Raise an error if an id is in a table of LanceDB already."""
    known = table.search().select(["id"]).limit(None).to_arrow()["id"]
    twice = ids.filter(_compute.is_in(ids, known.combine_chunks()))
    if len(twice):
        more = f" and {len(twice) - 1} more" if len(twice) > 1 else ""
        raise ParameterError(
            f"The id {twice[0].as_py()!r}{more} is in the index already. Set "
            f"{argument(replace=True)} to replace rows, or pass other ids."
        )


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = {}
    for name in table.column_names:
        wanted = schema.field(name).type
        try:
            columns[name] = table[name].cast(wanted)
        except pa.ArrowException as error:
            raise DataError(
                f"The column {name!r} of the index has the type {wanted}. Got {table[name].type} "
                f"({str(error).splitlines()[0][:80]})."
            ) from error
    return pa.table(columns)


def as_ids(ids: ArrayLike, wanted: pa.DataType) -> pa.Array:
    """Return ids as an array of the type of the index."""
    if isinstance(ids, str | int):
        ids = [ids]
    try:
        found = pa.array(np.asarray(ids).tolist())
        return found.cast(pa.string()).cast(wanted)
    except (ValueError, TypeError, pa.ArrowException) as error:
        kind = "integers" if pa.types.is_integer(wanted) else "text"
        raise DataError(
            f"The ids of the index are {kind}. Got {np.asarray(ids).ravel()[:1].tolist()}."
        ) from error


def vectors_in(table: pa.Table, name: str) -> np.ndarray:
    """Return a column of fixed-size lists as an array (n_rows, n_dimensions)."""
    column = table[name].combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), column.type.list_size)
