"""SIGTERM, which asks a command to end as Ctrl-C does: in order, and with a line about it."""

import signal
import threading
from types import FrameType, TracebackType

__all__ = ["Termination"]


class Termination:
    """Treat SIGTERM as Ctrl-C within the block, and note that it came.

    A handler or a refusal that is there already is left alone, and so is everything outside of the
    main thread.

    Attributes
    ----------
    asked : bool
        Whether SIGTERM came.

    Examples
    --------
    >>> with Termination() as termination:
    ...     try:
    ...         signal.raise_signal(signal.SIGTERM)
    ...     except KeyboardInterrupt:
    ...         termination.asked
    True
    """

    def __init__(self) -> None:
        self.asked = False
        self._taken = False

    def __enter__(self) -> "Termination":
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._note)
            self._taken = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._taken:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        interrupt = signal.getsignal(signal.SIGINT)  # a training waits for the end of a chunk
        if not callable(interrupt):  # ignored, as in the background of a script
            raise KeyboardInterrupt
        interrupt(number, frame)
