"""The division of training data into parts of processes, blocks, shards and epochs."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np

from refold.errors import DataError, ParameterError
from refold.sequences import Sequences
from refold.training._processes import Processes

# Blocks of each part per shard.
_BLOCKS = 4
# Time steps in an epoch: one takes about two minutes on two cores. A checkpoint is written between
# epochs, so this is what a killed training of large data loses.
_MAX_STEPS = 1 << 24


class Divided(NamedTuple):
    """Data that several processes train on, each on its parts, a range of sequences each."""

    sequences: Sequences  # all of them, in each process
    processes: Processes
    num_parts: int

    @classmethod
    def among(cls, processes: Processes, sequences: Sequences, num_parts: int | None) -> Self:
        """Divide sequences, by default into one part for each process."""
        num_parts = num_parts or processes.count
        if num_parts % processes.count:
            raise ParameterError(
                f"{num_parts} parts cannot be divided among {processes.count} processes. Use a "
                "multiple."
            )
        if len(sequences) < num_parts:
            raise DataError(
                f"There are {len(sequences)} sequences for {num_parts} parts. Use fewer processes."
            )
        return cls(sequences, processes, num_parts)


class Division:
    """Blocks of consecutive sequences, of which each epoch draws a few for each shard."""

    # Blocks, not single sequences, are shuffled between shards, so that reads of files are long.

    def __init__(self, sequences: Sequences, divided: Divided | None = None) -> None:
        count = 1 if divided is None else divided.num_parts
        # Part i holds the sequences part_offsets[i] to part_offsets[i + 1].
        self.part_offsets = np.round(np.linspace(0, len(sequences), count + 1)).astype(np.int64)
        # Data in memory of a single process is a single block.
        cut = divided is not None or sequences.is_mapped
        offsets: list[int] = []
        self.parts: list[np.ndarray] = []  # the blocks of each part
        for start, stop in pairwise(self.part_offsets.tolist()):
            begins = start + sequences.block(start, stop).block_offsets[:-1] if cut else [start]
            self.parts.append(np.arange(len(offsets), len(offsets) + len(begins)))
            offsets += list(begins)
        # Block i holds the sequences offsets[i] to offsets[i + 1].
        self.offsets = np.array([*offsets, len(sequences)], np.int64)
        self._steps = sequences.offsets[self.offsets]
        processes = Processes() if divided is None else divided.processes
        each = count // processes.count
        self._parts_of_process = [self.parts[i : i + each] for i in range(0, count, each)]
        self.own = np.concatenate(self._parts_of_process[processes.index])  # blocks
        self.num_shards = -(-max(map(len, self.parts)) // _BLOCKS)
        # Epochs in which all sequences are visited once.
        self.epochs_in_a_pass = max(1, min(self.num_shards, -(-int(self._steps[-1]) // _MAX_STEPS)))

    @property
    def room(self) -> tuple[int, int]:
        """The most steps and sequences of a shard in a process; all shards get this shape."""
        return self._largest(self._steps), self._largest(self.offsets)

    def _largest(self, ends: np.ndarray) -> int:
        sizes = np.diff(ends)
        return max(
            sum(int(np.sort(sizes[part])[-_BLOCKS:].sum()) for part in parts)
            for parts in self._parts_of_process
        )

    def shards(self, seed: int, epoch: int) -> list[np.ndarray]:
        """Return the numbers of the blocks of each shard of an epoch, counted from 1."""
        number, turn = divmod(epoch - 1, self.epochs_in_a_pass)
        rng = np.random.default_rng([seed, number + 1, 0x9A6E])
        orders = [rng.permutation(part) for part in self.parts]
        first, last = (self.num_shards * (turn + i) // self.epochs_in_a_pass for i in range(2))
        return [
            np.concatenate([order[_BLOCKS * i : _BLOCKS * (i + 1)] for order in orders])
            for i in range(first, last)
        ]

    def members(self, blocks: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the indices of the sequences of some blocks."""
        none = np.zeros(0, np.int64)  # a part may have fewer blocks than others
        bounds = self.offsets.tolist()
        return np.concatenate([none, *(np.arange(bounds[i], bounds[i + 1]) for i in blocks)])
