"""Arguments and options that several commands share.

The converters parse the text of an option. Commands annotate their arguments with the types, and
Cyclopts makes options from these annotations. The classes are groups of options.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_args

from cyclopts import Group, Parameter, Token
from cyclopts.argument import ArgumentCollection
from cyclopts.exceptions import UnknownOptionError
from cyclopts.validators import Number

from refold.arguments import FIT_OPTIONS, Arguments
from refold.errors import ParameterError, argument

# Headings of the help of a command, in this order.
HELP_PANELS = {
    name: Group.create_ordered(name)
    for name in ("Model", "Training", "Windows", "Tables", "Cluster", "Limits")
}


# Converters. Cyclopts calls a converter with the annotated type and the tokens of the text. If the
# converter raises a ValueError, Cyclopts puts the name of the option before the text of the error.


def _parse_list(annotated_list_type: Any, tokens: Any) -> list[Any]:
    """Return comma-separated names, integers or numbers as a list."""
    (value_type,), text = get_args(annotated_list_type), ",".join(token.value for token in tokens)
    noun = {str: "names", int: "integers", float: "numbers"}[value_type]
    try:
        values = [value_type(text_value.strip()) for text_value in text.split(",")]
    except ValueError:
        values = [""]  # text that is no number gets the same error as an empty entry
    if "" in values:
        raise ValueError(f"expected comma-separated {noun}. Got {text[:40]!r}.")
    return values


def _parse_lengths(annotated_list_type: Any, tokens: Any) -> list[int]:
    """Return lengths from one number, a comma-separated list, or a text file with one per line."""
    text = tokens[-1].value
    if os.path.isfile(text):  # noqa: PTH113 - Path.is_file fails on a list longer than a file name
        text = ",".join(Path(text).read_text("utf-8-sig", "replace").split())
    return _parse_list(annotated_list_type, [tokens[-1].evolve(value=text)])


def _parse_column_types(_: Any, tokens: Any) -> str | list[str] | dict[str, str]:
    """Return one type for all columns, a list in the order of the columns, or a dict by name."""
    values = _parse_list(list[str], tokens)
    if any("=" in text_value for text_value in values):
        pairs = (text_value.rpartition("=") for text_value in values)
        return {name.strip(): column_type.strip() for name, _, column_type in pairs}
    # a single type such as "binary" is the type of all columns
    return values[0] if len(values) == 1 else values


def _check_not_an_option(_: object, file_name: str | None) -> None:
    """Refuse text such as ``--unknown`` where a file is expected; ``-`` is a standard stream."""
    if file_name is not None and file_name.startswith("-") and file_name != "-":
        token = Token(keyword=file_name.partition("=")[0], source="cli")
        raise UnknownOptionError(token=token, argument_collection=ArgumentCollection())


def _make_integer_option(minimum: int, maximum: int | None = None, **kwargs: Any) -> Parameter:
    return Parameter(metavar="N", validator=Number(gte=minimum, lte=maximum), **kwargs)


def _make_list_option(metavar: str, list_converter: Any = _parse_list, **kwargs: Any) -> Parameter:
    return Parameter(metavar=metavar, converter=list_converter, n_tokens=1, **kwargs)


# Makes the annotation of a positional argument that is the name of a file.
_make_file_parameter = partial(Parameter, validator=_check_not_an_option)

# Types of positional arguments.
FileArgument = Annotated[str, _make_file_parameter()]
OptionalFileArgument = Annotated[str | None, _make_file_parameter()]
_MODEL_HELP = "Model file from `refold fit`, or the word series for the pretrained model."
ModelFile = Annotated[str, _make_file_parameter(name="MODEL", help=_MODEL_HELP)]
_PRETRAINED_HELP = (
    "The word series for the pretrained model, or series-16 for its first 16 numbers."
)
PretrainedModelName = Annotated[str, _make_file_parameter(name="MODEL", help=_PRETRAINED_HELP)]
DataFile = Annotated[str, _make_file_parameter(name="DATA", help="File of sequences, or -.")]
OptionalModelFile = Annotated[str | None, _make_file_parameter(name="MODEL")]
OptionalDataFile = Annotated[str | None, _make_file_parameter(name="DATA")]
CodeFile = Annotated[str, _make_file_parameter(name="CODES")]
IndexFile = Annotated[str, _make_file_parameter(name="INDEX")]

# Types of options whose help is in the docstring of each command.
PositiveInt = Annotated[int, _make_integer_option(1)]
OptionalPositiveInt = Annotated[int | None, _make_integer_option(1)]
OptionalInt = Annotated[int | None, Parameter(metavar="N")]
OptionalName = Annotated[str | None, Parameter(metavar="NAME")]
NameList = Annotated[list[str] | None, _make_list_option("A,B,...")]
IntegerList = Annotated[list[int] | None, _make_list_option("N,N,...")]
NumberList = Annotated[list[float] | None, _make_list_option("X,...")]
ColumnTypes = Annotated[Any, _make_list_option("TYPES", list_converter=_parse_column_types)]
FileOption = Annotated[str | None, Parameter(metavar="FILE")]
PictureFile = Annotated[str | None, Parameter(metavar="PICTURE", name="--picture")]
TableOutput = Annotated[str, Parameter(metavar="TABLE", alias="-o")]

# Types of options that have the same meaning, and so the same help, in all commands.
Quiet = Annotated[
    bool, Parameter(alias="-q", help="Hide progress and summaries on standard error.")
]
AsJson = Annotated[bool, Parameter(name="--json", help="Print one JSON object.")]
_SEED_OPTION = _make_integer_option(0, 2**32 - 1, help="Random seed, for reproducible results.")
OptionalSeed = Annotated[int | None, _SEED_OPTION]
Seed = Annotated[int, _SEED_OPTION]
LatentSteps = Annotated[
    int | None,
    _make_integer_option(
        0,
        help="Steps of latent optimization per code; 0 turns it off and is faster. "
        "[default: as in the fit]",
    ),
]
NumClusters = Annotated[
    int | None,
    _make_integer_option(
        1, help="Number of clusters of k-means. [default: from the data, at most 10]", alias="-n"
    ),
]
SequenceLengths = Annotated[
    list[int] | None,
    _make_list_option(
        "LENGTHS",
        _parse_lengths,
        help="Lengths of the sequences: 10, or 3,5,7, or a text file with one per line. "
        "[default: decoded from the code]",
    ),
]
SequenceOutput = Annotated[
    str, Parameter(metavar="DATA", help="File for the sequences, or -.", alias="-o")
]
NormalFile = Annotated[
    str | None,
    Parameter(
        metavar="DATA",
        name="--normal",
        help="Normal sequences for calibration, not in the training data. "
        "[default: those set aside by `refold fit --calibration-fraction`]",
    ),
]
LabelFile = Annotated[
    str | None,
    Parameter(metavar="FILE", help="File of the --label column. [default: DATA]", name="--labels"),
]
LabelColumn = Annotated[str | None, Parameter(metavar="NAME", name="--label")]
InputFormat = Annotated[
    str | None,
    Parameter(
        metavar="FORMAT", help="Format of the input, instead of its suffix.", name="--format"
    ),
]
RayAddress = Annotated[
    str | None,
    Parameter(
        metavar="CLUSTER",
        help="Ray cluster for Parquet files larger than one machine: ray://HOST:PORT, auto for "
        "the cluster in RAY_ADDRESS, or local to start one here.",
        group=HELP_PANELS["Cluster"],
        name="--on",
    ),
]


class EstimatorOptions:
    """Arguments of the estimator; None leaves the default, or the value in the ``--from`` model."""

    @property
    def has_window(self) -> bool:
        """Whether the fit cuts series into windows; a file without ids is then one long series."""
        return getattr(self, "window", None) is not None

    def to_arguments(self) -> dict[str, Any]:
        """Return the arguments of the estimator that the user has set, by name."""
        values = {name: value for name, value in vars(self).items() if value is not None}
        return {name: FIT_OPTIONS[name].convert(value) for name, value in values.items()}


def _make_estimator_options_class(*argument_names: str) -> type[EstimatorOptions]:
    """Return a class with a field for each of these arguments. Each field is an option."""
    fields = []
    for name in argument_names:
        # the help shows the default, but the field is None if the user has not set the option
        option, default = FIT_OPTIONS[name], getattr(Arguments, name)
        if option.default_text is not None:
            default = option.default_text
        parameter = Parameter(
            metavar=option.metavar,
            help=option.help,
            group=HELP_PANELS[option.panel],
            show_default=False if default in (None, False) else str(default),
            negative=f"--no-{name}" if option.can_be_negated else (),
        )
        fields.append((name, Annotated[option.type | None, parameter], field(default=None)))
    # The class is only a base class, so it needs no name. Without __module__, it would seem to come
    # from the standard library, and Cyclopts makes no options from such classes.
    module = {"__module__": __name__}
    return make_dataclass("_", fields, bases=(EstimatorOptions,), namespace=module, frozen=True)


@Parameter(name="*")
class FitOptions(_make_estimator_options_class(*FIT_OPTIONS)):
    """All arguments of the estimator that are options."""


@Parameter(name="*")
class ErrorCurveFitOptions(
    _make_estimator_options_class(
        *("units", "max_epochs", "validation_fraction", "time_budget", "window", "step")
    )
):
    """Arguments of the estimator for `refold curve`, which fits it once for each latent size."""


@Parameter(name="*")
@dataclass(frozen=True)
class ClipOptions:
    """How to clip numeric values.

    Args:
        clip: Clip values to the range of their column in training.
        clip_positive: Clip at 0, and only columns that were never negative in training.
    """

    clip: Annotated[bool, Parameter(negative="--no-clip")] = False
    clip_positive: Annotated[bool, Parameter(negative=())] = False

    @property
    def mode(self) -> bool | str:
        """The argument ``clip`` of ``Model.decode``: False, True or ``"positive"``."""
        return "positive" if self.clip_positive else self.clip


def check_dependent_option(
    option: str, option_value: object, required_option: str, required_option_value: object
) -> None:
    """Refuse an option that is set if the option that it requires is not set."""
    if is_set(option_value) and not is_set(required_option_value):
        # For "--on CLUSTER", the message ends in "needs --on. Add --on CLUSTER."
        raise ParameterError(f"{option} needs {required_option.split()[0]}. Add {required_option}.")


def check_conflicts(option: str, conflicting_values: Mapping[str, object]) -> None:
    """Refuse an option if any of the conflicting values is set; the keys are Python arguments."""
    names = [name for name, value in conflicting_values.items() if is_set(value)]
    if names:
        # the error names only the first by alphabet
        raise ParameterError(f"{argument(min(names))} cannot be used with {option}. Leave it out.")


def is_set(option_value: object) -> bool:
    """Return whether the user has set an option: None and False are the defaults."""
    return option_value is not None and option_value is not False


def repeat_single_length(lengths: list[int] | None, num_codes: int) -> list[int] | None:
    """Return ``--lengths`` with one length per code; a single length is repeated for all codes."""
    return lengths * num_codes if lengths is not None and len(lengths) == 1 else lengths
