"""SIGTERM, handled like Ctrl-C."""

import signal
import threading
from types import FrameType, TracebackType


class Termination:
    """Context manager that treats SIGTERM as Ctrl-C and records it."""

    def __init__(self) -> None:
        self.asked = False
        self._installed = False

    def __enter__(self) -> "Termination":
        # nothing to do elsewhere, or if SIGTERM is already handled or ignored
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._handle)
            self._installed = True
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        interrupt = signal.getsignal(signal.SIGINT)  # in training, stops at the end of a chunk
        if not callable(interrupt):  # SIGINT is ignored, as in the background of a script
            raise KeyboardInterrupt
        interrupt(number, frame)
