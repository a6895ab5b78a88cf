"""Ctrl-C handling that waits for the end of a chunk."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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
