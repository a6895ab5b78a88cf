"""Parquet files: the bytes of one, and files that form one table and are read in parts."""

import io
import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from refold.errors import (
    FileAccessError,
    FileFormatError,
    RefoldError,
    SchemaError,
    argument,
)
from refold.files.formats import Format, check_content
from refold.files.paths import access_error, local_path
from refold.files.tables import (
    TABLE_OPTIONS,
    Part,
    TableOptions,
    check_has_rows,
    check_label,
    find_layout,
    from_file_table,
    labels_of_table,
    naming,
    to_long_table,
)
from refold.sequences._parts import resolve_column_types
from refold.sequences._schema import Column, Layout, Schema, check_unique, union_of
from refold.sequences._sequences import Sequences
from refold.sequences._tables import (
    metadata_of,
    pandas_index,
    stored_schema,
)

# Approximate memory of the rows of a part.
PART_BYTES = 2 << 20
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
    metadata = table.schema.metadata or {}
    _check_metadata(metadata, name)
    index = pandas_index(metadata)
    names = [column for column in table.column_names if column not in index]
    return from_file_table(table, name, TableOptions(**options), names=names)


def parquet_labels(data: bytes, name: str, label: str, id_column: str | None) -> tuple[list, list]:
    """Return the ids and labels of the rows."""
    with _reading(name):
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        names = file.schema_arrow.names
        table = file.read([column for column in names if column in (label, id_column or "id")])
    check_label(names, name, label, id_column)
    return labels_of_table(table, name, label, id_column)


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


def _check_metadata(metadata: dict[bytes, bytes], name: str) -> None:
    """Raise ``FileFormatError`` if the metadata cannot be parsed."""
    try:
        stored_schema(metadata)
        pandas_index(metadata)
    except ValueError as error:
        raise FileFormatError(f"{name} has damaged metadata: {error}") from error


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


class _Stamp(NamedTuple):
    """Path, size and modification time of a file, which show whether it has changed."""

    path: Path
    size: int
    modified: int  # nanoseconds


class ParquetFiles(NamedTuple):
    """Files whose rows form one table, in the order of the files."""

    root: Path  # the file, or their folder
    stamps: list[_Stamp]
    layout: TableOptions  # with the roles of the columns
    schema: pa.Schema  # of these columns in all files
    num_values: int  # at most
    row_bytes: int  # memory of a decoded row, at most on the average of a row group

    def parts(self) -> Iterator[Part]:
        """Yield the rows of all files."""
        pool = pa.default_memory_pool()
        for stamp in self.stamps:
            first = 0
            with _reading(stamp.path):
                batches = _open(stamp.path).iter_batches(
                    batch_size=max(1, PART_BYTES // self.row_bytes), columns=self.layout.used
                )
                # Arrow keeps the memory of a batch until nothing refers to it.
                for batch in batches:
                    table = pa.Table.from_batches([batch]).select(self.layout.used)
                    yield Part(table.cast(self.schema), stamp.path, first)
                    first += len(batch)
                    del batch, table
                    pool.release_unused()
            if _stamp_of(stamp.path) != stamp:
                raise FileAccessError(f"{stamp.path} has changed while it was read. Read it again.")


def open_files(path: str | os.PathLike[str], options: TableOptions) -> ParquetFiles:
    """Open a file or folder, reading only footers."""
    root = local_path(path)
    paths = _paths_in(root) if root.is_dir() else [root]
    stamps, schemas, layouts, num_values, row_bytes, num_rows = [], [], [], 0, 1, 0
    for file in paths:
        with _reading(file), file.open("rb") as opened:
            check_content(opened.read(4096), PARQUET, str(file))
        stamps.append(_stamp_of(file))
        schema, metadata = _footer(file)
        with naming(file):
            check_unique(schema.names)
            layouts.append(find_layout(schema, str(file), options))
        schemas.append(schema)
        num_rows += metadata.num_rows
        for index in range(metadata.num_row_groups):
            group = metadata.row_group(index)
            if group.num_rows:
                values, size = _sizes(group, layouts[0])
                num_values += values
                row_bytes = max(row_bytes, -(-size // group.num_rows))
    check_has_rows(num_rows, schemas[0].names, str(root))
    with naming(root):
        schema = _shared_schema(paths, schemas, layouts)
    return ParquetFiles(root, stamps, layouts[0], schema, num_values, row_bytes)


def _shared_schema(
    paths: list[Path], schemas: list[pa.Schema], layouts: list[TableOptions]
) -> pa.Schema:
    """Return the types of the columns in all files, with the schema that Refold stored in them."""
    advice = "All files of a folder need the same columns; write it again, or move it elsewhere."
    used, shared = layouts[0].used, pa.schema([])
    for path, schema, layout in zip(paths, schemas, layouts, strict=True):
        if {*layout.used} != {*used}:
            raise SchemaError(
                f"{path} has the columns {', '.join(layout.used)}, but {paths[0]} has "
                f"{', '.join(used)}. {advice} Or choose the columns with {argument('columns=')}."
            )
        own = pa.schema([schema.field(name) for name in used])
        try:
            # Writers choose large or small text by the size of a file, and no type without values.
            shared = pa.unify_schemas([shared, own], promote_options="permissive")
        except pa.ArrowException as error:
            raise SchemaError(
                f"{path} has other types than {paths[0]}: {error}. {advice}"
            ) from error
    stored = [schema for own in schemas if (schema := stored_schema(own.metadata))]
    if not stored:
        return shared
    features = layouts[0].features
    types = dict(
        zip(features, resolve_column_types(layouts[0].column_types, features), strict=True)
    )
    return shared.with_metadata(metadata_of(_union(stored, types)))


def _union(schemas: list[Schema], types: Mapping[str, str | None]) -> Schema:
    """Return the columns of all schemas that Refold stored in files, with the requested types."""
    columns: dict[str, list[Column]] = {}
    for column in itertools.chain.from_iterable(schema.columns for schema in schemas):
        type_ = types.get(column.name) or column.type
        column = column if type_ == column.type else Column(column.name, type_)
        columns.setdefault(column.name, []).append(column)
    layouts: set[Layout] = {schema.layout for schema in schemas}
    layout = layouts.pop() if len(layouts) == 1 else "array"
    return Schema(tuple(map(union_of, columns.values())), layout)


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


def _stamp_of(path: Path) -> _Stamp:
    with _reading(path):
        status = path.stat()
    return _Stamp(path, status.st_size, status.st_mtime_ns)


def _open(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(
        path, buffer_size=_READ_BYTES, pre_buffer=False, page_checksum_verification=True
    )


def _footer(path: Path) -> tuple[pa.Schema, pq.FileMetaData]:
    with _reading(path):
        file = _open(path)
        schema, metadata = file.schema_arrow, file.metadata
    _check_metadata(schema.metadata or {}, str(path))
    return schema, metadata


def _sizes(group: Any, layout: TableOptions) -> tuple[int, int]:
    """Return the number of feature values, and the bytes, of a row group."""
    features = tuple(f"{name}." for name in layout.features)
    prefixes = tuple(f"{name}." for name in layout.used)
    num_values, size = 0, 0
    for i in range(group.num_columns):
        chunk = group.column(i)
        path = f"{chunk.path_in_schema}."  # of a list column, "x.list.element."
        if path.startswith(prefixes):
            size += max(8 * chunk.num_values, chunk.total_uncompressed_size)
            num_values += chunk.num_values if path.startswith(features) else 0
    return num_values, size
