"""``refold forecast``: what comes after sequences, with bounds, and how well that is known."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import refold
from refold.cli._error_messages import remark
from refold.cli._files_and_streams import (
    TABLE_FORMATS,
    Output,
    check_apart,
    format_among,
    plan_output,
)
from refold.cli._options import (
    Clip,
    Columns,
    Data,
    IdColumn,
    InputFormat,
    Kinds,
    Layout,
    Model,
    Quiet,
    Sort,
    TableFormat,
    TimeColumn,
    Unit,
    read_options,
)
from refold.cli._picture_files import plan_picture, write_picture
from refold.cli._saved_models import check_row_names, id_name, load_model, opened, whole
from refold.cli._table_files import write_table
from refold.errors import ParameterError

__all__ = ["forecast"]


def forecast(
    model: Model,
    data: Data,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="TABLE", help="Where a row a step goes, or -.")
    ] = "-",
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", help=r"Steps ahead. \[default: as many as it was fitted for]"),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(
            metavar="R",
            help=r"Share of values beyond the bounds. \[default: 0.1 of a model with calibration]",
        ),
    ] = None,
    normal: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Sequences to measure bounds on, not trained on. "
            r"\[default: those that `refold fit --calibration-fraction` set aside]",
        ),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(metavar="N", help=r"Last steps to read, at most. \[default: as in training]"),
    ] = None,
    evaluate: Annotated[  # noqa: FBT002
        bool,
        typer.Option(
            "--evaluate",
            help="Forecast the last steps of DATA from those before, and print the errors.",
        ),
    ] = False,
    season: Annotated[
        int | None,
        typer.Option(
            metavar="N", help=r"Steps of a season, for --evaluate. \[default: as it is found]"
        ),
    ] = None,
    picture: Annotated[
        str | None,
        typer.Option(metavar="PICTURE", help="Where the first sequence is drawn: .png, .svg."),
    ] = None,
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    columns: Columns = None,
    column_types: Kinds = None,
    unit: Unit = None,
    input_format: InputFormat = None,
    output_format: TableFormat = None,
    *,
    layout: Layout = None,
    sort: Sort = False,
    clip: Clip = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Errors as one JSON object, for programs.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Continue sequences, by a model of `refold fit --forecast-steps`."""
    options = read_options(
        id_column, time_column, columns, column_types, unit, sort=sort, layout=layout
    )
    if [model, data, normal].count("-") > 1:
        raise ParameterError("Only one input can be standard input. Name files for the others.")
    others = {
        "--output": None if output == "-" else output,
        "--output-format": output_format,
        "--picture": picture,
        "--alpha": alpha,
        "--normal": normal,
        "--clip": clip or None,
    }
    _check(evaluate=evaluate, season=season, as_json=as_json, others=others)
    target = plan_output(output, format_name=output_format, formats=TABLE_FORMATS, default="jsonl")
    drawn = plan_picture(picture)
    check_apart([target, drawn], (data, normal))
    loaded = load_model(model)
    if not evaluate:
        check_row_names(loaded.schema_, ("step",))
    loaded.verbose = 0 if quiet else 1
    if normal is not None:
        given_format = format_among((data, normal), normal, input_format)
        with opened(loaded, normal, dict(options), given_format) as source:
            loaded.calibrate(whole(source, normal))
    data_format = format_among((data, normal), data, input_format)
    with opened(loaded, data, dict(options), data_format) as source:
        series = whole(source, data)
    if evaluate:
        errors = loaded.forecast_errors(series, steps, season=season, context=context)
        _print(errors, steps or loaded.forecast_steps, as_json=as_json)
        return
    if drawn is not None and not (len(series) and loaded.schema_.numeric.any()):
        raise ParameterError(
            "A picture is of a sequence with a numeric column, and there is none. Leave --picture "
            "out."
        )
    ahead = loaded.forecast(series, steps, alpha=alpha, context=context, clip=clip)
    with target.writing() as path:
        write_table(path, ahead.to_table(id_name(series.schema, ("step",))))
    if drawn is not None:
        _draw(series, ahead, drawn)
    if not quiet:
        _say(ahead)


def _check(*, evaluate: bool, season: Any, as_json: bool, others: dict[str, Any]) -> None:
    if not evaluate and (season is not None or as_json):
        option = "--json" if as_json else "--season"
        raise ParameterError(f"{option} is of --evaluate. Add it, or leave {option} out.")
    given = [option for option, value in others.items() if value is not None]
    if evaluate and given:
        raise ParameterError(
            f"--evaluate prints errors, and writes no forecast: leave {', '.join(given)} out."
        )


def _say(ahead: Any) -> None:
    count = len(ahead.sequences)
    steps = len(ahead.sequences.values) // max(1, count)
    line = f"{count} sequence{'s' * (count != 1)} continued by {steps} step{'s' * (steps != 1)}"
    if ahead.alpha is None:
        remark(f"{line}, without bounds.")
    else:
        remark(f"{line}; at most {100 * ahead.alpha:g} % of the values lie beyond the bounds.")


def _draw(series: Any, ahead: Any, target: Output) -> None:
    write_picture(refold.plots.forecast(series, ahead).figure, target)


def _print(errors: Any, steps: int, *, as_json: bool) -> None:
    if as_json:
        facts = {"steps": steps, **errors._asdict()}
        if errors.accuracy is not None:
            facts["accuracy"] = errors.accuracy._asdict()
        typer.echo(json.dumps(facts))
        return
    count = errors.num_sequences
    table: Any = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"{count} sequence{'s' * (count != 1)}, {steps} ahead", no_wrap=True)
    rows = [("Refold", "model"), ("last value again", "last_value")]
    if errors.season is not None:
        rows.append((f"season of {errors.season} steps again", "seasonal_naive"))
    columns = [[name for name, _ in rows]]
    if errors.measure == "NMSE":
        table.add_column("NMSE", justify="right", no_wrap=True)
        columns.append([f"{getattr(errors, field):.3g}" for _, field in rows])
    if errors.accuracy is not None:
        table.add_column("accuracy", justify="right", no_wrap=True)
        columns.append(
            [refold.evaluation.as_percent(getattr(errors.accuracy, field)) for _, field in rows]
        )
    for row in zip(*columns, strict=True):
        table.add_row(*row)
    Console().print(table)
