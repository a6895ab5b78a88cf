"""`PartedScan`: sequences of Parquet files of which each of several processes reads a part."""

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from refold._support.offsets import offsets_from_lengths
from refold.errors import DataError, ParameterError, RefoldError
from refold.sequences._as_sequences import concatenate
from refold.sequences._sequences import Sequences
from refold.sequences.files.scan._chunked_columns import ScannedColumn
from refold.sequences.files.scan._parquet_files import ScannedFiles, open_files
from refold.sequences.files.scan._rows import RowReader
from refold.sequences.files.scan._scan import (
    BLOCK_BYTES,
    Scan,
    batch_bytes_of,
    first_pass,
    look_at,
)
from refold.sequences.files.tables._layout_detection import TableOptions

# A part begins at a row group if one begins within this share of the part.
_NEAR = 0.2


class Together(Protocol):
    """Processes that work together; see `refold.training.Processes`."""

    index: int
    count: int

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes."""
        ...


class _Facts(NamedTuple):
    """What all processes know of a part."""

    lengths: np.ndarray
    block_offsets: np.ndarray


class PartedScan(Scan):
    """Sequences in files that several processes read in parts. Made by `scan_parts`."""

    # The schema, the lengths and the statistics are those of all parts. A sequence has the same
    # index in all processes. `block` reads blocks of the own parts only. `take` and `gather` must
    # be called by all processes in the same order.
    processes: Any

    def __init__(self, scans: list[Scan], facts: list[_Facts], processes: Together) -> None:
        one = scans[0]
        self.processes, self._scans, self.num_parts = processes, scans, len(facts)
        self.own = _own_parts(processes, self.num_parts)
        self.schema, self.dtype, self.block_bytes = one.schema, one.dtype, one.block_bytes
        self.lengths = np.concatenate([part.lengths for part in facts])
        self.ids = np.arange(len(self.lengths))
        # Part i holds the sequences part_offsets[i] to part_offsets[i + 1].
        self.part_offsets = offsets_from_lengths([len(part.lengths) for part in facts])
        starts = [
            part.block_offsets[:-1] + first
            for part, first in zip(facts, self.part_offsets[:-1], strict=True)
        ]
        self.block_offsets = np.append(np.concatenate(starts), len(self.lengths))
        self.summary = one.summary._replace(num_steps=int(self.lengths.sum()))
        self.extremes = one.extremes

    def __iter__(self) -> Iterator[Sequences]:
        for scan in self._scans:
            yield from scan

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, parts={self.num_parts})"

    def blocks_of_part(self, part: int) -> np.ndarray:
        """Return the numbers of the blocks of a part."""
        first, last = np.searchsorted(self.block_offsets, self.part_offsets[part : part + 2])
        return np.arange(first, last)

    def block(self, index: int) -> Sequences:
        """Read a block of one of the own parts."""
        part = int(np.searchsorted(self.part_offsets, self.block_offsets[index], side="right")) - 1
        return self._scans[part - self.own.start].block(index - int(self.blocks_of_part(part)[0]))

    def with_block_bytes(self, block_bytes: int) -> "PartedScan":
        """Return the same sequences in blocks of another size."""
        scans = [scan.with_block_bytes(block_bytes) for scan in self._scans]
        return _joined(scans, self.processes)

    def with_missing(self, schema: Any) -> Scan:  # noqa: ARG002
        """Refuse: the parts would need other statistics."""
        raise ParameterError(
            "Training by several processes needs missing values as NaN or null in the files, and "
            "missing_values names others. Replace them when you write the files."
        )

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes."""
        return self.processes.gather(value)

    def _take_sorted(self, chosen: np.ndarray) -> Sequences:
        """Read sequences of all parts, and give them to all processes."""
        bounds = np.searchsorted(chosen, self.part_offsets)
        found = [
            scan.take(chosen[bounds[part] : bounds[part + 1]] - self.part_offsets[part])
            for part, scan in zip(self.own, self._scans, strict=True)
        ]
        parts = [part for parts in self.gather(found) for part in parts]
        return concatenate(parts)


def scan_parts(
    path: Any,
    processes: Together,
    *,
    num_parts: int | None = None,  # by default one for each process
    block_bytes: int = BLOCK_BYTES,
    **options: Any,
) -> PartedScan:
    """Open files with one row per sequence in parts, of which each process reads its own."""
    if "://" in str(path):
        raise ParameterError(
            f"Processes that train read {path} again in each epoch, from a file system. Mount the "
            "store on all machines, or copy the files."
        )
    num_parts = num_parts or processes.count
    if num_parts % processes.count:
        raise ParameterError(
            f"{num_parts} parts cannot be divided among {processes.count} processes. Use a "
            "multiple."
        )
    columns, types = options.pop("columns", None), options.pop("column_types", None)
    id_name, own = options.pop("id", None), _own_parts(processes, num_parts)
    chosen = [columns] if isinstance(columns, str) else columns
    asked = TableOptions(id_name, None, chosen)
    files: Any = None
    found, bounds, error = [], [0], None
    try:
        files = _open(path, asked)
        bounds = _bounds(files, num_parts)
        reader = RowReader(files, batch_bytes_of(block_bytes))
        found = [look_at(files, types, reader, (bounds[i], bounds[i + 1])) for i in own]
    except RefoldError as raised:  # all processes raise it, instead of waiting for this one
        error = raised
    looked = processes.gather(error or [part.columns for part in found])
    for one in looked:
        if isinstance(one, RefoldError):
            raise one
    merged = _merged([columns for several in looked for columns in several])
    scans = []
    for part, first in zip(found, own, strict=True):
        part.columns = copy.deepcopy(merged)
        scan = Scan(files, first_pass(files, part, bounds[first]), block_bytes)
        scan.schema = scan.schema.read_with(id_name, None)
        scans.append(scan)
    return _joined(scans, processes)


def _open(path: Any, asked: TableOptions) -> ScannedFiles:
    files = open_files(path, asked)
    if not files.layout.lists:
        raise ParameterError(
            f"{path} has one row per step, and only files with one row per sequence can be divided "
            "among processes. Convert them: refold.sequences.write(refold.sequences.read(path), "
            "'new.parquet')."
        )
    return files


def _own_parts(processes: Together, num_parts: int) -> range:
    each = num_parts // processes.count
    return range(processes.index * each, (processes.index + 1) * each)


def _bounds(files: ScannedFiles, num_parts: int) -> list[int]:
    """Return the first row of each part, and the number of rows."""
    if files.num_rows < num_parts:
        raise DataError(
            f"There are {files.num_rows} sequences for {num_parts} parts. Use fewer processes."
        )
    each = files.num_rows / num_parts
    bounds = [0]
    for part in range(1, num_parts):
        row = round(part * each)
        near = int(files.group_starts[np.abs(files.group_starts - row).argmin()])
        bounds.append(near if abs(near - row) < _NEAR * each and near > bounds[-1] else row)
    return [*bounds, files.num_rows]


def _merged(parts: list[list[ScannedColumn]]) -> list[ScannedColumn]:
    """Return columns that have looked at the entries of all parts."""
    first, *others = copy.deepcopy(parts)
    for columns in others:
        for column, other in zip(first, columns, strict=True):
            column.merge(other)
    return first


def _joined(scans: list[Scan], processes: Together) -> PartedScan:
    own = [_Facts(scan.lengths, scan.block_offsets) for scan in scans]
    facts = [part for several in processes.gather(own) for part in several]
    return PartedScan(scans, facts, processes)
