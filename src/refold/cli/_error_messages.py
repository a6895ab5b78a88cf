"""Errors and warnings as one line on standard error, and the exit codes."""

import ast
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any, TextIO

import typer

from refold.cli._console import log
from refold.cli._signals import Termination
from refold.cli._standard_output import complete_output
from refold.errors import Message, RefoldError

# Options with another name than their argument.
OPTIONS = {"missing_values": "--missing", "n": "-n", "warm_start": "--from"}

USER_ERROR = 2
INTERRUPTED = 130
TERMINATED = 143
PIPE_CLOSED = 1


class Stopped(Exception):  # noqa: N818  (not an error)
    """Ctrl-C with a message; Typer drops the message of a KeyboardInterrupt."""


def run(command: Callable[[], Any]) -> int:
    """Run ``command``, and turn errors that the user can fix into one line and an exit code."""
    # other exceptions are bugs and are not caught: a bug report needs the traceback
    with warnings.catch_warnings(), Termination() as termination:
        if not sys.warnoptions:
            warnings.simplefilter("default", UserWarning)
        warnings.showwarning = _show_warning
        try:
            with complete_output():
                code = command()
        except Stopped as stop:
            return _interrupted(str(stop), termination)
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        except BrokenPipeError:
            _discard_standard_output()
            return PIPE_CLOSED
        except RefoldError as error:
            return _report_error(as_options(error.message))
        except OSError as error:
            return _report_error(_describe(error))
        except Exception as error:
            if not hasattr(error, "format_message"):  # a usage error of Typer or of Click
                raise
            return _report_error(_usage(error))
    if code == INTERRUPTED:
        return _interrupted("Stopped by Ctrl-C. Unfinished output was not written.", termination)
    if termination.asked:  # the command has finished by itself and reported what it left out
        return TERMINATED
    return code if isinstance(code, int) else 0


def as_options(text: Any) -> str:
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


def _interrupted(message: str, termination: Termination) -> int:
    if termination.asked:
        log(message.replace("Ctrl-C", "SIGTERM"), label="Terminated", colour="yellow")
        return TERMINATED
    log(message, label="Interrupted", colour="yellow")
    return INTERRUPTED


def _report_error(message: str) -> int:
    log(message, label="Error", colour="red")
    return USER_ERROR


def _describe(error: OSError) -> str:
    reasons = {
        FileNotFoundError: "There is no file or folder {!r}. Check the path.",
        PermissionError: "Permission denied for {!r}. Choose a file that you can access.",
        IsADirectoryError: "{!r} is a folder. Name a file.",
        NotADirectoryError: "{!r} cannot exist, because a parent of it is not a folder.",
    }
    reason = next((text for cls, text in reasons.items() if isinstance(error, cls)), None)
    if error.filename is None:
        return str(error)
    if reason is None:
        return f"{error.strerror}: {error.filename!r}."
    return reason.format(str(error.filename))


def _usage(error: Any) -> str:
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "refold"
    return f"{message}. Try: {command} --help"


def _discard_standard_output() -> None:
    """Prevent a second error about the closed pipe when Python exits."""
    try:
        descriptor = sys.__stdout__.fileno() if sys.__stdout__ else None
    except (OSError, ValueError):
        return
    if descriptor is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


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
    log(as_options(text), label=label, colour="yellow")
