"""A source as units of work: ranges of rows of its files, in a fixed order."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from refold.cluster._storage import Place, StoreStamp, find_parquet, patiently
from refold.errors import FileFormatError, SchemaError
from refold.sequences import Schema, TableOptions, find_layout

# Steps of a unit: a share of all, within bounds. They depend on the data alone, so that a second
# run has the same units on another cluster.
UNITS, LEAST_STEPS, MOST_STEPS = 256, 500_000, 20_000_000
# A row group is read from its start, so one that is cut into more units is decoded too often.
MOST_CUTS = 8
# Bytes that are read at a time, and footers that are read at a time.
READ_BYTES, AT_ONCE = 1 << 20, 16


class Unit(NamedTuple):
    """Rows of a file that are computed together and written as one part."""

    number: int  # place in the order of all units
    name: str  # path or URL of the file
    stamp: StoreStamp
    first: int  # rows of the files before this one
    start: int  # row in the file; a sequence belongs to the unit in which it begins
    stop: int
    steps: int  # approximately


class SourceFile(NamedTuple):
    """What is known of a file before it is read."""

    name: str
    stamp: StoreStamp
    num_rows: int
    groups: list[tuple[int, int]]  # rows and steps of each row group
    id_type: str


class SourceFiles(NamedTuple):
    """The files of a run, and its units."""

    files: list[SourceFile]
    units: list[Unit]
    options: TableOptions  # the roles of the columns
    lists: bool  # a row is a sequence, and not a step
    part_steps: int  # approximate number of steps of a unit


def open_source(
    source: list[str],  # paths, URLs and globs of Parquet files or of folders of them
    schema: Schema,  # of the model
    asked: TableOptions,
    part_steps: int | None = None,
) -> SourceFiles:
    """Read the footers of all files, and cut them into units."""
    found = find_parquet(source)
    first = _footer(found[0][0])[0]
    options = _options_for(schema, first.names, asked)
    layout = find_layout(first, found[0][0].name(), options)
    options = replace(options, id=layout.id, time=layout.time)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        files = list(
            threads.map(lambda one: _file(one[0], one[1], options, lists=layout.lists), found)
        )
    for file in files:
        if file.id_type != files[0].id_type:
            raise SchemaError(
                f"{file.name} holds {file.id_type} in the id column {layout.id!r}, but "
                f"{files[0].name} holds {files[0].id_type}. All files need the same."
            )
    num_rows, steps = (sum(x) for x in zip(*(sum_of(one.groups) for one in files), strict=True))
    if not num_rows:
        raise FileFormatError(
            f"{files[0].name} has columns ({', '.join(first.names)}), but no rows."
        )
    if part_steps is None:
        part_steps = min(max(steps // UNITS, LEAST_STEPS), MOST_STEPS)
    units, before = [], 0
    for file in files:
        for start, stop, size in cut(file.groups, part_steps):
            units.append(Unit(len(units), file.name, file.stamp, before, start, stop, size))
        before += file.num_rows
    return SourceFiles(files, units, options, layout.lists, part_steps)


def sum_of(groups: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the rows and steps of some row groups."""
    return sum(rows for rows, _ in groups), sum(steps for _, steps in groups)


def cut(groups: Sequence[tuple[int, int]], part_steps: int) -> list[tuple[int, int, int]]:
    """Return ranges of rows with about equally many steps: start, stop and steps."""
    ranges, start, row, steps = [], 0, 0, 0

    def close() -> None:
        nonlocal start, steps
        if row > start:
            ranges.append((start, row, steps))
        start, steps = row, 0

    # Small row groups are joined, and large ones are cut.
    for num_rows, size in groups:
        pieces = max(1, min(MOST_CUTS, num_rows, size // part_steps))
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


def open_parquet(place: Place) -> pq.ParquetFile:
    """Open a file so that a large column chunk is never in memory as a whole."""
    return pq.ParquetFile(
        place.path, filesystem=place.system, buffer_size=READ_BYTES, pre_buffer=False
    )


def _footer(place: Place) -> tuple[pa.Schema, pq.FileMetaData]:
    def attempt() -> tuple[pa.Schema, pq.FileMetaData]:
        with open_parquet(place) as file:
            return file.schema_arrow, file.metadata

    return patiently(f"{place.name()} cannot be read", attempt)


def _file(place: Place, stamp: StoreStamp, options: TableOptions, *, lists: bool) -> SourceFile:
    schema, metadata = _footer(place)
    layout = find_layout(schema, place.name(), options)
    if layout.lists != lists:
        wrong, right = ("step", "sequence") if lists else ("sequence", "step")
        raise SchemaError(
            f"{place.name()} has one row per {wrong}, but the files before it have one per "
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
    return SourceFile(place.name(), stamp, metadata.num_rows, groups, id_type)


def _options_for(schema: Schema, names: Sequence[str], asked: TableOptions) -> TableOptions:
    """Return the roles of columns: those asked for, else those of the training data."""
    columns, time_gaps = list(schema.names), asked.time_gaps
    if schema.time_gaps and (time_gaps or columns[-1] not in names):
        time_gaps = True
        columns.pop()  # computed, and not in the file
    roles = {"id": asked.id, "time": asked.time}
    known = {"id": schema.id_name, "time": schema.time_name}
    roles = {
        role: name or (known[role] if known[role] in names else None)
        for role, name in roles.items()
    }
    if asked.columns is not None:
        columns = list(asked.columns)
    elif schema.names in {("token",), tuple(f"x{i}" for i in range(schema.num_columns))}:
        columns = None  # the training data had no names
    return replace(asked, columns=columns, time_gaps=time_gaps, **roles)
