"""``refold forecast``: the next steps of sequences, with prediction intervals."""

from dataclasses import asdict
from typing import Annotated, Any

from cyclopts import Parameter

import refold
from refold._support.display import short_number
from refold.cli import _options as options
from refold.cli._console import log, print_json, print_line, print_table
from refold.cli._files import TABLE_FORMATS, Files
from refold.cli._models import check_table_names, id_name, load_model
from refold.cli._reading import Reading
from refold.errors import ParameterError

__all__ = ["forecast"]

# Maximum number of rows of a printed table.
_MAX_ROWS = 30


def forecast(
    model: options.ModelFile,
    data: options.DataFile,
    /,
    *,
    output: options.Table = "-",
    steps: options.Count = None,
    alpha: Annotated[float | None, Parameter(metavar="R")] = None,
    normal: options.NormalData = None,
    context: options.Count = None,
    evaluate: bool = False,
    season: options.Count = None,
    picture: options.Picture = None,
    reading: Reading = Reading(),
    output_format: options.TableFormat = None,
    clip: options.Clip = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Forecast the next steps of sequences.

    The model must come from `refold fit --forecast-steps`.

    Parameters
    ----------
    output
        File for one row per step, or -.
    steps
        Steps to forecast. [default: as in the fit]
    alpha
        Share of values outside of the intervals. [default: 0.1 if calibrated]
    context
        Maximum number of last steps to read. [default: as in training]
    evaluate
        Forecast the last steps of DATA from those before, and print the errors.
    season
        Steps per season, for --evaluate. [default: detected]
    picture
        Image file for the first sequence: .png or .svg.
    as_json
        Print the errors of --evaluate as one JSON object.
    """
    files = Files(model, data, normal)
    others = {
        "--output": None if output == "-" else output,
        "--output-format": output_format,
        "--picture": picture,
        "--alpha": alpha,
        "--normal": normal,
        "--clip": clip or None,
    }
    _check(evaluate=evaluate, season=season, as_json=as_json, others=others)
    target = files.output(output, TABLE_FORMATS, output_format)
    picture_target = files.picture(picture)
    loaded = load_model(model)
    if not evaluate:
        check_table_names(loaded.schema, ("step",))
    loaded, series = reading.read_calibrated(loaded, data, files, normal)
    if evaluate:
        errors = loaded.forecast_errors(series, steps, season=season, context=context)
        _print(errors, steps or loaded.specification.forecast_steps, as_json=as_json)
        return
    if picture_target is not None and not (len(series) and loaded.schema.numeric.any()):
        raise ParameterError(
            "--picture needs a sequence with a numeric column, and the data have none. Leave it "
            "out."
        )
    ahead = loaded.forecast(
        series, steps, alpha=alpha, context=context, clip=clip, verbose=int(not quiet)
    )
    target.write_table(ahead.to_table(id_name(series.schema, ("step",))))
    if picture_target is not None:
        picture_target.write_picture(refold.plots.forecast(series, ahead).figure)
    if not quiet:
        _log_summary(ahead)


def _check(*, evaluate: bool, season: int | None, as_json: bool, others: dict[str, Any]) -> None:
    if not evaluate and (season is not None or as_json):
        option = "--json" if as_json else "--season"
        raise ParameterError(f"{option} needs --evaluate. Add it, or leave {option} out.")
    present = [option for option, value in others.items() if value is not None]
    if evaluate and present:
        raise ParameterError(
            f"--evaluate prints errors and writes no forecast. Leave {', '.join(present)} out."
        )


def _log_summary(ahead: Any) -> None:
    count = len(ahead.sequences)
    steps = len(ahead.sequences.values) // max(1, count)
    line = f"Forecast {steps} step{'s' * (steps != 1)} of {count} sequence{'s' * (count != 1)}"
    if ahead.alpha is None:
        log(f"{line}, without prediction intervals.")
    else:
        log(f"{line}, with {100 * (1 - ahead.alpha):g} % prediction intervals.")


def _print(errors: "refold.evaluation.ForecastErrors", steps: int, *, as_json: bool) -> None:
    if as_json:
        facts = {"steps": steps, **asdict(errors), "by_step": errors.to_table().to_pylist()}
        print_json(facts)
        return
    count = errors.num_sequences
    headings = [f"{count} sequence{'s' * (count != 1)}, {steps} ahead"]
    rows = [
        ("Refold", "model"),
        *((name, field) for field, name in refold.evaluation.NAIVE.items()),
    ]
    rows = [(name, field) for name, field in rows if field in errors.by_step]
    if errors.season is not None:
        rows[-1] = f"last season, {errors.season} steps", "seasonal_naive"
    columns = [[name for name, _ in rows]]
    if errors.measure == "NMSE":
        headings.append("NMSE")
        columns.append([f"{getattr(errors, field):.3g}" for _, field in rows])
    if errors.accuracy is not None:
        headings.append("accuracy")
        shares = asdict(errors.accuracy)
        columns.append(
            [refold.evaluation.as_percent(shares[field]) if field in shares else ""
             for _, field in rows]
        )  # fmt: skip
    print_table(headings, zip(*columns, strict=True))
    _print_steps(errors.to_table().to_pylist(), [name for name, _ in rows])
    if errors.worse:
        log(errors.worse)


def _print_steps(rows: list[dict[str, Any]], names: list[str]) -> None:
    """Print the errors of each column and step: root mean squares, or shares of wrong values."""
    print_line("\nRoot mean squared error in the units of the data, or share of wrong values:")
    shown = [
        [row.pop("column"), str(row.pop("step")), *(_number(error) for error in row.values())]
        for row in rows[:_MAX_ROWS]
    ]
    print_table(["column", "step", *names], shown)
    if more := len(rows) - len(shown):
        log(f"{more} more rows are not shown. --json prints all.")


def _number(error: float | None) -> str:
    return "" if error is None else short_number(error)
