"""The process around a command: exit codes, signals, standard output, one line for an error."""

import ast
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

from refold._support.output import write_all
from refold.cli._console import log
from refold.errors import Message, RefoldError

# Options with another name than their argument.
OPTIONS = {"missing_values": "--missing", "n": "-n", "warm_start": "--from"}

INTERRUPTION = "Stopped by Ctrl-C. Unfinished output was not written."

USER_ERROR = 2
INTERRUPTED = 130
TERMINATED = 143
PIPE_CLOSED = 1


def run(command: Callable[[], None]) -> int:
    """Run a command, and turn errors that the user can fix into one line and an exit code."""
    # other exceptions are bugs and are not caught: a bug report needs the traceback
    with warnings.catch_warnings(), Termination() as termination:
        if not sys.warnoptions:
            warnings.simplefilter("default", UserWarning)
        warnings.showwarning = _show_warning
        try:
            with _complete_output():
                command()
        except KeyboardInterrupt as stop:
            text = as_options(stop.args[0]) if stop.args else INTERRUPTION
            if termination.requested:
                log(text.replace("Ctrl-C", "SIGTERM"), label="Terminated", color="yellow")
                return TERMINATED
            log(text, label="Interrupted", color="yellow")
            return INTERRUPTED
        except BrokenPipeError:
            _discard_standard_output()
            return PIPE_CLOSED
        except RefoldError as error:
            log(as_options(error.message), label="Error", color="red")
            return USER_ERROR
        except OSError as error:
            log(_describe(error), label="Error", color="red")
            return USER_ERROR
    # a command that finishes after SIGTERM has reported what it left out
    return TERMINATED if termination.requested else 0


def as_options(text: object) -> str:
    """Return a message with its arguments as options."""
    return text.spelled_with(_option) if isinstance(text, Message) else str(text)


def _option(argument: str) -> str:
    """Return the option of an argument: "scale='features'" is "--scale features"."""
    name, _, value = argument.partition("=")
    option = OPTIONS.get(name, f"--{name.replace('_', '-')}")
    return option if value in ("", "True") else f"{option} {_value(value)}"


def _value(text: str) -> str:
    """Return a Python literal as users of the command line write it."""
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
    if isinstance(value, dict):
        return ",".join(f"{key}={part}" for key, part in value.items())
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "none" if value is None else str(value)


def _describe(error: OSError) -> str:
    """Return what happened to which file, and what to do."""
    reasons = {
        FileNotFoundError: "There is no file or folder {!r}. Check the path.",
        PermissionError: "Permission denied for {!r}. Choose a file that you can access.",
        IsADirectoryError: "{!r} is a folder. Name a file.",
        NotADirectoryError: "{!r} cannot exist, because a parent of it is not a folder.",
    }
    if error.filename is None:
        return str(error)
    for kind, reason in reasons.items():
        if isinstance(error, kind):
            return reason.format(str(error.filename))
    return f"{error.strerror}: {error.filename!r}."


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,  # noqa: ARG001 - Python calls it with these arguments
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    label = "Warning" if issubclass(category, UserWarning) else category.__name__
    text = message.args[0] if isinstance(message, Warning) and message.args else message
    log(as_options(text), label=label, color="yellow")


class Termination:
    """Context manager that treats SIGTERM as Ctrl-C and records it."""

    def __init__(self) -> None:
        self.requested = False
        self._installed = False

    def __enter__(self) -> "Termination":
        # nothing to do elsewhere, or if SIGTERM is already handled or ignored
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._handle)
            self._installed = True
        return self

    def __exit__(self, *error: object) -> None:
        if self._installed:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        interrupt = signal.getsignal(signal.SIGINT)  # in training, stops at the end of a chunk
        if not callable(interrupt):  # SIGINT is ignored, as in the background of a script
            raise KeyboardInterrupt
        interrupt(number, frame)


class _CompleteStream(io.RawIOBase):
    """A raw stream whose ``write`` is complete or raises; closing it does not close the file."""

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def write(self, data: bytes | memoryview) -> int:
        try:
            write_all(self._raw, data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OSError(
                f"Standard output cannot be written: {error.strerror}. The output is incomplete."
            ) from error
        return len(data)


@contextmanager
def _complete_output() -> Iterator[None]:
    """Replace ``sys.stdout`` inside the block by a stream that loses no bytes."""
    # With PYTHONUNBUFFERED, Python ignores an incomplete write to a full disk. Characters that the
    # locale lacks are escaped.
    before = sys.stdout
    if not isinstance(before, io.TextIOWrapper):  # closed, or replaced by another object
        yield
        return
    before.reconfigure(errors="backslashreplace")
    before.flush()
    raw = getattr(before.buffer, "raw", before.buffer)
    if not isinstance(raw, io.FileIO):
        yield
        return
    complete = io.TextIOWrapper(
        _CompleteStream(raw),  # pyright: ignore[reportArgumentType]
        encoding=before.encoding,
        errors="backslashreplace",
        write_through=True,
    )
    sys.stdout = complete
    try:
        yield
    finally:
        if sys.stdout is complete:
            sys.stdout = before


def _discard_standard_output() -> None:
    """Prevent a second error about the closed pipe when Python exits."""
    try:
        descriptor = sys.__stdout__.fileno() if sys.__stdout__ else None
    except (OSError, ValueError):
        return
    if descriptor is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
