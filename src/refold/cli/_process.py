"""The process around a command: exit codes, signals, standard output, one line for an error."""

import ast
import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any

from refold.cli._outputs import log
from refold.errors import Message, RefoldError

# Options with another name than their argument.
OPTIONS = {"missing_values": "--missing", "n": "-n", "warm_start": "--from"}

INTERRUPTION = "Stopped by Ctrl-C. Unfinished output was not written."

USER_ERROR = 2
INTERRUPTED = 130
TERMINATED = 143
PIPE_CLOSED = 1


def run_command(command: Callable[[], None]) -> int:
    """Run a command, and turn errors that the user can fix into one line and an exit code."""
    # other exceptions are bugs and are not caught: a bug report needs the traceback
    with warnings.catch_warnings(), Termination() as termination:
        if not sys.warnoptions:
            warnings.simplefilter("default", UserWarning)
        warnings.showwarning = _show_warning
        try:
            with contextlib.suppress(AttributeError):  # closed, or not a file
                stdout: Any = sys.stdout
                stdout.reconfigure(errors="backslashreplace")  # what the locale lacks is escaped
            command()
        except KeyboardInterrupt as stop:
            text = as_options(stop.args[0]) if stop.args else INTERRUPTION
            if termination.requested:
                log(text.replace("Ctrl-C", "SIGTERM"), label="Terminated", color="yellow")
                return TERMINATED
            log(text, label="Interrupted", color="yellow")
            return INTERRUPTED
        except BrokenPipeError:
            _discard_output()
            return PIPE_CLOSED
        except (RefoldError, OSError) as error:
            if not isinstance(error, RefoldError) and error.filename is None:
                _discard_output()
            log(_describe(error), label="Error", color="red")
            return USER_ERROR
    # a command that finishes after SIGTERM has reported what it left out
    return TERMINATED if termination.requested else 0


def _discard_output() -> None:
    """Prevent a second error about standard output when Python exits and flushes it."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        stdout: Any = sys.__stdout__
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())


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


def _describe(error: RefoldError | OSError) -> str:
    """Return what is wrong, or what happened to which file, and what to do."""
    if isinstance(error, RefoldError):
        return as_options(error.message)
    if error.filename is None:
        return f"{error.strerror or error}. The output is incomplete."
    return f"{error.strerror}: {str(error.filename)!r}. Check the path and its permissions."


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    label = "Warning" if issubclass(category, UserWarning) else category.__name__
    text = message.args[0] if isinstance(message, Warning) and message.args else message
    log(as_options(text), label=label, color="yellow")


class Termination:
    """Context manager that treats SIGTERM as Ctrl-C and records it."""

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> "Termination":
        # nothing to do elsewhere, or if SIGTERM is already handled or ignored
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        if signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        interrupt = signal.getsignal(signal.SIGINT)  # in training, stops at the end of a chunk
        if not callable(interrupt):  # SIGINT is ignored, as in the background of a script
            raise KeyboardInterrupt
        interrupt(number, frame)
