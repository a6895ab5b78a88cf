"""Split sequences into batches, and make the rows that an encoder reads.

A batch holds packed rows: the steps of its sequences one after another, without padding.
`concurrent_batches` computes several batches at once.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from refold._support.arrays import concatenated_ranges, lengths_from_offsets, offsets_from_lengths
from refold.kernels import packed
from refold.network.specification import Specification
from refold.sequences import Sequences, unpadded_input_and_target

# Maximum number of steps in a batch, to limit the memory.
_MAX_BATCH_STEPS = 32768
# Maximum number of values in a batch, of channels or of outputs, whichever are more. It matters for
# columns with many categories, because each category is an output.
_MAX_BATCH_VALUES = 256 * _MAX_BATCH_STEPS
# Maximum number of sequences in a batch, because each has a code and a state, even if it is short.
_MAX_BATCH_SEQUENCES = 4096
# Minimum number of batches for a progress bar; fewer are done before a bar would help.
_MIN_BATCHES_FOR_PROGRESS_BAR = 20
# Maximum number of batches that are computed at the same time, to limit the memory.
_MAX_CONCURRENT_BATCHES = 4


class BatchLocation(NamedTuple):
    """Where the sequences of a batch are in a larger set of sequences."""

    indices: np.ndarray  # (n_sequences,): indices of the sequences in the set
    offsets: np.ndarray  # (n_sequences + 1,): where their steps begin and end in the batch
    rows: Any  # slice or (n_rows,): indices of their steps among all steps of the set


def iterate_batches(specification: Specification, offsets: np.ndarray) -> Iterator[BatchLocation]:
    """Yield batches that hold all sequences with these offsets, each sequence once."""
    for indices in split_into_batches(specification, offsets):
        yield locate_batch(indices, offsets)


def split_into_batches(specification: Specification, offsets: np.ndarray) -> list[np.ndarray]:
    """Return the indices of the sequences of each batch."""
    # If there is more than one batch, each has sequences of similar length. The kernel computes one
    # step of all sequences at once, so it is fastest if their lengths are similar.
    width = max(specification.num_outputs, specification.num_channels)
    max_steps = min(_MAX_BATCH_STEPS, _MAX_BATCH_VALUES // width)
    lengths = lengths_from_offsets(offsets)
    if len(lengths) <= _MAX_BATCH_SEQUENCES and offsets[-1] <= max_steps:
        return [np.arange(len(lengths))] if len(lengths) else []
    order = np.argsort(lengths, kind="stable")
    sorted_offsets = offsets_from_lengths(lengths[order])
    batches, begin = [], 0
    while begin < len(order):
        # a batch ends before the first sequence with which it would have more than ``max_steps``
        max_end_offset = sorted_offsets[begin] + max_steps
        end = int(np.searchsorted(sorted_offsets, max_end_offset, side="right")) - 1
        # a sequence that is too long is a batch by itself
        end = max(begin + 1, min(end, begin + _MAX_BATCH_SEQUENCES))
        batches.append(order[begin:end])
        begin = end
    return batches


def locate_batch(indices: np.ndarray, offsets: np.ndarray) -> BatchLocation:
    """Return the batch of the sequences with these indices in a set with these offsets."""
    if len(indices) == len(offsets) - 1:  # a single batch has all sequences in their order
        return BatchLocation(indices, offsets, slice(None))
    lengths = lengths_from_offsets(offsets)[indices]
    rows = concatenated_ranges(offsets[:-1][indices], lengths)
    return BatchLocation(indices, offsets_from_lengths(lengths), rows)


@contextlib.contextmanager
def concurrent_batches(
    compute_batch: Callable[[np.ndarray], None],
    specification: Specification,
    offsets: np.ndarray,
    bar_description: str = "",  # text beside the progress bar
    *,
    verbose: int = 0,
) -> Iterator[Iterable[None]]:
    """Yield an iterator that calls ``compute_batch`` with the sequence indices of each batch."""
    # The caller runs the loop, so this function is not in the call stack while a batch is computed.
    # With several cores, several batches are computed at the same time. A core with a batch of its
    # own never waits. If several cores computed one batch, they would wait for each other. At the
    # end, fewer batches than cores may be left. Then each batch gets several cores.
    batches = split_into_batches(specification, offsets)
    num_cores = packed.get_num_threads()
    num_concurrent = min(len(batches), num_cores, _MAX_CONCURRENT_BATCHES)
    # NumPy need not warn of overflow, because callers check the results
    no_warnings: Any = {"over": "ignore", "invalid": "ignore"}

    def compute_with_limited_threads(batch_index: int) -> None:
        # number of batches in an incomplete last round; with 0, all rounds are complete
        num_left_at_end = len(batches) % num_concurrent
        is_last = batch_index >= len(batches) - num_left_at_end
        num_threads = num_cores // (num_left_at_end if is_last else num_concurrent)
        with packed.limited_threads(num_threads), np.errstate(**no_warnings):
            compute_batch(batches[batch_index])

    with contextlib.ExitStack() as stack:
        stack.enter_context(np.errstate(**no_warnings))
        results: Iterable[None] = map(compute_batch, batches)
        if num_concurrent > 1:
            # after an error or an interrupt, the pool does not start further batches
            pool = stack.enter_context(ThreadPoolExecutor(num_concurrent))
            results = pool.map(compute_with_limited_threads, range(len(batches)))
        if verbose and len(batches) >= _MIN_BATCHES_FOR_PROGRESS_BAR:
            # imported here, because the import of rich takes time
            from refold._support.progress_bars import progress_bar

            bar = stack.enter_context(progress_bar())
            results = bar.track(results, total=len(batches), description=bar_description)
        yield results


def get_input_and_targets(
    specification: Specification, scaled_values: np.ndarray, batch_location: BatchLocation
) -> tuple[np.ndarray, np.ndarray]:
    """Return input and targets of a batch, from scaled values (n_rows, columns) of the set."""
    # These are the rows that `refold.sequences.pad` returns, without padding: input (n_rows,
    # channels) and targets (n_rows, columns). ``unknown_index`` has a number for each column: the
    # index of an unknown category, which is the number of categories, or NaN if not categorical.
    unknown_index = np.array([n or np.nan for n in specification.num_categories])
    steps = np.asarray(scaled_values[batch_location.rows], np.float32)
    return unpadded_input_and_target(steps, unknown_index, has_flags=specification.observed_flags)


def iterate_encoded_batches(
    specification: Specification, scaled_sequences: Sequences
) -> Iterator[tuple[BatchLocation, np.ndarray]]:
    """Yield each batch, and its input (n_rows, width) with one-hot encoded categories."""
    for batch in iterate_batches(specification, scaled_sequences.offsets):
        x, _ = get_input_and_targets(specification, scaled_sequences.values, batch)
        yield batch, one_hot_encode_columns(x, specification.num_categories)


def one_hot_encode_columns(x: np.ndarray, num_categories: Sequence[int]) -> np.ndarray:
    """Encode the categorical columns of x (n_rows, columns) as one-hot, (n_rows, width)."""
    # ``num_categories`` has a number for each of the first columns of x. An unknown or missing
    # category becomes zeros. A column with 0 categories is not categorical and does not change. The
    # columns after those of ``num_categories`` are observed flags and do not change, either.
    if not any(num_categories):
        return x
    blocks = []
    for i, n in enumerate(num_categories):
        column = x[:, i : i + 1]
        blocks.append(column == np.arange(n, dtype=np.float32) if n else column)
    return np.concatenate([*blocks, x[:, len(num_categories) :]], axis=1, dtype=np.float32)
