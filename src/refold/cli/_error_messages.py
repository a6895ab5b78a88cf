"""What a user sees when something is wrong: one line on standard error, and an exit code."""

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any, TextIO

import typer

from refold.cli._option_names import with_options
from refold.cli._signals import Termination
from refold.cli._standard_output import complete_output
from refold.errors import RefoldError

__all__ = ["MISTAKE", "Stopped", "remark", "run"]

MISTAKE = 2
INTERRUPTED = 130
TERMINATED = 143
PIPE_CLOSED = 1


class Stopped(Exception):  # noqa: N818  (nothing is wrong)
    """Ctrl-C, with more to say about it than that; Typer drops what a KeyboardInterrupt says."""


def remark(message: str, *, label: str = "", colour: str | None = None) -> None:
    """Say one line on standard error, in colour where that is a terminal."""
    line = " ".join(message.split())
    head = f"{typer.style(label, fg=colour, bold=True)}: " if label else ""
    typer.echo(head + line, err=True)


def run(command: Callable[[], Any]) -> int:
    """Run ``command`` and turn whatever the user can mend into one line and an exit code.

    A fault of Refold itself is not caught: its traceback is what a report of it needs.
    """
    with warnings.catch_warnings(), Termination() as termination:
        if not sys.warnoptions:
            warnings.simplefilter("default", UserWarning)
        warnings.showwarning = _show_warning
        try:
            with complete_output():
                code = command()
        except Stopped as stop:
            return _interrupted(with_options(str(stop)), termination)
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        except BrokenPipeError:
            _silence_standard_output()
            return PIPE_CLOSED
        except RefoldError as error:
            return _mistake(with_options(str(error)))
        except OSError as error:
            return _mistake(_describe(error))
        except Exception as error:
            if not hasattr(error, "format_message"):  # a usage error of Typer or of Click
                raise
            return _mistake(_usage(error))
    if code == INTERRUPTED:
        said = "Stopped by Ctrl-C. What was not finished is not written."
        return _interrupted(said, termination)
    if termination.asked:  # the command has ended in order, and said what it left out
        return TERMINATED
    return code if isinstance(code, int) else 0


def _interrupted(message: str, termination: Termination) -> int:
    if termination.asked:
        remark(message.replace("Ctrl-C", "SIGTERM"), label="Terminated", colour="yellow")
        return TERMINATED
    remark(message, label="Interrupted", colour="yellow")
    return INTERRUPTED


def _mistake(message: str) -> int:
    remark(message, label="Error", colour="red")
    return MISTAKE


def _describe(error: OSError) -> str:
    reasons = {
        FileNotFoundError: "There is no file or folder {!r}. Check the name and the folder.",
        PermissionError: "Permission denied for {!r}. Choose a file that you may use.",
        IsADirectoryError: "{!r} is a folder. Name a file.",
        NotADirectoryError: "{!r} lies below something that is not a folder.",
    }
    reason = next((text for kind, text in reasons.items() if isinstance(error, kind)), None)
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


def _silence_standard_output() -> None:
    """Keep Python from complaining about the closed pipe once more when it exits."""
    try:
        rocket_extractor = sys.__stdout__.fileno() if sys.__stdout__ else None
    except (OSError, ValueError):
        return
    if rocket_extractor is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), rocket_extractor)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,  # noqa: ARG001 - the signature is Python's
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    label = "Remark" if issubclass(category, UserWarning) else category.__name__
    remark(with_options(str(message)), label=label, colour="yellow")
