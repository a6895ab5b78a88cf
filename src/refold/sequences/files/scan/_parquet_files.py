"""Parquet files that form one table: their footers, and checks that they agree and stay so."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from refold._support.offsets import offsets_from_lengths
from refold.errors import (
    FileAccessError,
    FileFormatError,
    MissingFileError,
    ParameterError,
    RefoldError,
    SchemaError,
    argument,
)
from refold.sequences.conversion._arrow_columns import check_unique, is_text, stored_schemas
from refold.sequences.files._file_access import access_error, local_path
from refold.sequences.files._format import check_content
from refold.sequences.files._format_registry import FORMATS
from refold.sequences.files.formats._parquet import check_metadata
from refold.sequences.files.tables._layout_detection import (
    TableLayout,
    TableOptions,
    find_layout,
)
from refold.sequences.schema._schema import Schema

PARQUET = FORMATS["parquet"]
# Bytes read from a file at a time, so that a large column chunk is never in memory as a whole.
READ_BYTES = 1 << 18


class _Stamp(NamedTuple):
    """Size and modification time of a file, which show whether it has changed."""

    size: int
    modified: int  # nanoseconds

    def check(self, path: Path) -> None:
        """Raise ``FileAccessError`` if the file is not the one that was stamped."""
        try:
            same = _stamp_of(path) == self
        except MissingFileError as error:
            raise MissingFileError(
                f"{path} has disappeared since it was opened. Open the data again."
            ) from error
        if not same:
            raise FileAccessError(f"{path} has changed since it was opened. Open the data again.")


def _stamp_of(path: Path) -> _Stamp:
    """Return the stamp of a file."""
    try:
        found = path.stat()
    except OSError as error:
        raise access_error(path, error, writing=False) from error
    return _Stamp(found.st_size, found.st_mtime_ns)


class ScannedFiles:
    """Files whose rows form one table, in the order of the files."""

    def __init__(
        self, root: Path, paths: list[Path], layout: TableLayout, schema: pa.Schema
    ) -> None:
        self.root = root
        self.paths = paths
        self.layout = layout
        self.schema = schema  # of the first file
        self.stored: list[Schema] = []  # those that Refold stored in the files
        self.stamps: list[_Stamp] = []
        # The file of each row group, and its number in the file; without empty groups.
        self.groups: list[tuple[int, int]] = []
        self.row_bytes: list[int] = []  # approximate memory of a decoded row of each group
        # The rows at which files and row groups start, and the number of rows.
        self.file_starts = np.zeros(1, np.int64)
        self.group_starts = np.zeros(1, np.int64)

    @property
    def needed(self) -> list[str]:
        """The columns to read."""
        keys = [name for name in (self.layout.id, self.layout.time) if name is not None]
        return list(dict.fromkeys([*keys, *self.layout.features]))

    @property
    def num_rows(self) -> int:
        """Number of rows of all files."""
        return int(self.group_starts[-1])

    def place(self, row: int) -> tuple[Path, int]:
        """Return the file of a row, and the row's number in it."""
        file = int(np.searchsorted(self.file_starts, row, side="right")) - 1
        return self.paths[file], int(row - self.file_starts[file])

    def open(self, file: int) -> pq.ParquetFile:
        """Open a file."""
        with self.reading(file):
            return _open_parquet(self.paths[file])

    @contextmanager
    def reading(self, file: int) -> Iterator[None]:
        """Check that a file has not changed, and name it in errors."""
        self.stamps[file].check(self.paths[file])
        with reading(self.paths[file], self.root):
            yield


def open_files(path: Any, asked: TableOptions) -> ScannedFiles:
    """Open a file or folder, reading only footers."""
    paths, root = _find_files(path), Path(path)
    first = _footer(paths[0], root)[0]
    with naming(paths[0]):
        layout = find_layout(first, str(paths[0]), asked)
    files = ScannedFiles(root, paths, layout, first)
    for number, file in enumerate(paths):
        files.stamps.append(_stamp_of(file))
        schema, metadata = _footer(file, root)
        _check_agrees(schema, file, files, asked)
        files.stored += stored_schemas(schema.metadata or {})
        _add_groups(files, number, metadata)
    if not files.num_rows:
        raise FileFormatError(f"{root} has columns ({', '.join(first.names)}), but no rows.")
    return files


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the name of a file in front of errors about its data."""
    try:
        yield
    except RefoldError as error:
        if isinstance(error, OSError) or str(error).startswith(str(path)):
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


def _check_agrees(schema: pa.Schema, path: Path, files: ScannedFiles, asked: TableOptions) -> None:
    """Raise ``SchemaError`` if a file has other columns than the first one, or of other types."""
    first, layout = files.paths[0], files.layout
    advice = "All files of a folder need the same columns; write it again, or move it elsewhere."
    for name in files.needed:
        if name not in schema.names:
            raise SchemaError(f"{path} has no column {name!r}, which {first} has. {advice}")
        got, expected = schema.field(name).type, files.schema.field(name).type
        if _shared_type(got) != _shared_type(expected):
            raise SchemaError(
                f"{path} holds {got} in column {name!r}, but {first} holds {expected}. {advice}"
            )
    found = find_layout(schema, str(path), asked._replace(id=layout.id, time=layout.time))
    extra = [name for name in found.features if name not in layout.features]
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


def _add_groups(files: ScannedFiles, number: int, metadata: pq.FileMetaData) -> None:
    prefixes = tuple(f"{name}." for name in files.needed)
    lengths, row_bytes = [], []
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        if not group.num_rows:
            continue
        size = 0
        for i in range(group.num_columns):
            column = group.column(i)
            if f"{column.path_in_schema}.".startswith(prefixes):
                size += max(8 * column.num_values, column.total_uncompressed_size)
        files.groups.append((number, index))
        lengths.append(group.num_rows)
        row_bytes.append(-(-size // group.num_rows))
    starts = files.group_starts[-1] + offsets_from_lengths(lengths)
    files.row_bytes += row_bytes
    files.group_starts = np.concatenate([files.group_starts, starts[1:]])
    files.file_starts = np.append(files.file_starts, starts[-1])


def _find_files(path: Any) -> list[Path]:
    """Return the Parquet file, or those of a folder and its subfolders, sorted by name."""
    if not isinstance(path, str | os.PathLike):
        raise ParameterError(
            f"Expected the path of a Parquet file or folder. Got a {type(path).__name__}; "
            "refold.sequences.read takes streams."
        )
    root = local_path(path)
    if not root.exists():
        raise MissingFileError(f"There is no file or folder {root}.")
    files = _in_folder(root) if root.is_dir() else [_checked_name(root)]
    for file in files:
        _check_ends(file, advice="" if file == root else " Write it again, or move it elsewhere.")
    return files


def _in_folder(root: Path) -> list[Path]:
    try:
        found = sorted(file for file in root.rglob("*") if file.is_file())
    except OSError as error:
        raise access_error(root, error, writing=False) from error
    # As in Arrow, names that begin with a dot or an underscore are skipped.
    shown = [file for file in found if not _is_hidden(file.relative_to(root))]
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


def _checked_name(path: Path) -> Path:
    suffix = path.suffix.lower()
    if suffix in PARQUET.suffixes:
        return path
    known = ", ".join(PARQUET.suffixes)
    message = f"{path} cannot be read in blocks: only Parquet files ({known}) can."
    if any(suffix in one.suffixes for one in FORMATS.values()):
        message += (
            " Convert it with refold.sequences.write(refold.sequences.read(path), "
            f"'{path.stem}.parquet')."
        )
    raise FileFormatError(message)


def _check_ends(path: Path, advice: str) -> None:
    """Raise ``FileFormatError`` if the first or last bytes are not those of a Parquet file."""
    try:
        with path.open("rb") as file:
            first = file.read(4096)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(PARQUET.magic)))
            last = file.read()
    except OSError as error:
        raise access_error(path, error, writing=False) from error
    if not first:
        raise FileFormatError(f"{path} is empty: it holds no bytes.{advice}")
    try:
        check_content(first, PARQUET, str(path))
    except FileFormatError as error:
        raise FileFormatError(f"{error.message.marked}{advice}") from error
    if size < 12 or last != PARQUET.magic:
        raise FileFormatError(
            f"{path} is cut short: it lacks the end of a Parquet file."
            f"{advice or ' Write it again.'}"
        )
