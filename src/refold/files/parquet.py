"""Parquet files: the bytes of one, and files that form one table and are read in parts."""

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
    TableLayout,
    TableOptions,
    check_has_rows,
    check_label,
    find_layout,
    from_file_table,
    labels_of_table,
    to_long_table,
)
from refold.sequences._arrow_columns import METADATA_KEY, is_text, pandas_index, stored_schemas
from refold.sequences._schema import Schema, check_unique
from refold.sequences._sequences import Sequences

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
def _reading(path: str | Path, advice: str = "") -> Iterator[None]:
    """Turn errors of Arrow and the system into errors that name the file."""
    try:
        yield
    except RefoldError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise access_error(path, error, writing=False) from error
        reason = " ".join(str(error).split()).rstrip(".")
        raise FileFormatError(f"{path} is damaged: {reason}.{advice}") from error


def _check_metadata(metadata: dict[bytes, bytes], name: str) -> None:
    """Raise ``FileFormatError`` if the metadata cannot be parsed."""
    for key in (METADATA_KEY, b"pandas"):
        try:
            state = json.loads(metadata.get(key, b"null"))
            if key == METADATA_KEY and state is not None:
                Schema.from_dict(state)
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


@dataclass(frozen=True)
class Part:
    """Some rows of a source."""

    table: Any  # of Arrow
    path: Path | None  # of the file; None for batches
    first: int  # number of the first row in the file


class ParquetFiles(NamedTuple):
    """Files whose rows form one table, in the order of the files."""

    root: Path  # the file, or their folder
    stamps: list[_Stamp]
    layout: TableLayout
    schema: pa.Schema  # of the first file
    stored: list[Schema]  # those that Refold stored in the files
    num_values: int  # at most
    row_bytes: int  # memory of a decoded row, at most on the average of a row group

    def parts(self) -> Iterator[Part]:
        """Yield the rows of all files."""
        pool = pa.default_memory_pool()
        for stamp in self.stamps:
            first = 0
            with _reading(stamp.path, _advice(self.root)):
                batches = _open(stamp.path).iter_batches(
                    batch_size=max(1, PART_BYTES // self.row_bytes), columns=self.layout.columns
                )
                # Arrow keeps the memory of a batch until nothing refers to it.
                for batch in batches:
                    table = pa.Table.from_batches([batch]).select(self.layout.columns)
                    yield Part(table.replace_schema_metadata(None), stamp.path, first)
                    first += len(batch)
                    del batch, table
                    pool.release_unused()
            if _stamp_of(stamp.path) != stamp:
                raise FileAccessError(f"{stamp.path} has changed while it was read. Read it again.")


def open_files(path: str | os.PathLike[str], options: TableOptions) -> ParquetFiles:
    """Open a file or folder, reading only footers."""
    root = local_path(path)
    paths = _paths_in(root) if root.is_dir() else [root]
    for file in paths:
        with _reading(file), file.open("rb") as opened:
            begin = opened.read(4096)
        check_content(begin, PARQUET, str(file), _advice(root))
    first, _ = _footer(paths[0], root)
    with naming(paths[0]):
        layout = find_layout(first, str(paths[0]), options)
    stamps, stored, num_values, row_bytes, num_rows = [], [], 0, 1, 0
    for file in paths:
        stamps.append(_stamp_of(file))
        schema, metadata = _footer(file, root)
        _check_agrees(schema, file, (first, paths[0], layout), options)
        stored += stored_schemas(schema.metadata or {})
        num_rows += metadata.num_rows
        for index in range(metadata.num_row_groups):
            group = metadata.row_group(index)
            if group.num_rows:
                values, size = _sizes(group, layout)
                num_values += values
                row_bytes = max(row_bytes, -(-size // group.num_rows))
    check_has_rows(num_rows, first.names, str(root))
    return ParquetFiles(root, stamps, layout, first, stored, num_values, row_bytes)


def _advice(root: Path) -> str:
    return " Write it again, or move it elsewhere." if root.is_dir() else " Write it again."


def _paths_in(root: Path) -> list[Path]:
    """Return the Parquet files of a folder and its subfolders, by name."""
    with _reading(root):
        everything = sorted(file for file in root.rglob("*") if file.is_file())
    shown = []
    for file in everything:  # as in Arrow, names that begin with a dot or an underscore are skipped
        if not any(part.startswith((".", "_")) for part in file.relative_to(root).parts):
            shown.append(file)
    files = [file for file in shown if file.suffix.lower() in PARQUET.suffixes]
    if not files:
        others = ", ".join(file.name for file in shown[:3]) + (", ..." if len(shown) > 3 else "")
        raise FileFormatError(
            f"The folder {root} holds no Parquet file ({' or '.join(PARQUET.suffixes)}), only "
            f"{others or 'nothing'}. Convert the data with refold.sequences.read and write."
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


def _footer(path: Path, root: Path) -> tuple[pa.Schema, pq.FileMetaData]:
    with _reading(path, _advice(root)):
        file = _open(path)
        schema, metadata = file.schema_arrow, file.metadata
    _check_metadata(schema.metadata or {}, str(path))
    with naming(path):
        check_unique(schema.names)
    return schema, metadata


def _sizes(group: Any, layout: TableLayout) -> tuple[int, int]:
    """Return the number of feature values, and the bytes, of a row group."""
    features = tuple(f"{name}." for name in layout.features)
    prefixes = tuple(f"{name}." for name in layout.columns)
    num_values, size = 0, 0
    for i in range(group.num_columns):
        chunk = group.column(i)
        path = f"{chunk.path_in_schema}."  # of a list column, "x.list.element."
        if path.startswith(prefixes):
            size += max(8 * chunk.num_values, chunk.total_uncompressed_size)
            num_values += chunk.num_values if path.startswith(features) else 0
    return num_values, size


@contextmanager
def naming(path: Path | None) -> Iterator[None]:
    """Put the name of a file in front of errors about its data."""
    try:
        yield
    except RefoldError as error:
        if path is None or isinstance(error, OSError) or str(error).startswith(str(path)):
            raise
        raise type(error)(f"{path}: {error.message.marked}") from error


def _check_agrees(
    schema: pa.Schema,
    path: Path,
    others: tuple[pa.Schema, Path, TableLayout],  # of the first file
    options: TableOptions,
) -> None:
    """Raise ``SchemaError`` if a file has other columns than the first one, or of other types."""
    theirs, first, layout = others
    advice = "All files of a folder need the same columns; write it again, or move it elsewhere."
    for name in layout.columns:
        if name not in schema.names:
            raise SchemaError(f"{path} has no column {name!r}, which {first} has. {advice}")
        got, expected = schema.field(name).type, theirs.field(name).type
        if _shared_type(got) != _shared_type(expected):
            raise SchemaError(
                f"{path} holds {got} in column {name!r}, but {first} holds {expected}. {advice}"
            )
    own = find_layout(schema, str(path), replace(options, id=layout.id, time=layout.time))
    extra = [name for name in own.features if name not in layout.features]
    if extra:
        raise SchemaError(
            f"{path} has the column {extra[0]!r}, which {first} does not have. {advice} Or choose "
            f"the columns with {argument('columns=')}."
        )


def _shared_type(type_: pa.DataType) -> str:
    """Return the part of a type that must agree between files."""
    # A writer may choose large or small lists and text by the size of each file.
    if pa.types.is_dictionary(type_):
        return f"categories of {_shared_type(type_.value_type)}"
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return f"lists of {_shared_type(type_.value_type)}"
    return "text" if is_text(type_) else str(type_)
