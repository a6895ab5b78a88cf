"""Parquet files: the bytes of one, and files that form one table and are read in parts."""

import bisect
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from refold._support.paths import access_error, local_path
from refold.errors import FileFormatError, RefoldError, SchemaError, argument
from refold.files.formats import Format, check_content
from refold.files.tables import (
    TABLE_OPTIONS,
    TableOptions,
    check_has_rows,
    check_label,
    find_layout,
    from_file_table,
    naming,
    to_long_table,
)
from refold.sequences._parts import resolve_column_types
from refold.sequences._schema import Column, Schema, check_unique, union_of
from refold.sequences._sequences import Sequences
from refold.sequences._tables import metadata_of, pandas_index, stored_schema

# Approximate memory of the rows of a part.
PART_BYTES = 2 << 20
# The number of the first row in the table, and some rows.
Part = tuple[int, pa.Table]
# Bytes read from a file at a time, so that a large column chunk is never in memory as a whole.
_READ_BYTES = 1 << 18


def write_parquet(
    sequences: Sequences,
    *,
    layout: str | None = None,
    id: str = "id",  # noqa: A002
    time: str = "time",
) -> bytes:
    """Return a Parquet file, one row per sequence unless ``layout`` is ``"long"``."""
    long = layout == "long"
    table = to_long_table(sequences, id, time) if long else sequences.to_arrow(id)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def read_parquet(data: bytes, name: str, **options: Any) -> Sequences:
    """Read a Parquet file of this package, or any other in the list, long or wide layout."""
    with _reading(name):
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        table = file.read()
        pandas_index(table.schema.metadata or {})  # raises an error if the metadata are damaged
    return from_file_table(table, name, TableOptions(**options))


def parquet_labels(data: bytes, name: str, label: str, id_column: str | None) -> pa.Table:
    """Return the columns of the ids, if there is one, and the labels."""
    with _reading(name):
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        names = file.schema_arrow.names
        check_label(names, name, label, id_column)
        return file.read([column for column in names if column in (label, id_column or "id")])


def parquet_columns(path: str | os.PathLike[str]) -> list[str]:
    """Return the column names, of a table with lists without the others, which `read` ignores."""
    path = local_path(path)
    path = _paths_in(path)[0] if path.is_dir() else path
    with _reading(path):
        schema = pq.read_schema(path)
    return [field.name for field in schema if pa.types.is_nested(field.type)] or schema.names


@contextmanager
def _reading(path: str | Path) -> Iterator[None]:
    """Turn errors of Arrow and the system into errors that name the file."""
    try:
        yield
    except RefoldError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise access_error(path, error, writing=False) from error
        reason = " ".join(str(error).split()).rstrip(".")
        raise FileFormatError(f"{path} is damaged: {reason}. Write it again.") from error


PARQUET = Format(
    "parquet",
    (".parquet", ".pq"),
    read_parquet,
    TABLE_OPTIONS,
    write_parquet,
    frozenset({"id", "time", "layout"}),
    ("list", "long"),
    magic=b"PAR1",
    is_table=True,
    labels=parquet_labels,
)


# Files that form one table.


class ParquetFiles(NamedTuple):
    """Files whose rows form one table, in the order of the files."""

    root: Path  # the file, or their folder
    paths: list[Path]
    starts: list[int]  # of each file, the number of its first row in the table
    layout: TableOptions  # with the roles of the columns
    schema: pa.Schema  # of these columns in all files
    num_values: int  # at most
    row_bytes: int  # memory of a decoded row, at most on the average of a row group

    def place(self, row: int) -> str:
        """Return the number of a row of the table in its file, and the file if there are more."""
        if len(self.paths) == 1:
            return str(row)
        i = bisect.bisect_right(self.starts, row) - 1
        return f"{row - self.starts[i]} of {self.paths[i]}"

    def parts(self) -> Iterator[Part]:
        """Yield all rows, and the number of the first one of each part."""
        pool = pa.default_memory_pool()
        for path, first in zip(self.paths, self.starts, strict=True):
            with _reading(path):
                batches = _open(path).iter_batches(
                    batch_size=max(1, PART_BYTES // self.row_bytes), columns=self.layout.used
                )
                # Arrow keeps the memory of a batch until nothing refers to it.
                for batch in batches:
                    table = pa.Table.from_batches([batch]).select(self.layout.used)
                    yield first, table.cast(self.schema)
                    first += len(batch)
                    del batch, table
                    pool.release_unused()


def open_files(path: str | os.PathLike[str], options: TableOptions) -> ParquetFiles:
    """Open a file or folder, reading only footers."""
    root = local_path(path)
    paths = _paths_in(root) if root.is_dir() else [root]
    schemas, layouts, starts, num_values, row_bytes = [], [], [0], 0, 1
    for file in paths:
        with _reading(file), naming(file):
            with file.open("rb") as opened:
                check_content(opened.read(4096), PARQUET, str(file))
            footer = _open(file)
            schemas.append(footer.schema_arrow)
            check_unique(schemas[-1].names)
            layouts.append(find_layout(schemas[-1], str(file), options))
        starts.append(starts[-1] + footer.metadata.num_rows)
        for index in range(footer.metadata.num_row_groups):
            group = footer.metadata.row_group(index)
            values = _num_values(group, layouts[0].features)
            num_values += values
            size = 8 * values + group.total_byte_size
            row_bytes = max(row_bytes, -(-size // max(1, group.num_rows)))
    check_has_rows(starts.pop(), schemas[0].names, str(root))
    with naming(root):
        schema = _shared_schema(paths, schemas, layouts)
    return ParquetFiles(root, paths, starts, layouts[0], schema, num_values, row_bytes)


def _shared_schema(
    paths: list[Path], schemas: list[pa.Schema], layouts: list[TableOptions]
) -> pa.Schema:
    """Return the types of the columns in all files, with the schema that Refold stored in them."""
    used, shared = layouts[0].used, pa.schema([])
    for path, schema, layout in zip(paths, schemas, layouts, strict=True):
        try:
            if {*layout.used} != {*used}:
                raise pa.ArrowInvalid(f"{', '.join(layout.used)} beside {', '.join(used)}")
            own = pa.schema([schema.field(name) for name in used])
            # Writers choose large or small text by the size of a file, and no type without values.
            shared = pa.unify_schemas([shared, own], promote_options="permissive")
        except pa.ArrowException as error:
            raise SchemaError(
                f"{path} has other columns or types than {paths[0]}: {error}. All files of a "
                "folder need the same. Write it again, move it elsewhere, or choose the columns "
                f"with {argument('columns=')}."
            ) from error
    stored = [schema for own in schemas if (schema := stored_schema(own.metadata))]
    if not stored:
        return shared
    features = layouts[0].features
    types = resolve_column_types(layouts[0].column_types, features)
    requested = dict(zip(features, types, strict=True))
    columns: dict[str, list[Column]] = {}
    for schema in stored:
        for column in schema.columns:
            type_ = requested.get(column.name) or column.type
            column = column if type_ == column.type else Column(column.name, type_)
            columns.setdefault(column.name, []).append(column)
    union = tuple(map(union_of, columns.values()))
    is_one_layout = len({schema.layout for schema in stored}) == 1
    schema = Schema(union, stored[0].layout if is_one_layout else "array")
    return shared.with_metadata(metadata_of(schema))


def _paths_in(root: Path) -> list[Path]:
    """Return the Parquet files of a folder and its subfolders, by name."""
    files = []
    with _reading(root):
        for file in sorted(root.rglob("*")):
            # as in Arrow, names that begin with a dot or an underscore are skipped
            hidden = any(part.startswith((".", "_")) for part in file.relative_to(root).parts)
            if file.suffix.lower() in PARQUET.suffixes and not hidden and file.is_file():
                files.append(file)
    if not files:
        raise FileFormatError(
            f"The folder {root} holds no Parquet file ({' or '.join(PARQUET.suffixes)}). Convert "
            "the data with refold.sequences.read and write."
        )
    return files


def _open(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(
        path, buffer_size=_READ_BYTES, pre_buffer=False, page_checksum_verification=True
    )


def _num_values(group: Any, features: Sequence[str]) -> int:
    """Return the number of values of some columns in a row group."""
    paths = tuple(f"{name}." for name in features)
    chunks = [group.column(i) for i in range(group.num_columns)]
    # the path of a list column is "x.list.element"
    return sum(chunk.num_values for chunk in chunks if f"{chunk.path_in_schema}.".startswith(paths))
