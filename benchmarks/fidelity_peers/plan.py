"""The parts with their data sets, sizes and time limits, and the runs of a selection."""

from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.fidelity_peers.data import DATA
from benchmarks.fidelity_peers.methods import METHODS
from benchmarks.fidelity_peers.wheel_sets import CHOOSE, REPORT

__all__ = [
    "BRIEF_SECONDS",
    "LONG_SECONDS",
    "PARTS",
    "QUICK",
    "SECONDS",
    "Part",
    "Run",
    "Selection",
]

SIZES = (2, 4, 8, 16, 32)
SECONDS, LONG_SECONDS, BRIEF_SECONDS = 60, 300, 30
# Latent dimensions for the sets from wheels.
WHEEL_SIZES = (4, 16, 32)


class Part(NamedTuple):
    """Data sets with the same sizes; ``long`` parts have more time, and ``brief`` parts less."""

    data: tuple[str, ...]
    sizes: tuple[int, ...]
    long: bool = False
    brief: bool = False


PARTS = {
    "series": Part(("vowels", "digits", "italy", "gunpoint", "motions"), SIZES),
    "symbols": Part(("one_hot", "words"), SIZES),
    "words": Part(("words",), (64, 128), long=True),
    # Keras issue 7231: 11,000 one-hot sentences of 120 steps, codes of 120 dimensions.
    "sentences": Part(("sentences",), (32, 120), long=True),
    # Sets from wheels: defaults were chosen on the first part, and the second only reports.
    "choosing": Part(tuple(CHOOSE), WHEEL_SIZES, brief=True),
    "reporting": Part(tuple(REPORT), WHEEL_SIZES, brief=True),
}
QUICK = {"quick": Part(("italy", "one_hot"), (4,))}


class Run(NamedTuple):
    """One fit; with the versions and the machine it identifies a result."""

    data: str
    size: int
    method: str
    seed: int
    seconds: int


class Selection(NamedTuple):
    """The selected parts, data sets, methods, sizes, seeds and time limits."""

    parts: dict[str, Part]
    data: tuple[str, ...] = tuple(DATA)
    methods: tuple[str, ...] = tuple(METHODS)
    sizes: tuple[int, ...] | None = None
    seconds: int = SECONDS
    long_seconds: int = LONG_SECONDS
    seeds: tuple[int, ...] | None = None

    def cells(self) -> Iterator[tuple[str, int, int]]:
        """Yield the data set, the size and the time limit of each cell."""
        for part in self.parts.values():
            for data in part.data:
                for size in part.sizes:
                    if data in self.data and (self.sizes is None or size in self.sizes):
                        yield data, size, self._seconds_of(part)

    def seeds_of(self, name: str) -> tuple[int, ...]:
        """Return the selected seeds of a method."""
        seeds = METHODS[name].seeds
        return seeds if self.seeds is None else tuple(one for one in seeds if one in self.seeds)

    def runs(self) -> list[Run]:
        """Return all runs; methods without training have a time limit of 0."""
        return [
            Run(data, size, name, seed, seconds if METHODS[name].trained else 0)
            for data, size, seconds in self.cells()
            for name in self.methods
            for seed in self.seeds_of(name)
        ]

    def _seconds_of(self, part: Part) -> int:
        if part.long:
            return self.long_seconds
        return min(self.seconds, BRIEF_SECONDS) if part.brief else self.seconds
