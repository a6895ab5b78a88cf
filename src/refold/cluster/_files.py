"""Find Parquet files in any store, by path or URL, and divide them into parts.

``read_footers`` reads the footers of the files of a run. ``plan_parts`` cuts the files into
parts of complete sequences. ``read_sequence_blocks`` reads the sequences of a part in a worker.
"""

import functools
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs
from pyarrow.compute import call_function

from refold._support.optional_imports import import_optional
from refold.errors import (
    DataError,
    FileFormatError,
    MissingFileError,
    ParameterError,
    SchemaError,
    argument,
)
from refold.sequences import Schema, TableOptions, has_default_names, resolve_table_options

# Files with other names are not read.
PARQUET_SUFFIXES = (".parquet", ".pq")
# URL schemes of stores in which a file appears when it is closed, and where renaming is a copy.
_OBJECT_STORE_SCHEMES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory")
# Number of parts, if the bounds on the steps of a part allow it. More parts share the work more
# evenly. The number does not depend on the cluster, so that a second run elsewhere has the same
# parts.
TARGET_NUM_PARTS = 256
# Minimum number of steps in a part. For fewer steps, the start of a task takes too large a share.
MIN_PART_STEPS = 500_000
# Maximum number of steps in a part. A worker that dies loses the work on one part.
MAX_PART_STEPS = 20_000_000
# Maximum number of parts in a row group. Each of the parts decodes the group from its start.
MAX_PARTS_PER_ROW_GROUP = 8
# Bytes that are read from a column chunk at a time. More bytes need more memory, and fewer bytes
# need more requests.
_READ_BUFFER_BYTES = 1 << 20
# Number of files that are opened at the same time, because a store may take long to answer.
_MAX_OPEN_FILES = 16
# Number of ids that are read at a time. It bounds the memory.
_ID_BATCH_ROWS = 1 << 18

# Size of a file in bytes, and time of its last change in nanoseconds, or None if the store does not
# know the time. They show whether a file has changed.
FileStamp = tuple[int, int | None]


@dataclass(frozen=True)
class Location:
    """A file or folder in any store."""

    file_system: Any  # pyarrow.fs.FileSystem
    path: str  # in the file system
    url_prefix: str = ""  # such as "s3://"; empty for a local path
    url_query: str = ""  # such as "?region=eu-west-1"

    @property
    def path_or_url(self) -> str:
        """The path or URL, which another process can open, too."""
        return f"{self.url_prefix}{self.path}{self.url_query}"

    def get_info(self) -> Any:
        """Return size, time and type; the type is NotFound if nothing is there."""
        return self.file_system.get_file_info(self.path)

    def child(self, file_name: str) -> "Location":
        """Return a file in this folder."""
        return replace(self, path=f"{self.path.rstrip('/')}/{file_name}")


def absolute_path(path_or_url: str | os.PathLike[str]) -> str:
    """Return an absolute path for a path; return a URL as it is."""
    text = os.fspath(path_or_url)
    return text if "://" in text else str(Path(text).absolute())


# Cached, because Arrow asks a bucket for its region each time.
@functools.lru_cache(1024)
def find_location(path_or_url: str) -> Location:
    """Return the location of an absolute path or a URL."""
    scheme, separator, _ = path_or_url.partition("://")
    if not separator:  # a path
        return Location(fs.LocalFileSystem(), path_or_url)
    url_without_query, question_mark, query = path_or_url.partition("?")
    try:
        file_system, path = fs.FileSystem.from_uri(path_or_url)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # a store that Arrow does not know
        try:
            fsspec = import_optional("fsspec", extra="ray", purpose="A store of files")
            fsspec_system, path = fsspec.core.url_to_fs(url_without_query)
        except (ValueError, ImportError) as error:
            raise ParameterError(
                f"The URL {path_or_url!r} cannot be opened: {first_line(error)}."
            ) from error
        file_system = fs.PyFileSystem(fs.FSSpecHandler(fsspec_system))
    return Location(file_system, path, f"{scheme}://", question_mark + query)


def first_line(error: BaseException) -> str:
    """Return the first line of the message of an error, without the period at its end."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def find_parquet_files(path_or_url: str) -> list[tuple[Location, FileStamp]]:
    """Return the Parquet files of a path, URL, glob or folder, with their stamps, by name."""
    location = find_location(path_or_url)
    file_system, path, info = location.file_system, location.path, location.get_info()
    if info.type == fs.FileType.File:
        infos = [info]
    elif info.type == fs.FileType.Directory:
        infos = file_system.get_file_info(fs.FileSelector(path, recursive=True))
        # names in the folder that begin with a period or an underscore are hidden
        infos = [info for info in infos if not re.search("/[._]", info.path[len(path) :])]
    elif any(character in path for character in "*?["):
        module = "fsspec.implementations.arrow"
        fsspec_arrow = import_optional(module, extra="ray", purpose="A store of files")
        infos = file_system.get_file_info(fsspec_arrow.ArrowFSWrapper(file_system).glob(path))
    else:
        raise MissingFileError(f"There is no file or folder {path_or_url}.")
    files = [
        (replace(location, path=info.path), (info.size, info.mtime_ns))
        for info in sorted(infos, key=lambda info: info.path)
        if info.type == fs.FileType.File and info.path.lower().endswith(PARQUET_SUFFIXES)
    ]
    if not files:
        raise FileFormatError(
            f"{path_or_url} has no file whose name ends in {' or '.join(PARQUET_SUFFIXES)}. "
            "A cluster reads only these. Convert the data with refold.sequences.read and write."
        )
    return files


@contextmanager
def open_atomically(location: Location) -> Iterator[BinaryIO]:
    """Open a file for writing. It appears in its store only when it is complete."""
    folder, _, name = location.path.rpartition("/")
    target = location
    # An object store needs no temporary name, because an upload appears only when it is complete.
    if location.url_prefix.partition(":")[0] not in _OBJECT_STORE_SCHEMES:
        target = replace(location, path=f"{folder}/.{name}.{secrets.token_hex(8)}")
    with tempfile.TemporaryFile() as temporary_file:
        yield temporary_file
        num_bytes = temporary_file.tell()  # the caller has written the content by now
        temporary_file.seek(0)
        try:
            with location.file_system.open_output_stream(target.path) as stream:
                shutil.copyfileobj(temporary_file, stream, 1 << 20)  # 1 MiB at a time
            if target.get_info().size != num_bytes:
                raise OSError(f"the file is incomplete at {target.path_or_url}")
            if target != location:
                location.file_system.move(target.path, location.path)
        except BaseException:
            # an incomplete file must not stay, neither under the final name nor a temporary one
            if target.get_info().type == fs.FileType.File:
                location.file_system.delete_file(target.path)
            raise


# Parts


class RowRange(NamedTuple):
    """A range of rows of a file."""

    file_name: str  # path or URL
    file_stamp: FileStamp
    num_rows_before: int  # number of rows of the files before this one
    first_row: int  # counted in the file
    stop_row: int  # the row after the last one


# Ray Data (2.60) was tried instead of these parts, with these problems:
# - Its batches do not know their row numbers, so errors could not name a sequence.
# - It cut long tables inside of sequences.
# - It put eight small files into one task. One of two workers had nothing to do, the other took
#   590 MB of memory instead of 260 MB, and 100,000 sequences took 1.6 times as long.
# - With three CPUs for two workers, a second run waited forever.
class PlannedPart(NamedTuple):
    """Which sequences one task computes and writes as one part."""

    part_index: int  # position among all parts, from 0
    first_row: int  # counted over all files
    stop_row: int  # the row after the last one
    num_steps: int  # approximate
    row_ranges: list[RowRange]  # the same rows, counted in each file that has some of them


class SourceFile(NamedTuple):
    """What the footer says about a file."""

    name: str  # path or URL
    file_stamp: FileStamp
    num_rows: int
    row_group_counts: list[tuple[int, int]]  # numbers of rows and of steps of each row group
    id_type: str  # "integers", "text" or "row numbers"
    row_noun: str  # what a row is: a "sequence" if the file has lists, else a "step"


def read_footers(
    paths: list[str],  # paths, URLs and globs of Parquet files, or of folders of Parquet files
    model_schema: Schema,
    table_options: TableOptions,  # options of the user
    part_steps: int | None = None,  # by default, chosen for the number of steps of all files
) -> tuple[list[SourceFile], TableOptions, int]:
    """Return the files, the options with the roles of the columns, and the steps per part."""
    stamped_locations = [file for path in paths for file in find_parquet_files(path)]
    location, _ = stamped_locations[0]  # all files have the layout of the first one
    file_schema, _ = _read_footer(location)
    file_name = location.path_or_url
    options = _complete_table_options(table_options, model_schema, file_schema, file_name)
    read_file = functools.partial(_summarize_footer, options=options)
    with ThreadPoolExecutor(_MAX_OPEN_FILES) as threads:
        files = list(threads.map(read_file, *zip(*stamped_locations, strict=True)))
    first_file = files[0]
    for file in files:
        if (file.row_noun, file.id_type) != (first_file.row_noun, first_file.id_type):
            raise SchemaError(
                f"{file.name} has one row per {file.row_noun}, and {file.id_type} as ids, but "
                f"{first_file.name} has one per {first_file.row_noun}, and {first_file.id_type}. "
                "All files need the same."
            )
    if not any(file.num_rows for file in files):
        raise FileFormatError(
            f"{first_file.name} has columns ({', '.join(file_schema.names)}), but no rows."
        )
    if part_steps is None:
        num_steps = sum(group_steps for file in files for _, group_steps in file.row_group_counts)
        part_steps = min(max(num_steps // TARGET_NUM_PARTS, MIN_PART_STEPS), MAX_PART_STEPS)
    return files, options, part_steps


def _read_footer(location: Location) -> tuple[pa.Schema, Any]:
    """Return the schema of a file and the metadata of its row groups."""
    try:
        with _open_parquet(location) as file:
            return file.schema_arrow, file.metadata
    except pa.ArrowInvalid as error:
        raise FileFormatError(
            f"{location.path_or_url} cannot be read: {first_line(error)}. Write it again."
        ) from error


def _complete_table_options(
    user_options: TableOptions, model_schema: Schema, file_schema: pa.Schema, shown_file_name: str
) -> TableOptions:
    """Complete options of a user with the roles of the columns (id, time) in the training data."""
    names, columns, time_gaps = file_schema.names, list(model_schema.names), user_options.time_gaps
    # The last column of the training data may hold time gaps. If the user asks for it, or if the
    # file has no column of time gaps, they are computed from the times.
    if model_schema.time_gaps and (time_gaps or columns[-1] not in names):
        time_gaps = True
        columns.pop()
    training_id, training_time = model_schema.id_name, model_schema.time_name
    id_name = user_options.id or (training_id if training_id in names else None)
    time = user_options.time or (training_time if training_time in names else None)
    if user_options.columns is not None:
        columns = list(user_options.columns)
    elif has_default_names(model_schema):
        columns = None  # all columns, because the training data had no names to select by
    duplicates, time_format = user_options.duplicates, user_options.time_format
    # the options for times apply only if the files have a column of times, by default "time"
    time_column = time or "time"
    time_type = file_schema.field(time_column).type if time_column in names else pa.null()
    if not (pa.types.is_null(time_type) or pa.types.is_nested(time_type)):
        duplicates = duplicates or model_schema.duplicates
        needs_no_format = pa.types.is_temporal(time_type) or pa.types.is_floating(time_type)
        time_format = time_format or (None if needs_no_format else model_schema.time_format)
    # None means "error", too, and is also allowed without times
    duplicates = None if duplicates == "error" else duplicates
    resolved = replace(user_options, id=id_name, time=time, columns=columns, time_gaps=time_gaps)
    resolved = replace(resolved, duplicates=duplicates, time_format=time_format)
    file_options = resolve_table_options(file_schema, shown_file_name, resolved)
    if file_options.id is None and file_options.layout != "list":
        # a part holds complete series, so there would be a single part
        raise SchemaError(
            f"{shown_file_name} has no column of ids, so all rows are one series, and a cluster "
            f"divides data between series. Use one machine, or name the ids with {argument('id=')}."
        )
    return replace(resolved, id=file_options.id, time=file_options.time)


def _summarize_footer(location: Location, stamp: FileStamp, options: TableOptions) -> SourceFile:
    """Return what the footer says about a file."""
    schema, metadata = _read_footer(location)
    file_name, num_rows = location.path_or_url, metadata.num_rows
    file_options = resolve_table_options(schema, file_name, options)
    id_type = "row numbers"
    if file_options.id is not None:
        data_type = schema.field(file_options.id).type
        data_type = data_type.value_type if pa.types.is_dictionary(data_type) else data_type
        id_type = "integers" if pa.types.is_integer(data_type) else "text"
    # In a file with lists, the column chunk of a feature has a path such as x0.list.element, and
    # its number of values is the number of steps. In a long table, a row is a step.
    feature_prefix = f"{file_options.features[0]}."
    row_group_counts = []
    for group_index in range(metadata.num_row_groups):
        group = metadata.row_group(group_index)
        chunks = [group.column(i) for i in range(group.num_columns)]
        counts = [c.num_values for c in chunks if f"{c.path_in_schema}.".startswith(feature_prefix)]
        # a row counts as at least one step
        row_group_counts.append((group.num_rows, max([*counts, group.num_rows])))
    row_noun = "sequence" if file_options.layout == "list" else "step"
    return SourceFile(file_name, stamp, num_rows, row_group_counts, id_type, row_noun)


def plan_parts(
    files: list[SourceFile], id_column: str | None, target_part_steps: int
) -> list[PlannedPart]:
    """Cut the files into parts of complete sequences; without an id column, a row is a sequence."""
    # Rows are counted over all files. A file has the rows from `rows_before` to `file_ends`.
    file_ends = np.cumsum([file.num_rows for file in files])
    rows_before = [0, *file_ends[:-1].tolist()]
    # Ranges of rows with about `target_part_steps` steps: the first row and the number of steps of
    # each. Small row groups are joined. Large row groups are cut, as if each of their rows had the
    # same number of steps.
    ranges = []
    for file, before in zip(files, rows_before, strict=True):
        range_start = group_start = before
        range_steps = 0
        for num_rows, num_steps in file.row_group_counts:
            limits = MAX_PARTS_PER_ROW_GROUP, num_rows, num_steps // target_part_steps
            num_pieces = max(1, min(limits))
            for i in range(num_pieces):
                range_steps += num_steps // num_pieces
                if range_steps >= target_part_steps:
                    ranges.append((range_start, range_steps))
                    range_start = group_start + num_rows * (i + 1) // num_pieces
                    range_steps = 0
            group_start += num_rows
        if group_start > range_start:
            ranges.append((range_start, range_steps))
    starts, step_counts = np.array(ranges).T  # (n_parts,) each
    # a part of a long table must start where a sequence starts
    if id_column is not None:
        sequence_starts = _find_sequence_starts(files, id_column, file_ends)
        # Each start of a part moves to the next start of a sequence. Equal starts are merged, and
        # starts after the last start of a sequence are dropped.
        next_starts = np.searchsorted(sequence_starts, starts)
        starts = np.unique(sequence_starts[next_starts[next_starts < len(sequence_starts)]])
        step_counts = np.diff([*starts, file_ends[-1]])  # a row of a long table is a step
    planned_parts, stops = [], [*starts[1:].tolist(), int(file_ends[-1])]
    for start, stop, num_steps in zip(starts.tolist(), stops, step_counts.tolist(), strict=True):
        # the file that has the row `start`; empty files are passed over
        row_ranges, file_index = [], int(np.searchsorted(file_ends, start, side="right"))
        while file_index < len(file_ends) and rows_before[file_index] < stop:
            file, before = files[file_index], rows_before[file_index]
            file_start, file_stop = max(start - before, 0), min(stop - before, file.num_rows)
            row_ranges.append(RowRange(file.name, file.file_stamp, before, file_start, file_stop))
            file_index += 1
        planned_parts.append(PlannedPart(len(planned_parts), start, stop, num_steps, row_ranges))
    return planned_parts


def _find_sequence_starts(
    files: list[SourceFile], id_column: str, file_ends: np.ndarray
) -> np.ndarray:
    """Return the first rows of sequences, counted over all files, or refuse scattered ids."""
    starts, ids, last_id = [], [], pa.nulls(1, pa.large_string())
    for file, file_end in zip(files, file_ends.tolist(), strict=True):
        location = find_location(file.name)
        for first_row, batch in read_rows(
            location, [id_column], _ID_BATCH_ROWS, first_row=0, stop_row=file.num_rows
        ):
            column = _ids_to_text(batch[id_column])
            id_changes = _find_id_changes(column, last_id)
            starts.append(file_end - file.num_rows + first_row + id_changes)
            ids.append(column.take(pa.array(id_changes)).combine_chunks())
            last_id = column.slice(len(column) - 1).combine_chunks()
    # The table has one row per start of a sequence, so it fits in memory. An id with several starts
    # is not contiguous.
    table = pa.table({"id": pa.chunked_array(ids), "row": np.concatenate(starts)})
    spans = table.group_by("id").aggregate([("row", "min"), ("row", "max")])
    is_split = call_function("less", [spans["row_min"], spans["row_max"]])
    is_split = call_function("and", [is_split, spans["id"].is_valid()])
    # the error names the first of these ids
    for span in spans.filter(is_split).sort_by("row_min").slice(0, 1).to_pylist():
        file_index = int(np.searchsorted(file_ends, span["row_max"], side="right"))
        file = files[file_index]
        raise DataError(
            f"The rows of id {span['id']!r} are not together: they begin again in row "
            f"{span['row_max'] - file_ends[file_index] + file.num_rows} of {file.name}. A cluster "
            f"reads long tables that are sorted by their id column {id_column!r}."
        )
    return table["row"].to_numpy()


def _ids_to_text(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return ids as text, because files may store the same ids with different types."""
    decoded = ids.cast(ids.type.value_type) if pa.types.is_dictionary(ids.type) else ids
    return decoded.cast(pa.large_string())


def _find_id_changes(ids: pa.ChunkedArray, previous_id: pa.Array) -> np.ndarray:
    """Return the rows whose id differs from the id before; ``previous_id`` precedes the first."""
    previous_ids = pa.chunked_array([previous_id, *ids.slice(0, len(ids) - 1).chunks])
    is_change = call_function("not_equal", [ids, previous_ids])
    # the comparison is null if one of both ids is missing; this counts as a change
    return np.flatnonzero(is_change.fill_null(True).to_numpy())  # noqa: FBT003


class SequenceBlock(NamedTuple):
    """Some sequences of a part, as a table of their rows."""

    table: pa.Table
    offsets: np.ndarray  # (n_sequences + 1,): first row of each sequence, and number of rows
    first_row: int  # first row of the table, counted over all files

    def select_sequences(self, first_sequence: int, stop_sequence: int) -> "SequenceBlock":
        """Return a range of the sequences."""
        start, stop = map(int, self.offsets[[first_sequence, stop_sequence]])
        offsets = self.offsets[first_sequence : stop_sequence + 1] - start
        return SequenceBlock(self.table.slice(start, stop - start), offsets, self.first_row + start)

    def __len__(self) -> int:
        return len(self.offsets) - 1


def read_sequence_blocks(
    part: PlannedPart, column_names: Sequence[str] | None, max_rows: int, id_name: str | None
) -> Iterator[SequenceBlock]:
    """Yield complete sequences of a part."""
    # The ids separate the sequences of a long table. Without `id_name`, each row is a sequence.
    incomplete: SequenceBlock | None = None  # the last sequence, which may go on in the next rows
    for row_range in part.row_ranges:
        location = find_location(row_range.file_name)
        for row, table in read_rows(
            location, column_names, max_rows, row_range.first_row, row_range.stop_row
        ):
            first_row = row_range.num_rows_before + row
            if id_name is None:
                yield SequenceBlock(table, np.arange(len(table) + 1), first_row)
                continue
            if incomplete is not None:
                # permissive, because one file may have integers and another file floats
                table = pa.concat_tables([incomplete.table, table], promote_options="permissive")
                first_row = incomplete.first_row
            ids = _ids_to_text(table[id_name])
            # the null makes the first row a start
            starts = _find_id_changes(ids, pa.nulls(1, ids.type))
            block = SequenceBlock(table, np.append(starts, len(table)), first_row)
            if len(block) > 1:  # all sequences but the last one are complete
                yield block.select_sequences(0, len(block) - 1)
            incomplete = block.select_sequences(len(block) - 1, len(block))
    if incomplete is not None:
        yield incomplete


def read_rows(
    location: Location,
    column_names: Sequence[str] | None,  # None reads all columns
    max_rows: int,  # number of rows that are read at a time
    first_row: int,
    stop_row: int,
) -> Iterator[tuple[int, pa.Table]]:
    """Yield tables of rows of a file, each with the number of its first row."""
    with _open_parquet(location) as file:
        num_groups = file.metadata.num_row_groups
        # (n_groups,): for each row group, the row after its last one
        group_ends = np.cumsum([file.metadata.row_group(i).num_rows for i in range(num_groups)])
        # only the row groups that overlap the range are read
        first_group = int(np.searchsorted(group_ends, first_row, side="right"))
        stop_group = min(int(np.searchsorted(group_ends, stop_row)) + 1, num_groups)
        groups = list(range(first_group, stop_group))
        batch_start = int(group_ends[first_group - 1]) if first_group else 0
        # without threads, because a task has one CPU
        for batch in file.iter_batches(max_rows, groups, column_names, use_threads=False):
            begin, end = max(first_row - batch_start, 0), min(stop_row - batch_start, len(batch))
            if end > begin:
                table = pa.Table.from_batches([batch.slice(begin, end - begin)])
                yield batch_start + begin, table
            batch_start += len(batch)


def _open_parquet(location: Location) -> pq.ParquetFile:
    """Open a Parquet file without loading complete column chunks into memory."""
    return pq.ParquetFile(
        location.path,
        filesystem=location.file_system,
        buffer_size=_READ_BUFFER_BYTES,
        pre_buffer=False,
    )
