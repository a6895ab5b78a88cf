"""Batches by length: few padded shapes, similar numbers of real steps, and their padding."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from refold._support.rules import check, whole
from refold.sequences._sequences import Sequences

# Maximum number of padded shapes.
_MAX_SHAPES = 8
# Tolerated padding as a share of the real steps: it costs little where a kernel skips it.
_PADDING = 0.15
# Minimum number of batches per shape and epoch, since each shape is compiled.
_MIN_BATCHES = 8
# Compiling takes as long as this many padded steps in each of about 40 epochs. So small data sets
# have one padded length.
_MIN_SAVED = 1 << 16
# Maximum number of candidates for the padded lengths.
_MAX_CANDIDATES = 128
# Consecutive batches of one shape if there is only one shape.
_RUN = 64
# Consecutive batches of one shape if there are several.
_SHORT_RUN = 8


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
    """Division of sequences into batches of similar length."""

    # Sequences are grouped into a few buckets by length, and each batch is padded to the longest
    # sequence of its bucket. The bucket edges minimize padding. The number of buckets is limited,
    # because each one is compiled. Batch sizes differ so that the batches of all buckets hold about
    # the same number of real steps.
    #
    # Data that several processes hold come in parts, and each part has as many columns of the rows
    # of a batch. A process that holds some of the parts cuts its own share out of each batch, so
    # the division does not depend on the number of processes. Where a part has fewer sequences than
    # others, its share of some batches is empty.

    def __init__(
        self,
        lengths: np.ndarray,  # (n,), of all sequences that will be batched
        batch_size: int,  # number of sequences of average length per batch
        num_steps: int | None = None,  # the only padded length, if a model has a fixed one
        *,
        part_offsets: np.ndarray | None = None,  # (n_parts + 1,); one part by default
    ) -> None:
        self.of_one_length = len(np.unique(lengths)) == 1
        self.lengths = lengths = np.maximum(np.asarray(lengths, np.int64), 1)
        self._part_offsets = [0, len(lengths)] if part_offsets is None else part_offsets
        self._num_parts = len(self._part_offsets) - 1
        max_buckets = max(1, min(_MAX_SHAPES, len(lengths) // (batch_size * _MIN_BATCHES)))
        edges = [num_steps] if num_steps else _edges(lengths, max_buckets)
        self._bucket_of = np.searchsorted(edges, lengths)
        target = batch_size * lengths.mean()
        sizes = [_batch_size(lengths[self._bucket_of == i], target) for i in range(len(edges))]
        self._run_length = _RUN if len(edges) == 1 else _SHORT_RUN
        self.buckets = tuple(  # from short to long
            Bucket(int(edge), -(-size // self._num_parts) * self._num_parts)
            for edge, size in zip(edges, sizes, strict=True)
        )

    def num_batches(self, rows: np.ndarray) -> int:
        """Return the number of batches, full or partial, of an epoch over these sequences."""
        return sum(
            max(-(-len(part) // share) for part in parts)
            for _, parts, share in self._in_buckets(rows)
        )

    def padding(self) -> float:
        """Return the ratio of padding to real steps over all sequences."""
        padded = np.array([bucket.num_steps for bucket in self.buckets])[self._bucket_of]
        return int(padded.sum()) / int(self.lengths.sum()) - 1.0

    def epoch(
        self, rows: np.ndarray, *, seed: int | None = None, epoch: int = 0, shard: int = 0
    ) -> Iterator[BatchPlan]:
        """Yield runs of batches of the sequences ``rows``, shuffled within and between buckets."""
        # Without a seed, sequences keep their order within each bucket. Each epoch, and each shard
        # of an epoch, has its own order.
        rng = None if seed is None else np.random.default_rng([seed, epoch, shard])
        runs = []
        for bucket, parts, share in self._in_buckets(rows):
            if rng is not None:
                parts = [rng.permutation(part) for part in parts]
            flat = _side_by_side(parts, share)
            size = bucket.batch_size * self._run_length
            runs += [
                _filled(bucket, flat[start : start + size]) for start in range(0, len(flat), size)
            ]
        order = np.arange(len(runs)) if rng is None else rng.permutation(len(runs))
        yield from (runs[i] for i in order)

    def _in_buckets(self, rows: np.ndarray) -> Iterator[tuple[Bucket, list[np.ndarray], int]]:
        """Yield each bucket, its sequences of each part, and how many of these are in a batch."""
        part = np.searchsorted(self._part_offsets, rows, side="right") - 1
        for i, bucket in enumerate(self.buckets):
            inside = self._bucket_of[rows] == i
            parts = [rows[inside & (part == p)] for p in range(self._num_parts)]
            yield bucket, parts, bucket.batch_size // self._num_parts


def _filled(bucket: Bucket, flat: np.ndarray) -> BatchPlan:
    """Fill the batches of a run; all runs have the same capacity."""
    size = bucket.batch_size
    rows = np.full(_RUN * size, -1, np.int32)
    rows[: len(flat)] = flat
    return BatchPlan(bucket, rows.reshape(_RUN, size), -(-len(flat) // size))


def _side_by_side(parts: list[np.ndarray], share: int) -> np.ndarray:
    """Return the rows of batches, flat, with as many columns for each part, padded with -1."""
    counts = [-(-len(part) // share) for part in parts]
    filled = np.full((max(counts), len(parts), share), -1, np.int64)
    for p, (part, count) in enumerate(zip(parts, counts, strict=True)):
        own = np.full((count, share), -1, np.int64)
        own.flat[: len(part)] = part
        # batches without sequences of this part are spread over the epoch
        filled[np.arange(count) * max(counts) // max(1, count), p] = own
    return filled.reshape(-1)


def _batch_size(lengths: np.ndarray, target: float) -> int:
    mean = float(lengths.mean()) if len(lengths) else target
    return max(1, min(max(1, len(lengths)), round(target / mean)))


def _edges(lengths: np.ndarray, max_buckets: int) -> list[int]:
    """Choose padded lengths: the fewest with tolerable padding, or the best ``max_buckets``."""
    longest = int(lengths.max())
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
        if best[-1] - total[:, -1].min() < _MIN_SAVED:
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


# Padding


def pad(
    sequences: Sequences, indices: Any, num_steps: int, *, flags: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return the padded input and target of a batch.

    Parameters
    ----------
    sequences : Sequences
        Scaled sequences.
    indices : array of int of shape (B,)
        Indices of the sequences of the batch.
    num_steps : int
        ``T``, at least 1 and at least the maximum length in the batch.
    flags : bool, default=False
        Append one mask channel per feature to the input, 1 for observed and 0 for missing.

    Returns
    -------
    x : array of float32 of shape (B, T, F) or (B, T, 2 F)
        Missing entries are 0; in categorical columns, the index of the unknown category.
    y : array of float32 of shape (B, T, F)
        NaN where padded, missing or of unknown category.

    Examples
    --------
    >>> x, y = pad(Sequences.from_list([[1.0, float("nan")], [3.0]]), [0, 1], 2)
    >>> y[:, :, 0]
    array([[ 1., nan],
           [ 3., nan]], dtype=float32)
    """
    batch = sequences[np.asarray(indices, dtype=np.int64)]
    lengths, schema = batch.lengths, batch.schema
    check("num_steps", num_steps, whole(max(1, int(lengths.max(initial=0)))))
    real = np.arange(num_steps) < lengths[:, None]
    values = np.full((*real.shape, schema.num_columns), np.nan, np.float32)
    values[real] = batch.values
    return input_and_target(values, lengths, schema.unknown, flags=flags)


def input_and_target(
    values: Any,
    lengths: Any,  # (B,)
    unknown: np.ndarray,  # (F,): index of the unknown category; NaN if not categorical
    *,
    flags: bool,
    padding: float = np.nan,  # the input in padded steps
    numpy: Any = np,  # or ``jax.numpy`` inside compiled code
) -> tuple[Any, Any]:
    """Return the input and target of a batch (B, T, F) with anything as padding; see `pad`."""
    real = (numpy.arange(values.shape[1]) < lengths[:, None])[..., None]
    x, y = unpadded_input_and_target(values, unknown, flags=flags, numpy=numpy)
    x = numpy.where(real, x, np.float32(padding))
    return x, numpy.where(real, y, np.float32(np.nan))


def unpadded_input_and_target(
    values: Any, unknown: np.ndarray, *, flags: bool, numpy: Any = np
) -> tuple[Any, Any]:
    """Return the input and target of values (..., F), NaN where missing, of real steps."""
    unknown = unknown.astype(np.float32)
    observed = ~numpy.isnan(values)
    # Padding is NaN, so missing values of a real step are finite numbers, and flags tell what was
    # observed. A real step with all values missing is then no padding.
    x = numpy.where(observed, values, np.where(np.isnan(unknown), np.float32(0), unknown))
    if flags:
        x = numpy.concatenate([x, observed.astype(np.float32)], axis=-1)
    return x, numpy.where(values != unknown, values, np.float32(np.nan))
