"""What ends a training: its time budget and Ctrl-C."""

import signal
import threading
import time
from types import FrameType
from typing import Any

# Seconds that a chunk takes. Between chunks Python updates the progress bar and sees Ctrl-C. A
# chunk ends with its epoch: several short epochs in one chunk were no faster in a whole fit, within
# a few percent.
_CHUNK_SECONDS = 1.0
# Steps in a chunk whose length must not depend on time.
_MAX_CHUNK = 1 << 20
# Share of a time budget after which the speed is known well enough for a plan, and the number of
# steps that a plan requires as well.
_LOOK, _LOOK_STEPS = 0.05, 20
# Factor for a refit whose steps are slower than those before.
_MARGIN = 1.1


class Clock:
    """The time of a training: lengths of chunks, and what fits into a time budget."""

    def __init__(
        self,
        budget: float | None,
        seconds: float = 0.0,  # spent before, by a training that is resumed
        *,
        timed: bool = True,
    ) -> None:
        now = time.perf_counter()
        # Processes that train together cannot choose the length of a chunk by their own speed:
        # without `timed`, chunks are as long as possible.
        self._budget, self._timed = budget, timed
        self._planned = budget is None
        self._began = now - seconds
        self._worked_since = now
        self.preparation = 0.0  # seconds before the first step, which a refit needs again
        self._num_steps = 0
        self._chunks: dict[Any, int] = {}

    @property
    def seconds(self) -> float:
        """Seconds since the start, including earlier runs of a resumed training."""
        return time.perf_counter() - self._began

    def prepared(self) -> None:
        """Mark the end of the preparation, which a refit needs again."""
        now = time.perf_counter()
        self.preparation = now - self._worked_since
        self._worked_since = now

    def chunk(self, shape: Any) -> int:
        """Return the number of steps of a shape that take about a second; 1 if unknown."""
        return self._chunks.get(shape, 1) if self._timed else _MAX_CHUNK

    def took(self, seconds: float, shape: Any, num_steps: int = 0) -> None:
        """Record the seconds of a chunk; the first chunk of a shape includes compilation."""
        if shape not in self._chunks:
            self._chunks[shape] = 1
            self._worked_since += seconds  # leave compilation out of the seconds per step
            return
        self._num_steps += num_steps
        if num_steps:
            self._chunks[shape] = max(1, int(_CHUNK_SECONDS * num_steps / max(seconds, 1e-6)))

    def plan(self, num_steps: int, most: int, *, refit: bool) -> int:
        """Return the number of steps that the time allows, once the speed is known, else `most`."""
        if self._budget is None or self._planned or self._num_steps < _LOOK_STEPS:
            return most
        if self.seconds < _LOOK * self._budget:
            return most
        self._planned = True
        left = self._budget - self.seconds
        if refit:
            left = (left - self.preparation) / (1 + _MARGIN)
        return max(num_steps + 1, min(most, num_steps + int(left / self._seconds_a_step)))

    def is_up(self, refit_steps: int | None = None) -> bool:
        """Return whether the time is up, or would be after a refit of so many steps."""
        if self._budget is None:
            return False
        needed = 0.0
        if refit_steps is not None:
            needed = self.preparation + _MARGIN * self._seconds_a_step * refit_steps
        return self.seconds + needed >= self._budget

    @property
    def _seconds_a_step(self) -> float:
        """Seconds per step, with all overhead but compilation."""
        return (time.perf_counter() - self._worked_since) / max(1, self._num_steps)


class Interrupt:
    """Record Ctrl-C instead of raising at once; a second one raises."""

    def __init__(self) -> None:
        self.asked = False  # whether Ctrl-C was pressed
        self._before: Any = None

    def __enter__(self) -> "Interrupt":
        # only the main thread can handle signals; in other threads nothing changes
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # A process that ignores Ctrl-C keeps ignoring it, such as `refold fit ... &` in a script or
        # under nohup. Handlers of other signals call this one with their own number, which counts.
        if number == signal.SIGINT and self._before == signal.SIG_IGN:
            return
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
