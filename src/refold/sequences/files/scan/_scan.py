"""`Scan`: sequences of Parquet files larger than memory, read in blocks."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from refold._support.argument_checks import check_whole
from refold._support.offsets import offsets_from_lengths, positions_of
from refold._support.user_warnings import warn
from refold.sequences._sequences import Sequences
from refold.sequences.conversion._time_gaps import TIME_GAP, with_time_gaps
from refold.sequences.conversion._time_gaps import time_gaps as gaps_between
from refold.sequences.files.scan._chunked_columns import Piece, ScannedColumn
from refold.sequences.files.scan._chunked_list_tables import ListRows, NestedRows, holds_nested
from refold.sequences.files.scan._chunked_long_tables import LongRows
from refold.sequences.files.scan._parquet_files import ScannedFiles, naming, open_files
from refold.sequences.files.scan._rows import RowIndex, RowReader, cut_into_blocks
from refold.sequences.files.tables._layout_detection import TableOptions
from refold.sequences.schema._column_types import ColumnTypes
from refold.sequences.schema._known_columns import KnownColumns
from refold.sequences.schema._missing_values import without_missing_in
from refold.sequences.schema._schema import Schema, column_counts
from refold.sequences.statistics._moments import Summary, summary_of

BLOCK_BYTES = 12 << 20
MIN_BATCH_BYTES = 1 << 16

Split = Callable[[pa.Table], list[Piece]]


class FirstPass(NamedTuple):
    """The schema, the index and the moments, which the first pass over files finds."""

    index: RowIndex
    columns: list[ScannedColumn]
    schema: Schema
    dtype: np.dtype
    split: Split  # returns the entries of each column in some rows
    warnings: list[str]  # messages for the user
    times: Callable[[pa.Table], np.ndarray] | None = None  # to compute the column of gaps from

    def numeric(self) -> list[ScannedColumn]:
        """Return the numeric columns."""
        return [column for column in self.columns if column.column.column_type.is_number]

    def summary(self) -> Summary:
        """Return what `Scaler.fit` needs."""
        num_observed = np.array([column.num_observed for column in self.columns], np.int64)
        moments = [column.moments for column in self.numeric()]
        return summary_of(int(self.index.lengths.sum()), num_observed, moments)


def scan(
    path: Any,
    *,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    time_gaps: bool = False,
    block_bytes: int = BLOCK_BYTES,
) -> "Scan":
    """Open sequences in Parquet files to read them in blocks, whatever their size.

    All files are read once here, so that errors in the data show before any work begins.
    Afterwards the schema, the lengths, the ids and the statistics for scaling are known, and any
    block can be read.

    Parameters
    ----------
    path : str or PathLike
        A Parquet file, or a folder: all files in it and its subfolders that end in ``.parquet``
        or ``.pq``, in the order of their names. Names that begin with ``.`` or ``_`` are skipped.
    id, time, columns, column_types, time_gaps
        As in `refold.sequences.read`. Gaps read the files a second time.
    block_bytes : int, default=12 MiB
        Approximate memory of the values of a block as float32.

    Returns
    -------
    Scan
        The sequences that `read` would return for the files as one table.

    Raises
    ------
    FileAccessError
        If the path does not exist, or a file cannot be read.
    FileFormatError
        If a file is empty, damaged or not Parquet, or there are no rows.
    SchemaError
        If a column does not exist, or a file has other columns than the first.
    DataError
        If the sequences are invalid, or the rows of one lie in more than 64 places.
    ParameterError
        If ``block_bytes`` is not a positive integer.

    Warns
    -----
    UserWarning
        If a column of text holds only numbers.

    Notes
    -----
    Besides what stays in memory (see `Scan`), opening takes about three batches of a quarter of
    ``block_bytes``, one or two pages of each column (usually 1 MB each), and about 90 bytes per
    sequence while the index is built, or about 300 if ids do not ascend. The sizes of files and
    row groups do not matter.

    Examples
    --------
    >>> import tempfile
    >>> from refold.datasets import ramps
    >>> from refold.sequences import write
    >>> path = tempfile.mkdtemp() + "/ramps.parquet"
    >>> write(ramps(), path)
    >>> ramps = scan(path, block_bytes=64)
    >>> ramps
    Scan(n=4, blocks=2, lengths=4 to 9, 1 numeric)
    >>> [len(block) for block in ramps]
    [1, 3]
    >>> ramps.take([3, 0]).ids
    array([3, 0])
    """
    check_whole("block_bytes", block_bytes)
    chosen = [columns] if isinstance(columns, str) else columns
    files = open_files(path, TableOptions(id, time, chosen, time_gaps=time_gaps))
    reader = RowReader(files, batch_bytes_of(block_bytes))
    scanned = first_pass(files, look_at(files, column_types, reader))
    for message in scanned.warnings:
        warn(message)
    if time_gaps:
        blocks = (block.values for block in Scan(files, scanned, block_bytes))
        scanned = _observe_again(scanned, blocks)
    result = Scan(files, scanned, block_bytes)
    result.schema = result.schema.read_with(id, time)
    return result


class Scan:
    """Sequences in files, read one block at a time. Made by `scan`.

    Iterating yields the blocks in order and decodes every row once. Blocks hold consecutive
    sequences, in the order in which they begin in the files.

    Attributes
    ----------
    schema : Schema
        The columns, the same for all blocks.
    lengths : array of int of shape (n,)
        Number of steps of each sequence.
    ids : array of shape (n,)
        The ids, integers or text.
    dtype : dtype
        The dtype of all values: float32 if that holds all columns exactly, else float64.
    block_bytes : int
        Approximate memory of the values of a block as float32.
    block_offsets : array of int of shape (num_blocks + 1,)
        Block ``i`` holds the sequences ``block_offsets[i]`` to ``block_offsets[i + 1]``.
    summary : Summary
        What `Scaler.fit` needs: the number of observed values of each column, means and standard
        deviations.
    extremes : list of Extremes
        Smallest and largest values of each numeric column.

    Notes
    -----
    A block takes ``block_bytes``, or the size of its one sequence if that is larger; twice as much
    as float64. Reading it also takes two batches of a quarter of ``block_bytes`` and the pages,
    and its values once more if sequences are interleaved. Row groups are decoded in batches and
    may have any size. About 40 bytes per sequence, its id, and the distinct categories stay in
    memory. In a loop over blocks, one block is still in memory while the next is read.

    To read a block, the rows before it in its row group are decoded too, unless reading continues
    where it stopped, as in a loop over blocks. If sequences are interleaved, all rows between the
    first and the last of the block are decoded.

    `block` and `take` may be called from several threads; a lock lets one call read at a time.

    Examples
    --------
    >>> import tempfile
    >>> from refold.sequences import Scaler, write
    >>> path = tempfile.mkdtemp() + "/levels.parquet"
    >>> write([[1.0, 2.0], [3.0], [4.0]], path)
    >>> levels = scan(path, block_bytes=8)
    >>> levels.num_blocks, levels.block(1).ids.tolist()
    (2, [1, 2])
    >>> Scaler.fit(levels).mean_
    array([2.5])
    """

    def __init__(self, files: ScannedFiles, scanned: FirstPass, block_bytes: int) -> None:
        self.schema = scanned.schema
        self.lengths = scanned.index.lengths
        self.ids = scanned.index.ids
        self.dtype = scanned.dtype
        self.block_bytes = block_bytes
        self.block_offsets = cut_into_blocks(self.lengths, 4 * self.schema.num_columns, block_bytes)
        self.summary = scanned.summary()
        self.extremes = [column.extremes for column in scanned.numeric()]
        self._files = files
        self._scanned = scanned
        self._batch_bytes = batch_bytes_of(block_bytes)
        self._reader = RowReader(files, self._batch_bytes)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.lengths)

    def __repr__(self) -> str:
        counts = column_counts(self.schema)
        lengths = f"{self.lengths.min()} to {self.lengths.max()}"
        return f"Scan(n={len(self)}, blocks={self.num_blocks}, lengths={lengths}, {counts})"

    @property
    def num_blocks(self) -> int:
        """Number of blocks, at least 1."""
        return len(self.block_offsets) - 1

    def __iter__(self) -> Iterator[Sequences]:
        reader = RowReader(self._files, self._batch_bytes)
        for start, stop in zip(self.block_offsets[:-1], self.block_offsets[1:], strict=True):
            yield self._read(np.arange(start, stop), reader)

    def blocks(self, block_bytes: int | None = None) -> Iterator[Sequences]:
        """Yield the blocks in order, of another size if given; see `with_block_bytes`."""
        return iter(self if block_bytes is None else self.with_block_bytes(block_bytes))

    def block(self, index: int) -> Sequences:
        """Read one block.

        Parameters
        ----------
        index : int
            ``0`` to ``num_blocks - 1``.

        Returns
        -------
        Sequences

        Raises
        ------
        IndexError
            If there is no such block.
        FileAccessError
            If a file has changed since it was opened.
        FileFormatError
            If a file is damaged.
        """
        if not 0 <= index < self.num_blocks:
            raise IndexError(f"There are blocks 0 to {self.num_blocks - 1}. Got {index}.")
        with self._lock:
            return self._read(np.arange(*self.block_offsets[index : index + 2]), self._reader)

    def with_block_bytes(self, block_bytes: int) -> "Scan":
        """Return the same sequences in blocks of another size, without reading the files again.

        Raises
        ------
        ParameterError
            If ``block_bytes`` is not a positive integer.
        """
        check_whole("block_bytes", block_bytes)
        return Scan(self._files, self._scanned, block_bytes)

    def with_missing(self, schema: Schema) -> "Scan":
        """Return the sequences under a schema with another ``missing``. Reads the files once."""
        scanned = self._scanned._replace(schema=schema)
        blocks = (block.values for block in Scan(self._files, scanned, self.block_bytes))
        return Scan(self._files, _observe_again(scanned, blocks), self.block_bytes)

    def take(self, indices: Any) -> Sequences:
        """Read some sequences, such as those for validation.

        Parameters
        ----------
        indices : array of int of shape (m,), or mask of shape (n,)
            Which sequences, in any order; as many as fit in memory.

        Returns
        -------
        Sequences
            In the order of the indices.

        Raises
        ------
        IndexError
            If there is no such sequence.
        FileAccessError
            If a file has changed since it was opened.
        FileFormatError
            If a file is damaged.
        """
        indices = np.asarray(indices).reshape(-1)
        indices = np.arange(len(self))[indices if len(indices) else []]
        chosen, inverse = np.unique(indices, return_inverse=True)
        sequences = self._take_sorted(chosen)
        in_order = len(chosen) == len(indices) and (inverse == np.arange(len(chosen))).all()
        return sequences if in_order else sequences[inverse]

    def _take_sorted(self, chosen: np.ndarray) -> Sequences:
        """Read sequences by ascending indices."""
        with self._lock:
            return self._read(chosen, self._reader)

    def _read(self, chosen: np.ndarray, reader: RowReader) -> Sequences:
        """Return the chosen sequences, whose indices ascend."""
        index, columns = self._scanned.index, self._scanned.columns
        starts, stops = index.runs(chosen)
        lengths = self.lengths[chosen]
        values = np.empty((int(lengths.sum()), self.schema.num_columns), self.dtype)
        order = None if (starts[1:] >= starts[:-1]).all() else np.argsort(starts, kind="stable")
        ranges = (starts, stops) if order is None else (starts[order], stops[order])
        done, times = 0, []
        for _, table in reader.pieces(*ranges):
            pieces = self._scanned.split(table)
            rows = slice(done, done + len(pieces[0]) if pieces else done)
            for i, piece in enumerate(pieces):
                values[rows, i] = columns[i].encode(piece)
            if self._scanned.times is not None:
                times.append(self._scanned.times(table))
            done = rows.stop
        if order is not None:
            # Only rows of long tables, one per step, come out of order.
            runs, before = stops - starts, np.empty_like(starts)
            before[order] = offsets_from_lengths(runs[order])[:-1]
            in_order = positions_of(before, runs)
            values = values[in_order]
            times = [np.concatenate(times)[in_order]] if times else []
        if times:
            type_ = self._files.schema.field(self._files.layout.time).type
            offsets = offsets_from_lengths(lengths)
            values[:, -1] = gaps_between(np.concatenate(times), offsets, type_)
        values = without_missing_in(values, self.schema)
        return Sequences(values, offsets_from_lengths(lengths), self.ids[chosen], self.schema)


def batch_bytes_of(block_bytes: int) -> int:
    return max(MIN_BATCH_BYTES, block_bytes // 4)


def look_at(
    files: ScannedFiles,
    column_types: ColumnTypes,
    reader: RowReader,
    rows_of_part: tuple[int, int] | None = None,
) -> ListRows | NestedRows | LongRows:
    """Read all rows once, or those from the first to the second row of ``rows_of_part``."""
    layout, rows = files.layout, LongRows
    if layout.lists:
        rows = NestedRows if holds_nested(files.schema, layout.features) else ListRows
    with naming(files.paths[0]):
        found = rows(files, column_types)
    begin, end = rows_of_part or (0, files.num_rows)
    for first, table in reader.pieces(np.array([begin]), np.array([end])):
        pieces, where = found.add(first, table)
        with naming(files.place(first)[0]):
            for column, piece in zip(found.columns, pieces, strict=True):
                column.look(piece, where)
    return found


def first_pass(
    files: ScannedFiles, found: ListRows | NestedRows | LongRows, begin: int = 0
) -> FirstPass:
    """Settle the columns; ``begin`` is the first row of a table of one row per sequence."""
    for column in found.columns:
        column.settle()
    index = found.index()
    if begin:
        ids = index.ids if files.layout.id else index.ids + begin
        index = index._replace(ids=ids, starts=index.starts + begin, stops=index.stops + begin)
    schema, messages = found.schema(index)
    times = found.times if files.layout.time_gaps and isinstance(found, LongRows) else None
    if times is not None:
        gap = ScannedColumn(TIME_GAP, pa.float64(), KnownColumns([TIME_GAP], "numeric", []))
        gap.settle()
        found.columns.append(gap)
        schema = with_time_gaps(schema)
    dtype = np.result_type(np.float32, *(column.dtype for column in found.columns))
    return FirstPass(index, found.columns, schema, dtype, found.split, messages, times)


def _observe_again(scanned: FirstPass, blocks: Iterable[np.ndarray]) -> FirstPass:
    """Return the same result with statistics of these blocks of values of shape (steps, F)."""
    columns = [column.unobserved() for column in scanned.columns]
    for block in blocks:
        for column, values in zip(columns, block.T, strict=True):
            column.observe(values, column.column.type)
    return scanned._replace(columns=columns)
