"""``refold detect``, ``forecast``, ``stream`` and ``generate``: what a model says of sequences."""

import csv
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Annotated, Any, Literal

from cyclopts import Parameter

import refold
from refold._support.optional_imports import check_training_packages
from refold._support.output import short_number
from refold._support.paths import local_path
from refold._support.rules import check_some
from refold.cli import _options as options
from refold.cli._inputs import Cluster, Reading, load_model, standard_input
from refold.cli._outputs import (
    STREAM,
    TABLE_FORMATS,
    Files,
    data_formats,
    format_of,
    id_name,
    log,
    print_json,
    print_line,
)
from refold.errors import FileFormatError, ParameterError, RefoldError, SchemaError

# Columns of the tables of `refold detect`.
_COLUMNS = (
    *("score", "error", "distance", "p_value", "adjusted_p_value"),
    *("anomalous", "start", "end", "start_time", "end_time", "step", "column"),
)
_MIN_TO_COMPARE = 5
# For a line about drift.
_MIN_SEQUENCES = 50
_MAX_P_VALUE = 0.001
# Of the cells in a line of a table, and the words for a missing value.
_DELIMITERS = {"csv": ",", "tsv": "\t"}
_MISSING = {"", "na", "n/a", "nan", "null", "none"}


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
    reading: Reading = Reading(),
    cluster: Cluster = Cluster(),
    quiet: options.Quiet = False,
) -> None:
    """Compute anomaly scores and p-values of sequences.

    Args:
        output: File for one row per sequence, or -.
        alpha: False-alarm rate among normal sequences.
        steps: File for one row per step: .jsonl, .csv or .parquet.
        picture: Image file for the most anomalous sequence, its anomalous steps shaded:
            .png or .svg.
    """
    files = Files(data, normal)
    if cluster.on is not None:
        loaded = reading.calibrated(load_model(model), normal, files)
        refused = {"steps": steps, "picture": picture}
        cluster.run("detect", loaded, data, output, reading, refused, quiet=quiet, alpha=alpha)
        return
    target = files.output(output, TABLE_FORMATS)
    step_target = files.optional("--steps", steps, TABLE_FORMATS)
    picture_target = files.picture(picture)

    loaded = reading.calibrated(load_model(model), normal, files)
    series = reading.read(loaded, data, files)
    if picture_target is not None:
        check_some(len(series), "sequence", "to draw with --picture")
    anomalies = loaded.detect(series, alpha=alpha)
    windows = anomalies.windows
    identity = id_name(series.schema, _COLUMNS)
    target.write_table(anomalies.to_table(identity))

    if step_target is not None:
        time = series.schema.time_column((identity, "step", "score", "p_value"))
        step_target.write_table(anomalies.steps(identity, time))
    if picture_target is not None:
        top = int(anomalies.scores.argmax())
        top = top if windows is None else int(windows.series[top])
        p_values = anomalies.series_p_values[top]
        axes = refold.plots.anomalies(series[[top]], p_values, alpha=alpha)
        picture_target.write_picture(axes.figure)
    if not quiet:
        noun = "sequences" if windows is None else "windows"
        _log_anomalies(anomalies, noun, loaded.num_calibrated)
        # windows that overlap are not independent, as the tests assume
        drift = None if windows is not None else anomalies.drift
        if (
            drift is not None
            and drift.num_sequences >= _MIN_SEQUENCES
            and drift.p_value <= _MAX_P_VALUE
        ):
            log(
                f"Drift: these sequences differ from the training data ({drift}). Check them; "
                "`refold fit DATA --from MODEL` trains the model further."
            )


def _log_anomalies(anomalies: Any, noun: str, num_normal: int) -> None:
    count, needed = len(anomalies.scores), math.ceil(len(anomalies.scores) / anomalies.alpha) - 1
    line = (
        f"{int(anomalies.anomalous.sum())} of {count} {noun} are anomalous at a false-alarm rate "
        f"of {anomalies.alpha:g} (if all were normal, at most "
        f"{short_number(anomalies.alpha * count)} on average). "
        f"{int(anomalies.discoveries.sum())} remain anomalous after correction for multiple testing"
    )
    if num_normal < needed:
        line += f": to find a single one, it needs {needed} normal {noun}, not {num_normal}"
    log(f"{line}.")


def forecast(
    model: options.ModelFile,
    data: options.DataFile,
    /,
    *,
    output: options.Table = "-",
    steps: options.Count = None,
    alpha: Annotated[float | None, Parameter(metavar="R")] = None,
    normal: options.NormalData = None,
    evaluate: bool = False,
    season: options.Count = None,
    picture: options.Picture = None,
    reading: Reading = Reading(),
    clip: options.ClipOptions = options.ClipOptions(),
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Forecast the next steps of sequences.

    The model must come from `refold fit --forecast-steps`.

    Args:
        output: File for one row per step, or -.
        steps: Steps to forecast. [default: as in the fit]
        alpha: Share of values outside of the intervals. [default: 0.1 if calibrated]
        evaluate: Forecast the last steps of DATA from those before, and print the errors.
        season: Steps per season, for --evaluate. [default: detected]
        picture: Image file for the first sequence: .png or .svg.
        as_json: Print the errors of --evaluate, also by column and step, as one JSON object.
    """
    files = Files(data, normal)
    options.check_needs("--season", season, "--evaluate", evaluate)
    options.check_needs("--json", as_json, "--evaluate", evaluate)
    if evaluate:
        unused = {"output": None if output == STREAM else output, "picture": picture}
        unused |= {"alpha": alpha, "normal": normal, "clip": clip.value}
        options.check_excludes("--evaluate, which writes no forecast", unused)
    target = files.output(output, TABLE_FORMATS)
    picture_target = files.picture(picture)
    loaded = reading.calibrated(load_model(model), normal, files)
    series = reading.read(loaded, data, files)
    if evaluate:
        errors = loaded.forecast_errors(series, steps, season=season)
        num_steps = steps or loaded.specification.forecast_steps
        if as_json:
            by_step = errors.to_table().to_pylist()
            print_json({"steps": num_steps, **asdict(errors), "by_step": by_step})
        else:
            print_line(f"{errors.num_sequences} sequences, {num_steps} steps ahead: {errors}")
        return
    if picture_target is not None:
        count = len(series) if loaded.schema.numeric.any() else 0
        check_some(count, "sequence with a numeric column", "to draw with --picture")
    ahead = loaded.forecast(series, steps, alpha=alpha, clip=clip.value, verbose=int(not quiet))
    target.write_table(ahead.to_table(id_name(series.schema, ("step",))))
    if picture_target is not None:
        picture_target.write_picture(refold.plots.forecast(series, ahead).figure)
    if not quiet:
        count = len(ahead.sequences)
        num_steps = len(ahead.sequences.values) // max(1, count)
        intervals = "without prediction intervals"
        if ahead.alpha is not None:
            intervals = f"with {100 * (1 - ahead.alpha):g} % prediction intervals"
        log(f"Forecast {num_steps} steps of {count} sequences, {intervals}.")


def generate(
    model: options.ModelFile,
    /,
    *,
    output: options.DataOutput = "-",
    number: Annotated[options.Positive, Parameter(name="-n")] = 10,
    temperature: Annotated[float, Parameter(metavar="T")] = 0.0,
    lengths: options.Lengths = None,
    compare: Annotated[str | None, Parameter(metavar="DATA")] = None,
    seed: options.Seed = None,
    reading: Reading = Reading(),
    clip: options.ClipOptions = options.ClipOptions(clip=True),
    quiet: options.Quiet = False,
) -> None:
    """Generate new sequences: draw codes from a Gaussian mixture, and decode them.

    Args:
        number: Number of sequences.
        temperature: Sampling temperature of categories; 0 takes the most likely.
        compare: Real sequences to compare the new ones with.
    """
    files = Files(compare)
    target = files.output(output, data_formats())
    if compare is not None and number < _MIN_TO_COMPARE:
        raise ParameterError(f"--compare needs at least -n {_MIN_TO_COMPARE}. Got {number}.")
    loaded, real = load_model(model), None
    if compare is not None:
        check_training_packages("refold generate with --compare")
        real = loaded.windows(reading.read(loaded, compare, files)).sequences
    drawn = loaded.generate(
        number,
        temperature=temperature,
        lengths=options.lengths_of(lengths, number),
        clip=clip.value,
        random_state=seed,
    )
    sequences = target.write_sequences(drawn, loaded.schema, quiet=quiet)
    if real is not None:
        comparison = refold.evaluation.compare(real, sequences, seed=seed or 0)
        log(
            "A classifier separates new from real sequences with "
            f"{100 * comparison.two_sample_test:.0f} % accuracy (chance: 50 %). Verdict: "
            f"{comparison.verdict}."
        )


def stream(
    model: options.ModelFile,
    data: options.File = STREAM,
    /,
    *,
    window: options.PositiveOrNone = None,
    every: options.Positive = 1,
    id_column: Annotated[options.Name, Parameter(name="--id")] = None,
    latent_steps: options.LatentSteps = None,
    input_format: Annotated[
        Literal["csv", "tsv", "jsonl"] | None, Parameter(name="--format", metavar="FORMAT")
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Read steps line by line, and write code, error and p-value so far.

    A line of the input is JSON: an object with the values by column, or a list. In a CSV file, the
    first line has the names of the columns. Other columns than those of the model are ignored. The
    output is one JSON object per line, which is written at once.

    Args:
        data: File with a line for each step, or -.
        window: Encode only the last N steps. [default: those of the model's window, or all]
        every: Write a line only for every N-th step.
        id_column: Column or key of the ids; each id is a stream of its own.
        input_format: csv, tsv or jsonl. [default: the suffix, else jsonl]
    """
    loaded, streams, count = load_model(model, latent_steps=latent_steps), {}, 0
    delimiter = _DELIMITERS.get(input_format or format_of(data) or "jsonl")
    values: Iterable[tuple[int, Any]] = enumerate(_lines(data), start=1)
    if delimiter is not None:
        texts = (line.decode("utf-8-sig") for line in _lines(data))
        values = _csv_steps(csv.reader(texts, delimiter=delimiter), loaded.schema, id_column)
    try:
        for number, value in values:
            if isinstance(value, bytes) and not value.strip():
                continue
            try:
                identity, step = _parse_step(value, loaded.schema, id_column)
                if identity not in streams:
                    streams[identity] = loaded.stream(window, every)
                result = streams[identity].push([step])
            except RefoldError as error:
                raise type(error)(f"Line {number}: {error.message.marked}") from error
            count += 1
            if result is not None:
                facts = {} if id_column is None else {"id": identity}
                print_json(facts | result.to_table().to_pylist()[0])
        if not quiet:
            log(f"Read {count} steps.")
    except KeyboardInterrupt:  # in the last line, if Ctrl-C came just before the input ended
        raise KeyboardInterrupt(f"Stopped by Ctrl-C after {count} steps.") from None


def _lines(name: str) -> Iterator[bytes]:
    """Yield the lines of a file or of standard input, each as soon as it is there."""
    if name == STREAM:
        yield from standard_input()
        return
    with local_path(name).open("rb") as file:
        yield from file


def _csv_steps(
    rows: Any, schema: "refold.sequences.Schema", id_column: str | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the line and the named cells of each row of a `csv.reader`; the first has the names."""
    try:
        names: list[str] = [name.strip() for name in next(rows, [])]
        features = [name for name in names if name != id_column]
        is_unnamed = refold.sequences.has_default_names(schema) and not {*schema.names} <= {*names}
        if is_unnamed and len(features) == schema.num_columns:
            # the model has no names of its own, so the columns are in its order
            renamed = dict(zip(features, schema.names, strict=True))
            names = [renamed.get(name, name) for name in names]
        for row in filter(None, rows):
            if len(row) != len(names):
                raise FileFormatError(
                    f"Line {rows.line_num} has {len(row)} cells, but the first has {len(names)}."
                )
            step: dict[str, Any] = dict(zip(names, map(str.strip, row), strict=True))
            for name in {*step} - {id_column}:
                step[name] = None if step[name].lower() in _MISSING else step[name]
            yield rows.line_num, step
    except (csv.Error, UnicodeDecodeError) as error:
        raise FileFormatError(
            f"Line {rows.line_num} or the next one is not CSV in UTF-8: {error}."
        ) from error


def _parse_step(
    value: Any, schema: "refold.sequences.Schema", id_column: str | None
) -> tuple[Any, Any]:
    """Return the id of a step, and the step: of named values, those of the model."""
    try:
        value = json.loads(value) if isinstance(value, bytes) else value
    except (ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise FileFormatError(f"This is not JSON: {problem}. Expected one step.") from error
    identity = None
    if id_column is not None:
        identity = value.get(id_column) if isinstance(value, dict) else None
        if not isinstance(identity, str | int):
            raise SchemaError(
                f"There is no id in {id_column!r}. Expected text or an integer. Got {identity!r}."
            )
    if not isinstance(value, dict):
        return identity, value
    names = list(schema.names)
    if schema.time_gaps and names[-1] not in value:
        names[-1] = schema.time_name or "time"  # the model computes gaps from times
    step = {name: value[name] for name in names if name in value}
    if not step:
        present, expected = (", ".join(map(repr, [*all_][:10])) for all_ in (value, schema.names))
        raise SchemaError(
            f"There is no column of the model, only {present or 'nothing'}. Expected {expected}."
        )
    return identity, step
