"""Batches by length: few padded shapes, about equal real steps, every sequence once an epoch."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

__all__ = ["BatchPlan", "Batches", "Bucket"]

_MOST_SHAPES = 8
# Padding costs little where a kernel skips it: this share of the real steps is let pass.
_PADDING = 0.15
# Each shape is compiled; it should serve at least so many batches an epoch.
_FEWEST_BATCHES = 8
# It takes as long to compile as this many padded steps in each of about 40 epochs.
_LEAST_SAVED = 1 << 16
_MOST_CANDIDATES = 128
# Batches of one shape that follow each other: alone, and among other shapes.
_RUN, _SHORT_RUN = 64, 8
# Batches of several short epochs that follow each other.
_EPOCHS_RUN = 256


class Bucket(NamedTuple):
    """One padded shape.

    Attributes
    ----------
    num_steps : int
        Padded length; sequences of the next smaller bucket's and fewer are not in this one.
    batch_size : int
        Number of sequences of a batch.
    """

    num_steps: int
    batch_size: int


class BatchPlan(NamedTuple):
    """Batches of one shape, one after the other.

    Attributes
    ----------
    bucket : Bucket
    rows : array of int32 of shape (capacity, batch_size)
        Indices of sequences; -1 fills up a batch. The capacity is the same for all runs.
    num_batches : int
        Number of batches; what follows in ``rows`` is filling.
    """

    bucket: Bucket
    rows: np.ndarray
    num_batches: int


class Batches:
    """How sequences are cut into batches of like length.

    Sequences are put into a few buckets by length, so that a batch is padded to the longest of
    its bucket and not of all data. The edges are chosen so that padding is least. There are no
    more buckets than padding is worth, because each one is compiled. The batch size of a bucket
    makes its batches hold about as many real steps as those of any other.

    Parameters
    ----------
    lengths : array of int of shape (n_sequences,)
        Length of each sequence, in steps, of all that will ever be batched.
    batch_size : int
        Number of sequences of average length in a batch.
    num_steps : int, optional
        The only padded length, for models that read no other.
    least_saved : int
        Padded steps that one more shape must save in an epoch.

    Attributes
    ----------
    buckets : tuple of Bucket
        From short to long.
    of_one_length : bool
        Whether all sequences are equally long.

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
        most = max(1, min(_MOST_SHAPES, len(lengths) // (batch_size * _FEWEST_BATCHES)))
        edges = [num_steps] if num_steps else _edges(lengths, most, least_saved)
        self._bucket_of = np.searchsorted(edges, lengths)
        target = batch_size * lengths.mean()
        self.buckets = tuple(
            Bucket(int(edge), _batch_size(lengths[self._bucket_of == i], target))
            for i, edge in enumerate(edges)
        )
        few = len(edges) == 1 and -(-len(lengths) // self.buckets[0].batch_size) <= _RUN
        self._capacity = _EPOCHS_RUN if few else _RUN

    def num_batches(self, rows: np.ndarray) -> int:
        """Count the batches of an epoch over the given sequences, partial ones included."""
        counts = np.bincount(self._bucket_of[rows], minlength=len(self.buckets))
        return sum(
            -(-int(n) // bucket.batch_size) for n, bucket in zip(counts, self.buckets, strict=True)
        )

    def padding(self) -> float:
        """Return the padded steps over the real ones, all sequences together, less 1."""
        padded = sum(
            bucket.num_steps * int((self._bucket_of == i).sum())
            for i, bucket in enumerate(self.buckets)
        )
        return padded / int(self.lengths.sum()) - 1.0

    def epoch(
        self, rows: np.ndarray, *, seed: int | None = None, epoch: int = 0, page: int = 0
    ) -> Iterator[BatchPlan]:
        """Cut sequences into runs of batches, shuffled within and between buckets.

        Parameters
        ----------
        rows : array of int of shape (n_chosen,)
            Indices of the sequences of this epoch.
        seed : int, optional
            Without a seed the order is that of the data, bucket by bucket.
        epoch, page : int
            Each epoch has another order, and so has each part of one that is cut by itself.

        Yields
        ------
        Run
        """
        rng = None if seed is None else np.random.default_rng([seed, epoch, page])
        length = _RUN if len(self.buckets) == 1 else _SHORT_RUN
        runs = []
        for i, bucket in enumerate(self.buckets):
            chosen = rows[self._bucket_of[rows] == i]
            if rng is not None:
                chosen = rng.permutation(chosen)
            size = bucket.batch_size * length
            runs += [
                self._fill(bucket, [chosen[start : start + size]])
                for start in range(0, len(chosen), size)
            ]
        order = np.arange(len(runs)) if rng is None else rng.permutation(len(runs))
        yield from (runs[i] for i in order)

    def epochs_in_a_run(self, rows: np.ndarray) -> int:
        """Count the epochs over the given sequences that one run can hold.

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
        """Cut sequences into one run of several epochs; each is what `epoch` makes of it.

        Parameters
        ----------
        rows : array of int of shape (n_chosen,)
            Indices of the sequences.
        seed : int
        first, count : int
            The first of the epochs, and how many: at most `epochs_in_a_run`.

        Returns
        -------
        Run

        Examples
        --------
        >>> batches = Batches(np.full(4, 7), 2)
        >>> run = batches.epochs(np.arange(4), seed=0, first=1, count=3)
        >>> run.num_batches
        6
        """
        (bucket,) = self.buckets
        alone = [next(self.epoch(rows, seed=seed, epoch=first + i)) for i in range(count)]
        return self._fill(bucket, [run.rows[: run.num_batches].ravel() for run in alone])

    def _fill(self, bucket: Bucket, parts: list[np.ndarray]) -> BatchPlan:
        """Fill the batches of a run; each part begins a new one."""
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


def _edges(lengths: np.ndarray, most: int, least_saved: int) -> list[int]:
    """Choose at most ``most`` padded lengths: as few as keep padding small, else the best."""
    longest = int(lengths.max(initial=1))
    if not len(lengths):
        return [longest]
    candidates = np.unique(
        np.quantile(lengths, np.linspace(0, 1, _MOST_CANDIDATES), method="higher")
    )
    place = np.searchsorted(candidates, lengths)
    counts = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=len(candidates)))])
    # cost[i, j]: padded steps of the candidates i to j in one bucket
    cost = (counts[None, 1:] - counts[:-1, None]) * candidates[None, :].astype(np.float64)
    allowed = lengths.sum() * (1.0 + _PADDING)
    best, cuts = cost[0], []
    for _ in range(most - 1):
        if best[-1] <= allowed:
            break
        # the last bucket starts at candidate i: what lies before has the best cost so far
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
