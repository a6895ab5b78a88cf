"""Batches of sequences of similar length, and their padding.

`BucketedBatches` divides the sequences of an epoch into batches. `pad` and the functions after it
make the padded arrays of one batch.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from refold._support.rules import check, integer_rule
from refold.sequences._sequences import Sequences

# Maximum number of buckets, because the network is compiled for each bucket.
_MAX_BUCKETS = 8
# Maximum ratio of padding to real steps. A lower ratio needs more buckets, and padding costs little
# where the LSTM skips padded steps.
_MAX_PADDING_RATIO = 0.15
# Minimum number of batches per bucket and epoch. Fewer would not repay the compilation.
_MIN_BATCHES_PER_BUCKET = 8
# Minimum number of padded steps per epoch that a further bucket must save. The compilation of a
# bucket takes as long as computing this many steps in each of about 40 epochs, so small data sets
# have one bucket.
_MIN_STEPS_SAVED_BY_BUCKET = 1 << 16
# Maximum number of candidates for the padded lengths. The time of the search grows with the square
# of the number of candidates.
_MAX_LENGTH_CANDIDATES = 128
# Number of batches of a run (a `BatchRun`) if there is only one bucket. No run has more batches.
_MAX_BATCHES_PER_RUN = 64
# Number of batches of a run if there are several buckets. Shorter runs mix them more evenly.
_BATCHES_PER_RUN_WITH_BUCKETS = 8


class BucketShape(NamedTuple):
    """The padded shape of the batches of a bucket; its sequences fit into no shorter bucket."""

    num_steps: int  # length of the sequences with padding
    batch_size: int  # maximum number of sequences per batch


class BatchRun(NamedTuple):
    """A run of consecutive batches of one bucket."""

    bucket: BucketShape
    # Indices of sequences, int32 (_MAX_BATCHES_PER_RUN, batch_size), padded with -1. All runs of a
    # bucket have this shape, so that a function is compiled only once per bucket.
    indices: np.ndarray
    num_batches: int  # number of rows of `indices` that are batches; all later rows are padding


class BucketedBatches:
    """Division of sequences into batches of similar length."""

    # Sequences are grouped into a few buckets by length, and each batch is padded to the longest
    # length of its bucket. The padded lengths of the buckets minimize padding. Batch sizes differ
    # between buckets so that all batches hold about the same number of real steps.
    #
    # In a training by several processes, the sequences are divided into partitions. Each partition
    # fills an equal share of the columns of a batch, and each process has some of the partitions.
    # So the batches do not depend on the number of processes. A partition with fewer sequences than
    # another leaves its share of some batches empty.

    def __init__(
        self,
        lengths: np.ndarray,  # (n,), of all sequences that will be batched
        batch_size: int,  # number of sequences of average length per batch
        fixed_steps: int | None = None,  # the only padded length, if a model has a fixed one
        *,
        partition_offsets: np.ndarray | None = None,  # (n_partitions + 1,); None for one partition
    ) -> None:
        self.has_one_length = len(np.unique(lengths)) == 1
        # an empty sequence counts as one step, because a batch has one step at least
        self.lengths = lengths = np.maximum(np.asarray(lengths, np.int64), 1)
        has_partitions = partition_offsets is not None
        self._partition_offsets = partition_offsets if has_partitions else [0, len(lengths)]
        self._num_partitions = len(self._partition_offsets) - 1
        limit = min(_MAX_BUCKETS, len(lengths) // (batch_size * _MIN_BATCHES_PER_BUCKET))
        padded_lengths = [fixed_steps] if fixed_steps else _choose_padded_lengths(lengths, limit)
        self._bucket_indices = np.searchsorted(padded_lengths, lengths)  # (n,)
        steps_per_batch = batch_size * lengths.mean()
        self._batches_per_run = (
            _BATCHES_PER_RUN_WITH_BUCKETS if len(padded_lengths) > 1 else _MAX_BATCHES_PER_RUN
        )
        buckets = []
        for i, padded_length in enumerate(padded_lengths):
            bucket_lengths = lengths[self._bucket_indices == i]
            mean_length = float(bucket_lengths.mean()) if len(bucket_lengths) else steps_per_batch
            size = max(1, round(steps_per_batch / mean_length))
            size = min(size, max(1, len(bucket_lengths)))
            # the next multiple of the number of partitions: -(-a // b) is a / b, rounded up
            size = -(-size // self._num_partitions) * self._num_partitions
            buckets.append(BucketShape(int(padded_length), size))
        self.buckets = tuple(buckets)  # in ascending order of length

    def count_batches(self, indices: np.ndarray) -> int:
        """Return the number of batches of an epoch over the sequences with these indices."""
        return sum(run.num_batches for run in self.iter_batch_runs(indices))

    def iter_batch_runs(
        self, indices: np.ndarray, *, seed: int | None = None, epoch: int = 0, shard_index: int = 0
    ) -> Iterator[BatchRun]:
        """Yield runs of batches of the sequences with these indices, in random order."""
        # Without a seed, sequences keep their order within each bucket. Each epoch, and each shard
        # of an epoch, has its own order. A shard is a part of the data that training loads at once.
        rng = None if seed is None else np.random.default_rng([seed, epoch, shard_index])
        # bucket and partition of each sequence, both (len(indices),)
        bucket_indices = self._bucket_indices[indices]
        partition_indices = np.searchsorted(self._partition_offsets, indices, side="right") - 1
        runs = []
        for i, bucket in enumerate(self.buckets):
            is_in_bucket = bucket_indices == i
            masks = [is_in_bucket & (partition_indices == p) for p in range(self._num_partitions)]
            partitions = [indices[mask] for mask in masks]  # the indices of each partition
            if rng is not None:
                partitions = [rng.permutation(partition) for partition in partitions]
            partition_width = bucket.batch_size // self._num_partitions
            # number of batches that each partition fills, the last one perhaps in part
            counts = [-(-len(partition) // partition_width) for partition in partitions]
            num_batches = max(counts)
            batches = np.full((num_batches, len(partitions), partition_width), -1, np.int32)
            for p, (partition, count) in enumerate(zip(partitions, counts, strict=True)):
                columns = np.full((count, partition_width), -1, np.int32)
                columns.flat[: len(partition)] = partition
                # batches without sequences of this partition are spread over the epoch
                batches[np.arange(count) * num_batches // max(1, count), p] = columns
            batches = batches.reshape(num_batches, bucket.batch_size)
            for start in range(0, num_batches, self._batches_per_run):
                run_batches = batches[start : start + self._batches_per_run]
                run_indices = np.full((_MAX_BATCHES_PER_RUN, bucket.batch_size), -1, np.int32)
                run_indices[: len(run_batches)] = run_batches
                runs.append(BatchRun(bucket, run_indices, len(run_batches)))
        order = np.arange(len(runs)) if rng is None else rng.permutation(len(runs))
        yield from (runs[i] for i in order)


def _choose_padded_lengths(lengths: np.ndarray, max_buckets: int) -> list[int]:
    """Return the padded length of each bucket, ascending, for as many buckets as pay off."""
    # Dynamic programming over candidates: a best division of the first candidates into k buckets
    # is a best division of fewer candidates into k - 1 buckets, and one more bucket.
    longest = int(lengths.max())
    candidates = np.unique(
        np.quantile(lengths, np.linspace(0, 1, _MAX_LENGTH_CANDIDATES), method="higher")
    )
    candidate_indices = np.searchsorted(candidates, lengths)
    counts = np.bincount(candidate_indices, minlength=len(candidates))
    num_before = np.concatenate([[0], np.cumsum(counts)])  # sequences before each candidate
    # cost[i, j]: number of steps, with padding, of a bucket of the candidates i to j
    cost = (num_before[None, 1:] - num_before[:-1, None]) * candidates[None, :].astype(np.float64)
    max_cost = lengths.sum() * (1.0 + _MAX_PADDING_RATIO)
    # best_cost[j]: minimum cost of the candidates 0 to j. last_starts: for each number of buckets
    # after one, the first candidate of the last bucket, (len(candidates),).
    best_cost, last_starts = cost[0], []
    for _ in range(max_buckets - 1):
        if best_cost[-1] <= max_cost:
            break
        # total_cost[i, j]: minimum cost of the candidates before i, plus a last bucket from i to j.
        # If i is after j, there is no such bucket, and the cost is 0 (i = j + 1) or negative.
        last_cost = np.where(cost >= 0, cost, np.inf)
        total_cost = np.concatenate([[0.0], best_cost[:-1]])[:, None] + last_cost
        if best_cost[-1] - total_cost[:, -1].min() < _MIN_STEPS_SAVED_BY_BUCKET:
            break
        last_starts.append(total_cost.argmin(axis=0))
        best_cost = total_cost.min(axis=0)
    # from the last bucket to the first: the candidate before the start of a bucket ends the bucket
    # before it
    padded_lengths, end = [longest], len(candidates) - 1
    for starts in reversed(last_starts):
        end = int(starts[end]) - 1
        if end < 0:  # this bucket begins with the first candidate
            break
        padded_lengths.append(int(candidates[end]))
    return padded_lengths[::-1]


def pad(
    sequences: Sequences, indices: Any, num_steps: int, *, has_flags: bool = False
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
    has_flags : bool, default=False
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
    check("num_steps", num_steps, integer_rule(max(1, int(lengths.max(initial=0)))))
    is_step = np.arange(num_steps) < lengths[:, None]
    values = np.full((*is_step.shape, schema.num_columns), np.nan, np.float32)
    values[is_step] = batch.values
    return padded_input_and_target(values, lengths, schema.index_of_unknown, has_flags=has_flags)


def padded_input_and_target(
    values: Any,
    lengths: Any,  # (B,)
    index_of_unknown: np.ndarray,  # (F,): index of the unknown category; NaN if not categorical
    *,
    has_flags: bool,
    input_padding_value: float = np.nan,  # the input in padded steps
    xp: Any = np,  # the array module: `numpy`, or `jax.numpy` in compiled code
) -> tuple[Any, Any]:
    """Return the input and target of values (B, T, F), like `pad`; padding is ignored."""
    is_step = (xp.arange(values.shape[1]) < lengths[:, None])[..., None]
    x, y = unpadded_input_and_target(values, index_of_unknown, has_flags=has_flags, xp=xp)
    x = xp.where(is_step, x, np.float32(input_padding_value))
    return x, xp.where(is_step, y, np.float32(np.nan))


def unpadded_input_and_target(
    values: Any, index_of_unknown: np.ndarray, *, has_flags: bool, xp: Any = np
) -> tuple[Any, Any]:
    """Return the input and target of values (..., F) of real steps, NaN where missing."""
    index_of_unknown = index_of_unknown.astype(np.float32)
    is_observed = ~xp.isnan(values)
    # Networks take NaN in the input as padding. So a missing value becomes a finite number, and
    # flags tell what was observed: a real step is no padding, even if all its values are missing.
    missing_input = np.where(np.isnan(index_of_unknown), np.float32(0), index_of_unknown)
    x = xp.where(is_observed, values, missing_input)
    if has_flags:
        x = xp.concatenate([x, is_observed.astype(np.float32)], axis=-1)
    # A network could not learn an unknown category, so it is missing in the target. Columns without
    # categories have NaN as the index of the unknown, and no value equals NaN.
    return x, xp.where(values != index_of_unknown, values, np.float32(np.nan))
