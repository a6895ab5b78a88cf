"""Parquet files of any store, by path or URL: complete writes, units of work and their rows."""

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

from refold._support.optional_imports import optional
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
from refold.sequences import Schema, TableOptions, find_layout, has_default_names

# Seconds between attempts to reach a store.
WAITS = (0.5, 1.0, 2.0, 4.0)
SUFFIXES = (".parquet", ".pq")
# Stores in which a file appears when it is closed, and where renaming would be a copy.
_OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory")
# Steps of a unit: a share of all, within bounds. They depend on the data alone, so that a second
# run has the same units on another cluster.
UNITS, MIN_UNIT, MAX_UNIT = 256, 500_000, 20_000_000
# A row group is read from its start, so one that is cut into more units is decoded too often.
MAX_CUTS = 8
# Bytes of a column chunk that are read at a time.
_READ_BYTES = 1 << 20
# Files that are opened at a time.
_THREADS = 16
# Rows of a column of ids that are read at a time.
_ID_ROWS = 1 << 18

Result = TypeVar("Result")
# Size and time of a file in nanoseconds, which show whether it has changed. The time is None if the
# store does not tell.
FileStamp = tuple[int, int | None]


class Place(NamedTuple):
    """A file or folder of any store."""

    system: Any  # pyarrow.fs.FileSystem
    path: str  # in the file system
    # Before and after a path of the file system, they give a URL that another process can open.
    prefix: str = ""
    query: str = ""

    @property
    def name(self) -> str:
        """The path or URL, as a user would write it."""
        return f"{self.prefix}{self.path}{self.query}"

    def info(self) -> Any:
        """Return size, time and type; the type says if there is nothing."""
        return self.system.get_file_info(self.path)

    def beside(self, name: str) -> "Place":
        """Return a file in this folder."""
        return self.at(f"{self.path.rstrip('/')}/{name}")

    def at(self, path: str) -> "Place":
        """Return another path of the same store."""
        return self._replace(path=path)


def place_of(name: str | os.PathLike[str]) -> Place:
    """Return the place of a path or URL."""
    text = absolute(name)
    return _place_of_url(text) if "://" in text else Place(fs.LocalFileSystem(), text)


def absolute(name: str | os.PathLike[str]) -> str:
    """Return a path or URL that means the same in every working directory."""
    text = os.fspath(name)
    return text if "://" in text else str(Path(text).absolute())


# Arrow asks a bucket for its region each time.
@functools.lru_cache(1024)
def _place_of_url(text: str) -> Place:
    """Return the place of a URL that Arrow knows, else of one that fsspec knows."""
    scheme, _, rest = text.partition("://")
    rest, mark, query = rest.partition("?")
    try:
        system, path = fs.FileSystem.from_uri(text)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        try:
            handler, path = _fsspec("fsspec").core.url_to_fs(f"{scheme}://{rest}")
        except (ValueError, ImportError) as error:
            raise ParameterError(
                f"The URL {text!r} cannot be opened: {one_line(error)}."
            ) from error
        system = fs.PyFileSystem(fs.FSSpecHandler(handler))
    return Place(system, path, f"{scheme}://", mark + query)


def _fsspec(module: str) -> Any:
    return optional(module, extra="ray", purpose="A store of files")


def attempted(places: str, task: Callable[[], Result]) -> Result | RefoldError:
    """Do a task, again after a pause while a store cannot be reached; return its error if any."""
    waits = iter(WAITS)
    while True:
        try:
            return task()
        except RefoldError as error:
            return error
        except (OSError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
            is_final = isinstance(error, FileNotFoundError | PermissionError | pa.ArrowException)
            wait = None if is_final else next(waits, None)
            if wait is None:
                tries = "" if is_final else f" after {len(WAITS) + 1} attempts"
                return FileAccessError(
                    f"{places} cannot be read or written{tries}: {one_line(error)}. Check the "
                    "name, the connection and the access rights, and run the same again: what is "
                    "done stays done."
                )
            time.sleep(wait)


def one_line(error: BaseException) -> str:
    """Return the first line of an error, without the full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def stamp_of(info: Any) -> FileStamp:
    """Return the stamp of a file."""
    return info.size, info.mtime_ns


def find_parquet(name: str) -> list[tuple[Place, FileStamp]]:
    """Return the Parquet files of a path, URL, glob or folder, sorted by name."""
    place = place_of(name)
    system, path, info = place.system, place.path, place.info()
    if info.type == fs.FileType.File:
        infos = [info]
    elif info.type == fs.FileType.Directory:
        inside = system.get_file_info(fs.FileSelector(path, recursive=True))
        hidden = re.compile("/[._]")
        infos = [info for info in inside if not hidden.search(info.path, len(path))]
    elif any(character in path for character in "*?["):
        store = _fsspec("fsspec.implementations.arrow").ArrowFSWrapper(system)
        infos = system.get_file_info(store.glob(path))
    else:
        raise MissingFileError(f"There is no file or folder {name}.")
    files = [
        (place.at(info.path), stamp_of(info))
        for info in sorted(infos, key=lambda info: info.path)
        if info.type == fs.FileType.File and info.path.lower().endswith(SUFFIXES)
    ]
    if not files:
        raise FileFormatError(
            f"{name} holds no Parquet file by its name ({' or '.join(SUFFIXES)}), and a cluster "
            "reads no other. Convert the data with refold.sequences.read and write."
        )
    return files


@contextmanager
def replaced(place: Place) -> Iterator[BinaryIO]:
    """Open a file that takes its name only once it is complete, in any store."""
    folder, _, name = place.path.rpartition("/")
    target = place
    # In an object store, renaming would be a copy, and an upload appears when it is complete.
    if place.prefix.partition(":")[0] not in _OBJECT_STORES:
        target = place.at(f"{folder}/.{name}.{secrets.token_hex(8)}")
    with tempfile.TemporaryFile() as local:
        yield local
        size = local.tell()
        local.seek(0)
        try:
            with place.system.open_output_stream(target.path) as stream:
                shutil.copyfileobj(local, stream, 1 << 20)
            if target.info().size != size:
                raise OSError(f"only a part of it arrived at {target.name}")
            if target != place:
                place.system.move(target.path, place.path)
        except BaseException:
            # in an object store, an incomplete upload must not stay under the name of a part
            if target.info().type == fs.FileType.File:
                place.system.delete_file(target.path)
            raise


# Units of work


class Piece(NamedTuple):
    """Some rows of a file."""

    file: str  # path or URL
    stamp: FileStamp
    rows_before: int  # rows of the files before this one
    start: int  # row in the file
    stop: int


# Ray Data (2.60) was tried in place of units. Its batches do not know their rows, so that a wrong
# sequence could not be named, and it cut long tables inside of sequences. It made one task of 20 MB
# in eight files: one of two workers had nothing to do, the other took 590 MB instead of 260 MB, and
# 100,000 sequences took 1.6 times as long. With three CPUs for two workers, a second run waited
# forever.
class Unit(NamedTuple):
    """Sequences that are computed together and written as one part."""

    number: int  # place in the order of all units
    start: int  # row, counted over all files
    stop: int
    steps: int  # approximately
    pieces: list[Piece]  # one, or more if a sequence goes on in the next file

    def find_row(self, row: int) -> tuple[str, int]:
        """Return the file of a row that is counted over all files, and its number there."""
        piece = next(piece for piece in reversed(self.pieces) if piece.rows_before <= row)
        return piece.file, row - piece.rows_before


class SourceFile(NamedTuple):
    """What is known of a file before it is read."""

    name: str
    stamp: FileStamp
    num_rows: int
    groups: list[tuple[int, int]]  # rows and steps of each row group
    id_type: str
    row: str  # what a row is: "sequence" with lists, or "step"


class SourceFiles(NamedTuple):
    """The files of a run, of which only the footers are read."""

    files: list[SourceFile]
    options: TableOptions  # the roles of the columns
    lists: bool  # a row is a sequence, and not a step
    part_steps: int  # approximate number of steps of a unit


def open_source(
    names: list[str],  # paths, URLs and globs of Parquet files or of folders of them
    schema: Schema,  # of the model
    request: TableOptions,
    part_steps: int | None = None,
) -> SourceFiles:
    """Read the footers of all files, and check that they agree."""
    places = [file for name in names for file in find_parquet(name)]
    first = _footer(places[0][0])[0]
    options = _roles(schema, first, places[0][0].name, request)
    describe = functools.partial(_describe, options=options)
    with ThreadPoolExecutor(_THREADS) as threads:
        files = list(threads.map(describe, *zip(*places, strict=True)))
    for file in files:
        if (file.row, file.id_type) != (files[0].row, files[0].id_type):
            raise SchemaError(
                f"{file.name} has one row per {file.row}, and {file.id_type} as ids, but "
                f"{files[0].name} has one per {files[0].row}, and {files[0].id_type}. All files "
                "need the same."
            )
    if not any(file.num_rows for file in files):
        raise FileFormatError(
            f"{files[0].name} has columns ({', '.join(first.names)}), but no rows."
        )
    if part_steps is None:
        steps = sum(steps for file in files for _, steps in file.groups)
        part_steps = min(max(steps // UNITS, MIN_UNIT), MAX_UNIT)
    return SourceFiles(files, options, files[0].row == "sequence", part_steps)


def _footer(place: Place) -> tuple[pa.Schema, Any]:
    """Return the columns of a file, and what its footer says of its row groups."""
    try:
        with _open_parquet(place) as file:
            return file.schema_arrow, file.metadata
    except pa.ArrowInvalid as error:
        raise FileFormatError(
            f"{place.name} cannot be read: {one_line(error)}. Write it again."
        ) from error


def _roles(schema: Schema, first: pa.Schema, name: str, request: TableOptions) -> TableOptions:
    """Return the roles of columns: those of the request, else those of the training data."""
    columns, time_gaps = list(schema.names), request.time_gaps
    if schema.time_gaps and (time_gaps or columns[-1] not in first.names):
        time_gaps = True
        columns.pop()  # computed, and not in the file
    id_name = request.id or (schema.id_name if schema.id_name in first.names else None)
    time = request.time or (schema.time_name if schema.time_name in first.names else None)
    if request.columns is not None:
        columns = list(request.columns)
    elif has_default_names(schema):
        columns = None  # the training data had no names
    options = replace(request, id=id_name, time=time, columns=columns, time_gaps=time_gaps)
    duplicates, time_format = request.duplicates, request.time_format
    times = first.field(time or "time").type if (time or "time") in first.names else pa.null()
    if not (pa.types.is_null(times) or pa.types.is_nested(times)):
        duplicates = duplicates or schema.duplicates
        is_parsed = pa.types.is_temporal(times) or pa.types.is_floating(times)
        time_format = time_format or (None if is_parsed else schema.time_format)
    duplicates = None if duplicates == "error" else duplicates
    options = replace(options, duplicates=duplicates, time_format=time_format)
    layout = find_layout(first, name, options)
    if layout.id is None and not layout.lists:
        # a part holds whole series, so there would be one part
        raise SchemaError(
            f"{name} has no column of ids, so all rows are one series, and a cluster divides data "
            f"between series. Use one machine, or name the ids with {argument('id=')}."
        )
    return replace(options, id=layout.id, time=layout.time)


def _describe(place: Place, stamp: FileStamp, options: TableOptions) -> SourceFile:
    """Read the footer of a file."""
    schema, metadata = _footer(place)
    layout = find_layout(schema, place.name, options)
    id_type = "row numbers"
    if layout.id is not None:
        type_ = schema.field(layout.id).type
        type_ = type_.value_type if pa.types.is_dictionary(type_) else type_
        id_type = "integers" if pa.types.is_integer(type_) else "text"
    prefix = f"{layout.features[0]}."
    groups = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(i) for i in range(group.num_columns)]
        steps = [c.num_values for c in columns if f"{c.path_in_schema}.".startswith(prefix)]
        groups.append((group.num_rows, max([*steps, group.num_rows])))
    row = "sequence" if layout.lists else "step"
    return SourceFile(place.name, stamp, metadata.num_rows, groups, id_type, row)


def find_units(source: SourceFiles) -> list[Unit]:
    """Cut the files into units between sequences."""
    ends = np.cumsum([file.num_rows for file in source.files])
    rows_before = [0, *ends[:-1].tolist()]
    cuts = [
        (before + start, steps)
        for before, file in zip(rows_before, source.files, strict=True)
        for start, steps in _cut_rows(file.groups, source.part_steps)
    ]
    starts, steps = np.array(cuts).T
    if not source.lists:
        begins = _find_begins(source, ends)
        index = np.searchsorted(begins, starts)
        starts = np.unique(begins[index[index < len(begins)]])
        steps = np.diff([*starts, ends[-1]])
    stops = [*starts[1:].tolist(), int(ends[-1])]
    units = []
    for start, stop, size in zip(starts.tolist(), stops, steps.tolist(), strict=True):
        pieces, number = [], int(np.searchsorted(ends, start, side="right"))
        while number < len(ends) and rows_before[number] < stop:
            file, before = source.files[number], rows_before[number]
            low, high = max(start - before, 0), min(stop - before, file.num_rows)
            pieces.append(Piece(file.name, file.stamp, before, low, high))
            number += 1
        units.append(Unit(len(units), start, stop, size, pieces))
    return units


def _cut_rows(groups: Sequence[tuple[int, int]], part_steps: int) -> list[tuple[int, int]]:
    """Return ranges of rows with about equally many steps: the first row and the steps of each."""
    ranges, start, steps, rows_before = [], 0, 0, 0
    # Small row groups are joined, and large ones are cut.
    for num_rows, size in groups:
        pieces = max(1, min(MAX_CUTS, num_rows, size // part_steps))
        for piece in range(pieces):
            steps += size // pieces
            if steps >= part_steps:
                ranges.append((start, steps))
                start, steps = rows_before + num_rows * (piece + 1) // pieces, 0
        rows_before += num_rows
    if rows_before > start:
        ranges.append((start, steps))
    return ranges


def _find_begins(source: SourceFiles, ends: np.ndarray) -> np.ndarray:
    """Return the rows of all files at which the sequences of a long table begin."""
    name = str(source.options.id)
    begins, ids, last = [], [], pa.nulls(1, pa.large_string())
    for file, end in zip(source.files, ends.tolist(), strict=True):
        for first, table in rows(place_of(file.name), [name], _ID_ROWS, 0, file.num_rows):
            column = _as_text(table[name])
            new = _new_ids(column, last)
            begins.append(end - file.num_rows + first + new)
            ids.append(column.take(pa.array(new)).combine_chunks())
            last = column.slice(len(column) - 1).combine_chunks()
    table = pa.table({"id": pa.chunked_array(ids), "row": np.concatenate(begins)})
    _check_together(source, table, ends)
    return table["row"].to_numpy()


def _check_together(source: SourceFiles, begins: pa.Table, ends: np.ndarray) -> None:
    """Raise ``DataError`` if an id begins in several rows."""
    # the ids of all sequences are in memory, and not those of all steps
    spans = begins.group_by("id").aggregate([("row", "min"), ("row", "max")])
    is_split = call_function("less", [spans["row_min"], spans["row_max"]])
    is_split = call_function("and", [is_split, spans["id"].is_valid()])
    for span in spans.filter(is_split).sort_by("row_min").slice(0, 1).to_pylist():
        number = int(np.searchsorted(ends, span["row_max"], side="right"))
        file = source.files[number]
        raise DataError(
            f"The rows of id {span['id']!r} are not together: they begin again in row "
            f"{span['row_max'] - ends[number] + file.num_rows} of {file.name}. A cluster reads "
            f"long tables that are sorted by their id column {source.options.id!r}."
        )


def _as_text(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return ids with one type for all files."""
    plain = ids.cast(ids.type.value_type) if pa.types.is_dictionary(ids.type) else ids
    return plain.cast(pa.large_string())


def _new_ids(ids: pa.ChunkedArray, last: pa.Array) -> np.ndarray:
    """Return the rows whose id differs from that of the row before; `last` is before the first."""
    before = pa.chunked_array([last, *ids.slice(0, len(ids) - 1).chunks])
    different = call_function("not_equal", [ids, before])
    return np.flatnonzero(different.fill_null(True).to_numpy())  # noqa: FBT003


class Slice(NamedTuple):
    """Some sequences of a unit."""

    table: pa.Table
    begins: np.ndarray  # (n + 1,): rows at which sequences begin, and the number of rows
    first: int  # row at which the table begins, counted over all files

    def part(self, start: int, stop: int) -> "Slice":
        """Return some of the sequences."""
        low, high = int(self.begins[start]), int(self.begins[stop])
        begins = self.begins[start : stop + 1] - low
        return Slice(self.table.slice(low, high - low), begins, self.first + low)

    def __len__(self) -> int:
        return len(self.begins) - 1


def slices(
    unit: Unit, columns: Sequence[str] | None, max_rows: int, id_name: str | None
) -> Iterator[Slice]:
    """Yield whole sequences of a unit; a long table has a column of ids, which tells them apart."""
    rest: Slice | None = None  # a sequence that may go on in the next rows
    for piece in unit.pieces:
        place = place_of(piece.file)
        for row, table in rows(place, columns, max_rows, piece.start, piece.stop):
            first = piece.rows_before + row
            if id_name is None:
                yield Slice(table, np.arange(len(table) + 1), first)
                continue
            if rest is not None:
                # the next file may have integers instead of floats
                table = pa.concat_tables([rest.table, table], promote_options="permissive")
                first = rest.first
            ids = _as_text(table[id_name])
            begins = _new_ids(ids, pa.nulls(1, ids.type))
            part = Slice(table, np.append(begins, len(table)), first)
            if len(part) > 1:
                yield part.part(0, len(part) - 1)
            rest = part.part(len(part) - 1, len(part))
    if rest is not None:
        yield rest


def rows(
    place: Place,
    columns: Sequence[str] | None,
    max_rows: int,  # that are read at a time
    start: int,
    stop: int,
) -> Iterator[tuple[int, pa.Table]]:
    """Yield rows of a file: the number of the first, and a table."""
    with _open_parquet(place) as file:
        groups = file.metadata.num_row_groups
        ends = np.cumsum([file.metadata.row_group(i).num_rows for i in range(groups)])
        low, high = np.searchsorted(ends, start, side="right"), np.searchsorted(ends, stop) + 1
        row = int(ends[low - 1]) if low else 0
        for batch in file.iter_batches(
            max_rows, list(range(int(low), min(int(high), groups))), columns, use_threads=False
        ):
            begin, end = max(start - row, 0), min(stop - row, len(batch))
            if end > begin:
                yield row + begin, pa.Table.from_batches([batch.slice(begin, end - begin)])
            row += len(batch)


def _open_parquet(place: Place) -> pq.ParquetFile:
    """Open a file so that a large column chunk is never in memory as a whole."""
    return pq.ParquetFile(
        place.path, filesystem=place.system, buffer_size=_READ_BYTES, pre_buffer=False
    )
