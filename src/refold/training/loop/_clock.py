"""Time: how long a chunk may be, what a step takes, and what a time budget allows."""

import time
from typing import Any

__all__ = ["Clock"]

_CHUNK_SECONDS = 1.0
# Share of a time budget, and steps, after which the speed is known well enough to plan by.
_LOOK, _LOOK_STEPS = 0.05, 20
# What a refit may take longer than its steps did before.
_MARGIN = 1.1


class Clock:
    """Measures a training while it goes on.

    Parameters
    ----------
    budget : float, optional
        Seconds that it may take.
    seconds : float
        Seconds that it has taken before, if it goes on.

    Attributes
    ----------
    preparation : float
        Seconds before the steps, which a refit takes once more.

    Examples
    --------
    >>> clock = Clock(budget=None)
    >>> clock.took(2.0, "shape", num_steps=1)  # which was compiled in that time
    >>> clock.took(0.5, "shape", num_steps=1)
    >>> clock.chunk("shape")
    2
    """

    def __init__(self, budget: float | None, seconds: float = 0.0) -> None:
        now = time.perf_counter()
        self._budget = budget
        self._planned = budget is None
        self._began = now - seconds
        self._worked_since = now
        self.preparation = 0.0
        self._num_steps = 0
        self._chunks: dict[Any, int] = {}

    @property
    def seconds(self) -> float:
        """Seconds since the start, earlier runs of a resumed training included."""
        return time.perf_counter() - self._began

    def prepared(self) -> None:
        """Note that the steps begin, and that a refit takes what came before them once more."""
        now = time.perf_counter()
        self.preparation = now - self._worked_since
        self._worked_since = now

    def chunk(self, shape: Any) -> int:
        """Return the steps of a shape that take about a second; 1 as long as nothing is known."""
        return self._chunks.get(shape, 1)

    def took(self, seconds: float, shape: Any, num_steps: int = 0) -> None:
        """Note what the steps of a chunk took; the first of a shape was compiled."""
        if shape not in self._chunks:
            self._chunks[shape] = 1
            self._worked_since += seconds  # as if it had not been
            return
        self._num_steps += num_steps
        if num_steps:
            self._chunks[shape] = max(1, int(_CHUNK_SECONDS * num_steps / max(seconds, 1e-6)))

    def plan(self, num_steps: int, most: int, *, refit: bool) -> int:
        """Return the number of steps for which there is time, once that is known.

        Parameters
        ----------
        num_steps : int
            Number of steps done.
        most : int
            Number of steps planned before.
        refit : bool
            Whether as many steps have to be done once more.

        Returns
        -------
        int
        """
        known = self._num_steps >= _LOOK_STEPS
        if self._budget is None or self._planned or not known:
            return most
        if self.seconds < _LOOK * self._budget:
            return most
        self._planned = True
        left = self._budget - self.seconds
        if refit:
            left = (left - self.preparation) / (1 + _MARGIN)
        return max(num_steps + 1, min(most, num_steps + int(left / self._seconds_a_step)))

    def is_up(self, refit_steps: int | None = None) -> bool:
        """Whether the time is up, or would be with a refit of so many steps to come."""
        if self._budget is None:
            return False
        needed = 0.0
        if refit_steps is not None:
            needed = self.preparation + _MARGIN * self._seconds_a_step * refit_steps
        return self.seconds + needed >= self._budget

    @property
    def _seconds_a_step(self) -> float:
        """What a step takes, all that goes with it included but for compilation."""
        return (time.perf_counter() - self._worked_since) / max(1, self._num_steps)
