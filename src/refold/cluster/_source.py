"""Parquet files of any store: units of work in a fixed order, and the sequences of a unit."""

import functools
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.compute import call_function

from refold._support.optional_imports import optional
from refold.cluster._storage import FileStamp, Place, find_parquet, one_line, place_of
from refold.errors import DataError, FileFormatError, SchemaError, argument
from refold.sequences import Schema, TableOptions, find_layout, has_default_names

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
_ID_ROWS = 1 << 16
# A task has one CPU; beyond this memory, DuckDB writes to disk.
_DATABASE = {"memory_limit": "512MB", "threads": 1}


class Unit(NamedTuple):
    """Sequences of a file that are computed together and written as one part."""

    number: int  # place in the order of all units
    file: str  # path or URL
    stamp: FileStamp
    rows_before: int  # rows of the files before this one
    start: int  # row in the file
    stop: int
    steps: int  # approximately


class SourceFile(NamedTuple):
    """What is known of a file before it is read."""

    name: str
    stamp: FileStamp
    num_rows: int
    groups: list[tuple[int, int]]  # rows and steps of each row group
    id_type: str


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
    options = _roles(schema, first.names, request)
    layout = find_layout(first, places[0][0].name, options)
    options = replace(options, id=layout.id, time=layout.time)
    describe = functools.partial(_describe, options=options, lists=layout.lists)
    with ThreadPoolExecutor(_THREADS) as threads:
        files = list(threads.map(describe, *zip(*places, strict=True)))
    for file in files:
        if file.id_type != files[0].id_type:
            raise SchemaError(
                f"{file.name} holds {file.id_type} in the id column {layout.id!r}, but "
                f"{files[0].name} holds {files[0].id_type}. All files need the same."
            )
    if not any(file.num_rows for file in files):
        raise FileFormatError(
            f"{files[0].name} has columns ({', '.join(first.names)}), but no rows."
        )
    if part_steps is None:
        steps = sum(steps for file in files for _, steps in file.groups)
        part_steps = min(max(steps // UNITS, MIN_UNIT), MAX_UNIT)
    return SourceFiles(files, options, layout.lists, part_steps)


def _footer(place: Place) -> tuple[pa.Schema, Any]:
    """Return the columns of a file, and what its footer says of its row groups."""
    try:
        with _open_parquet(place) as file:
            return file.schema_arrow, file.metadata
    except pa.ArrowInvalid as error:
        raise FileFormatError(
            f"{place.name} cannot be read: {one_line(error)}. Write it again."
        ) from error


def _roles(schema: Schema, names: Sequence[str], request: TableOptions) -> TableOptions:
    """Return the roles of columns: those of the request, else those of the training data."""
    columns, time_gaps = list(schema.names), request.time_gaps
    if schema.time_gaps and (time_gaps or columns[-1] not in names):
        time_gaps = True
        columns.pop()  # computed, and not in the file
    id_name = request.id or (schema.id_name if schema.id_name in names else None)
    time_name = request.time or (schema.time_name if schema.time_name in names else None)
    if request.columns is not None:
        columns = list(request.columns)
    elif has_default_names(schema):
        columns = None  # the training data had no names
    return replace(request, id=id_name, time=time_name, columns=columns, time_gaps=time_gaps)


def _describe(place: Place, stamp: FileStamp, options: TableOptions, *, lists: bool) -> SourceFile:
    """Read the footer of a file, and check that its layout is that of the first one."""
    schema, metadata = _footer(place)
    layout = find_layout(schema, place.name, options)
    if layout.lists != lists:
        wrong, right = ("step", "sequence") if lists else ("sequence", "step")
        raise SchemaError(
            f"{place.name} has one row per {wrong}, but the files before it have one per "
            f"{right}. Encode them separately."
        )
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
    return SourceFile(place.name, stamp, metadata.num_rows, groups, id_type)


def find_units(source: SourceFiles) -> list[Unit]:
    """Cut the files into units between sequences, and raise ``DataError`` if an id occurs twice."""
    if source.options.id is None:
        return _units(source, None)
    duckdb = optional("duckdb", extra="ray", purpose="A search for ids that occur twice")
    id_type = "HUGEINT" if source.files[0].id_type == "integers" else "VARCHAR"
    with (
        tempfile.TemporaryDirectory() as folder,
        duckdb.connect(f"{folder}/ids", config=_DATABASE) as database,
    ):
        database.execute(f"CREATE TABLE begins (id {id_type}, file INTEGER, row BIGINT)")
        for number, file in enumerate(source.files):
            by = None if source.lists else source.options.id
            for piece in _pieces(place_of(file.name), [source.options.id], _ID_ROWS, by=by):
                rows = piece.begins[:-1]
                numbers = np.full(len(rows), number, np.int32)
                ids = _plain(piece.table[source.options.id]).take(pa.array(rows))
                database.register(
                    "piece", pa.table({"id": ids, "file": numbers, "row": piece.first + rows})
                )
                database.execute("INSERT INTO begins SELECT * FROM piece")
        _check_ids(source, database)
        return _units(source, None if source.lists else database)


def _check_ids(source: SourceFiles, database: Any) -> None:
    """Raise ``DataError`` if an id occurs in two files, or twice in a long table."""
    # As on one machine, an id may occur twice in a file with a row for each sequence.
    twice = database.execute(
        "SELECT id, min(rowid), max(rowid) FROM begins WHERE id IS NOT NULL GROUP BY id "
        "HAVING count(*) > 1 AND (min(file) < max(file) OR NOT ?) ORDER BY min(rowid) LIMIT 1",
        [source.lists],
    ).fetchone()
    if twice is None:
        return
    id_, *places = twice
    (number, row), (other_number, other_row) = database.execute(
        "SELECT file, row FROM begins WHERE rowid IN (?, ?) ORDER BY rowid", places
    ).fetchall()
    name, other = source.files[number].name, source.files[other_number].name
    if name != other:
        raise DataError(
            f"The id {id_!r} occurs twice: in row {row} of {name} and in row {other_row} of "
            f"{other}. Each sequence needs its own; choose another column with {argument('id=')}."
        )
    raise DataError(
        f"{name}: the rows of id {id_!r} are not together, they begin in rows {row} and "
        f"{other_row}. A cluster reads long tables that are sorted by their id column "
        f"{source.options.id!r}."
    )


def _units(source: SourceFiles, begins: Any) -> list[Unit]:
    """Cut the files into units; a database knows where the sequences of a long table begin."""
    units, rows_before = [], 0
    for number, file in enumerate(source.files):
        cuts = _cut_rows(file.groups, source.part_steps)
        starts = [start for start, _ in cuts]
        if begins is not None:
            query = "SELECT min(row) FROM begins WHERE file = ? AND row >= ?"
            moved = [begins.execute(query, [number, start]).fetchone()[0] for start in starts]
            starts = [file.num_rows if row is None else row for row in moved]
        bounds = itertools.pairwise([*starts, file.num_rows])
        for (start, stop), (_, steps) in zip(bounds, cuts, strict=True):
            if stop > start:
                place = len(units), file.name, file.stamp, rows_before
                units.append(Unit(*place, start, stop, steps))
        rows_before += file.num_rows
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


# Reading


class Slice(NamedTuple):
    """Some sequences of a file."""

    table: pa.Table
    begins: np.ndarray  # (n + 1,): rows at which sequences begin, and the number of rows
    first: int  # row of the file at which the table begins

    def part(self, start: int, stop: int) -> "Slice":
        """Return some of the sequences."""
        low, high = int(self.begins[start]), int(self.begins[stop])
        begins = self.begins[start : stop + 1] - low
        return Slice(self.table.slice(low, high - low), begins, self.first + low)

    def __len__(self) -> int:
        return len(self.begins) - 1


def slices(unit: Unit, options: TableOptions, *, lists: bool, max_steps: int) -> Iterator[Slice]:
    """Yield the sequences of a unit; a slice has more steps only for a single sequence."""
    keys = [name for name in (options.id, options.time) if name is not None]
    columns = None if options.columns is None else [*keys, *options.columns]
    mean_steps = max(1.0, unit.steps / (unit.stop - unit.start)) if lists else 1.0
    rows = max(1, int(max_steps / mean_steps))
    by = None if lists else options.id
    for piece in _pieces(place_of(unit.file), columns, rows, unit.start, unit.stop, by=by):
        ends = piece.begins[1:]
        if lists:
            names = options.columns or piece.table.column_names
            nested = next(n for n in names if pa.types.is_nested(piece.table.schema.field(n).type))
            steps = call_function("list_value_length", [piece.table[nested]]).fill_null(0)
            ends = np.cumsum(np.maximum(steps.to_numpy(), 1))
        start, before = 0, 0
        while start < len(piece):
            stop = max(start + 1, int(np.searchsorted(ends, before + max_steps, side="right")))
            yield piece.part(start, stop)
            start, before = stop, int(ends[stop - 1])


def _pieces(
    place: Place,
    columns: Sequence[str] | None,
    max_rows: int,  # that are read at a time
    start: int = 0,
    stop: int | None = None,
    *,
    by: str | None,  # column of ids of a long table; without one, a row is a sequence
) -> Iterator[Slice]:
    """Yield some rows of a file, which begin and end with whole sequences."""
    last: Slice | None = None  # sequence, which may go on in the next rows
    for first, table in _rows(place, columns, max_rows, start, stop):
        if by is None:
            yield Slice(table, np.arange(len(table) + 1), first)
            continue
        if last is not None:
            table, first = pa.concat_tables([last.table, table]), last.first
        piece = Slice(table, np.append(_begins(_plain(table[by])), len(table)), first)
        if len(piece) > 1:
            yield piece.part(0, len(piece) - 1)
        last = piece.part(len(piece) - 1, len(piece))
    if last is not None:
        yield last


def _rows(
    place: Place, columns: Sequence[str] | None, max_rows: int, start: int, stop: int | None
) -> Iterator[tuple[int, pa.Table]]:
    """Yield rows of a file: the number of the first, and a table."""
    with _open_parquet(place) as file:
        groups = file.metadata.num_row_groups
        ends = np.cumsum([file.metadata.row_group(i).num_rows for i in range(groups)])
        stop = file.metadata.num_rows if stop is None else stop
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


def _plain(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return ids without a dictionary."""
    return ids.cast(ids.type.value_type) if pa.types.is_dictionary(ids.type) else ids


def _begins(ids: pa.ChunkedArray) -> np.ndarray:
    """Return the rows whose id differs from that of the row before."""
    different = call_function("not_equal", [ids.slice(1), ids.slice(0, len(ids) - 1)])
    changed = different.fill_null(True).to_numpy()  # noqa: FBT003
    return np.append(0, np.flatnonzero(changed) + 1)
