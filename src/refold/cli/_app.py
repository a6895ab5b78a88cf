"""The Typer application, with the commands in the order of ``refold --help``."""

from importlib.metadata import version
from typing import Annotated

import typer

from refold.cli._error_messages import run
from refold.cli.commands.curve import curve
from refold.cli.commands.data import data
from refold.cli.commands.demo import demo
from refold.cli.commands.detect import detect
from refold.cli.commands.encode_decode import decode, encode, reconstruct
from refold.cli.commands.fit import fit
from refold.cli.commands.forecast import forecast
from refold.cli.commands.generate import generate
from refold.cli.commands.info import info
from refold.cli.commands.probe import probe
from refold.cli.commands.report import report

__all__ = ["app", "main"]

app = typer.Typer(
    name="refold",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

GENERAL = "Example:  refold data moving-ones -o ones.npz  &&  refold fit ones.npz -o ones.refold"


@app.callback(invoke_without_command=True, epilog=GENERAL)
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
        typer.echo(f"refold {version('refold')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command(epilog="Example:  refold fit vowels.parquet -o vowels.refold --latent-dim 16 --seed 0")(
    fit
)
app.command(epilog="Example:  refold encode vowels.refold vowels.parquet -o codes.parquet")(encode)
app.command(epilog="Example:  refold decode vowels.refold codes.parquet -o back.parquet")(decode)
app.command(epilog="Example:  refold reconstruct vowels.refold vowels.parquet -o back.parquet")(
    reconstruct
)
app.command(epilog="Example:  refold info vowels.refold --json")(info)
app.command(epilog="Example:  refold curve vowels.parquet -o curve.png --sizes 2,4,8,16")(curve)
app.command(
    epilog="Example:  refold detect vowels.refold new.parquet -o anomalies.csv --alpha 0.01"
)(detect)
app.command(epilog="Example:  refold forecast vowels.refold new.parquet -o next.csv --steps 3")(
    forecast
)
app.command(epilog="Example:  refold generate vowels.refold -n 100 -o new.parquet --seed 0")(
    generate
)
app.command(epilog="Example:  refold probe vowels.refold vowels.parquet --label speaker")(probe)
app.command(
    epilog="Example:  refold report vowels.refold vowels.parquet -o vowels.html --label speaker"
)(report)
app.command(epilog="Example:  refold data moving-ones -o ones.npz -n 5000")(data)
app.command(epilog="Example:  refold demo --output demo")(demo)


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
    return run(lambda: app(arguments, prog_name="refold", standalone_mode=False))
