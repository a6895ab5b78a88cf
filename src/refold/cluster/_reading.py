"""Rows of a Parquet file as sequences, in slices of Arrow tables with a limited number of steps."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.compute import call_function

from refold.cluster._storage import Place
from refold.sequences import TableOptions

_READ_BYTES = 1 << 20


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


def open_parquet(place: Place) -> pq.ParquetFile:
    """Open a file so that a large column chunk is never in memory as a whole."""
    return pq.ParquetFile(
        place.path, filesystem=place.system, buffer_size=_READ_BYTES, pre_buffer=False
    )


def batches(
    place: Place,
    columns: Sequence[str] | None,
    rows: int,  # of a table, at most
    start: int = 0,
    stop: int | None = None,
) -> Iterator[tuple[int, pa.Table]]:
    """Yield rows of a file: the number of the first, and a table."""
    with open_parquet(place) as file:
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


def slices(
    place: Place,
    rows: tuple[int, int],  # a range that holds whole sequences
    options: TableOptions,
    *,
    lists: bool,  # a row is a sequence, and not a step
    mean_steps: float,  # of a row
    max_steps: int,
) -> Iterator[Slice]:
    """Yield the sequences of some rows; a slice has more steps only if it is a single sequence."""
    keys = [name for name in (options.id, options.time) if name is not None]
    columns = None if options.columns is None else [*keys, *options.columns]
    batch_rows = max(1, int(max_steps / mean_steps))
    if lists:
        for first, table in batches(place, columns, batch_rows, *rows):
            names = options.columns or table.column_names
            nested = next(n for n in names if pa.types.is_nested(table.schema.field(n).type))
            steps = call_function("list_value_length", [table[nested]]).fill_null(0).to_numpy()
            whole = Slice(table, np.arange(len(table) + 1), first)
            yield from _cut(whole, np.cumsum(np.maximum(steps, 1)), max_steps)
        return
    waiting, last = None, None
    for first, table in batches(place, columns, batch_rows, *rows):
        ids = plain(table[str(options.id)])
        begins, last = np.flatnonzero(changes(ids, last)), ids[len(ids) - 1]
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


def plain(ids: pa.ChunkedArray) -> pa.Array:
    """Return ids as one array without a dictionary."""
    if pa.types.is_dictionary(ids.type):
        return pa.concat_arrays([chunk.dictionary_decode() for chunk in ids.chunks])
    return pa.concat_arrays(ids.chunks)


def changes(ids: pa.Array, last: pa.Scalar | None) -> np.ndarray:
    """Return at which rows an id differs from that of the row before."""
    changed = np.ones(len(ids), bool)
    different = call_function("not_equal", [ids.slice(1), ids.slice(0, len(ids) - 1)])
    changed[1:] = different.fill_null(True).to_numpy(zero_copy_only=False)  # noqa: FBT003
    changed[0] = last is None or ids[0].as_py() != last.as_py()
    return changed
