"""The training data of a fit: its statistics, its split and its loaders."""

import contextlib
import functools
import hashlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np

from refold._support.output import warn
from refold.errors import DataError
from refold.model import Model, SequencesLike, open_source
from refold.sequences import (
    Batches,
    Scaler,
    Sequences,
    check_single,
    data_warnings,
    key_columns,
    mapped_blocks,
    mark_missing,
)
from refold.training._processes import Processes
from refold.training.data._division import Divided, Division
from refold.training.data._loaders import Loader, SplitData, shard_of
from refold.training.data._padded_batches import num_observed

Mode = Literal["features", "sequence"] | None

# Cap on held-out values of mapped data, because they are in memory.
_MOST_HELD_OUT = 4_000_000


def open_training(X: SequencesLike, missing_values: Any, further: Model | None = None) -> Sequences:
    """Open training data, with the columns of a model to train further; warn if it looks wrong."""
    if further is not None:
        missing_values = list(further.schema.missing) or None
    source = open_source(X)
    if missing_values is not None:
        source = _changed(source, lambda block: mark_missing(block, missing_values))
    check_single(source)
    for message in [*data_warnings(source), *_key_warning(X, source)]:
        warn(message)
    if further is not None and source.schema != further.schema:
        source = _changed(source, lambda block: block.align(further.schema))
    return source


def _changed(source: Sequences, change: Callable[[Sequences], Sequences]) -> Sequences:
    return mapped_blocks(source, change) if source.is_mapped else change(source)


def _key_warning(X: object, source: Any) -> list[str]:
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


class Source:
    """The training data of a fit."""

    def __init__(self, sequences: Sequences, divided: Divided | None = None) -> None:
        self.sequences = sequences
        self.processes = Processes() if divided is None else divided.processes
        self._is_divided = divided is not None
        self._division = Division(sequences, divided)
        self.epochs_in_a_pass = self._division.epochs_in_a_pass
        self._held_out: Sequences | None = None

    @property
    def in_memory(self) -> bool:
        """Whether this process has all values in memory, and trains on all of them."""
        return not (self.sequences.is_mapped or self._is_divided)

    def digest(self) -> str:
        """Return a digest that identifies the data."""
        sequences = self.sequences
        digest = hashlib.sha256(repr((sequences.schema, self._division.offsets.tolist())).encode())
        digest.update(np.ascontiguousarray(sequences.offsets).tobytes())
        for block in sequences.blocks():
            digest.update(np.ascontiguousarray(block.values).tobytes())
        return digest.hexdigest()

    @functools.cached_property
    def has_gaps(self) -> bool:
        """Whether a value is missing."""
        return any(np.isnan(block.values).any() for block in self.sequences.blocks())

    def most_held_out(self, fraction: float) -> float:
        """Return the share of sequences that may be held out, so that they fit in memory."""
        if self.in_memory:
            return fraction
        return min(fraction, _MOST_HELD_OUT / max(1, self.sequences.values.size))

    def held_out(self, rows: np.ndarray) -> Sequences:
        """Return the sequences that are held out. They are the same in each call and read once."""
        held_out = self._held_out
        if held_out is None:
            held_out = self._held_out = self.sequences[rows]
        return held_out

    def units(self, mode: Mode) -> Scaler:
        """Return the scaler of the error units, and warn of constant columns."""
        with warnings.catch_warnings():
            if mode is None:  # nothing is scaled, so do not warn that a constant is scaled by 1
                warnings.simplefilter("ignore", UserWarning)
            return Scaler.fit(self.sequences, "features")

    def scaler(self, mode: Mode, units: Scaler, rows: np.ndarray | None) -> Scaler:
        """Return the scaler of a phase, fitted to its training sequences.

        That of mapped data is fitted to all sequences, because few of them are held out.
        """
        whole = rows is None or not self.in_memory
        if whole and mode == "features":
            return units
        with warnings.catch_warnings():  # `units` already warned of constant columns
            warnings.simplefilter("ignore", UserWarning)
            if not whole:
                with contextlib.suppress(DataError):  # a column may have values in other rows only
                    return Scaler.fit(self.sequences[rows], mode)
            return Scaler.fit(self.sequences, mode)

    def sample(self, rows: np.ndarray, most: int, seed: int) -> Sequences:
        """Return a random sample of at most `most` of the given sequences."""
        if len(rows) > most:
            rows = np.sort(np.random.default_rng([seed, 0x57A7]).choice(rows, most, replace=False))
        return self.sequences[rows]

    def batches(self, batch_size: int, num_steps: int | None) -> Batches:
        """Return the division into batches, of which each part has its share."""
        offsets = self._division.part_offsets if self._is_divided else None
        return Batches(self.sequences.lengths, batch_size, num_steps, part_offsets=offsets)

    def num_batches(self, batches: Batches, rows: np.ndarray, seed: int) -> int:
        """Return the number of training steps in an average epoch of the given sequences."""
        count, num_batches = self.epochs_in_a_pass, 0
        for epoch in range(1, count + 1):
            for blocks in self._division.shards(seed, epoch):
                members = self._division.members(blocks)
                num_batches += batches.num_batches(np.intersect1d(rows, members))
        return -(-num_batches // count)

    def part(
        self, scaler: Scaler, rows: np.ndarray, held_out: np.ndarray, longest: int, seed: int
    ) -> SplitData:
        """Return the training and validation data of a phase."""
        used = np.zeros(len(self.sequences), bool)
        used[rows] = True
        loader = Loader(self.sequences, self._division, scaler.transform, used, longest, seed)
        others = None
        if len(held_out):
            scaled = scaler.transform(self.held_out(held_out))
            others = shard_of(scaled, held_out, longest)
        return SplitData(loader, others, len(rows), num_observed(self.sequences, rows))

    def own_blocks(self) -> Iterator[Sequences]:
        """Yield the sequences of the parts of this process in blocks."""
        for number in self._division.own:
            bounds = self._division.offsets[number : number + 2]
            yield self.sequences.block(*bounds)
            self.sequences.release(*bounds)
