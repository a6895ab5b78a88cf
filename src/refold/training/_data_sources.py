"""One interface for training data in memory and in files."""

import contextlib
import hashlib
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from refold._support.user_warnings import warn
from refold.errors import DataError, SchemaError, argument
from refold.model import Model, open_source
from refold.sequences import (
    Batches,
    PartedBatches,
    PartedScan,
    Scaler,
    Scan,
    Schema,
    Sequences,
    check_single,
    data_warnings,
    key_columns,
    mark_missing,
)
from refold.training._processes import Processes
from refold.training.data._loaders import (
    InMemoryLoader,
    PartedLoader,
    Shard,
    SplitData,
    StreamingLoader,
    epochs_in_a_pass,
    members_of_shards,
    shard_of,
)
from refold.training.data._padded_batches import num_observed, to_device

Mode = Literal["features", "sequence"] | None

# Cap on values held out from files, because they stay in memory.
_MOST_HELD_OUT = 4_000_000
# Minimum number of blocks to sample from, if there are as many.
_FEWEST_BLOCKS = 16


def open_training(X: Any, missing_values: Any, further: Model | None = None) -> Sequences | Scan:
    """Open training data, with the columns of a model to train further; warn if it looks wrong."""
    if further is not None:
        missing_values = list(further.schema.missing) or None
    source = open_source(X)
    if missing_values is not None:
        source = mark_missing(source, missing_values)
    check_single(source)
    for message in [*data_warnings(source), *_key_warning(X, source)]:
        warn(message)
    if further is not None:
        source = align_further(source, further.schema)
    return source


def _key_warning(X: Any, source: Any) -> list[str]:
    """Warn of ids and times in a list of tables, of which all columns are features."""
    first = X[0] if isinstance(X, list | tuple) and len(X) else None
    if not (hasattr(first, "columns") or hasattr(first, "column_names")):
        return []
    keys = key_columns(source)
    if not keys:
        return []
    named = ", and ".join(f"{name!r}, which looks like {key}s" for name, key in keys.items())
    return [
        f"All columns of the tables are features, also {named}. Drop them, or pass one table of "
        "all steps to Sequences.from_table."
    ]


class _Source:
    """What the two sources share."""

    processes = Processes()

    sequences: Any
    in_memory: bool
    epochs_in_a_pass = 1

    def total(self, scaler: Scaler, rows: np.ndarray) -> Any:
        """Return what adds up over the given sequences; None where a sample is used instead."""
        del scaler, rows

    def batches(self, batch_size: int, num_steps: int | None) -> Batches:
        """Return the division into batches."""
        return Batches(self.sequences.lengths, batch_size, num_steps)

    def units(self, mode: Mode) -> Scaler:
        """Return the scaler of the error units, and warn of constant columns."""
        with warnings.catch_warnings():
            if mode is None:  # nothing is scaled, so do not warn that a constant is scaled by 1
                warnings.simplefilter("ignore", UserWarning)
            return Scaler.fit(self.sequences, "features")


class MemorySource(_Source):
    """Training data in memory."""

    in_memory = True

    def __init__(self, sequences: Sequences) -> None:
        self.sequences = sequences

    def digest(self) -> str:
        """Return a digest that identifies the data."""
        digest = hashlib.sha256(repr(self.sequences.schema).encode())
        for array in (self.sequences.values, self.sequences.offsets):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def has_gaps(self) -> bool:
        """Whether a value is missing."""
        return bool(np.isnan(self.sequences.values).any())

    def most_held_out(self, fraction: float) -> float:
        """Return the share of sequences that may be held out: the requested one."""
        return fraction

    def held_out(self, rows: np.ndarray) -> Sequences:
        """Return the sequences that are held out."""
        return self.sequences[rows]

    def scaler(self, mode: Mode, units: Scaler, rows: np.ndarray | None) -> Scaler:
        """Return the scaler of a phase, fitted to its training sequences."""
        if rows is None and mode == "features":
            return units
        with _silent():
            if rows is not None:
                with contextlib.suppress(DataError):  # a column may have values in other rows only
                    return Scaler.fit(self.sequences[rows], mode)
            return Scaler.fit(self.sequences, mode)

    def sample(self, rows: np.ndarray, most: int, seed: int) -> Sequences:
        """Return a random sample of at most `most` of the given sequences."""
        if len(rows) > most:
            rows = np.sort(np.random.default_rng([seed, 0x57A7]).choice(rows, most, replace=False))
        return self.sequences[rows]

    def num_batches(self, batches: Batches, rows: np.ndarray, seed: int) -> int:
        """Return the number of training steps in an epoch of the given sequences."""
        del seed
        return batches.num_batches(rows)

    def part(
        self, scaler: Scaler, rows: np.ndarray, held_out: np.ndarray, longest: int, seed: int
    ) -> SplitData:
        """Return the training and validation data of a phase."""
        del seed
        scaled = scaler.transform(self.sequences)
        data = to_device([scaled], longest)
        others = Shard(data, held_out) if len(held_out) else None
        return SplitData(
            InMemoryLoader(Shard(data, rows)), others, len(rows), num_observed(scaled, rows)
        )


class FileSource(_Source):
    """Training data in files, with a few blocks in memory at a time."""

    in_memory = False
    _loader: Any = StreamingLoader

    def __init__(self, scan: Scan) -> None:
        self.sequences = scan
        self.epochs_in_a_pass = epochs_in_a_pass(scan)
        self._held_out: Sequences | None = None

    def digest(self) -> str:
        """Return a digest that identifies the data."""
        scan = self.sequences
        digest = hashlib.sha256(repr((scan.schema, scan.block_bytes)).encode())
        # The ranges are left out: checkpoints that older versions wrote do not have them.
        for array in (scan.lengths, *scan.summary[1:4]):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def has_gaps(self) -> bool:
        """Whether a value is missing."""
        summary = self.sequences.summary
        return bool((summary.num_observed < summary.num_steps).any())

    def most_held_out(self, fraction: float) -> float:
        """Return the share of sequences that may be held out, so that they fit in memory."""
        summary = self.sequences.summary
        num_values = summary.num_steps * len(summary.num_observed)
        return min(fraction, _MOST_HELD_OUT / max(1, num_values))

    def held_out(self, rows: np.ndarray) -> Sequences:
        """Return the sequences that are held out. They are the same in each call and read once."""
        held_out = self._held_out
        if held_out is None:
            held_out = self._held_out = self.sequences.take(rows)
        return held_out

    def scaler(self, mode: Mode, units: Scaler, rows: np.ndarray | None) -> Scaler:  # noqa: ARG002
        """Return the scaler, fitted to all sequences, because few of them are held out."""
        if mode == "features":
            return units
        with _silent():
            return Scaler.fit(self.sequences, mode)

    def sample(self, rows: np.ndarray, most: int, seed: int) -> Sequences:
        """Return a random sample of at most `most` of the given sequences."""
        # from several blocks, because files are often sorted and neighbors similar
        rng = np.random.default_rng([seed, 0x57A7])
        scan = self.sequences
        block = np.searchsorted(scan.block_offsets, rows, side="right") - 1
        order = rng.permutation(scan.num_blocks)
        held = np.cumsum(np.bincount(block, minlength=scan.num_blocks)[order])
        enough = max(_FEWEST_BLOCKS, int(np.searchsorted(held, most)) + 1)
        rows = rows[np.isin(block, order[:enough])]
        if len(rows) > most:
            rows = rng.choice(rows, most, replace=False)
        return scan.take(np.sort(rows))

    def num_batches(self, batches: Batches, rows: np.ndarray, seed: int) -> int:
        """Return the number of training steps in an average epoch of the given sequences."""
        count, num_batches = self.epochs_in_a_pass, 0
        for epoch in range(1, count + 1):
            for members in members_of_shards(self.sequences, seed, epoch):
                num_batches += batches.num_batches(np.intersect1d(rows, members))
        return -(-num_batches // count)

    def part(
        self, scaler: Scaler, rows: np.ndarray, held_out: np.ndarray, longest: int, seed: int
    ) -> SplitData:
        """Return the training and validation data of a phase."""
        scan, summary = self.sequences, self.sequences.summary
        used = np.zeros(len(scan), bool)
        used[rows] = True
        shards = self._loader(scan, scaler.transform, used, longest, seed)
        observed, others = int(summary.num_observed.sum()), None
        if len(held_out):
            scaled = scaler.transform(self.held_out(held_out))
            others = shard_of(scaled, held_out, longest)
            observed -= num_observed(scaled, np.arange(len(scaled)))
        return SplitData(shards, others, len(rows), observed)


class PartedSource(FileSource):
    """Training data in files of which each of several processes reads a part."""

    _loader = PartedLoader

    def __init__(self, scan: PartedScan) -> None:
        super().__init__(scan)
        self.processes = scan.processes

    def total(self, scaler: Scaler, rows: np.ndarray) -> Any:
        """Return what adds up over the given sequences in the blocks of all processes."""
        scan = self.sequences
        used = np.isin(np.arange(len(scan)), rows)

        def total(measure: Callable[[Sequences], list[np.ndarray]]) -> list[np.ndarray]:
            sums: list[Any] | None = None
            for number in np.concatenate([scan.blocks_of_part(part) for part in scan.own]):
                block = scan.block(int(number))
                within = used[scan.block_offsets[number] : scan.block_offsets[number + 1]]
                found = measure(scaler.transform(block[np.flatnonzero(within)]))
                sums = found if sums is None else [a + b for a, b in zip(sums, found, strict=True)]
            return scan.processes.sum(sums or [])

        return total

    def batches(self, batch_size: int, num_steps: int | None) -> Batches:
        """Return the division into batches, of which each part has its share."""
        scan = self.sequences
        offsets = scan.part_offsets
        return PartedBatches(scan.lengths, batch_size, num_steps, part_offsets=offsets)


Source = MemorySource | FileSource


def source_of(sequences: Sequences | Scan) -> Source:
    """Return the interface to training data in memory or in files."""
    if isinstance(sequences, PartedScan):
        return PartedSource(sequences)
    return FileSource(sequences) if isinstance(sequences, Scan) else MemorySource(sequences)


@contextlib.contextmanager
def _silent() -> Any:
    """Suppress warnings of constant columns, which `units` already gave."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def align_further(source: Sequences | Scan, schema: Schema) -> Sequences | Scan:
    """Give further training data the schema of the fitted model."""
    if isinstance(source, Sequences):
        return source.align(schema)
    for ours, theirs in zip(schema.columns, source.schema.columns, strict=False):
        if ours != theirs:
            raise SchemaError(
                f"Data that is read in blocks needs the columns and categories of the fitted "
                f"model, and has {theirs} instead of {ours}. Read it into memory with "
                "refold.sequences.read, or set the column types."
            )
    if (found := len(source.schema.columns)) != len(schema.columns):
        raise SchemaError(
            f"The data have {found} features, but the model was fitted on {len(schema.columns)}. "
            f"Choose the same features with {argument('columns=')}."
        )
    return source
