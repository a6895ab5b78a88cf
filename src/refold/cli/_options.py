"""Arguments and options that several commands share, one by one and in groups."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

from cyclopts import Group, Parameter, Token
from cyclopts.argument import ArgumentCollection
from cyclopts.exceptions import UnknownOptionError
from cyclopts.validators import Number

from refold.arguments import OPTIONS, Arguments
from refold.errors import ParameterError, argument

# Headings of the help of a command, in this order.
PANELS = {
    name: Group.create_ordered(name)
    for name in ("Model", "Training", "Windows", "Tables", "Cluster", "Limits")
}


# How the text of an option is read. Cyclopts calls a converter with the type and the tokens, and
# puts the name of the option before the text of a ValueError.


def _separated(hint: Any, tokens: Any) -> list[Any]:
    """Return the comma-separated values of a list of names, integers or numbers."""
    (kind,), text = get_args(hint), ",".join(token.value for token in tokens)
    noun = {str: "names", int: "integers", float: "numbers"}[kind]
    try:
        parts = [kind(part.strip()) for part in text.split(",")]
    except ValueError:
        parts = [""]
    if "" in parts:
        raise ValueError(f"expected comma-separated {noun}. Got {text[:40]!r}.")
    return parts


def _lengths(hint: Any, tokens: Any) -> list[int]:
    """Return lengths: one number, a list, or those of a file with one per line."""
    text = tokens[-1].value
    if os.path.isfile(text):  # noqa: PTH113 - text may be too long for the name of a file
        text = ",".join(Path(text).read_text("utf-8-sig", "replace").split())
    return _separated(hint, [tokens[-1].evolve(value=text)])


def _column_types(_: Any, tokens: Any) -> str | list[str] | dict[str, str]:
    """Return the type of all columns, types in their order, or types by name."""
    parts = _separated(list[str], tokens)
    if any("=" in part for part in parts):
        pairs = (part.rpartition("=") for part in parts)
        return {name.strip(): column_type.strip() for name, _, column_type in pairs}
    return parts[0] if len(parts) == 1 else parts


def _check_no_option(_: object, value: str | None) -> None:
    """Refuse an unknown option where a file is expected; ``-`` is a standard stream."""
    if value is not None and value.startswith("-") and value != "-":
        token = Token(keyword=value.partition("=")[0], source="cli")
        raise UnknownOptionError(token=token, argument_collection=ArgumentCollection())


def _file(**settings: Any) -> Parameter:
    """Describe an argument without a name."""
    return Parameter(validator=_check_no_option, **settings)


def _option(metavar: str, **settings: Any) -> Parameter:
    """Describe an option with a value."""
    return Parameter(metavar=metavar, **settings)


def _number(least: int, most: int | None = None, **settings: Any) -> Parameter:
    """Describe an option with an integer within limits."""
    return _option("N", validator=Number(gte=least, lte=most), **settings)


def _list(metavar: str, converter: Any = _separated, **settings: Any) -> Parameter:
    """Describe an option with comma-separated values."""
    return _option(metavar, converter=converter, n_tokens=1, **settings)


# Arguments without a name.
File = Annotated[str, _file()]
OptionalFile = Annotated[str | None, _file()]
ModelFile = Annotated[str, _file(help="Model file from `refold fit`.")]
DataFile = Annotated[str, _file(help="File of sequences, or -.")]

# Options that each command describes.
Positive = Annotated[int, _number(1)]
PositiveOrNone = Annotated[int | None, _number(1)]
Count = Annotated[int | None, _option("N")]
Name = Annotated[str | None, _option("NAME")]
Names = Annotated[list[str] | None, _list("A,B,...")]
Integers = Annotated[list[int] | None, _list("N,N,...")]
Floats = Annotated[list[float] | None, _list("X,...")]
ColumnTypes = Annotated[Any, _list("TYPES", converter=_column_types)]
SideFile = Annotated[str | None, _option("FILE")]
Picture = Annotated[str | None, _option("PICTURE")]
Table = Annotated[str, _option("TABLE", alias="-o")]

# Options with the same meaning everywhere.
Quiet = Annotated[
    bool, Parameter(alias="-q", help="Hide progress and summaries on standard error.")
]
AsJson = Annotated[bool, Parameter(name="--json", help="Print one JSON object.")]
_SEED = _number(0, 2**32 - 1, help="Random seed, for reproducible results.")
Seed = Annotated[int | None, _SEED]
FixedSeed = Annotated[int, _SEED]
LatentSteps = Annotated[
    int | None,
    _number(
        0,
        help="Steps of latent optimization per code; 0 turns it off and is faster. "
        "[default: as in the fit]",
    ),
]
NumClusters = Annotated[
    int | None,
    _number(1, help="Number of clusters of k-means. [default: chosen, at most 10]", alias="-n"),
]
Lengths = Annotated[
    list[int] | None,
    _list(
        "LENGTHS",
        _lengths,
        help="Lengths of the sequences: 10, or 3,5,7, or a text file with one per line. "
        "[default: decoded from the code]",
    ),
]
DataOutput = Annotated[str, _option("DATA", help="File for the sequences, or -.", alias="-o")]
NormalData = Annotated[
    str | None,
    _option(
        "DATA",
        help="Normal sequences for calibration, not in the training data. "
        "[default: those set aside by `refold fit --calibration-fraction`]",
    ),
]
LabelFile = Annotated[str | None, _option("FILE", help="File with that column. [default: DATA]")]
InputFormat = Annotated[
    str | None,
    _option("FORMAT", help="Format of the input, instead of its suffix.", name="--format"),
]
_CLUSTER = (
    "Ray cluster for Parquet files larger than one machine: ray://HOST:PORT, auto for that of "
    "RAY_ADDRESS, or local to start one here."
)
OnCluster = Annotated[str | None, _option("CLUSTER", help=_CLUSTER, group=PANELS["Cluster"])]


class ArgumentOptions:
    """Arguments of the estimator. One that is None has its default, or the value of a model."""

    @property
    def is_cut(self) -> bool:
        """Whether there is a window, for which data without ids are one series."""
        return getattr(self, "window", None) is not None

    def values(self) -> dict[str, Any]:
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
class CurveOptions(
    _argument_options(
        *("units", "max_epochs", "validation_fraction", "time_budget", "window", "step")
    )
):
    """Arguments of the fit of each size."""


@Parameter(name="*")
@dataclass(frozen=True)
class ClipOptions:
    """How to clip numeric values.

    Args:
        clip: Clip values to the range of their column in training.
        clip_positive: Clip only columns that were never negative in training, at 0.
    """

    clip: Annotated[bool, Parameter(negative="--no-clip")] = False
    clip_positive: Annotated[bool, Parameter(negative=())] = False

    @property
    def value(self) -> bool | str:
        """The argument ``clip``."""
        return "positive" if self.clip_positive else self.clip


def check_needs(option: str, value: object, needed: str, other: object) -> None:
    """Refuse an option without another one that it needs; None and False are not set."""
    if is_set(value) and not is_set(other):
        raise ParameterError(f"{option} needs {needed.split()[0]}. Add {needed}.")


def check_excludes(option: str, others: Mapping[str, object]) -> None:
    """Refuse options, by the names of their arguments, that cannot be combined with one."""
    combined = [name for name, value in others.items() if is_set(value)]
    if combined:
        raise ParameterError(
            f"{argument(min(combined))} cannot be used with {option}. Leave it out."
        )


def is_set(value: object) -> bool:
    return value is not None and value is not False


def lengths_of(lengths: list[int] | None, count: int) -> list[int] | None:
    """Return ``--lengths`` for a number of codes; a single length is that of all."""
    return lengths * count if lengths is not None and len(lengths) == 1 else lengths
