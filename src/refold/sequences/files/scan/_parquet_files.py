"""Parquet files that hold one table between them: what their footers say, and that they agree."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from refold.errors import FileFormatError, RefoldError, SchemaError
from refold.sequences.conversion._arrow_columns import check_unique, is_text, stored_schema
from refold.sequences.files._file_access import access_error
from refold.sequences.files.formats._parquet import check_metadata
from refold.sequences.files.scan._paths import Stamp, find_files, stamp_of
from refold.sequences.files.tables._layout_detection import TableLayout, find_layout
from refold.sequences.schema._parts import offsets_from_lengths
from refold.sequences.schema._schema import Schema

__all__ = ["ScannedFiles", "open_files"]

# What is read from a file at a time, so that a large column chunk need not be in memory whole.
READ_BYTES = 1 << 18


class ScannedFiles:
    """Files whose rows count as one table, in the order of the files.

    Attributes
    ----------
    layout : TableLayout
        What their columns are for.
    schema : pyarrow.Schema
        Of the first file.
    stored : list of Schema
        What Refold wrote beside the data, of the files that have it.
    group_starts : array of int of shape (num_groups + 1,)
        The row at which each row group starts; those without rows are left out.
    groups : list of (int, int)
        File and number within it of each row group.
    row_bytes : list of int
        About how much memory a decoded row of each row group takes.
    """

    def __init__(
        self, root: Path, paths: list[Path], layout: TableLayout, schema: pa.Schema
    ) -> None:
        self.root = root
        self.paths = paths
        self.layout = layout
        self.schema = schema
        self.stored: list[Schema] = []
        self.stamps: list[Stamp] = []
        self.groups: list[tuple[int, int]] = []
        self.row_bytes: list[int] = []
        self.file_starts = np.zeros(1, np.int64)
        self.group_starts = np.zeros(1, np.int64)

    @property
    def needed(self) -> list[str]:
        """Columns that are read."""
        keys = [name for name in (self.layout.id, self.layout.time) if name is not None]
        return list(dict.fromkeys([*keys, *self.layout.features]))

    @property
    def num_rows(self) -> int:
        """Rows of all files."""
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
        """Make sure that a file is what it was, and name it in what goes wrong."""
        self.stamps[file].check(self.paths[file])
        with reading(self.paths[file], self.root):
            yield


def open_files(
    path: Any,
    *,
    id: str | None,  # noqa: A002
    time: str | None,
    columns: Sequence[str] | None,
) -> ScannedFiles:
    """Open a file or folder, looking at footers only.

    Raises
    ------
    FileAccessError, FileFormatError
        If there is none, or one is empty, damaged, or no file has a row.
    SchemaError
        If a column is not there, or a file has other columns than the first.
    """
    paths, root = find_files(path), Path(path)
    first = _footer(paths[0], root)[0]
    with naming(paths[0]):
        layout = find_layout(first, str(paths[0]), id=id, time=time, columns=columns)
    files = ScannedFiles(root, paths, layout, first)
    for number, file in enumerate(paths):
        files.stamps.append(stamp_of(file))
        schema, metadata = _footer(file, root)
        _check_agrees(schema, file, files, columns)
        stored = stored_schema(schema.metadata or {})
        files.stored += [] if stored is None else [stored]
        _add_groups(files, number, metadata)
    if not files.num_rows:
        raise FileFormatError(f"{root} has columns ({', '.join(first.names)}), but no rows.")
    return files


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the name of a file in front of what is wrong with its data."""
    try:
        yield
    except RefoldError as error:
        if isinstance(error, OSError) or str(error).startswith(str(path)):
            raise
        raise type(error)(f"{path}: {error}") from error


@contextmanager
def reading(path: Path, root: Path) -> Iterator[None]:
    """Turn what Arrow and the system say about a file into errors that name it."""
    try:
        yield
    except RefoldError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise access_error(path, error, writing=False) from error
        mend = "Write it again." if path == root else "Write it again, or move it elsewhere."
        raise FileFormatError(
            f"{path} is damaged: {' '.join(str(error).split()).rstrip('.')}. {mend}"
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
    schema: pa.Schema, path: Path, files: ScannedFiles, columns: Sequence[str] | None
) -> None:
    """Raise ``SchemaError`` if a file has other columns than the first one, or of other types."""
    first, layout = files.paths[0], files.layout
    mend = "All files of a folder need the same columns; write it again, or move it elsewhere."
    for name in files.needed:
        if name not in schema.names:
            raise SchemaError(f"{path} has no column {name!r}, which {first} has. {mend}")
        got, expected = schema.field(name).type, files.schema.field(name).type
        if _kind_of(got) != _kind_of(expected):
            raise SchemaError(
                f"{path} holds {got} in column {name!r}, but {first} holds {expected}. {mend}"
            )
    keys = {"id": layout.id, "time": layout.time}
    found = find_layout(schema, str(path), **keys, columns=columns)
    extra = [name for name in found.features if name not in layout.features]
    if extra:
        raise SchemaError(
            f"{path} has the column {extra[0]!r}, which {first} has not. {mend} Or choose the "
            "columns with columns=."
        )


def _kind_of(type_: pa.DataType) -> str:
    """Return what has to be alike in the types of one column in several files."""
    if pa.types.is_dictionary(type_):
        return f"labels of {_kind_of(type_.value_type)}"
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return f"lists of {_kind_of(type_.value_type)}"
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
