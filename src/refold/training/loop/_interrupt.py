"""Ctrl-C handling that waits for the end of a chunk."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupt:
    """Record Ctrl-C instead of raising at once; a second one raises.

    Only the main thread can handle signals; in other threads nothing changes. A process that
    ignores Ctrl-C keeps ignoring it, such as ``refold fit ... &`` in a script or under ``nohup``.
    The handler of another signal may call this one with its own number, which always counts.

    Attributes
    ----------
    asked : bool
        Whether Ctrl-C was pressed.

    Examples
    --------
    >>> before = signal.signal(signal.SIGINT, signal.default_int_handler)
    >>> with Interrupt() as interrupt:
    ...     signal.raise_signal(signal.SIGINT)
    ...     interrupt.asked
    True
    >>> _ = signal.signal(signal.SIGINT, before)
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> "Interrupt":
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
        if number == signal.SIGINT and self._before == signal.SIG_IGN:
            return
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
