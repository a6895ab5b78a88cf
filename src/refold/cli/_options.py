"""Options that several commands share, one by one and in groups."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any

import typer

import refold
from refold.errors import ParameterError

Data = Annotated[str, typer.Argument(metavar="DATA", help="File of sequences, or -.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="Model file from `refold fit`, or -.")]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, max=2**32 - 1, help="Random seed, for reproducible results."),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Hide progress and summaries on standard error.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
LatentSteps = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        help=r"Steps of latent optimization per code; 0 turns it off and is faster. "
        r"\[default: as in the fit]",
    ),
]
NumClusters = Annotated[
    int | None,
    typer.Option(
        "--num-clusters",
        "-n",
        min=1,
        metavar="N",
        help=r"Number of clusters, for k-means. \[default: HDBSCAN finds it]",
    ),
]
Clip = Annotated[
    bool,
    typer.Option("--clip/--no-clip", help="Clip values to the range of their column in training."),
]
DataOutput = Annotated[
    str, typer.Option("--output", "-o", metavar="DATA", help="File for the sequences, or -.")
]
InputFormat = Annotated[
    str | None,
    typer.Option("--format", metavar="FORMAT", help="Format of the input, instead of its suffix."),
]
LabelFile = Annotated[
    str | None, typer.Option(metavar="FILE", help=r"File with that column. \[default: DATA]")
]
OutputFormat = Annotated[
    str | None,
    typer.Option(
        metavar="FORMAT",
        help=r"Format of standard output, if not that of --format. \[default: jsonl]",
    ),
]
TableFormat = Annotated[
    str | None,
    typer.Option(metavar="FORMAT", help=r"Format of standard output. \[default: jsonl]"),
]

_window = functools.partial(typer.Option, min=1, metavar="N", rich_help_panel="Windows")


@dataclass(frozen=True)
class WindowOptions:
    """How to cut long series into windows."""

    window: Annotated[int | None, _window(help="Cut long series into windows of N steps.")] = None
    stride: Annotated[
        int | None,
        _window(help=r"Steps between the starts of windows. \[default: a quarter of --window]"),
    ] = None

    def __post_init__(self) -> None:
        check_needs("--stride", self.stride, "--window N", self.window)

    def cut(self, series: Any) -> Any:
        """Return the windows of series; None without ``--window``."""
        if self.window is None:
            return None
        return refold.sequences.windows(series, self.window, self.stride)


def expand_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Replace parameters that are groups of options by the options of their fields."""
    # Typer has no groups of options. It reads the signature of a command, and a field of a group is
    # annotated as an option is, so that a command takes a whole group as one parameter.
    signature = inspect.signature(command)
    groups: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if is_dataclass(parameter.annotation)
    }
    fields = {name: inspect.signature(group).parameters for name, group in groups.items()}

    @functools.wraps(command)
    def expanded(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field: given.pop(field) for field in fields[name]})
        command(**given)

    options: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        options += fields[name].values() if name in fields else [parameter]
    options = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]
    expanded.__signature__ = signature.replace(parameters=options)  # type: ignore[attr-defined]
    return expanded


def check_needs(option: str, value: object, needed: str, other: Any) -> None:
    """Refuse an option without another one that it needs."""
    if value is not None and other is None:
        raise ParameterError(f"{option} needs {needed.split()[0]}. Add {needed}.")


def split(text: str, *, option: str, noun: str = "name") -> list[str]:
    """Return the parts of a comma-separated value, none of which may be empty."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ParameterError(f"{option} has an empty {noun}. Got {text!r}; write a,b,c.")
    return parts
