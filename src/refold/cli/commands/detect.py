"""``refold detect``: anomalous sequences at a given false-alarm rate."""

import math
from typing import Annotated, Any

import typer

import refold
from refold._support.number_text import short_number
from refold.cli._cluster import Cluster
from refold.cli._console import log
from refold.cli._files_and_streams import (
    TABLE_FORMATS,
    Output,
    check_distinct,
    check_one_stream,
    plan_file,
    plan_output,
)
from refold.cli._options import Data, Model, Quiet, TableFormat, WindowOptions
from refold.cli._picture_files import plan_picture, write_picture
from refold.cli._reading import Reading
from refold.cli._saved_models import id_name, load_model, log_drift
from refold.cli._table_files import write_table
from refold.errors import ParameterError

__all__ = ["detect"]

# Columns of the output tables.
COLUMNS = (
    *("score", "error", "distance", "p_value", "adjusted_p_value"),
    *("anomalous", "step", "column"),
)


def detect(
    model: Model,
    data: Data,
    *,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="TABLE", help="File for one row per sequence, or -."
        ),
    ] = "-",
    normal: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Normal sequences for calibration, not in the training data. "
            r"\[default: those set aside by `refold fit --calibration-fraction`]",
        ),
    ] = None,
    alpha: Annotated[
        float, typer.Option(metavar="R", help="False-alarm rate among normal sequences.")
    ] = 0.01,
    steps: Annotated[
        str | None,
        typer.Option(metavar="TABLE", help="File for one row per step: .jsonl, .csv or .parquet."),
    ] = None,
    picture: Annotated[
        str | None,
        typer.Option(
            metavar="PICTURE",
            help="Image file for the most anomalous sequence, its anomalous steps shaded: .png.",
        ),
    ] = None,
    windows: WindowOptions,
    reading: Reading,
    cluster: Cluster,
    output_format: TableFormat = None,
    quiet: Quiet = False,
) -> None:
    """Compute anomaly scores and p-values of sequences."""
    if cluster.on is not None:
        loaded = load_model(model)
        if normal is not None:
            loaded = loaded.calibrate(reading.read(loaded, normal))
        refused = {"--steps": steps, "--picture": picture, "--window": windows.window}
        refused["--output-format"] = output_format
        cluster.run("detect", loaded, data, output, reading, refused, quiet=quiet, alpha=alpha)
        return
    check_one_stream(model, data, normal)
    target = plan_output(output, TABLE_FORMATS, output_format)
    reason = "--steps cannot be standard output. Name a file."
    step_target = None if steps is None else plan_file(steps, TABLE_FORMATS, reason)
    picture_target = plan_picture(picture)
    check_distinct([target, step_target, picture_target], (data, normal))
    import numpy as np

    loaded = load_model(model)
    loaded, series = reading.read_calibrated(loaded, data, normal, windows)
    if picture_target is not None and not len(series):
        raise ParameterError(
            "--picture needs a sequence to draw, and the data have none. Leave it out."
        )
    cut = windows.cut(series)
    found = loaded.detect(series if cut is None else cut.sequences, alpha=alpha)
    with target.writing() as path:
        write_table(path, found.to_table(id_name(series.schema, COLUMNS)))
    by_step = found.step_scores, found.step_p_values
    if cut is not None:
        scores, p_values = (cut.merge(one) for one in by_step)
        # twice the mean of p-values is a valid p-value, whatever their dependence
        by_step = scores, [np.minimum(1.0, 2.0 * one) for one in p_values]
    if step_target is not None:
        with step_target.writing() as path:
            write_table(path, _step_table(series, *by_step))
    if picture_target is not None:
        _draw(series, found, cut, by_step[1], alpha, picture_target)
    if not quiet:
        _log_summary(found, "sequences" if cut is None else "windows", loaded.num_calibrated)


def _log_summary(found: Any, noun: str, num_normal: int) -> None:
    count = len(found.scores)
    expected = short_number(found.alpha * count)
    line = (
        f"{int(found.anomalous.sum())} of {count} {noun} are anomalous at a false-alarm rate of "
        f"{found.alpha:g} (if all were normal, at most {expected} on average). "
    )
    if num_normal + 1 < count / found.alpha and not found.discoveries.any():
        line += (
            f"To find a single anomaly among {count} after correction for multiple testing, the "
            f"model needs {math.ceil(count / found.alpha) - 1} normal {noun}. It has {num_normal}."
        )
    else:
        num_discoveries = int(found.discoveries.sum())
        line += f"{num_discoveries} remain anomalous after correction for multiple testing."
    log(line)
    if noun == "sequences" and found.drift is not None:
        log_drift(found.drift)


def _step_table(series: "refold.Sequences", scores: list[Any], p_values: list[Any]) -> Any:
    import numpy as np
    import pyarrow as pa

    row, step = refold.sequences.positions(series)
    return pa.table(
        {
            id_name(series.schema, COLUMNS): pa.array(series.ids[row].tolist()),
            "step": pa.array(step),
            "score": pa.array(np.concatenate([*scores, []]), pa.float64(), from_pandas=True),
            "p_value": pa.array(np.concatenate([*p_values, []]), pa.float64(), from_pandas=True),
        }
    )


def _draw(
    series: "refold.Sequences",
    found: Any,
    cut: Any,
    p_values: list[Any],
    alpha: float,
    target: Output,
) -> None:
    index = int(found.scores.argmax())
    index = index if cut is None else int(cut.series[index])
    ax = refold.plots.anomalies(series[[index]], p_values[index], alpha=alpha)
    write_picture(ax.figure, target)
