"""Batching by length: few padded shapes, similar numbers of real steps per batch."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

# Maximum number of padded shapes.
_MAX_SHAPES = 8
# Tolerated padding as a share of the real steps: it costs little where a kernel skips it.
_PADDING = 0.15
# Minimum number of batches per shape and epoch, since each shape is compiled.
_MIN_BATCHES = 8
# Compiling takes as long as this many padded steps in each of about 40 epochs.
_LEAST_SAVED = 1 << 16
# Maximum number of candidates for the padded lengths.
_MAX_CANDIDATES = 128
# Consecutive batches of one shape if there is only one shape.
_RUN = 64
# Consecutive batches of one shape if there are several.
_SHORT_RUN = 8
# Batches in a run of several short epochs.
_EPOCHS_RUN = 256


class Bucket(NamedTuple):
    """One padded shape."""

    num_steps: int  # sequences that fit the next smaller bucket are not in this one
    batch_size: int


class BatchPlan(NamedTuple):
    """A run of consecutive batches of one shape."""

    bucket: Bucket
    # Indices of sequences, int32 (capacity, batch_size), padded with -1. All runs have the same
    # capacity.
    rows: np.ndarray
    num_batches: int

    def with_rows(self, rows: np.ndarray) -> "BatchPlan":
        """Return the plan with other indices."""
        return self._replace(rows=rows)


class Batches:
    """Division of sequences into batches of similar length.

    Sequences are grouped into a few buckets by length, and each batch is padded to the longest
    sequence of its bucket. The bucket edges minimize padding. The number of buckets is limited,
    because each one is compiled. Batch sizes differ so that the batches of all buckets hold about
    the same number of real steps.

    Parameters
    ----------
    lengths : array of int of shape (n_sequences,)
        Lengths, in steps, of all sequences that will be batched.
    batch_size : int
        Number of sequences of average length per batch.
    num_steps : int, optional
        The only padded length, for models with a fixed number of steps.
    least_saved : int
        Minimum number of padded steps per epoch that an additional shape must save.

    Attributes
    ----------
    buckets : tuple of Bucket
        From short to long.
    of_one_length : bool
        Whether all sequences have the same length.

    Examples
    --------
    >>> Batches(np.full(100, 7), 32).buckets
    (Bucket(num_steps=7, batch_size=32),)
    >>> lengths = np.repeat([10, 100], [900, 90])
    >>> Batches(lengths, 18).buckets
    (Bucket(num_steps=10, batch_size=33), Bucket(num_steps=100, batch_size=3))
    """

    def __init__(
        self,
        lengths: np.ndarray,
        batch_size: int,
        num_steps: int | None = None,
        *,
        least_saved: int = _LEAST_SAVED,
    ) -> None:
        self.of_one_length = len(np.unique(lengths)) == 1
        lengths = np.maximum(np.asarray(lengths, np.int64), 1)
        self.lengths = lengths
        max_buckets = max(1, min(_MAX_SHAPES, len(lengths) // (batch_size * _MIN_BATCHES)))
        edges = [num_steps] if num_steps else _edges(lengths, max_buckets, least_saved)
        self._bucket_of = np.searchsorted(edges, lengths)
        target = batch_size * lengths.mean()
        self.buckets = tuple(
            Bucket(int(edge), _batch_size(lengths[self._bucket_of == i], target))
            for i, edge in enumerate(edges)
        )
        few = len(edges) == 1 and -(-len(lengths) // self.buckets[0].batch_size) <= _RUN
        self._capacity = _EPOCHS_RUN if few else _RUN

    def num_batches(self, rows: np.ndarray) -> int:
        """Return the number of batches, full or partial, of an epoch over these sequences."""
        counts = np.bincount(self._bucket_of[rows], minlength=len(self.buckets))
        return sum(
            -(-int(n) // bucket.batch_size) for n, bucket in zip(counts, self.buckets, strict=True)
        )

    @property
    def run_length(self) -> int:
        """Largest number of consecutive batches of one shape."""
        return _RUN if len(self.buckets) == 1 else _SHORT_RUN

    def padding(self) -> float:
        """Return the ratio of padding to real steps over all sequences."""
        padded = sum(
            bucket.num_steps * int((self._bucket_of == i).sum())
            for i, bucket in enumerate(self.buckets)
        )
        return padded / int(self.lengths.sum()) - 1.0

    def epoch(
        self, rows: np.ndarray, *, seed: int | None = None, epoch: int = 0, shard: int = 0
    ) -> Iterator[BatchPlan]:
        """Yield runs of batches, shuffled within and between buckets.

        Parameters
        ----------
        rows : array of int of shape (n_chosen,)
            Indices of the sequences of this epoch.
        seed : int, optional
            Without a seed, sequences keep their order within each bucket.
        epoch, shard : int
            Each epoch, and each shard of an epoch, has its own order.

        Yields
        ------
        BatchPlan
        """
        rng = None if seed is None else np.random.default_rng([seed, epoch, shard])
        runs = []
        for i, bucket in enumerate(self.buckets):
            chosen = rows[self._bucket_of[rows] == i]
            if rng is not None:
                chosen = rng.permutation(chosen)
            size = bucket.batch_size * self.run_length
            runs += [
                self._fill(bucket, [chosen[start : start + size]])
                for start in range(0, len(chosen), size)
            ]
        order = np.arange(len(runs)) if rng is None else rng.permutation(len(runs))
        yield from (runs[i] for i in order)

    def epochs_in_a_run(self, rows: np.ndarray) -> int:
        """Return the number of epochs over these sequences that fit into one run.

        Examples
        --------
        >>> batches = Batches(np.full(1200, 10), 100)
        >>> batches.epochs_in_a_run(np.arange(1200))
        21
        """
        if len(self.buckets) > 1 or not len(rows):
            return 0
        return self._capacity // self.num_batches(rows)

    def epochs(self, rows: np.ndarray, *, seed: int, first: int, count: int) -> BatchPlan:
        """Return one run with the batches of several epochs, each as `epoch` yields them.

        Parameters
        ----------
        rows : array of int of shape (n_chosen,)
            Indices of the sequences.
        seed : int
            Seed of the order of the sequences.
        first, count : int
            First epoch, and number of epochs, at most `epochs_in_a_run`.

        Returns
        -------
        BatchPlan

        Examples
        --------
        >>> batches = Batches(np.full(4, 7), 2)
        >>> run = batches.epochs(np.arange(4), seed=0, first=1, count=3)
        >>> run.num_batches
        6
        """
        (bucket,) = self.buckets
        plans = [next(self.epoch(rows, seed=seed, epoch=first + i)) for i in range(count)]
        return self._fill(bucket, [plan.rows[: plan.num_batches].ravel() for plan in plans])

    def _fill(self, bucket: Bucket, parts: list[np.ndarray]) -> BatchPlan:
        """Fill the batches of a run; each part starts a new batch."""
        size = bucket.batch_size
        filled = np.full(self._capacity * size, -1, np.int32)
        start = 0
        for part in parts:
            filled[start : start + len(part)] = part
            start += -(-len(part) // size) * size
        return BatchPlan(bucket, filled.reshape(self._capacity, size), start // size)


def _batch_size(lengths: np.ndarray, target: float) -> int:
    mean = float(lengths.mean()) if len(lengths) else target
    return max(1, min(max(1, len(lengths)), round(target / mean)))


def _edges(lengths: np.ndarray, max_buckets: int, least_saved: int) -> list[int]:
    """Choose padded lengths: the fewest with tolerable padding, or the best ``max_buckets``."""
    longest = int(lengths.max(initial=1))
    if not len(lengths):
        return [longest]
    candidates = np.unique(
        np.quantile(lengths, np.linspace(0, 1, _MAX_CANDIDATES), method="higher")
    )
    index = np.searchsorted(candidates, lengths)
    counts = np.concatenate([[0], np.cumsum(np.bincount(index, minlength=len(candidates)))])
    # cost[i, j]: total steps, with padding, if candidates i to j share a bucket
    cost = (counts[None, 1:] - counts[:-1, None]) * candidates[None, :].astype(np.float64)
    allowed = lengths.sum() * (1.0 + _PADDING)
    best, cuts = cost[0], []
    for _ in range(max_buckets - 1):
        if best[-1] <= allowed:
            break
        # total[i, j]: best cost of all before candidate i, plus a last bucket from i to j
        total = np.concatenate([[0.0], best[:-1]])[:, None] + np.where(cost >= 0, cost, np.inf)
        if best[-1] - total[:, -1].min() < least_saved:
            break
        cuts.append(total.argmin(axis=0))
        best = total.min(axis=0)
    edges, end = [longest], len(candidates) - 1
    for cut in reversed(cuts):
        end = int(cut[end]) - 1
        if end < 0:
            break
        edges.append(int(candidates[end]))
    return edges[::-1]
