"""Parquet files in any store, by path or URL, and how they are divided into units of work.

``read_footers`` reads the footers of the files of a run. ``plan_units`` divides the files into
units between sequences. ``read_slices`` reads the sequences of a unit in a worker.
"""

import functools
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyarrow.compute import call_function

from refold._support.optional_imports import import_optional
from refold.errors import (
    DataError,
    FileAccessError,
    FileFormatError,
    MissingFileError,
    ParameterError,
    RefoldError,
    SchemaError,
    argument,
)
from refold.sequences import Schema, TableOptions, has_default_names, resolve_table_options

# Seconds between attempts to reach a store. They grow to give the store time to recover.
RETRY_WAIT_SECONDS = (0.5, 1.0, 2.0, 4.0)
# Files with other names are not read.
PARQUET_SUFFIXES = (".parquet", ".pq")
# URL schemes of stores in which a file appears when it is closed, and where renaming is a copy.
_OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory")
# Number of units if the bounds on their steps allow it. More units share the work more evenly. The
# number does not depend on the cluster, so that a second run elsewhere has the same units.
TARGET_NUM_UNITS = 256
# Minimum number of steps in a unit. For fewer steps, the start of a task takes too large a share.
MIN_UNIT_STEPS = 500_000
# Maximum number of steps in a unit. A worker that dies loses the work on one unit.
MAX_UNIT_STEPS = 20_000_000
# Maximum number of units in a row group. Each of the units decodes the group from its start.
MAX_UNITS_PER_ROW_GROUP = 8
# Bytes that are read from a column chunk at a time. More need more memory, fewer more requests.
_READ_BUFFER_BYTES = 1 << 20
# Number of files that are opened at the same time, because a store may take long to answer.
_MAX_OPEN_FILES = 16
# Rows of the column of ids that are read at a time, which bounds the memory.
_ID_BATCH_ROWS = 1 << 18

Result = TypeVar("Result")
# Size of a file in bytes, and time of its last change in nanoseconds, or None if the store does not
# know the time. They show whether a file has changed.
FileStamp = tuple[int, int | None]


class Location(NamedTuple):
    """A file or folder in any store."""

    system: Any  # pyarrow.fs.FileSystem
    path: str  # in the file system
    # prefix + path + query is a URL that another process can open
    prefix: str = ""
    query: str = ""

    @property
    def name(self) -> str:
        """The path or URL as a user writes it."""
        return f"{self.prefix}{self.path}{self.query}"

    def info(self) -> Any:
        """Return size, time and type; the type is NotFound if nothing is there."""
        return self.system.get_file_info(self.path)

    def child(self, file_name: str) -> "Location":
        """Return a file in this folder."""
        return self.with_path(f"{self.path.rstrip('/')}/{file_name}")

    def with_path(self, path: str) -> "Location":
        """Return the location of another path in the same store."""
        return self._replace(path=path)


def find_location(path_or_url: str | os.PathLike[str]) -> Location:
    """Return the location of a path or URL."""
    text = absolute_path(path_or_url)
    return _find_url_location(text) if "://" in text else Location(fs.LocalFileSystem(), text)


def absolute_path(path_or_url: str | os.PathLike[str]) -> str:
    """Return a URL as it is, or a path as an absolute path."""
    text = os.fspath(path_or_url)
    return text if "://" in text else str(Path(text).absolute())


# Cached, because Arrow asks a bucket for its region each time.
@functools.lru_cache(1024)
def _find_url_location(url: str) -> Location:
    """Return the location of a URL, in a file system of Arrow or else of fsspec."""
    scheme, _, address = url.partition("://")
    address, question_mark, query = address.partition("?")
    try:
        system, path = fs.FileSystem.from_uri(url)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        try:
            handler, path = _import_fsspec("fsspec").core.url_to_fs(f"{scheme}://{address}")
        except (ValueError, ImportError) as error:
            raise ParameterError(
                f"The URL {url!r} cannot be opened: {first_line(error)}."
            ) from error
        system = fs.PyFileSystem(fs.FSSpecHandler(handler))
    return Location(system, path, f"{scheme}://", question_mark + query)


def _import_fsspec(module_name: str) -> Any:
    """Import a module of fsspec, which the extra ``ray`` installs."""
    return import_optional(module_name, extra="ray", purpose="A store of files")


def call_with_retries(location_names: str, task: Callable[[], Result]) -> Result | RefoldError:
    """Return the result of a task or its error; try again if a store cannot be reached."""
    # errors are returned, not raised, because Ray wraps raised errors
    wait_times = iter(RETRY_WAIT_SECONDS)
    while True:
        try:
            return task()
        except RefoldError as error:
            return error
        except (OSError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
            is_final = isinstance(error, FileNotFoundError | PermissionError | pa.ArrowException)
            wait_seconds = None if is_final else next(wait_times, None)
            if wait_seconds is None:
                attempts_note = "" if is_final else f" after {len(RETRY_WAIT_SECONDS) + 1} attempts"
                return FileAccessError(
                    f"{location_names} cannot be read or written{attempts_note}: "
                    f"{first_line(error)}. Check the name, the connection and the access rights, "
                    "and run the same again: what is done stays done."
                )
            time.sleep(wait_seconds)


def first_line(error: BaseException) -> str:
    """Return the first line of the message of an error, without the period."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def stamp_of(file_info: Any) -> FileStamp:
    """Return the size and the time of a file."""
    return file_info.size, file_info.mtime_ns


def find_parquet_files(path_or_url: str) -> list[tuple[Location, FileStamp]]:
    """Return the Parquet files of a path, URL, glob or folder, sorted by name."""
    location = find_location(path_or_url)
    system, path, info = location.system, location.path, location.info()
    if info.type == fs.FileType.File:
        infos = [info]
    elif info.type == fs.FileType.Directory:
        infos_in_folder = system.get_file_info(fs.FileSelector(path, recursive=True))
        hidden = re.compile("/[._]")
        infos = [info for info in infos_in_folder if not hidden.search(info.path, len(path))]
    elif any(character in path for character in "*?["):
        store = _import_fsspec("fsspec.implementations.arrow").ArrowFSWrapper(system)
        infos = system.get_file_info(store.glob(path))
    else:
        raise MissingFileError(f"There is no file or folder {path_or_url}.")
    files = [
        (location.with_path(info.path), stamp_of(info))
        for info in sorted(infos, key=lambda info: info.path)
        if info.type == fs.FileType.File and info.path.lower().endswith(PARQUET_SUFFIXES)
    ]
    if not files:
        raise FileFormatError(
            f"{path_or_url} holds no Parquet file by its name ({' or '.join(PARQUET_SUFFIXES)}), "
            "and a cluster reads no other. Convert the data with refold.sequences.read and write."
        )
    return files


@contextmanager
def open_atomically(location: Location) -> Iterator[BinaryIO]:
    """Open a file for writing that appears in its store only when it is complete."""
    folder, _, name = location.path.rpartition("/")
    target = location
    # An object store needs no temporary name: an upload appears only when it is complete.
    if location.prefix.partition(":")[0] not in _OBJECT_STORES:
        target = location.with_path(f"{folder}/.{name}.{secrets.token_hex(8)}")
    with tempfile.TemporaryFile() as temporary_file:
        yield temporary_file
        num_bytes = temporary_file.tell()
        temporary_file.seek(0)
        try:
            with location.system.open_output_stream(target.path) as stream:
                shutil.copyfileobj(temporary_file, stream, 1 << 20)
            if target.info().size != num_bytes:
                raise OSError(f"only a part of it arrived at {target.name}")
            if target != location:
                location.system.move(target.path, location.path)
        except BaseException:
            # an incomplete file must not stay, neither under the final name nor a temporary one
            if target.info().type == fs.FileType.File:
                location.system.delete_file(target.path)
            raise


# Units of work


class RowRange(NamedTuple):
    """A range of rows of a file."""

    file: str  # path or URL
    stamp: FileStamp
    rows_before: int  # rows of the files before this one
    start: int  # row in the file
    stop: int


# Ray Data (2.60) was tried instead of units, with these problems:
# - Its batches do not know their row numbers, so errors could not name a sequence.
# - It cut long tables inside of sequences.
# - It made one task of eight files with 20 MB. One of two workers had nothing to do, the other took
#   590 MB of memory instead of 260 MB, and 100,000 sequences took 1.6 times as long.
# - With three CPUs for two workers, a second run waited forever.
class Unit(NamedTuple):
    """Sequences that one task computes and writes as one part."""

    unit_index: int  # position among all units, from 0
    start: int  # first row, counted over all files
    stop: int
    steps: int  # approximate number of steps
    row_ranges: list[RowRange]  # several if the rows are in several files

    def find_row(self, row: int) -> tuple[str, int]:
        """Return the file of a row that is counted over all files, and the row in this file."""
        row_range = next(
            row_range for row_range in reversed(self.row_ranges) if row_range.rows_before <= row
        )
        return row_range.file, row - row_range.rows_before


class SourceFile(NamedTuple):
    """What the footer says about a file."""

    name: str
    stamp: FileStamp
    num_rows: int
    row_groups: list[tuple[int, int]]  # numbers of rows and steps of each row group
    id_type: str  # "integers", "text" or "row numbers"
    row_meaning: str  # a row is a "sequence", with lists, or a "step"


class SourceFiles(NamedTuple):
    """The files of a run and the roles of their columns."""

    files: list[SourceFile]
    options: TableOptions  # the roles of the columns
    has_lists: bool  # a row is a sequence with lists, not a step
    part_steps: int  # approximate number of steps of a unit


def read_footers(
    paths: list[str],  # paths, URLs and globs of Parquet files, or of folders of Parquet files
    model_schema: Schema,
    table_options: TableOptions,  # options of the user
    part_steps: int | None = None,
) -> SourceFiles:
    """Read the footers of all files, and check that the files have the same layout."""
    locations = [file for name in paths for file in find_parquet_files(name)]
    first_schema = _read_footer(locations[0][0])[0]
    resolved = _resolve_options(model_schema, first_schema, locations[0][0].name, table_options)
    describe_file = functools.partial(_describe_file, options=resolved)
    with ThreadPoolExecutor(_MAX_OPEN_FILES) as threads:
        files = list(threads.map(describe_file, *zip(*locations, strict=True)))
    for file in files:
        if (file.row_meaning, file.id_type) != (files[0].row_meaning, files[0].id_type):
            raise SchemaError(
                f"{file.name} has one row per {file.row_meaning}, and {file.id_type} as ids, but "
                f"{files[0].name} has one per {files[0].row_meaning}, and {files[0].id_type}. All "
                "files need the same."
            )
    if not any(file.num_rows for file in files):
        raise FileFormatError(
            f"{files[0].name} has columns ({', '.join(first_schema.names)}), but no rows."
        )
    if part_steps is None:
        steps = sum(steps for file in files for _, steps in file.row_groups)
        part_steps = min(max(steps // TARGET_NUM_UNITS, MIN_UNIT_STEPS), MAX_UNIT_STEPS)
    return SourceFiles(files, resolved, files[0].row_meaning == "sequence", part_steps)


def _read_footer(location: Location) -> tuple[pa.Schema, Any]:
    """Return the schema of a file and the metadata of its row groups."""
    try:
        with _open_parquet(location) as file:
            return file.schema_arrow, file.metadata
    except pa.ArrowInvalid as error:
        raise FileFormatError(
            f"{location.name} cannot be read: {first_line(error)}. Write it again."
        ) from error


def _resolve_options(
    model_schema: Schema, file_schema: pa.Schema, file_name: str, options: TableOptions
) -> TableOptions:
    """Return the options of the user, completed with the column roles of the training data."""
    columns, time_gaps = list(model_schema.names), options.time_gaps
    if model_schema.time_gaps and (time_gaps or columns[-1] not in file_schema.names):
        time_gaps = True
        columns.pop()  # the file has no column of time gaps, which are computed from the times
    names = file_schema.names
    id_name = options.id or (model_schema.id_name if model_schema.id_name in names else None)
    time = options.time or (model_schema.time_name if model_schema.time_name in names else None)
    if options.columns is not None:
        columns = list(options.columns)
    elif has_default_names(model_schema):
        columns = None  # the training data had no names
    resolved = replace(options, id=id_name, time=time, columns=columns, time_gaps=time_gaps)
    duplicates, time_format = options.duplicates, options.time_format
    # the options for times apply only if the files have a column of times
    time_column = time or "time"
    has_times = time_column in file_schema.names
    times = file_schema.field(time_column).type if has_times else pa.null()
    if not (pa.types.is_null(times) or pa.types.is_nested(times)):
        duplicates = duplicates or model_schema.duplicates
        is_parsed = pa.types.is_temporal(times) or pa.types.is_floating(times)
        time_format = time_format or (None if is_parsed else model_schema.time_format)
    duplicates = None if duplicates == "error" else duplicates  # "error" is the default
    resolved = replace(resolved, duplicates=duplicates, time_format=time_format)
    layout = resolve_table_options(file_schema, file_name, resolved)
    if layout.id is None and layout.layout != "list":
        # a part holds complete series, so there would be a single part
        raise SchemaError(
            f"{file_name} has no column of ids, so all rows are one series, and a cluster divides "
            f"data between series. Use one machine, or name the ids with {argument('id=')}."
        )
    return replace(resolved, id=layout.id, time=layout.time)


def _describe_file(location: Location, stamp: FileStamp, options: TableOptions) -> SourceFile:
    """Return what the footer says about a file."""
    schema, metadata = _read_footer(location)
    layout = resolve_table_options(schema, location.name, options)
    id_type = "row numbers"
    if layout.id is not None:
        type_ = schema.field(layout.id).type
        type_ = type_.value_type if pa.types.is_dictionary(type_) else type_
        id_type = "integers" if pa.types.is_integer(type_) else "text"
    # In a file with lists, a column chunk has a path such as x0.list.element, and its number of
    # values is the number of steps. In a long table, a row is a step.
    prefix = f"{layout.features[0]}."
    row_groups = []
    for group_index in range(metadata.num_row_groups):
        group = metadata.row_group(group_index)
        columns = [group.column(i) for i in range(group.num_columns)]
        steps = [
            column.num_values
            for column in columns
            if f"{column.path_in_schema}.".startswith(prefix)
        ]
        row_groups.append((group.num_rows, max([*steps, group.num_rows])))
    row_meaning = "sequence" if layout.layout == "list" else "step"
    return SourceFile(location.name, stamp, metadata.num_rows, row_groups, id_type, row_meaning)


def plan_units(source_files: SourceFiles) -> list[Unit]:
    """Divide the files into units, between sequences."""
    # rows are counted over all files: a file has the rows from rows_before to file_ends
    file_ends = np.cumsum([file.num_rows for file in source_files.files])
    rows_before = [0, *file_ends[:-1].tolist()]
    ranges = [
        (before + start, steps)
        for before, file in zip(rows_before, source_files.files, strict=True)
        for start, steps in _cut_row_groups(file.row_groups, source_files.part_steps)
    ]
    starts, steps = np.array(ranges).T
    if not source_files.has_lists:  # a unit of a long table must start where a sequence starts
        sequence_starts = _find_sequence_starts(source_files, file_ends)
        # each start of a unit moves to the next start of a sequence, and equal starts become one
        positions = np.searchsorted(sequence_starts, starts)
        starts = np.unique(sequence_starts[positions[positions < len(sequence_starts)]])
        steps = np.diff([*starts, file_ends[-1]])  # a row of a long table is a step
    stops = [*starts[1:].tolist(), int(file_ends[-1])]
    units = []
    for start, stop, num_steps in zip(starts.tolist(), stops, steps.tolist(), strict=True):
        # the file that has the row `start`; empty files are passed over
        row_ranges, file_index = [], int(np.searchsorted(file_ends, start, side="right"))
        while file_index < len(file_ends) and rows_before[file_index] < stop:
            file, before = source_files.files[file_index], rows_before[file_index]
            first, end = max(start - before, 0), min(stop - before, file.num_rows)
            row_ranges.append(RowRange(file.name, file.stamp, before, first, end))
            file_index += 1
        units.append(Unit(len(units), start, stop, num_steps, row_ranges))
    return units


def _cut_row_groups(
    row_groups: Sequence[tuple[int, int]], part_steps: int
) -> list[tuple[int, int]]:
    """Return ranges of rows of similar length: the first row and the number of steps of each."""
    ranges, start, steps, rows_before = [], 0, 0, 0
    # Small row groups are joined to a range of at least `part_steps` steps. Large row groups are
    # cut, as if each of their rows had the same number of steps.
    for num_rows, num_steps in row_groups:
        num_cuts = max(1, min(MAX_UNITS_PER_ROW_GROUP, num_rows, num_steps // part_steps))
        for i in range(num_cuts):
            steps += num_steps // num_cuts
            if steps >= part_steps:
                ranges.append((start, steps))
                start, steps = rows_before + num_rows * (i + 1) // num_cuts, 0
        rows_before += num_rows
    if rows_before > start:
        ranges.append((start, steps))
    return ranges


def _find_sequence_starts(source_files: SourceFiles, file_ends: np.ndarray) -> np.ndarray:
    """Return the rows, counted over all files, at which the sequences of a long table start."""
    id_column = str(source_files.options.id)
    sequence_starts, ids, last_id = [], [], pa.nulls(1, pa.large_string())
    for file, file_end in zip(source_files.files, file_ends.tolist(), strict=True):
        for first_row, table in read_rows(
            find_location(file.name), [id_column], _ID_BATCH_ROWS, 0, file.num_rows
        ):
            column = _ids_to_text(table[id_column])
            id_changes = _find_id_changes(column, last_id)
            sequence_starts.append(file_end - file.num_rows + first_row + id_changes)
            ids.append(column.take(pa.array(id_changes)).combine_chunks())
            last_id = column.slice(len(column) - 1).combine_chunks()
    table = pa.table({"id": pa.chunked_array(ids), "row": np.concatenate(sequence_starts)})
    _check_ids_contiguous(source_files, table, file_ends)
    return table["row"].to_numpy()


def _check_ids_contiguous(
    source_files: SourceFiles, start_table: pa.Table, file_ends: np.ndarray
) -> None:
    """Raise ``DataError`` if the rows of an id are not contiguous."""
    # the table has one row per start of a sequence, so it fits in memory
    spans = start_table.group_by("id").aggregate([("row", "min"), ("row", "max")])
    is_split = call_function("less", [spans["row_min"], spans["row_max"]])
    is_split = call_function("and", [is_split, spans["id"].is_valid()])
    for span in spans.filter(is_split).sort_by("row_min").slice(0, 1).to_pylist():
        file_index = int(np.searchsorted(file_ends, span["row_max"], side="right"))
        file = source_files.files[file_index]
        raise DataError(
            f"The rows of id {span['id']!r} are not together: they begin again in row "
            f"{span['row_max'] - file_ends[file_index] + file.num_rows} of {file.name}. A cluster "
            f"reads long tables that are sorted by their id column {source_files.options.id!r}."
        )


def _ids_to_text(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return ids as text, because files may store the same ids with different types."""
    decoded = ids.cast(ids.type.value_type) if pa.types.is_dictionary(ids.type) else ids
    return decoded.cast(pa.large_string())


def _find_id_changes(ids: pa.ChunkedArray, previous_id: pa.Array) -> np.ndarray:
    """Return the rows whose id differs from that before; ``previous_id`` precedes the first row."""
    previous_ids = pa.chunked_array([previous_id, *ids.slice(0, len(ids) - 1).chunks])
    is_change = call_function("not_equal", [ids, previous_ids])
    return np.flatnonzero(is_change.fill_null(True).to_numpy())  # noqa: FBT003


class TableSlice(NamedTuple):
    """Some sequences of a unit, as a table."""

    table: pa.Table
    sequence_starts: np.ndarray  # (n_sequences + 1,): first rows, and number of rows
    first_row: int  # first row of the table, counted over all files

    def select(self, first_sequence: int, stop_sequence: int) -> "TableSlice":
        """Return a range of the sequences."""
        low, high = map(int, self.sequence_starts[[first_sequence, stop_sequence]])
        sequence_starts = self.sequence_starts[first_sequence : stop_sequence + 1] - low
        return TableSlice(self.table.slice(low, high - low), sequence_starts, self.first_row + low)

    def __len__(self) -> int:
        return len(self.sequence_starts) - 1


def read_slices(
    unit: Unit, column_names: Sequence[str] | None, max_rows: int, id_name: str | None
) -> Iterator[TableSlice]:
    """Yield complete sequences of a unit; the ids separate the sequences of a long table."""
    incomplete: TableSlice | None = None  # the last sequence, which may continue in the next rows
    for row_range in unit.row_ranges:
        location = find_location(row_range.file)
        for row, table in read_rows(
            location, column_names, max_rows, row_range.start, row_range.stop
        ):
            first = row_range.rows_before + row
            if id_name is None:  # each row is a sequence
                yield TableSlice(table, np.arange(len(table) + 1), first)
                continue
            if incomplete is not None:
                # permissive, because one file may have integers and another file floats
                table = pa.concat_tables([incomplete.table, table], promote_options="permissive")
                first = incomplete.first_row
            ids = _ids_to_text(table[id_name])
            sequence_starts = _find_id_changes(ids, pa.nulls(1, ids.type))
            rows_read = TableSlice(table, np.append(sequence_starts, len(table)), first)
            if len(rows_read) > 1:
                yield rows_read.select(0, len(rows_read) - 1)
            incomplete = rows_read.select(len(rows_read) - 1, len(rows_read))
    if incomplete is not None:
        yield incomplete


def read_rows(
    location: Location,
    column_names: Sequence[str] | None,
    max_rows: int,  # number of rows that are read at a time
    first_row: int,
    stop_row: int,
) -> Iterator[tuple[int, pa.Table]]:
    """Yield tables of rows of a file, each with the number of its first row."""
    with _open_parquet(location) as file:
        num_groups = file.metadata.num_row_groups
        group_ends = np.cumsum([file.metadata.row_group(i).num_rows for i in range(num_groups)])
        # only the row groups that overlap the range are read
        first_group = int(np.searchsorted(group_ends, first_row, side="right"))
        stop_group = min(int(np.searchsorted(group_ends, stop_row)) + 1, num_groups)
        groups = list(range(first_group, stop_group))
        row = int(group_ends[first_group - 1]) if first_group else 0
        for batch in file.iter_batches(max_rows, groups, column_names, use_threads=False):
            begin, end = max(first_row - row, 0), min(stop_row - row, len(batch))
            if end > begin:
                yield row + begin, pa.Table.from_batches([batch.slice(begin, end - begin)])
            row += len(batch)


def _open_parquet(location: Location) -> pq.ParquetFile:
    """Open a Parquet file without loading complete column chunks into memory."""
    return pq.ParquetFile(
        location.path, filesystem=location.system, buffer_size=_READ_BUFFER_BYTES, pre_buffer=False
    )
