"""The Typer application, with the commands in the order of ``refold --help``."""

import functools
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

import refold as package
from refold._support.import_finders import RefusingFinder
from refold._support.optional_imports import check_training_packages
from refold.cli._error_messages import run
from refold.cli._options import expand_groups
from refold.cli.commands.cluster import cluster
from refold.cli.commands.curve import curve
from refold.cli.commands.data import data
from refold.cli.commands.decode import decode, reconstruct
from refold.cli.commands.demo import demo
from refold.cli.commands.detect import detect
from refold.cli.commands.doctor import doctor
from refold.cli.commands.encode import encode
from refold.cli.commands.export import export
from refold.cli.commands.fit import fit
from refold.cli.commands.forecast import forecast
from refold.cli.commands.generate import generate
from refold.cli.commands.index import index
from refold.cli.commands.info import info
from refold.cli.commands.probe import probe
from refold.cli.commands.report import report
from refold.cli.commands.search import search
from refold.cli.commands.serve import explore, serve
from refold.cli.commands.stream import stream

GENERAL = "refold data moving-ones -o ones.npz  &&  refold fit ones.npz -o ones.refold"
EXAMPLES = {
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
NEED_TRAINING_PACKAGES = {cluster, curve, demo, doctor, fit, probe, report}

app = typer.Typer(
    name="refold",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _checked(command: Callable[..., None]) -> Callable[..., None]:
    """Check before a command that the packages that it needs are installed."""

    @functools.wraps(command)
    def checked(*args: Any, **options: Any) -> None:
        check_training_packages(f"refold {command.__name__}")
        command(*args, **options)

    return checked if command in NEED_TRAINING_PACKAGES else command


for command, example in EXAMPLES.items():
    app.command(epilog=f"Example:  {example}")(expand_groups(_checked(command)))


@app.callback(invoke_without_command=True, epilog=f"Example:  {GENERAL}")
def refold(
    context: typer.Context,
    *,
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.")
    ] = False,
) -> None:
    """Encode sequences of any length as fixed-size vectors, and decode them.

    Files are Parquet, CSV, JSON, NumPy (.npz, .npy) or text. [bold]-[/bold] stands for
    standard input or standard output.
    """
    if show_version:
        typer.echo(f"refold {package.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


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
    return run(lambda: app(arguments, prog_name="refold", standalone_mode=False))
