"""``refold detect``: anomalous sequences at a given false-alarm rate."""

import math
from typing import Annotated, Any

from cyclopts import Parameter

import refold
from refold._support.display import short_number
from refold.cli import _options as options
from refold.cli._cluster import Cluster
from refold.cli._console import log
from refold.cli._files import TABLE_FORMATS, Files
from refold.cli._models import id_name, load_model, log_drift
from refold.cli._reading import Reading
from refold.errors import ParameterError

__all__ = ["detect"]

# Columns of the output tables.
COLUMNS = (
    *("score", "error", "distance", "p_value", "adjusted_p_value"),
    *("anomalous", "step", "column"),
)


def detect(
    model: options.ModelFile,
    data: options.DataFile,
    /,
    *,
    output: options.Table = "-",
    normal: options.NormalData = None,
    alpha: Annotated[float, Parameter(metavar="R")] = 0.01,
    steps: Annotated[str | None, Parameter(metavar="TABLE")] = None,
    picture: options.Picture = None,
    windows: options.WindowOptions = options.WindowOptions(),
    reading: Reading = Reading(),
    cluster: Cluster = Cluster(),
    output_format: options.TableFormat = None,
    quiet: options.Quiet = False,
) -> None:
    """Compute anomaly scores and p-values of sequences.

    Parameters
    ----------
    output
        File for one row per sequence, or -.
    alpha
        False-alarm rate among normal sequences.
    steps
        File for one row per step: .jsonl, .csv or .parquet.
    picture
        Image file for the most anomalous sequence, its anomalous steps shaded: .png or .svg.
    """
    files = Files(model, data, normal)
    if cluster.on is not None:
        loaded = load_model(model)
        if normal is not None:
            loaded = loaded.calibrate(reading.read(loaded, normal, files))
        refused = {"--steps": steps, "--picture": picture, "--window": windows.window}
        refused["--output-format"] = output_format
        cluster.run("detect", loaded, data, output, reading, refused, quiet=quiet, alpha=alpha)
        return
    target = files.output(output, TABLE_FORMATS, output_format)
    step_target = files.named_output("--steps", steps, TABLE_FORMATS)
    picture_target = files.picture(picture)
    import numpy as np

    loaded, series = reading.read_calibrated(load_model(model), data, files, normal, windows)
    if picture_target is not None and not len(series):
        raise ParameterError(
            "--picture needs a sequence to draw, and the data have none. Leave it out."
        )
    cut = windows.cut(series)
    anomalies = loaded.detect(series if cut is None else cut.sequences, alpha=alpha)
    target.write_table(anomalies.to_table(id_name(series.schema, COLUMNS)))
    scores, p_values = anomalies.step_scores, anomalies.step_p_values
    if cut is not None:
        scores = cut.merge(scores)
        # twice the mean of p-values is a valid p-value, whatever their dependence
        p_values = [np.minimum(1.0, 2.0 * mean) for mean in cut.merge(p_values)]
    if step_target is not None:
        step_target.write_table(_step_table(series, scores, p_values))
    if picture_target is not None:
        row = int(anomalies.scores.argmax())
        row = row if cut is None else int(cut.series[row])
        axes = refold.plots.anomalies(series[[row]], p_values[row], alpha=alpha)
        picture_target.write_picture(axes.figure)
    if not quiet:
        _log_summary(anomalies, "sequences" if cut is None else "windows", loaded.num_calibrated)
        if cut is None and anomalies.drift is not None:
            log_drift(anomalies.drift)


def _log_summary(anomalies: Any, noun: str, num_normal: int) -> None:
    count = len(anomalies.scores)
    expected = short_number(anomalies.alpha * count)
    line = (
        f"{int(anomalies.anomalous.sum())} of {count} {noun} are anomalous at a false-alarm rate "
        f"of {anomalies.alpha:g} (if all were normal, at most {expected} on average). "
    )
    if num_normal + 1 < count / anomalies.alpha and not anomalies.discoveries.any():
        line += (
            f"To find a single anomaly among {count} after correction for multiple testing, the "
            f"model needs {math.ceil(count / anomalies.alpha) - 1} normal {noun}. It has "
            f"{num_normal}."
        )
    else:
        num_discoveries = int(anomalies.discoveries.sum())
        line += f"{num_discoveries} remain anomalous after correction for multiple testing."
    log(line)


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
