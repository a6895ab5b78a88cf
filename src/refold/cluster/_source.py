"""Parquet files of any store: units of work in a fixed order, and the sequences of a unit."""

import functools
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
from refold.cluster._storage import FileStamp, Place, find_parquet, place_of, retried
from refold.errors import DataError, FileFormatError, SchemaError, argument
from refold.sequences import Schema, TableOptions, find_layout

# Steps of a unit: a share of all, within bounds. They depend on the data alone, so that a second
# run has the same units on another cluster.
UNITS, MIN_STEPS, MAX_STEPS = 256, 500_000, 20_000_000
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


class ClusterSource(NamedTuple):
    """The files of a run, and its units."""

    files: list[SourceFile]
    units: list[Unit]
    options: TableOptions  # the roles of the columns
    lists: bool  # a row is a sequence, and not a step
    part_steps: int  # approximate number of steps of a unit


def open_source(
    names: list[str],  # paths, URLs and globs of Parquet files or of folders of them
    schema: Schema,  # of the model
    request: TableOptions,
    part_steps: int | None = None,
) -> ClusterSource:
    """Read the footers of all files, check them, and cut them into units."""
    places = find_parquet(names)
    with ThreadPoolExecutor(_THREADS) as threads:
        first = _footer(places[0][0])[0]
        options = _roles(schema, first.names, request)
        layout = find_layout(first, places[0][0].name, options)
        options = replace(options, id=layout.id, time=layout.time)
        describe = functools.partial(_describe, options=options, lists=layout.lists)
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
            part_steps = min(max(steps // UNITS, MIN_STEPS), MAX_STEPS)
        units, rows_before = [], 0
        for file in files:
            cuts = _cut_rows(file.groups, part_steps)
            starts = [start for start, _ in cuts]
            if not layout.lists:
                move = functools.partial(_next_begin, place_of(file.name), str(options.id))
                starts[1:] = threads.map(move, starts[1:])
            stops = [*starts[1:], file.num_rows]
            for start, stop, (_, size) in zip(starts, stops, cuts, strict=True):
                if stop > start:
                    name, stamp = file.name, file.stamp
                    units.append(Unit(len(units), name, stamp, rows_before, start, stop, size))
            rows_before += file.num_rows
    return ClusterSource(files, units, options, layout.lists, part_steps)


def check_ids(source: ClusterSource) -> None:
    """Raise ``DataError`` if an id occurs in two files, or twice in a long table."""
    files, id_name = source.files, source.options.id
    if id_name is None:
        return
    duckdb = optional("duckdb", extra="ray", purpose="A search for ids that occur twice")
    id_type = "HUGEINT" if files[0].id_type == "integers" else "VARCHAR"
    with (
        tempfile.TemporaryDirectory() as folder,
        duckdb.connect(f"{folder}/ids", config=_DATABASE) as database,
    ):
        database.execute(f"CREATE TABLE begins (id {id_type}, file INTEGER, row BIGINT)")
        for table in _begins(files, id_name, lists=source.lists):
            database.register("table", table)
            database.execute('INSERT INTO begins SELECT * FROM "table"')
        # As on one machine, an id may occur twice in a file with a row for each sequence.
        twice = database.execute(
            "SELECT id FROM begins WHERE id IS NOT NULL GROUP BY id "
            "HAVING count(*) > 1 AND (min(file) < max(file) OR NOT ?) "
            "ORDER BY min(file), min(row) LIMIT 1",
            [source.lists],
        ).fetchone()
        if twice is None:
            return
        first, second = database.execute(
            "SELECT min(place), max(place) FROM "
            "(SELECT struct_pack(file := file, row := row) AS place FROM begins WHERE id = ?)",
            twice,
        ).fetchone()
    id_ = twice[0]
    name, other = files[first["file"]].name, files[second["file"]].name
    if name != other:
        raise DataError(
            f"The id {id_!r} occurs twice: in row {first['row']} of {name} and in row "
            f"{second['row']} of {other}. Each sequence needs its own; choose another column with "
            f"{argument('id=')}."
        )
    raise DataError(
        f"{name}: the rows of id {id_!r} are not together, they begin in rows {first['row']} and "
        f"{second['row']}. A cluster reads long tables that are sorted by their id column "
        f"{id_name!r}."
    )


def _cut_rows(groups: Sequence[tuple[int, int]], part_steps: int) -> list[tuple[int, int]]:
    """Return ranges of rows with about equally many steps: the first row and the steps of each."""
    ranges, start, row, steps = [], 0, 0, 0

    def close() -> None:
        nonlocal start, steps
        if row > start:
            ranges.append((start, steps))
        start, steps = row, 0

    # Small row groups are joined, and large ones are cut.
    for num_rows, size in groups:
        pieces = max(1, min(MAX_CUTS, num_rows, size // part_steps))
        if pieces > 1:
            close()
        begin = row
        for piece in range(pieces):
            row = begin + num_rows * (piece + 1) // pieces
            steps += size // pieces
            if pieces > 1 or steps >= part_steps:
                close()
    close()
    return ranges


def _footer(place: Place) -> tuple[pa.Schema, Any]:
    """Return the columns of a file, and what its footer says of its row groups."""

    def attempt() -> tuple[pa.Schema, Any]:
        with _open_parquet(place) as file:
            return file.schema_arrow, file.metadata

    return retried(f"{place.name} cannot be read", attempt)


def _describe(place: Place, stamp: FileStamp, options: TableOptions, *, lists: bool) -> SourceFile:
    """Read the footer of a file, and check that its columns are those of the first one."""
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
    elif schema.names in {("token",), tuple(f"x{i}" for i in range(schema.num_columns))}:
        columns = None  # the training data had no names
    return replace(request, id=id_name, time=time_name, columns=columns, time_gaps=time_gaps)


def _next_begin(place: Place, id_name: str, row: int) -> int:
    """Return the first row from this one on at which a sequence begins, else the number of rows."""

    def attempt() -> int:
        last = None
        for first, table in _batches(place, [id_name], _ID_ROWS, row - 1):
            ids = _plain(table[id_name])
            changed = _changes(ids, last)
            changed[0] &= first >= row
            if changed.any():
                return first + int(np.argmax(changed))
            row_after, last = first + len(ids), ids[len(ids) - 1]
        return row_after

    return retried(f"{place.name} cannot be read", attempt)


def _begins(files: list[SourceFile], id_name: str, *, lists: bool) -> Iterator[pa.Table]:
    """Yield the id of each sequence, with the number of its file and its first row."""
    for number, file in enumerate(files):
        stop, last = 0, None
        for num_rows, _ in file.groups:
            start, stop = stop, stop + num_rows
            read = functools.partial(
                _batches, place_of(file.name), [id_name], _ID_ROWS, start, stop
            )
            what = f"{file.name} cannot be read"
            for first, table in retried(what, lambda read=read: list(read())):
                ids = _plain(table[id_name])
                rows = np.arange(len(ids)) if lists else np.flatnonzero(_changes(ids, last))
                last = ids[len(ids) - 1]
                numbers = np.full(len(rows), number, np.int32)
                taken = ids.take(pa.array(rows))
                yield pa.table({"id": taken, "file": numbers, "row": first + rows})


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


def _open_parquet(place: Place) -> pq.ParquetFile:
    """Open a file so that a large column chunk is never in memory as a whole."""
    return pq.ParquetFile(
        place.path, filesystem=place.system, buffer_size=_READ_BYTES, pre_buffer=False
    )


def _batches(
    place: Place,
    columns: Sequence[str] | None,
    rows: int,  # of a table, at most
    start: int = 0,
    stop: int | None = None,
) -> Iterator[tuple[int, pa.Table]]:
    """Yield rows of a file: the number of the first, and a table."""
    with _open_parquet(place) as file:
        groups = file.metadata.num_row_groups
        ends = np.cumsum([file.metadata.row_group(i).num_rows for i in range(groups)])
        stop = int(ends[-1]) if stop is None else stop
        low, high = np.searchsorted(ends, start, side="right"), np.searchsorted(ends, stop) + 1
        row = int(ends[low - 1]) if low else 0
        for batch in file.iter_batches(
            rows, list(range(int(low), min(int(high), groups))), columns, use_threads=False
        ):
            begin, end = max(start - row, 0), min(stop - row, len(batch))
            if end > begin:
                yield row + begin, pa.Table.from_batches([batch.slice(begin, end - begin)])
            row += len(batch)


def slices(unit: Unit, options: TableOptions, *, lists: bool, max_steps: int) -> Iterator[Slice]:
    """Yield the sequences of a unit; a slice has more steps only if it is a single sequence."""
    keys = [name for name in (options.id, options.time) if name is not None]
    columns = None if options.columns is None else [*keys, *options.columns]
    mean_steps = max(1.0, unit.steps / (unit.stop - unit.start)) if lists else 1.0
    batch_rows = max(1, int(max_steps / mean_steps))
    tables = _batches(place_of(unit.file), columns, batch_rows, unit.start, unit.stop)
    if lists:
        for first, table in tables:
            names = options.columns or table.column_names
            nested = next(n for n in names if pa.types.is_nested(table.schema.field(n).type))
            steps = call_function("list_value_length", [table[nested]]).fill_null(0).to_numpy()
            whole = Slice(table, np.arange(len(table) + 1), first)
            yield from _cut(whole, np.cumsum(np.maximum(steps, 1)), max_steps)
        return
    waiting, last = None, None
    for first, table in tables:
        ids = _plain(table[str(options.id)])
        begins, last = np.flatnonzero(_changes(ids, last)), ids[len(ids) - 1]
        if waiting is not None:
            begins = np.concatenate([waiting.begins[:-1], begins + waiting.begins[-1]])
            table, first = pa.concat_tables([waiting.table, table]), waiting.first
        waiting = Slice(table, np.append(begins, len(table)), first)
        if len(table) > max_steps:
            # the last sequence may go on in the next batch
            done = waiting.part(0, len(waiting) - 1)
            yield from _cut(done, done.begins[1:], max_steps)
            waiting = waiting.part(len(waiting) - 1, len(waiting))
    if waiting is not None:
        yield from _cut(waiting, waiting.begins[1:], max_steps)


def _cut(whole: Slice, ends: np.ndarray, max_steps: int) -> Iterator[Slice]:
    """Yield slices; ``ends`` are the steps up to the end of each sequence."""
    start, before = 0, 0
    while start < len(whole):
        stop = max(start + 1, int(np.searchsorted(ends, before + max_steps, side="right")))
        yield whole.part(start, stop)
        start, before = stop, int(ends[stop - 1])


def _plain(ids: pa.ChunkedArray) -> pa.Array:
    """Return ids as one array without a dictionary."""
    if pa.types.is_dictionary(ids.type):
        return pa.concat_arrays([chunk.dictionary_decode() for chunk in ids.chunks])
    return pa.concat_arrays(ids.chunks)


def _changes(ids: pa.Array, last: pa.Scalar | None) -> np.ndarray:
    """Return at which rows an id differs from that of the row before."""
    changed = np.ones(len(ids), bool)
    different = call_function("not_equal", [ids.slice(1), ids.slice(0, len(ids) - 1)])
    changed[1:] = different.fill_null(True).to_numpy(zero_copy_only=False)  # noqa: FBT003
    changed[0] = last is None or ids[0].as_py() != last.as_py()
    return changed
