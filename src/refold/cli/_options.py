"""Arguments and options that several commands share, one by one and in groups."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, make_dataclass
from typing import Annotated, Any

from cyclopts import Group, Parameter, Token
from cyclopts.argument import ArgumentCollection
from cyclopts.exceptions import UnknownOptionError
from cyclopts.validators import Number

import refold
from refold.arguments import OPTIONS, Arguments
from refold.errors import ParameterError, argument

# Headings of the help of a command, in this order.
PANELS = {
    name: Group.create_ordered(name)
    for name in ("Model", "Training", "Windows", "Tables", "Cluster", "Limits")
}


def _check_no_option(_: object, value: str | None) -> None:
    """Refuse an unknown option where a file is expected; ``-`` is a standard stream."""
    if value is not None and value.startswith("-") and value != "-":
        token = Token(keyword=value.partition("=")[0], source="cli")
        raise UnknownOptionError(token=token, argument_collection=ArgumentCollection())


def _file(help: str | None = None) -> Parameter:  # noqa: A002
    """Describe an argument without a name."""
    return Parameter(help=help, validator=_check_no_option)


def _number(least: int, most: int | None = None, **settings: Any) -> Parameter:
    """Describe an option with an integer within limits."""
    return Parameter(validator=Number(gte=least, lte=most), metavar="N", **settings)


# Arguments without a name.
File = Annotated[str, _file()]
OptionalFile = Annotated[str | None, _file()]
ModelFile = Annotated[str, _file("Model file from `refold fit`, or -.")]
DataFile = Annotated[str, _file("File of sequences, or -.")]

# Options that each command describes.
Positive = Annotated[int, _number(1)]
PositiveOrNone = Annotated[int | None, _number(1)]
Count = Annotated[int | None, Parameter(metavar="N")]
Name = Annotated[str | None, Parameter(metavar="NAME")]
Names = Annotated[str | None, Parameter(metavar="A,B,...")]
SideFile = Annotated[str | None, Parameter(metavar="FILE")]
Picture = Annotated[str | None, Parameter(metavar="PICTURE")]
Table = Annotated[str, Parameter(alias="-o", metavar="TABLE")]

# Options with the same meaning everywhere.
Quiet = Annotated[
    bool, Parameter(alias="-q", help="Hide progress and summaries on standard error.")
]
AsJson = Annotated[bool, Parameter(name="--json", help="Print one JSON object.")]
Clip = Annotated[
    bool,
    Parameter(negative="--no-clip", help="Clip values to the range of their column in training."),
]
_SEED = _number(0, 2**32 - 1, help="Random seed, for reproducible results.")
Seed = Annotated[int | None, _SEED]
FixedSeed = Annotated[int, _SEED]
LatentSteps = Annotated[
    int | None,
    _number(
        0,
        help="Steps of latent optimization per code; 0 turns it off and is faster.",
        show_default="as in the fit",
    ),
]
NumClusters = Annotated[
    int | None,
    _number(
        1,
        alias="-n",
        help="Number of clusters, for k-means.",
        show_default="HDBSCAN finds it",
    ),
]
Lengths = Annotated[
    str | None,
    Parameter(
        metavar="LENGTHS",
        help="Lengths of the sequences: 10, or 3,5,7, or a text file with one per line.",
        show_default="decoded from the code",
    ),
]
DataOutput = Annotated[
    str, Parameter(alias="-o", metavar="DATA", help="File for the sequences, or -.")
]
NormalData = Annotated[
    str | None,
    Parameter(
        metavar="DATA",
        help="Normal sequences for calibration, not in the training data.",
        show_default="those set aside by `refold fit --calibration-fraction`",
    ),
]
LabelFile = Annotated[
    str | None,
    Parameter(metavar="FILE", help="File with that column.", show_default="DATA"),
]
InputFormat = Annotated[
    str | None,
    Parameter(
        name="--format", metavar="FORMAT", help="Format of the input, instead of its suffix."
    ),
]
OutputFormat = Annotated[
    str | None,
    Parameter(
        metavar="FORMAT",
        help="Format of standard output, if not that of --format.",
        show_default="jsonl",
    ),
]
TableFormat = Annotated[
    str | None,
    Parameter(metavar="FORMAT", help="Format of standard output.", show_default="jsonl"),
]


@Parameter(name="*", group=PANELS["Windows"])
@dataclass(frozen=True)
class WindowOptions:
    """How to cut long series into windows.

    Args:
        window: Cut long series into windows of N steps.
        stride: Steps between the starts of windows. [default: a quarter of --window]
    """

    window: PositiveOrNone = None
    stride: PositiveOrNone = None

    def __post_init__(self) -> None:
        check_needs("--stride", self.stride, "--window N", self.window)

    def cut(self, series: Any) -> Any:
        """Return the windows of series; None without ``--window``."""
        if self.window is None:
            return None
        return refold.sequences.windows(series, self.window, self.stride)


class ArgumentOptions:
    """Arguments of the estimator. One that is None has its default, or the value of a model."""

    def chosen(self) -> dict[str, Any]:
        """Return the arguments that are set."""
        values = {name: value for name, value in vars(self).items() if value is not None}
        return {name: OPTIONS[name].read(value) for name, value in values.items()}


def _argument_options(*names: str) -> type[ArgumentOptions]:
    """Make a group of options of arguments."""
    fields = []
    for name in names:
        option, default = OPTIONS[name], getattr(Arguments, name)
        if option.default is not None:
            default = option.default
        declared = Parameter(
            metavar=option.metavar,
            help=option.help,
            group=PANELS[option.panel],
            show_default=False if default in (None, False) else str(default),
            negative=f"--no-{name}" if option.has_negative else (),
        )
        fields.append((name, Annotated[option.type | None, declared], field(default=None)))
    # Cyclopts reads the options of a class of a module, and not of one of the standard library
    module = {"__module__": __name__}
    return make_dataclass("_", fields, bases=(ArgumentOptions,), namespace=module, frozen=True)


@Parameter(name="*")
class FitOptions(_argument_options(*OPTIONS)):
    """All arguments of the estimator that are options."""


@Parameter(name="*")
class CurveOptions(_argument_options("units", "max_epochs", "validation_fraction", "time_budget")):
    """Arguments of the fit of each size."""


def check_needs(option: str, value: object, needed: str, other: object) -> None:
    """Refuse an option without another one that it needs; None and False are not set."""
    if _is_set(value) and not _is_set(other):
        raise ParameterError(f"{option} needs {needed.split()[0]}. Add {needed}.")


def check_excludes(option: str, others: Mapping[str, object]) -> None:
    """Refuse options, by the names of their arguments, that cannot be combined with one."""
    combined = [name for name, value in others.items() if _is_set(value)]
    if combined:
        raise ParameterError(
            f"{argument(min(combined))} cannot be used with {option}. Leave it out."
        )


def _is_set(value: object) -> bool:
    return value is not None and value is not False


def numbers(text: str, kind: Callable[[str], Any], option: str, expected: str) -> list[Any]:
    """Return the numbers of a comma-separated value; `expected` completes "--sizes must be"."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise ParameterError(f"{option} must be {expected}. Got {text!r}.") from error


def split(text: str, *, option: str, noun: str = "name") -> list[str]:
    """Return the parts of a comma-separated value, none of which may be empty."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ParameterError(f"{option} has an empty {noun}. Got {text!r}; write a,b,c.")
    return parts
