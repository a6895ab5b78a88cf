"""`PartedBatches`: batches that take as many sequences of each part of the data."""

from collections.abc import Iterator

import numpy as np

from refold.sequences.preprocessing._length_batches import Batches, BatchPlan, Bucket


class PartedBatches(Batches):
    """Division of sequences in parts into batches, as by `Batches`."""

    def __init__(
        self,
        lengths: np.ndarray,
        batch_size: int,
        num_steps: int | None = None,
        *,
        part_offsets: np.ndarray,  # part i holds the sequences part_offsets[i] to [i + 1]
    ) -> None:
        # Each part has its own columns of the rows of a batch, one after another, so that a process
        # that holds some of the parts can cut its own share out of each batch. The division does
        # not depend on the number of processes. Where a part has fewer sequences than others, its
        # share of some batches is empty.
        super().__init__(lengths, batch_size, num_steps)
        self._part_offsets, parts = part_offsets, len(part_offsets) - 1
        self.buckets = tuple(
            Bucket(bucket.num_steps, -(-bucket.batch_size // parts) * parts)
            for bucket in self.buckets
        )

    def num_batches(self, rows: np.ndarray) -> int:
        """Return the number of batches, full or partial, of an epoch over these sequences."""
        parts = self._parts(rows)
        return sum(
            max(-(-len(part) // self._share(i)) for part in self._in_bucket(parts, i))
            for i in range(len(self.buckets))
        )

    def epochs_in_a_run(self, rows: np.ndarray) -> int:
        """Return the number of epochs over these sequences that fit into one run."""
        return super().epochs_in_a_run(rows) if self.num_batches(rows) <= self.run_length else 0

    def epoch(
        self, rows: np.ndarray, *, seed: int | None = None, epoch: int = 0, shard: int = 0
    ) -> Iterator[BatchPlan]:
        """Yield runs of batches, shuffled within each part and between buckets."""
        rng = None if seed is None else np.random.default_rng([seed, epoch, shard])
        runs, parts = [], self._parts(rows)
        for i, bucket in enumerate(self.buckets):
            chosen, size = list(self._in_bucket(parts, i)), self._share(i)
            if rng is not None:
                chosen = [rng.permutation(part) for part in chosen]
            counts = [-(-len(part) // size) for part in chosen]
            filled = np.full((max(counts), len(chosen), size), -1, np.int64)
            for p, (part, count) in enumerate(zip(chosen, counts, strict=True)):
                own = np.full((count, size), -1, np.int64)
                own.flat[: len(part)] = part
                # batches without sequences of this part are spread over the epoch
                filled[np.arange(count) * max(counts) // max(1, count), p] = own
            flat = filled.reshape(-1)
            run = bucket.batch_size * self.run_length
            runs += [
                self._fill(bucket, [flat[start : start + run]])
                for start in range(0, len(flat), run)
            ]
        order = np.arange(len(runs)) if rng is None else rng.permutation(len(runs))
        yield from (runs[i] for i in order)

    def _parts(self, rows: np.ndarray) -> list[np.ndarray]:
        part = np.searchsorted(self._part_offsets, rows, side="right") - 1
        return [rows[part == i] for i in range(len(self._part_offsets) - 1)]

    def _in_bucket(self, parts: list[np.ndarray], bucket: int) -> Iterator[np.ndarray]:
        return (part[self._bucket_of[part] == bucket] for part in parts)

    def _share(self, bucket: int) -> int:
        """Return the number of sequences of each part in a batch."""
        return self.buckets[bucket].batch_size // (len(self._part_offsets) - 1)
