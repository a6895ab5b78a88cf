"""What is measured: parts, each with its data sets, sizes and time, and the runs of a selection."""

from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.fidelity_peers.data import DATA
from benchmarks.fidelity_peers.methods import METHODS

__all__ = ["LONG_SECONDS", "PARTS", "QUICK", "SECONDS", "Part", "Run", "Selection"]

SIZES = (2, 4, 8, 16, 32)
SECONDS, LONG_SECONDS = 60, 300


class Part(NamedTuple):
    """Data sets measured at the same sizes; ``long`` ones get more time."""

    data: tuple[str, ...]
    sizes: tuple[int, ...]
    long: bool = False


PARTS = {
    "series": Part(("vowels", "digits", "italy", "gunpoint", "motions"), SIZES),
    "symbols": Part(("one_hot", "words"), SIZES),
    "words": Part(("words",), (64, 128), long=True),
    # Keras's issue 7231: 11,000 one-hot sentences of 120 steps, a code of 120 numbers.
    "sentences": Part(("sentences",), (32, 120), long=True),
}
QUICK = {"quick": Part(("italy", "one_hot"), (4,))}


class Run(NamedTuple):
    """One fit: what the result is found by, beside versions and machine."""

    data: str
    size: int
    method: str
    seed: int
    seconds: int


class Selection(NamedTuple):
    """The parts of a plan, and what of them is wanted."""

    parts: dict[str, Part]
    data: tuple[str, ...] = tuple(DATA)
    methods: tuple[str, ...] = tuple(METHODS)
    sizes: tuple[int, ...] | None = None
    seconds: int = SECONDS
    long_seconds: int = LONG_SECONDS

    def cells(self) -> Iterator[tuple[str, int, int]]:
        """Yield data set, size and seconds of each cell."""
        for part in self.parts.values():
            for data in part.data:
                for size in part.sizes:
                    if data in self.data and (self.sizes is None or size in self.sizes):
                        yield data, size, self.long_seconds if part.long else self.seconds

    def runs(self) -> list[Run]:
        """All runs, cell by cell; what is not trained needs no time."""
        return [
            Run(data, size, name, seed, seconds if METHODS[name].trained else 0)
            for data, size, seconds in self.cells()
            for name in self.methods
            for seed in METHODS[name].seeds
        ]
