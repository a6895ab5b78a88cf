"""Arguments and options that several commands share, with their parsers."""

from typing import Annotated, Any

import typer

from refold.errors import ParameterError

__all__ = [
    "Clip",
    "ColumnTypes",
    "Columns",
    "Data",
    "IdColumn",
    "InputFormat",
    "LatentSteps",
    "Layout",
    "Missing",
    "Model",
    "OutputFormat",
    "Quiet",
    "Seed",
    "Sort",
    "Stride",
    "TableFormat",
    "TimeColumn",
    "Unit",
    "Window",
    "read_missing",
    "read_options",
]

TABLES = "Tables"
WINDOWS = "Windows"

Data = Annotated[str, typer.Argument(metavar="DATA", help="File of sequences, or -.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="Model file from `refold fit`, or -.")]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, max=2**32 - 1, help="Random seed, for reproducible results."),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Hide progress and summaries on standard error.")
]
InputFormat = Annotated[
    str | None,
    typer.Option("--format", metavar="FORMAT", help="Format of the input, instead of its suffix."),
]
LatentSteps = Annotated[
    int | None,
    typer.Option(
        "--latent-steps",
        min=0,
        metavar="N",
        help=r"Steps of latent optimization per code; 0 turns it off and is faster. "
        r"\[default: as in the fit]",
    ),
]
Clip = Annotated[
    bool,
    typer.Option("--clip/--no-clip", help="Clip values to the range of their column in training."),
]
OutputFormat = Annotated[
    str | None,
    typer.Option(
        "--output-format",
        metavar="FORMAT",
        help=r"Format of standard output, if not that of --format. \[default: jsonl]",
    ),
]
TableFormat = Annotated[
    str | None,
    typer.Option(
        "--output-format",
        metavar="FORMAT",
        help=r"Format of standard output. \[default: jsonl]",
    ),
]
IdColumn = Annotated[
    str | None,
    typer.Option(
        "--id", metavar="NAME", help="Column with the sequence ids.", rich_help_panel=TABLES
    ),
]
TimeColumn = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="NAME",
        help="Column with the times, which must ascend within a sequence; or add --sort.",
        rich_help_panel=TABLES,
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="A,B,...",
        help=r"Columns to use as features, comma-separated. \[default: all others]",
        rich_help_panel=TABLES,
    ),
]
ColumnTypes = Annotated[
    str | None,
    typer.Option(
        "--column-types",
        metavar="TYPES",
        help="numeric, binary or categorical; or by column: page=categorical,x=numeric.",
        rich_help_panel=TABLES,
    ),
]
Unit = Annotated[
    str | None,
    typer.Option(
        "--unit",
        metavar="UNIT",
        help=r"Steps of a .txt file: characters or words. \[default: characters]",
        rich_help_panel=TABLES,
    ),
]
Sort = Annotated[
    bool,
    typer.Option(
        "--sort",
        help="Sort the steps of each sequence by time.",
        rich_help_panel=TABLES,
    ),
]
Layout = Annotated[
    str | None,
    typer.Option(
        metavar="LAYOUT",
        help=r"wide: a row is a sequence, a column is a step. \[default: long, a row is a step]",
        rich_help_panel=TABLES,
    ),
]
Missing = Annotated[
    list[str] | None,
    typer.Option(
        "--missing",
        metavar="X,...",
        help="Numbers that mark a missing value, such as -99999.",
        show_default=False,
        rich_help_panel=TABLES,
    ),
]
Window = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Cut long series into windows of N steps.",
        rich_help_panel=WINDOWS,
    ),
]
Stride = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help=r"Steps between the starts of windows. \[default: a quarter of --window]",
        rich_help_panel=WINDOWS,
    ),
]


def read_options(
    id_column: str | None,
    time_column: str | None,
    columns: str | None,
    column_types: str | None,
    unit: str | None,
    *,
    sort: bool,
    layout: str | None,
) -> dict[str, Any]:
    """Return the options that are set, as arguments of `refold.sequences.read`."""
    given = {
        "id": id_column,
        "time": time_column,
        "columns": None if columns is None else _split(columns, option="--columns"),
        "column_types": None if column_types is None else _column_types(column_types),
        "unit": unit,
        "sort": sort or None,
        "layout": layout,
    }
    if unit not in (None, "characters", "words"):
        raise ParameterError(f"--unit must be characters or words. Got {unit!r}.")
    if layout not in (None, "long", "wide"):
        raise ParameterError(f"--layout must be long or wide. Got {layout!r}.")
    return {name: value for name, value in given.items() if value is not None}


def read_missing(given: list[str] | None) -> list[float] | None:
    """Return the numbers given by one or more ``--missing`` options."""
    if not given:
        return None
    parts = [part for text in given for part in _split(text, option="--missing", noun="number")]
    try:
        return [float(part) for part in parts]
    except ValueError as error:
        raise ParameterError(
            f"--missing must be numbers, such as -99999,1e20. Got {','.join(parts)!r}."
        ) from error


def _column_types(text: str) -> str | list[str] | dict[str, str]:
    parts = _split(text, option="--column-types")
    if any("=" in part for part in parts):
        if not all("=" in part for part in parts):
            raise ParameterError(
                f"--column-types must name a column for every type or for none. Got {text!r}; "
                "write page=categorical,x=numeric."
            )
        pairs = (part.rpartition("=") for part in parts)
        return {name.strip(): column_type.strip() for name, _, column_type in pairs}
    return parts[0] if len(parts) == 1 else parts


def _split(text: str, *, option: str, noun: str = "name") -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ParameterError(f"{option} has an empty {noun}. Got {text!r}; write a,b,c.")
    return parts
