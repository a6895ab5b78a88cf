"""A source as units of work: ranges of rows of its files, in a fixed order."""

import functools
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from refold._support.optional_imports import optional
from refold.cluster._reading import batches, changes, open_parquet, plain
from refold.cluster._storage import FileStamp, Place, find_parquet, place_of, retried
from refold.errors import DataError, FileFormatError, SchemaError, argument
from refold.sequences import Schema, TableOptions, find_layout

# Steps of a unit: a share of all, within bounds. They depend on the data alone, so that a second
# run has the same units on another cluster.
UNITS, MIN_STEPS, MAX_STEPS = 256, 500_000, 20_000_000
# A row group is read from its start, so one that is cut into more units is decoded too often.
MAX_CUTS = 8
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
            cuts = cut(file.groups, part_steps)
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


def cut(groups: Sequence[tuple[int, int]], part_steps: int) -> list[tuple[int, int]]:
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
        with open_parquet(place) as file:
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
        for first, table in batches(place, [id_name], _ID_ROWS, row - 1):
            ids = plain(table[id_name])
            changed = changes(ids, last)
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
            read = functools.partial(batches, place_of(file.name), [id_name], _ID_ROWS, start, stop)
            what = f"{file.name} cannot be read"
            for first, table in retried(what, lambda read=read: list(read())):
                ids = plain(table[id_name])
                rows = np.arange(len(ids)) if lists else np.flatnonzero(changes(ids, last))
                last = ids[len(ids) - 1]
                numbers = np.full(len(rows), number, np.int32)
                taken = ids.take(pa.array(rows))
                yield pa.table({"id": taken, "file": numbers, "row": first + rows})
