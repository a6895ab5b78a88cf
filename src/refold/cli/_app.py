"""The commands in the order of ``refold --help``, and how a command runs in a process.

``main`` parses arguments and calls a command. ``run_command`` turns errors into exit codes.
"""

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
from refold._support.messages import LONGER_THAN_TRAINING_WORDS, argument_speller
from refold._support.optional_imports import HiddenPackageFinder, check_training_packages
from refold.cli._outputs import log_line, spell_as_options
from refold.cli.codes import decode, encode, probe, reconstruct, residuals
from refold.cli.models import adapt, export, info, serve
from refold.cli.pages import data, demo, explore, report
from refold.cli.predictions import detect, forecast, generate, stream
from refold.cli.search import cluster, index, search
from refold.cli.training import curve, doctor, fit
from refold.errors import ParameterError, RefoldError

# Headings of the help, each with its commands and an example of each command. The commands under
# the heading Training are in training.py, and so on; those under Examples are in pages.py.
_COMMANDS_BY_HEADING = {
    "Training": {
        fit: "refold fit vowels.parquet -o vowels.refold --latent-dim 16 --seed 0",
        curve: "refold curve vowels.parquet -o curve.png --sizes 2,4,8,16",
        doctor: "refold doctor vowels.parquet --latent-dim 16 --seed 0",
    },
    "Codes": {
        encode: "refold encode vowels.refold vowels.parquet -o codes.parquet",
        decode: "refold decode vowels.refold codes.parquet -o back.parquet",
        reconstruct: "refold reconstruct vowels.refold vowels.parquet -o back.parquet",
        residuals: "refold residuals vowels.refold vowels.parquet -o differences.parquet",
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
        adapt: "refold adapt series sensor.csv -o sensor.refold --max-lost-variance 0.1",
        export: "refold export vowels.refold -o vowels.onnx",
        serve: "refold serve vowels.refold --port 8000",
    },
    "Examples": {
        data: "refold data moving-ones -o ones.npz -n 5000",
        demo: "refold demo --output demo",
    },
}
# Commands that train a network or use scikit-learn. They first check that these packages are
# installed, because a small installation lacks them.
_COMMANDS_THAT_NEED_TRAINING_PACKAGES = (cluster, curve, demo, doctor, fit, probe, report)

# Exit code for an error that the user can fix. It is 2, as in most programs that parse options.
_USER_ERROR_EXIT_CODE = 2


# Cyclopts makes the options of a command from the signature and the docstring of its function. It
# makes a group of options from a dataclass. The alternative Typer has no groups of options and
# depends on pydantic. In a trial with two commands, `refold fit --help` took 0.42 s with Cyclopts
# and 0.74 s with Typer.
def _make_cyclopts_app() -> App:
    """Return the app that parses the arguments of all commands and prints their help."""
    app = App(
        name="refold",
        help="Encode sequences of any length as fixed-size vectors, and decode them.\n\n"
        "Files are Parquet, CSV, JSON, NumPy (.npz, .npy) or text. - stands for standard input or "
        "standard output.",
        help_flags=["--help", "-h"],
        help_format="plaintext",
        help_epilogue="Example:  refold data moving-ones -o ones.npz  &&  refold fit ones.npz "
        "-o ones.refold",
        version=f"refold {refold.__version__}",
        version_flags=["--version"],
        default_parameter=Parameter(
            allow_leading_hyphen=True,  # "-" is a standard stream, and -3 is a number
            allow_repeating=True,  # if an option is repeated, the last value counts
            negative=(),  # no --no-... options
            show_default=lambda default: None if default in (None, False) else str(default),
        ),
    )
    for heading, commands in _COMMANDS_BY_HEADING.items():
        group = Group.create_ordered(heading)
        for position, (command, example) in enumerate(commands.items()):
            # the help is the docstring without the section Args, with each paragraph on one line
            text, *_ = cleandoc(command.__doc__ or "").partition("\n\nArgs:\n")
            paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
            app.command(
                command,
                help="\n\n".join(paragraphs),
                help_epilogue=f"Example:  {example}",
                version_flags=[],  # only `refold` itself has --version
                group=group,
                sort_key=position,
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
        # PyArrow and Keras import pandas if it is installed, but no command uses pandas. The import
        # takes a quarter of the time of a short command.
        sys.meta_path.insert(0, HiddenPackageFinder("pandas"))
        arguments = sys.argv[1:]
    return run_command(lambda: _parse_and_call_command(arguments))


def _parse_and_call_command(arguments: list[str]) -> None:
    """Parse the arguments, and call the command that the first argument names."""
    try:
        command, bound_arguments, _ = _make_cyclopts_app().parse_args(
            arguments, print_error=False, exit_on_error=False
        )
    except CycloptsError as error:
        error.verbose = False  # no list of the parsed tokens
        if isinstance(error, UnknownOptionError) and error.app and not error.argument_collection:
            # Cyclopts needs all options of the command to suggest the most similar one
            error.argument_collection = error.app.assemble_argument_collection()
        command_words, problem = ["refold", *(error.command_chain or ())], str(error)
        period = "" if problem.endswith((".", "?")) else "."
        raise ParameterError(f"{problem}{period} Try: {' '.join(command_words)} --help") from error
    if bound_arguments.arguments.get("quiet"):
        # --quiet hides the warning that sequences are longer than those in training, because longer
        # sequences are no mistake. The filter is a regular expression for the start of a message.
        warnings.filterwarnings("ignore", f".* {LONGER_THAN_TRAINING_WORDS}")
    if command in _COMMANDS_THAT_NEED_TRAINING_PACKAGES:
        check_training_packages(f"refold {command.__name__}")
    command(*bound_arguments.args, **bound_arguments.kwargs)


# How a command runs in a process: exit codes, signals, standard output, errors on one line


def run_command(command: Callable[[], None]) -> int:
    """Run a command, and turn errors that the user can fix into one line and an exit code."""
    # exit codes after signals, as in a shell
    exit_interrupted, exit_terminated = 128 + signal.SIGINT, 128 + signal.SIGTERM
    # Exceptions that are not caught below are bugs. A bug report needs their traceback.
    with _log_each_warning_once(), _treat_sigterm_as_ctrl_c() as sigterms:
        try:
            with contextlib.suppress(AttributeError):  # standard output may be closed
                stdout: Any = sys.stdout
                # a character that the encoding of the terminal lacks becomes an escape such as \xe9
                stdout.reconfigure(errors="backslashreplace")
            command()
            if sys.stdout is not None:
                sys.stdout.flush()  # an error in the flush at exit would be shown as a traceback
        except KeyboardInterrupt as interruption:
            # a command may say in the interruption which of its results are complete
            message = "Stopped by Ctrl-C. Unfinished output was not written."
            message = spell_as_options(interruption.args[0] if interruption.args else message)
            if sigterms:
                message = message.replace("Ctrl-C", "SIGTERM")
                log_line(message, label="Terminated", label_color="yellow")
                return exit_terminated
            log_line(message, label="Interrupted", label_color="yellow")
            return exit_interrupted
        except BrokenPipeError:
            _redirect_stdout_to_nowhere()
            return 1  # the reader of standard output has closed it, as in `refold ... | head`
        except RefoldError as error:
            log_line(spell_as_options(error.message), label="Error", label_color="red")
            return _USER_ERROR_EXIT_CODE
        except OSError as error:
            problem = (
                f"{error.strerror}: {str(error.filename)!r}. Check the path and its permissions."
            )
            if error.filename is None:  # the error is about standard output, such as a full disk
                _redirect_stdout_to_nowhere()
                problem = f"{error.strerror or error}. The output is incomplete."
            log_line(problem, label="Error", label_color="red")
            return _USER_ERROR_EXIT_CODE
    # A command may catch the interruption, say what is incomplete, and return normally.
    return exit_terminated if sigterms else 0


def _redirect_stdout_to_nowhere() -> None:
    """Redirect standard output to nowhere, so that the flush at exit does not fail again."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        stdout: Any = sys.__stdout__
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())


@contextlib.contextmanager
def _log_each_warning_once() -> Iterator[None]:
    """Log each warning as one line, with Python arguments spelled as options, and only once."""
    logged_keys: set[str] = set()

    def log_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        label = "Warning" if issubclass(category, UserWarning) else category.__name__
        text = spell_as_options(
            message.args[0] if isinstance(message, Warning) and message.args else message
        )
        # Each block of data has a warning about its longer sequences. The warnings differ in the
        # lengths that they name, and one of them is enough.
        key = LONGER_THAN_TRAINING_WORDS if LONGER_THAN_TRAINING_WORDS in text else text
        if key not in logged_keys:
            log_line(text, label=label, label_color="yellow")
        logged_keys.add(key)

    with warnings.catch_warnings():
        if not sys.warnoptions:  # the user has set no filters, such as those of python -W
            warnings.simplefilter("default", UserWarning)
        warnings.showwarning = log_warning
        # with this function, Refold spells the arguments in the text of a warning
        reset_token = argument_speller.set(spell_as_options)
        try:
            yield
        finally:
            argument_speller.reset(reset_token)


@contextlib.contextmanager
def _treat_sigterm_as_ctrl_c() -> Iterator[list[int]]:
    """Treat SIGTERM as Ctrl-C, and yield a list that gets an entry for each SIGTERM."""
    sigterms: list[int] = []
    is_main_thread = threading.current_thread() is threading.main_thread()
    if not is_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        # only the main thread can set handlers, and a handler of the caller must stay
        yield sigterms
        return

    def call_ctrl_c_handler(sigterm_number: int, frame: Any) -> None:
        sigterms.append(sigterm_number)
        # in training, this handler lets the current chunk of batches finish
        ctrl_c_handler = signal.getsignal(signal.SIGINT)
        if not callable(ctrl_c_handler):  # a shell script ignores SIGINT in its background jobs
            raise KeyboardInterrupt
        ctrl_c_handler(sigterm_number, frame)

    signal.signal(signal.SIGTERM, call_ctrl_c_handler)
    try:
        yield sigterms
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
