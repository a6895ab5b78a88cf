"""Blocks of sequences, and their scaled values as the rows that an encoder reads."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from refold._support.arrays import lengths_from_offsets, offsets_from_lengths, positions_of
from refold.kernels import packed
from refold.network.specification import Specification
from refold.sequences import Sequences, unpadded_input_and_target

# Maximum number of steps in a block, if a step has at most `_WIDTH` values.
_STEPS = 32768
_WIDTH = 256
# Maximum number of sequences in a block.
_MOST_ROWS = 4096
# Minimum number of blocks for a progress bar.
_MANY = 20
# Maximum number of blocks at the same time, to limit the memory.
_AT_ONCE = 4


class Block(NamedTuple):
    """Some of the sequences of a set."""

    indices: np.ndarray  # of the sequences
    offsets: np.ndarray  # (n_sequences + 1,), of their steps in the block
    rows: Any  # slice or indices: rows of their steps in the set


def blocks(specification: Specification, offsets: np.ndarray) -> Iterator[Block]:
    """Split sequences into blocks of about equally many steps, to limit the memory."""
    for indices in split_rows(specification, offsets):
        yield block_of(indices, offsets)


def split_rows(specification: Specification, offsets: np.ndarray) -> list[np.ndarray]:
    """Return the indices of the sequences of each block."""
    # If there is more than one block, each has sequences of similar length, because the kernel is
    # fastest when many sequences have the same step.
    width = max(specification.num_outputs, specification.num_channels)
    most = _STEPS * _WIDTH // max(_WIDTH, width)
    lengths = lengths_from_offsets(offsets)
    if len(lengths) <= _MOST_ROWS and offsets[-1] <= most:
        return [np.arange(len(lengths))] if len(lengths) else []
    order = np.argsort(lengths, kind="stable")
    ends = np.cumsum(lengths[order])
    split, begin = [], 0
    while begin < len(order):
        before = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + most, side="right")))
        split.append(order[begin : min(end, begin + _MOST_ROWS)])
        begin += len(split[-1])
    return split


def block_of(indices: np.ndarray, offsets: np.ndarray) -> Block:
    """Return the block of some sequences of a set with these offsets."""
    if len(indices) == len(offsets) - 1:  # all of them, which are then in their order
        return Block(indices, offsets, slice(None))
    lengths = lengths_from_offsets(offsets)[indices]
    return Block(
        indices, offsets_from_lengths(lengths), positions_of(offsets[:-1][indices], lengths)
    )


@contextlib.contextmanager
def running(
    work: Callable[[np.ndarray], None],
    specification: Specification,
    offsets: np.ndarray,
    what: str = "",
    *,
    verbose: int = 0,
) -> Iterator[Iterable[None]]:
    """Yield an iterator that calls a function with the indices (n,) of each block of sequences."""
    # Several blocks are computed at once if there are several cores. A core that computes a block
    # of its own does not wait for others, as the threads of each operation do. The last blocks
    # share the cores if there are fewer than cores.
    split = split_rows(specification, offsets)
    cores = packed.num_threads()
    at_once = min(len(split), cores, _AT_ONCE)

    # the results are checked afterwards
    def unchecked() -> np.errstate:
        return np.errstate(over="ignore", invalid="ignore")

    def limited(number: int) -> None:
        last = len(split) % at_once
        sharing = at_once if number < len(split) - last else last
        with packed.limited_threads(cores // sharing), unchecked():
            work(split[number])

    with contextlib.ExitStack() as stack:
        stack.enter_context(unchecked())
        done: Iterable[None] = map(work, split)
        if at_once > 1:
            # after an error or an interrupt, it leaves out blocks that have not begun
            pool = stack.enter_context(ThreadPoolExecutor(at_once))
            done = pool.map(limited, range(len(split)))
        if verbose and len(split) >= _MANY:
            # not at the top, because it takes time to import rich
            from refold._support.progress_bars import progress_bar

            bar = stack.enter_context(progress_bar())
            done = bar.track(done, total=len(split), description=what)
        yield done


def input_and_target(
    specification: Specification, values: np.ndarray, block: Block
) -> tuple[np.ndarray, np.ndarray]:
    """Return input and targets of a block, from scaled values (n_rows, columns) of the set."""
    # The rows of what `refold.sequences.pad` returns, without padding. The index of the unknown
    # category is the number of categories.
    unknown = np.array([n or np.nan for n in specification.num_categories])
    steps = np.asarray(values[block.rows], np.float32)
    return unpadded_input_and_target(steps, unknown, flags=specification.observed_flags)


def encoded_blocks(
    specification: Specification, scaled: Sequences
) -> Iterator[tuple[Block, np.ndarray]]:
    """Yield the `blocks` of sequences with their encoded columns (n_rows, width)."""
    for block in blocks(specification, scaled.offsets):
        x, _ = input_and_target(specification, scaled.values, block)
        yield block, one_hot(x, specification.num_categories)


def one_hot(x: np.ndarray, num_categories: Sequence[int]) -> np.ndarray:
    """Encode categorical columns of x (n_rows, columns + others) as one-hot, (n_rows, width)."""
    # an unknown or missing category becomes zeros
    if not any(num_categories):
        return x
    blocks = []
    for i, n in enumerate(num_categories):
        column = x[:, i : i + 1]
        blocks.append(column == np.arange(n, dtype=np.float32) if n else column)
    return np.concatenate([*blocks, x[:, len(num_categories) :]], axis=1, dtype=np.float32)
