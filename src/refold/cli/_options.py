"""Arguments and options that several commands share, and how their text is read."""

from typing import Annotated, Any

import typer

from refold.errors import ParameterError

__all__ = [
    "Clip",
    "Columns",
    "Data",
    "IdColumn",
    "InputFormat",
    "Kinds",
    "Layout",
    "Missing",
    "Model",
    "OutputFormat",
    "Quiet",
    "Refine",
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

Data = Annotated[str, typer.Argument(metavar="DATA", help="File with the sequences, or -.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="File that `refold fit` wrote, or -.")]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, max=2**32 - 1, help="Makes the result repeatable.")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress and no summary on standard error.")
]
InputFormat = Annotated[
    str | None,
    typer.Option("--format", metavar="FORMAT", help="Format of the input, whatever its name."),
]
Refine = Annotated[
    int | None,
    typer.Option(
        "--latent-steps",
        min=0,
        metavar="N",
        help=r"Steps of the search for each code; 0 for none, which is faster. "
        r"\[default: as in the fit]",
    ),
]
Clip = Annotated[
    bool,
    typer.Option(
        "--clip/--no-clip", help="Keep numbers within the range of their column in training."
    ),
]
OutputFormat = Annotated[
    str | None,
    typer.Option(
        "--output-format",
        metavar="FORMAT",
        help=r"Format of standard output, where it differs from --format. \[default: jsonl]",
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
        "--id", metavar="NAME", help="Column that says which sequence.", rich_help_panel=TABLES
    ),
]
TimeColumn = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="NAME",
        help="Column of times, ascending within an id, or use --sort.",
        rich_help_panel=TABLES,
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="A,B,...",
        help=r"Columns to use, with commas. \[default: all others]",
        rich_help_panel=TABLES,
    ),
]
Kinds = Annotated[
    str | None,
    typer.Option(
        "--column-types",
        metavar="KINDS",
        help="numeric, binary or categorical; for some columns: page=categorical,x=numeric.",
        rich_help_panel=TABLES,
    ),
]
Unit = Annotated[
    str | None,
    typer.Option(
        "--unit",
        metavar="UNIT",
        help=r"A step of a .txt file: characters or words. \[default: characters]",
        rich_help_panel=TABLES,
    ),
]
Sort = Annotated[
    bool,
    typer.Option(
        "--sort",
        help="Sort the steps of each sequence by their times.",
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
        help="Numbers that stand for a missing value, such as -99999.",
        show_default=False,
        rich_help_panel=TABLES,
    ),
]
Window = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Cut long series into windows of so many steps.",
        rich_help_panel=WINDOWS,
    ),
]
Stride = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help=r"Steps from a window to the next. \[default: a quarter of one]",
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
    """Return the options that are set as arguments of `refold.sequences.read`."""
    given = {
        "id": id_column,
        "time": time_column,
        "columns": None if columns is None else _split(columns, option="--columns"),
        "column_types": None if column_types is None else _kinds(column_types),
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
    """Return the numbers that ``--missing`` was given, once or several times, with commas."""
    if not given:
        return None
    parts = [part for text in given for part in _split(text, option="--missing", noun="number")]
    try:
        return [float(part) for part in parts]
    except ValueError as error:
        raise ParameterError(
            f"--missing must be numbers with commas, such as -99999,1e20. Got {','.join(parts)!r}."
        ) from error


def _kinds(text: str) -> str | list[str] | dict[str, str]:
    parts = _split(text, option="--column-types")
    if any("=" in part for part in parts):
        if not all("=" in part for part in parts):
            raise ParameterError(
                f"--column-types must name a column in every part or in none. Got {text!r}; "
                "write page=categorical,x=numeric."
            )
        return {name.strip(): kind.strip() for name, _, kind in (p.rpartition("=") for p in parts)}
    return parts[0] if len(parts) == 1 else parts


def _split(text: str, *, option: str, noun: str = "name") -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ParameterError(f"{option} has an empty {noun}. Got {text!r}; write a,b,c.")
    return parts
