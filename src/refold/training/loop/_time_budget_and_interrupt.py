"""`Clock` measures a training and its time budget, and `InterruptHandler` handles Ctrl-C."""

import signal
import threading
import time
from types import FrameType
from typing import Any

# A chunk is a number of updates (training steps) that run in one compiled call. Between chunks,
# Python can react to Ctrl-C and to the end of the time budget. A chunk does not go beyond the end
# of an epoch: several short epochs in one chunk made a fit only a few percent faster, if at all.

# Target for the seconds that a chunk takes.
_CHUNK_SECONDS = 1.0
# Updates in a chunk whose length must not depend on time: more than a chunk can have.
_MAX_CHUNK_UPDATES = 1 << 20
# Share of the time budget that must have passed before the number of updates is planned, because
# the first updates may not have the usual speed.
_MIN_PLAN_TIME_SHARE = 0.05
# Number of updates that must have been timed before the number of updates is planned.
_MIN_PLAN_UPDATES = 20
# Factor on the time of a refit, whose updates may be slower than those before.
_REFIT_TIME_FACTOR = 1.1


class Clock:
    """Measure the time of a training; choose the lengths of chunks and plan for a time budget."""

    def __init__(
        self,
        time_budget: float | None,  # in seconds
        earlier_seconds: float = 0.0,  # that earlier runs of a resumed training took
        *,
        adapts_chunks: bool = True,  # whether to choose the lengths of chunks by speed
    ) -> None:
        now = time.perf_counter()
        self._time_budget, self._adapts = time_budget, adapts_chunks
        self._is_planned = time_budget is None
        self._start = now - earlier_seconds
        # start of the current stage, the preparation or the updates, moved by compilation times
        self._stage_start = now
        self.preparation = 0.0  # seconds before the first update, which a refit needs again
        self._num_updates = 0  # that were timed
        self._chunk_updates: dict[Any, int] = {}  # by the shape of the batches

    @property
    def seconds(self) -> float:
        """Seconds since the start, including earlier runs of a resumed training."""
        return time.perf_counter() - self._start

    def end_preparation(self) -> None:
        """Measure the preparation, which ends now."""
        now = time.perf_counter()
        self.preparation = now - self._stage_start
        self._stage_start = now

    def chunk_updates(self, batch_shape: Any) -> int:
        """Return the number of updates for a chunk of batches of this shape; 1 if not timed yet."""
        # Processes that train together must run equal chunks, so these do not depend on the speed.
        return self._chunk_updates.get(batch_shape, 1) if self._adapts else _MAX_CHUNK_UPDATES

    def record_chunk(self, seconds: float, batch_shape: Any, num_updates: int = 0) -> None:
        """Record the time of a chunk; the first chunk of each shape includes compilation."""
        # validation has no updates, but is compiled as well
        if batch_shape not in self._chunk_updates:
            self._chunk_updates[batch_shape] = 1
            self._stage_start += seconds  # leave compilation out of the seconds per update
            return
        self._num_updates += num_updates
        if num_updates:
            updates_per_second = num_updates / max(seconds, 1e-6)
            self._chunk_updates[batch_shape] = max(1, int(_CHUNK_SECONDS * updates_per_second))

    def plan_num_updates(self, num_updates: int, max_updates: int, *, refit: bool) -> int:
        """Return how many updates the budget allows in total, of which `num_updates` are done."""
        # The number is planned once, as soon as the speed is known. Before and after that, it is
        # `max_updates`, which the caller has set to the result of the plan.
        if self._time_budget is None or self._is_planned or self._num_updates < _MIN_PLAN_UPDATES:
            return max_updates
        if self.seconds < _MIN_PLAN_TIME_SHARE * self._time_budget:
            return max_updates
        self._is_planned = True
        seconds = self._time_budget - self.seconds
        if refit:  # leave time for its preparation, and for a second pass of these updates
            seconds = (seconds - self.preparation) / (1 + _REFIT_TIME_FACTOR)
        planned = num_updates + int(seconds / self._seconds_per_update)
        return max(num_updates + 1, min(max_updates, planned))

    def is_time_up(self, num_refit_updates: int | None = None) -> bool:
        """Return whether the budget is used up, or would be after a refit of so many updates."""
        if self._time_budget is None:
            return False
        refit_seconds = 0.0
        if num_refit_updates is not None:
            update_seconds = _REFIT_TIME_FACTOR * self._seconds_per_update * num_refit_updates
            refit_seconds = self.preparation + update_seconds
        return self.seconds + refit_seconds >= self._time_budget

    @property
    def _seconds_per_update(self) -> float:
        """Mean time of an update, with all overhead but compilation."""
        return (time.perf_counter() - self._stage_start) / max(1, self._num_updates)


class InterruptHandler:
    """Within the context, remember Ctrl-C instead of raising; a second Ctrl-C raises."""

    def __init__(self) -> None:
        self.is_requested = False  # whether Ctrl-C was pressed
        self._previous_handler: Any = None

    def __enter__(self) -> "InterruptHandler":
        # only the main thread can handle signals; in other threads nothing changes
        if threading.current_thread() is threading.main_thread():
            self._previous_handler = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous_handler is not None:
            signal.signal(signal.SIGINT, self._previous_handler)

    def _handle(self, signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Handle SIGINT, and other signals whose handlers call this one."""
        # A process that was started to ignore Ctrl-C keeps ignoring it, such as `refold fit ... &`
        # in a script or under nohup. Handlers of other signals pass on their own number, and these
        # signals are not ignored.
        if signal_number == signal.SIGINT and self._previous_handler == signal.SIG_IGN:
            return
        if self.is_requested:
            raise KeyboardInterrupt
        self.is_requested = True
