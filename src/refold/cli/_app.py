"""The command line: its commands in the order of ``refold --help``, and `main`."""

import sys
from inspect import cleandoc

from cyclopts import App, CycloptsError, Parameter
from cyclopts.exceptions import MissingArgumentError, UnknownOptionError, UnusedCliTokensError

import refold
from refold._support.optional_imports import RefusingFinder, check_training_packages
from refold.cli._process import run
from refold.cli.detect import detect, forecast, generate, stream
from refold.cli.encode import decode, encode, reconstruct
from refold.cli.fit import curve, doctor, fit
from refold.cli.info import data, export, info
from refold.cli.report import demo, probe, report
from refold.cli.search import cluster, index, search
from refold.cli.serve import explore, serve
from refold.errors import ParameterError

_EXAMPLE = "refold data moving-ones -o ones.npz  &&  refold fit ones.npz -o ones.refold"
# Each command with its example.
_COMMANDS = {
    fit: "refold fit vowels.parquet -o vowels.refold --latent-dim 16 --seed 0",
    encode: "refold encode vowels.refold vowels.parquet -o codes.parquet",
    decode: "refold decode vowels.refold codes.parquet -o back.parquet",
    reconstruct: "refold reconstruct vowels.refold vowels.parquet -o back.parquet",
    info: "refold info vowels.refold --json",
    curve: "refold curve vowels.parquet -o curve.png --sizes 2,4,8,16",
    doctor: "refold doctor vowels.parquet --latent-dim 16 --seed 0",
    detect: "refold detect vowels.refold new.parquet -o anomalies.csv --alpha 0.01",
    forecast: "refold forecast vowels.refold new.parquet -o next.csv --steps 3",
    stream: "refold stream sensor.refold --window 60 < sensor.jsonl",
    serve: "refold serve vowels.refold --port 8000",
    explore: "refold explore vowels.refold vowels.parquet --label speaker",
    index: "refold index vowels.refold vowels.parquet -o vowels.index",
    search: "refold search vowels.refold vowels.index new.parquet -k 5 -o hits.csv",
    cluster: "refold cluster vowels.refold vowels.parquet -o clusters.csv --picture map.png",
    generate: "refold generate vowels.refold -n 100 -o new.parquet --seed 0",
    probe: "refold probe vowels.refold vowels.parquet --label speaker",
    report: "refold report vowels.refold vowels.parquet -o vowels.html --label speaker",
    export: "refold export vowels.refold -o vowels.onnx",
    data: "refold data moving-ones -o ones.npz -n 5000",
    demo: "refold demo --output demo",
}
# Commands that need the packages that a small installation does not have.
_NEED_TRAINING_PACKAGES = (cluster, curve, demo, doctor, fit, probe, report)


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
    for place, (command, example) in enumerate(_COMMANDS.items()):
        # the paragraphs above the arguments, each in one line
        text, *_ = cleandoc(command.__doc__ or "").partition("\n\nArgs:\n")
        paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
        app.command(
            command,
            help="\n\n".join(paragraphs),
            help_epilogue=f"Example:  {example}",
            version_flags=[],
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
    return run(lambda: _call(arguments))


def _call(arguments: list[str]) -> None:
    """Call the command that the arguments name."""
    try:
        command, bound, _ = _make_app().parse_args(
            arguments, print_error=False, exit_on_error=False
        )
    except CycloptsError as error:
        raise ParameterError(_usage(error)) from error
    if command in _NEED_TRAINING_PACKAGES:
        check_training_packages(f"refold {command.__name__}")
    command(*bound.args, **bound.kwargs)


def _usage(error: CycloptsError) -> str:
    """Return what is wrong with the arguments of a command, and where its help is."""
    error.verbose = False
    if isinstance(error, UnknownOptionError) and error.app and not error.argument_collection:
        error.argument_collection = error.app.assemble_argument_collection()  # to suggest one
    message = str(error)
    if isinstance(error, UnusedCliTokensError):
        message = f"There are too many arguments: {' '.join(error.unused_tokens or ())}."
    elif isinstance(error, MissingArgumentError) and error.argument:
        name = error.argument.name
        noun = "option" if name.startswith("-") else "argument"
        message = f"The {noun} {name} is missing."
        if error.keyword is not None:
            message = f"The option {error.keyword} needs a value."
    command = " ".join(["refold", *(error.command_chain or ())])
    return f"{message} Try: {command} --help"
