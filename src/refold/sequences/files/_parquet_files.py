"""Parquet files that form one table: checks that they agree, and their rows in parts."""

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
from refold.sequences._arrow_columns import is_text, stored_schemas
from refold.sequences._schema import Schema, check_unique
from refold.sequences.files._file_access import access_error, local_path
from refold.sequences.files._format import check_content
from refold.sequences.files._format_registry import FORMATS
from refold.sequences.files._tables import (
    TableLayout,
    TableOptions,
    find_layout,
)
from refold.sequences.files.formats._parquet import check_metadata

PARQUET = FORMATS["parquet"]
# Approximate memory of the rows of a part.
PART_BYTES = 2 << 20
# Bytes read from a file at a time, so that a large column chunk is never in memory as a whole.
READ_BYTES = 1 << 18


class Stamp(NamedTuple):
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

    root: Path
    stamps: list[Stamp]
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
            with reading(stamp.path, self.root):
                batches = _open_parquet(stamp.path).iter_batches(
                    batch_size=max(1, PART_BYTES // self.row_bytes), columns=self.layout.columns
                )
                for batch in batches:
                    table = pa.Table.from_batches([batch]).select(self.layout.columns)
                    yield Part(table.replace_schema_metadata(None), stamp.path, first)
                    first += len(batch)
                    del batch, table
                    pool.release_unused()
            if stamp_of(stamp.path) != stamp:
                raise FileAccessError(f"{stamp.path} has changed while it was read. Read it again.")


def stamp_of(path: Path) -> Stamp:
    """Return the stamp of a file."""
    try:
        status = path.stat()
    except OSError as error:
        raise access_error(path, error, writing=False) from error
    return Stamp(path, status.st_size, status.st_mtime_ns)


def open_files(path: Any, options: TableOptions) -> ParquetFiles:
    """Open a file or folder, reading only footers."""
    root, paths = _find_files(path)
    first = _footer(paths[0], root)[0]
    with naming(paths[0]):
        layout = find_layout(first, str(paths[0]), options)
    stamps, stored, num_values, row_bytes, num_rows = [], [], 0, 1, 0
    for file in paths:
        stamps.append(stamp_of(file))
        schema, metadata = _footer(file, root)
        _check_agrees(schema, file, (first, paths[0], layout), options)
        stored += stored_schemas(schema.metadata or {})
        num_rows += metadata.num_rows
        for values, group_bytes, rows in _sizes(metadata, layout):
            num_values, row_bytes = num_values + values, max(row_bytes, -(-group_bytes // rows))
    if not num_rows:
        raise FileFormatError(f"{root} has columns ({', '.join(first.names)}), but no rows.")
    return ParquetFiles(root, stamps, layout, first, stored, num_values, row_bytes)


def _sizes(metadata: pq.FileMetaData, layout: TableLayout) -> Iterator[tuple[int, int, int]]:
    """Yield the values of the features, the bytes and the rows of each row group with rows."""
    features = tuple(f"{name}." for name in layout.features)
    prefixes = tuple(f"{name}." for name in layout.columns)
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        columns = [group.column(i) for i in range(group.num_columns)]
        used = [chunk for chunk in columns if f"{chunk.path_in_schema}.".startswith(prefixes)]
        values = [
            chunk.num_values for chunk in used if f"{chunk.path_in_schema}.".startswith(features)
        ]
        size = sum(max(8 * chunk.num_values, chunk.total_uncompressed_size) for chunk in used)
        if group.num_rows:
            yield sum(values), size, group.num_rows


@contextmanager
def naming(path: Path | None) -> Iterator[None]:
    """Put the name of a file in front of errors about its data."""
    try:
        yield
    except RefoldError as error:
        if path is None or isinstance(error, OSError) or str(error).startswith(str(path)):
            raise
        raise type(error)(f"{path}: {error.message.marked}") from error


@contextmanager
def reading(path: Path, root: Path) -> Iterator[None]:
    """Turn errors of Arrow and the system into errors that name the file."""
    try:
        yield
    except RefoldError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise access_error(path, error, writing=False) from error
        advice = "Write it again." if path == root else "Write it again, or move it elsewhere."
        raise FileFormatError(
            f"{path} is damaged: {' '.join(str(error).split()).rstrip('.')}. {advice}"
        ) from error


def _open_parquet(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(
        path, buffer_size=READ_BYTES, pre_buffer=False, page_checksum_verification=True
    )


def _footer(path: Path, root: Path) -> tuple[pa.Schema, pq.FileMetaData]:
    with reading(path, root):
        file = _open_parquet(path)
        schema, metadata = file.schema_arrow, file.metadata
    check_metadata(schema.metadata or {}, str(path))
    with naming(path):
        check_unique(schema.names)
    return schema, metadata


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
    if pa.types.is_dictionary(type_):
        return f"categories of {_shared_type(type_.value_type)}"
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return f"lists of {_shared_type(type_.value_type)}"
    return "text" if is_text(type_) else str(type_)


def _find_files(path: str | os.PathLike[str]) -> tuple[Path, list[Path]]:
    """Return a path, and the Parquet file or those of a folder and its subfolders, by name."""
    root = local_path(path)
    files = _in_folder(root) if root.is_dir() else [root]
    for file in files:
        _check_begin(file, advice="" if file == root else " Write it again, or move it elsewhere.")
    return root, files


def _in_folder(root: Path) -> list[Path]:
    try:
        everything = sorted(file for file in root.rglob("*") if file.is_file())
    except OSError as error:
        raise access_error(root, error, writing=False) from error
    # As in Arrow, names that begin with a dot or an underscore are skipped.
    shown = [file for file in everything if not _is_hidden(file.relative_to(root))]
    files = [file for file in shown if file.suffix.lower() in PARQUET.suffixes]
    if not files:
        others = ", ".join(file.name for file in shown[:3]) + (", ..." if len(shown) > 3 else "")
        raise FileFormatError(
            f"The folder {root} holds no Parquet file ({' or '.join(PARQUET.suffixes)}), only "
            f"{others or 'nothing'}. Convert the data with refold.sequences.read and write."
        )
    return files


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _check_begin(path: Path, advice: str) -> None:
    """Raise ``FileFormatError`` if the first bytes are not those of a Parquet file."""
    try:
        with path.open("rb") as file:
            first = file.read(4096)
    except OSError as error:
        raise access_error(path, error, writing=False) from error
    if not first:
        raise FileFormatError(f"{path} is empty: it holds no bytes.{advice}")
    try:
        check_content(first, PARQUET, str(path))
    except FileFormatError as error:
        raise FileFormatError(f"{error.message.marked}{advice}") from error
