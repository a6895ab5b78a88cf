"""The command line: its commands in the order of ``refold --help``, and the process around one."""

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from inspect import cleandoc
from typing import Any

from cyclopts import App, CycloptsError, Group, Parameter
from cyclopts.exceptions import UnknownOptionError

import refold
from refold._support.optional_imports import RefusingFinder, check_training_packages
from refold._support.output import LONGER, spelling
from refold.cli._outputs import as_options, log
from refold.cli.codes import decode, encode, probe, reconstruct
from refold.cli.examples import data, demo
from refold.cli.models import adapt, export, info, serve
from refold.cli.pages import explore, report
from refold.cli.predictions import detect, forecast, generate, stream
from refold.cli.search import cluster, index, search
from refold.cli.training import curve, doctor, fit
from refold.errors import ParameterError, RefoldError

_EXAMPLE = "refold data moving-ones -o ones.npz  &&  refold fit ones.npz -o ones.refold"
# The headings of the help, which are the names of the modules: each command with its example.
_COMMANDS = {
    "Training": {
        fit: "refold fit vowels.parquet -o vowels.refold --latent-dim 16 --seed 0",
        curve: "refold curve vowels.parquet -o curve.png --sizes 2,4,8,16",
        doctor: "refold doctor vowels.parquet --latent-dim 16 --seed 0",
    },
    "Codes": {
        encode: "refold encode vowels.refold vowels.parquet -o codes.parquet",
        decode: "refold decode vowels.refold codes.parquet -o back.parquet",
        reconstruct: "refold reconstruct vowels.refold vowels.parquet -o back.parquet",
        probe: "refold probe vowels.refold vowels.parquet --label speaker",
    },
    "Predictions": {
        detect: "refold detect vowels.refold new.parquet -o anomalies.csv --alpha 0.01",
        forecast: "refold forecast vowels.refold new.parquet -o next.csv --steps 3",
        stream: "refold stream sensor.refold --window 60 < sensor.jsonl",
        generate: "refold generate vowels.refold -n 100 -o new.parquet --seed 0",
    },
    "Search": {
        index: "refold index vowels.refold vowels.parquet -o vowels.index",
        search: "refold search vowels.refold vowels.index new.parquet -k 5 -o hits.csv",
        cluster: "refold cluster vowels.refold vowels.parquet -o clusters.csv --picture map.png",
    },
    "Pages": {
        report: "refold report vowels.refold vowels.parquet -o vowels.html --label speaker",
        explore: "refold explore vowels.refold vowels.parquet --label speaker",
    },
    "Models": {
        info: "refold info vowels.refold --json",
        adapt: "refold adapt series sensor.csv -o sensor.refold --max-loss 0.1",
        export: "refold export vowels.refold -o vowels.onnx",
        serve: "refold serve vowels.refold --port 8000",
    },
    "Examples": {
        data: "refold data moving-ones -o ones.npz -n 5000",
        demo: "refold demo --output demo",
    },
}
# Commands that need the packages that a small installation does not have.
_NEED_TRAINING_PACKAGES = (cluster, curve, demo, doctor, fit, probe, report)
INTERRUPTION = "Stopped by Ctrl-C. Unfinished output was not written."

USER_ERROR = 2
INTERRUPTED = 130
TERMINATED = 143
PIPE_CLOSED = 1


# Cyclopts reads the signature and the docstring of a command, and groups of options as dataclasses.
# With two commands, `refold fit --help` took 0.42 s with it and 0.74 s with Typer, which has no
# groups of options and depends on pydantic.
def _make_app() -> App:
    app = App(
        name="refold",
        help="Encode sequences of any length as fixed-size vectors, and decode them.\n\n"
        "Files are Parquet, CSV, JSON, NumPy (.npz, .npy) or text. - stands for standard input or "
        "standard output.",
        help_flags=["--help", "-h"],
        help_format="plaintext",
        help_epilogue=f"Example:  {_EXAMPLE}",
        version=f"refold {refold.__version__}",
        version_flags=["--version"],
        default_parameter=Parameter(
            allow_leading_hyphen=True,  # "-" is a standard stream, and -3 a number
            allow_repeating=True,  # the last one counts
            negative=(),
            show_default=lambda default: None if default in (None, False) else str(default),
        ),
    )
    for heading, commands in _COMMANDS.items():
        group = Group.create_ordered(heading)
        for place, (command, example) in enumerate(commands.items()):
            # the paragraphs above the arguments, each in one line
            text, *_ = cleandoc(command.__doc__ or "").partition("\n\nArgs:\n")
            paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
            app.command(
                command,
                help="\n\n".join(paragraphs),
                help_epilogue=f"Example:  {example}",
                version_flags=[],
                group=group,
                sort_key=place,
            )
    return app


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : list of str, optional
        Arguments after ``refold``; by default those of the process.

    Returns
    -------
    int
        0 for success, 2 for an error that the user can fix, 130 after Ctrl-C, 143 after SIGTERM.

    Examples
    --------
    >>> main(["info", "nowhere.refold"])
    2
    """
    if arguments is None:
        # PyArrow and Keras import pandas if it is installed, which takes a quarter of the time of a
        # short command. No command uses it.
        sys.meta_path.insert(0, RefusingFinder("pandas"))
        arguments = sys.argv[1:]
    return run_command(lambda: _call(arguments))


def _call(arguments: list[str]) -> None:
    """Call the command that the arguments name."""
    try:
        command, bound, _ = _make_app().parse_args(
            arguments, print_error=False, exit_on_error=False
        )
    except CycloptsError as error:
        error.verbose = False
        if isinstance(error, UnknownOptionError) and error.app and not error.argument_collection:
            error.argument_collection = error.app.assemble_argument_collection()  # to suggest one
        chain, problem = " ".join(["refold", *(error.command_chain or ())]), str(error)
        period = "" if problem.endswith((".", "?")) else "."
        raise ParameterError(f"{problem}{period} Try: {chain} --help") from error
    if bound.arguments.get("quiet"):
        warnings.filterwarnings("ignore", f".* {LONGER}")
    if command in _NEED_TRAINING_PACKAGES:
        check_training_packages(f"refold {command.__name__}")
    command(*bound.args, **bound.kwargs)


# The process: exit codes, signals, standard output, one line for an error


def run_command(command: Callable[[], None]) -> int:
    """Run a command, and turn errors that the user can fix into one line and an exit code."""
    # other exceptions are bugs and are not caught: a bug report needs the traceback
    with _messages(), _termination() as sigterm:
        try:
            with contextlib.suppress(AttributeError):  # closed, or not a file
                stdout: Any = sys.stdout
                stdout.reconfigure(errors="backslashreplace")  # what the locale lacks is escaped
            command()
            if sys.stdout is not None:
                sys.stdout.flush()  # here, because Python would show an error as a traceback
        except KeyboardInterrupt as stop:
            text = as_options(stop.args[0]) if stop.args else INTERRUPTION
            if sigterm:
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
    return TERMINATED if sigterm else 0


def _discard_output() -> None:
    """Prevent a second error about standard output when Python exits and flushes it."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        stdout: Any = sys.__stdout__
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())


def _describe(error: RefoldError | OSError) -> str:
    """Return what is wrong, or what happened to which file, and what to do."""
    if isinstance(error, RefoldError):
        return as_options(error.message)
    if error.filename is None:
        return f"{error.strerror or error}. The output is incomplete."
    return f"{error.strerror}: {str(error.filename)!r}. Check the path and its permissions."


@contextlib.contextmanager
def _messages() -> Iterator[None]:
    """Show warnings and log lines as one line each, with arguments as options."""
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        label = "Warning" if issubclass(category, UserWarning) else category.__name__
        text = as_options(
            message.args[0] if isinstance(message, Warning) and message.args else message
        )
        # streams and parts of data differ in how much longer they are: one line is enough
        kind = "longer" if LONGER in text else text
        if kind not in shown:
            log(text, label=label, color="yellow")
        shown.add(kind)

    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        token = spelling.set(as_options)
        try:
            yield
        finally:
            spelling.reset(token)


@contextlib.contextmanager
def _termination() -> Iterator[list[int]]:
    """Treat SIGTERM as Ctrl-C, and record it in a list."""
    received: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield received  # nothing to do elsewhere, or if SIGTERM is already handled or ignored
        return

    def handle(number: int, frame: Any) -> None:
        received.append(number)
        interrupt = signal.getsignal(signal.SIGINT)  # in training, stops at the end of a chunk
        if not callable(interrupt):  # SIGINT is ignored, as in the background of a script
            raise KeyboardInterrupt
        interrupt(number, frame)

    signal.signal(signal.SIGTERM, handle)
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
