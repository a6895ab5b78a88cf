"""The sequences of a unit as slices of Arrow tables, each with a limited number of steps."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow.compute import call_function

from refold.cluster._source import Unit, open_parquet
from refold.cluster._storage import place_of
from refold.sequences import TableOptions

# Rows of a table without features that are read at a time.
_ID_ROWS = 1 << 16


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


def slices(unit: Unit, options: TableOptions, *, lists: bool, most_steps: int) -> Iterator[Slice]:
    """Yield the sequences of a unit; a slice has more steps only if it is a single sequence."""
    keys = [name for name in (options.id, options.time) if name is not None]
    columns = None if options.columns is None else [*keys, *options.columns]
    mean = max(1.0, unit.steps / max(1, unit.stop - unit.start))
    rows = max(1, int(most_steps / mean)) if lists else most_steps
    if lists:
        for first, table in _batches(unit, columns, rows, unit.start, unit.stop):
            yield from _cut_lists(table, first, options, most_steps)
        return
    yield from _long(unit, columns, options, most_steps)


def ids_of(
    unit: Unit, options: TableOptions, *, lists: bool
) -> Iterator[tuple[np.ndarray, pa.Array]]:
    """Yield rows of a file at which sequences of a unit begin, and their ids."""
    last, start = None, unit.start if lists else max(0, unit.start - 1)
    for first, table in _batches(unit, [options.id], _ID_ROWS, start, unit.stop):
        ids = _plain(table[str(options.id)])
        begins = np.ones(len(ids), bool)
        if not lists:
            begins, last = _changes(ids, last), ids[len(ids) - 1]
            begins[0] &= first >= unit.start  # else it belongs to the unit before
        rows = np.flatnonzero(begins & ids.is_valid().to_numpy(zero_copy_only=False))
        yield first + rows, ids.take(pa.array(rows))


def hashes(ids: pa.Array) -> np.ndarray:
    """Return 64 bits of each id, different for different integers."""
    if pa.types.is_integer(ids.type):
        x = ids.cast(pa.int64(), safe=False).fill_null(0).to_numpy().astype(np.uint64)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
        return x ^ (x >> np.uint64(31))
    texts = (str(one).encode() for one in ids.to_pylist())
    digests = b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, np.uint64)


def _batches(
    unit: Unit, columns: Sequence[str | None] | None, rows: int, start: int, stop: int | None
) -> Iterator[tuple[int, pa.Table]]:
    """Yield rows of the file of a unit: the number of the first, and a table."""
    with open_parquet(place_of(unit.name)) as file:
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        ends = np.cumsum(sizes)
        first_group = int(np.searchsorted(ends, start, side="right"))
        row = int(ends[first_group] - sizes[first_group])
        last = len(ends) if stop is None else int(np.searchsorted(ends, stop)) + 1
        groups = list(range(first_group, min(last, len(ends))))
        for batch in file.iter_batches(
            batch_size=rows, row_groups=groups, columns=columns, use_threads=False
        ):
            low, high = max(start - row, 0), len(batch)
            if stop is not None:
                high = min(high, stop - row)
            if high > low:
                yield row + low, pa.Table.from_batches([batch.slice(low, high - low)])
            row += len(batch)
            if stop is not None and row >= stop:
                return


def _cut_lists(
    table: pa.Table, first: int, options: TableOptions, most_steps: int
) -> Iterator[Slice]:
    whole = Slice(table, np.arange(len(table) + 1), first)
    names = options.columns or table.column_names
    listed = [name for name in names if pa.types.is_nested(table.schema.field(name).type)]
    lengths = call_function("list_value_length", [table[listed[0]]]).fill_null(0).to_numpy()
    ends = np.cumsum(np.maximum(lengths, 1))
    start, before = 0, 0
    while start < len(table):
        stop = max(start + 1, int(np.searchsorted(ends, before + most_steps, side="right")))
        yield whole.part(start, stop)
        start, before = stop, int(ends[stop - 1])


def _long(
    unit: Unit, columns: list[str] | None, options: TableOptions, most_steps: int
) -> Iterator[Slice]:
    """Yield the sequences of a long table that begin in a unit; the last may end after it."""
    last, waiting, begins, first = None, [], [], 0
    for row, table in _batches(unit, columns, most_steps, max(0, unit.start - 1), None):
        ids = _plain(table[str(options.id)])
        changed, last = _changes(ids, last), ids[len(ids) - 1]
        if row < unit.start:
            changed[0] = False
        found = row + np.flatnonzero(changed)
        end = found[found >= unit.stop]
        found = found[found < unit.stop]
        high = int(end[0]) - row if len(end) else len(table)
        low = 0 if waiting else (int(found[0]) - row if len(found) else high)
        if high > low:
            first = first if waiting else row + low
            waiting.append(table.slice(low, high - low))
            begins += found.tolist()
        if waiting and (len(end) or row + len(table) - first > most_steps):
            whole = pa.concat_tables(waiting)
            # the last sequence may go on in the next batch
            stop = len(begins) if len(end) else len(begins) - 1
            bounds = np.array([*begins, first + len(whole)]) - first
            done = Slice(whole, bounds, first)
            if stop:
                yield from _cut_long(done.part(0, stop), most_steps)
            rest = done.part(stop, len(begins))
            waiting, begins, first = [rest.table], begins[stop:], rest.first
        if len(end):
            return
    if begins:
        whole = pa.concat_tables(waiting)
        yield from _cut_long(
            Slice(whole, np.array([*begins, first + len(whole)]) - first, first), most_steps
        )


def _cut_long(whole: Slice, most_steps: int) -> Iterator[Slice]:
    start = 0
    while start < len(whole):
        limit = whole.begins[start] + most_steps
        stop = max(start + 1, int(np.searchsorted(whole.begins, limit, side="right")) - 1)
        yield whole.part(start, stop)
        start = stop


def _plain(ids: pa.ChunkedArray) -> pa.Array:
    ids = ids.combine_chunks()
    found = ids.chunk(0) if isinstance(ids, pa.ChunkedArray) else ids
    return found.dictionary_decode() if pa.types.is_dictionary(found.type) else found


def _changes(ids: pa.Array, last: pa.Scalar | None) -> np.ndarray:
    """Return at which rows an id differs from that of the row before."""
    changed = np.ones(len(ids), bool)
    different = call_function("not_equal", [ids.slice(1), ids.slice(0, len(ids) - 1)])
    changed[1:] = different.fill_null(True).to_numpy(zero_copy_only=False)  # noqa: FBT003
    changed[0] = last is None or ids[0].as_py() != last.as_py()
    return changed
