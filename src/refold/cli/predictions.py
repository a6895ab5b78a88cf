"""``refold detect``, ``forecast``, ``stream`` and ``generate``: what a model says of sequences."""

import contextlib
import csv
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Annotated, Any

from cyclopts import Parameter

import refold
from refold._support.optional_imports import check_training_packages
from refold._support.output import short_number
from refold._support.rules import check_some
from refold.cli import _options as options
from refold.cli._inputs import Cluster, Reading, load_model, standard_input
from refold.cli._outputs import (
    STREAM,
    TABLE_FORMATS,
    Files,
    check_format,
    data_formats,
    format_of,
    id_name,
    log,
    log_drift,
    print_json,
    print_line,
)
from refold.errors import FileFormatError, ParameterError, RefoldError, SchemaError, argument

# Columns of the tables of `refold detect`.
_COLUMNS = (
    *("score", "error", "distance", "p_value", "adjusted_p_value"),
    *("anomalous", "step", "column"),
)
_MIN_TO_COMPARE = 5
# Formats of a stream of steps, with the delimiters of their cells.
_DELIMITERS = {"jsonl": "", "csv": ",", "tsv": "\t"}
# Cells of a stream as CSV that mean a missing value.
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
    windows: options.WindowOptions = options.WindowOptions(),
    reading: Reading = Reading(),
    cluster: Cluster = Cluster(),
    output_format: options.TableFormat = None,
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
    files = Files(model, data, normal)
    if cluster.on is not None:
        loaded = reading.calibrated(load_model(model), normal, files)
        refused = {"steps": steps, "picture": picture, "window": windows.window}
        refused["output_format"] = output_format
        cluster.run("detect", loaded, data, output, reading, refused, quiet=quiet, alpha=alpha)
        return
    target = files.output(output, TABLE_FORMATS, output_format)
    step_target = files.optional("--steps", steps, TABLE_FORMATS)
    picture_target = files.picture(picture)
    import numpy as np
    import pyarrow as pa

    loaded = reading.calibrated(load_model(model), normal, files, windows)
    series = reading.read(loaded, data, files)
    if picture_target is not None:
        check_some(len(series), "sequence", "to draw with --picture")
    cut = windows.cut(series)
    anomalies = loaded.detect(series if cut is None else cut.sequences, alpha=alpha)
    identity = id_name(series.schema, _COLUMNS)
    target.write_table(anomalies.to_table(identity))

    scores, p_values = anomalies.step_scores, anomalies.step_p_values
    if cut is not None:
        scores = cut.merge(scores)
        # twice the mean of p-values is a valid p-value, whatever their dependence
        p_values = [np.minimum(1.0, 2.0 * mean) for mean in cut.merge(p_values)]
    if step_target is not None:
        row, step = refold.sequences.positions(series)
        columns = {
            identity: pa.array(series.ids[row].tolist()),
            "step": pa.array(step),
            "score": pa.array(np.concatenate([*scores, []]), pa.float64(), from_pandas=True),
            "p_value": pa.array(np.concatenate([*p_values, []]), pa.float64(), from_pandas=True),
        }
        step_target.write_table(pa.table(columns))
    if picture_target is not None:
        top = int(anomalies.scores.argmax())
        top = top if cut is None else int(cut.series[top])
        axes = refold.plots.anomalies(series[[top]], p_values[top], alpha=alpha)
        picture_target.write_picture(axes.figure)
    if not quiet:
        _log_anomalies(anomalies, "sequences" if cut is None else "windows", loaded.num_calibrated)
        if cut is None and anomalies.drift is not None:
            log_drift(anomalies.drift)


def _log_anomalies(anomalies: Any, noun: str, num_normal: int) -> None:
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
    output_format: options.TableFormat = None,
    clip: options.Clip = False,
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
    files = Files(model, data, normal)
    options.check_needs("--season", season, "--evaluate", evaluate)
    options.check_needs("--json", as_json, "--evaluate", evaluate)
    if evaluate:
        unused = {"output": None if output == STREAM else output, "output_format": output_format}
        unused |= {"picture": picture, "alpha": alpha, "normal": normal, "clip": clip}
        options.check_excludes("--evaluate, which writes no forecast", unused)
    target = files.output(output, TABLE_FORMATS, output_format)
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
    ahead = loaded.forecast(series, steps, alpha=alpha, clip=clip, verbose=int(not quiet))
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
    output_format: options.TableFormat = None,
    clip: options.Clip = True,
    quiet: options.Quiet = False,
) -> None:
    """Generate new sequences: draw codes from a Gaussian mixture, and decode them.

    Args:
        number: Number of sequences.
        temperature: Sampling temperature of categories; 0 takes the most likely.
        compare: Real sequences to compare the new ones with.
    """
    files = Files(model, compare)
    target = files.output(output, data_formats(), output_format)
    if compare is not None and number < _MIN_TO_COMPARE:
        raise ParameterError(f"--compare needs at least -n {_MIN_TO_COMPARE}. Got {number}.")
    loaded, real = load_model(model), None
    if compare is not None:
        check_training_packages("refold generate with --compare")
        real = reading.read(loaded, compare, files).align(loaded.schema)
    drawn = loaded.generate(
        number,
        temperature=temperature,
        lengths=options.lengths_of(lengths, number),
        clip=clip,
        random_state=seed,
    )
    sequences = target.write_sequences(drawn, loaded.schema, quiet=quiet)
    if real is not None:
        back = refold.sequences.Sequences.from_list(
            loaded.reconstruct(real, clip=clip), schema=loaded.schema
        )
        _compare(real, back, sequences, seed or 0)


def _compare(
    real: "refold.Sequences", back: "refold.Sequences", new: "refold.Sequences", seed: int
) -> None:
    """Log how the new sequences compare with real ones and with their reconstructions."""
    comparison = refold.evaluation.compare(real, new, seed=seed)
    if comparison.unseen is not None and comparison.unseen_real is not None:
        sizes = ", ".join(map(str, refold.evaluation.NGRAM_SIZES))
        ours, theirs = (
            ", ".join(f"{100 * share:.1f}" for share in shares)
            for shares in (comparison.unseen, comparison.unseen_real)
        )
        log(
            f"N-grams (n = {sizes}) that do not occur in one half of the real sequences: {ours} % "
            f"in the new sequences, {theirs} % in the other half of the real ones."
        )
    from_back = refold.evaluation.compare(back, new, seed=seed).two_sample_test
    line = (
        "A classifier separates new from real sequences with "
        f"{100 * comparison.two_sample_test:.0f} % accuracy, and from reconstructions with "
        f"{100 * from_back:.0f} % (chance: 50 %)"
    )
    if not real.schema.numeric.any():
        line += f"; {100 * refold.evaluation.copies(new, real):.1f} % are copies of real ones"
    log(f"{line}. Verdict: {comparison.verdict}.")


def stream(
    model: options.ModelFile,
    data: options.File = STREAM,
    /,
    *,
    window: options.PositiveOrNone = None,
    every: options.Positive = 1,
    id_column: Annotated[options.Name, Parameter(name="--id")] = None,
    latent_steps: options.LatentSteps = None,
    input_format: options.InputFormat = None,
    quiet: options.Quiet = False,
) -> None:
    """Read steps line by line, and write code, error and p-value so far.

    The output is one JSON object per line, which is written at once. In a CSV file, the first line
    has the names of the columns. A JSON line is an object or a list. Other columns than those of
    the model are ignored.

    Args:
        data: File with a line for each step, or -.
        window: Encode only the last N steps. [default: all]
        every: Write a line only for every N-th step.
        id_column: Column with ids; each id is a stream of its own.
        input_format: csv, tsv or jsonl. [default: the suffix, else jsonl]
    """
    Files(model, data)  # at most one is standard input
    chosen = check_format(input_format or format_of(data) or "jsonl", _DELIMITERS)
    loaded, streams, count = load_model(model, latent_steps=latent_steps), {}, 0
    values, schema = _json_lines(_lines(data)), loaded.schema
    if chosen != "jsonl":
        values = _csv_rows(_lines(data), _DELIMITERS[chosen], schema, id_column)
    try:
        for number, value in values:
            try:
                identity, step = _identified(value, schema, id_column)
                if identity not in streams:
                    streams[identity] = loaded.stream(window, every)
                result = streams[identity].push([step])
            except RefoldError as error:
                raise type(error)(f"Line {number}: {error.message.marked}") from error
            count += 1
            if result is not None:
                facts = {} if id_column is None else {"id": identity}
                print_json(facts | asdict(result) | {"code": result.code.tolist()})
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Stopped by Ctrl-C after {count} steps.") from None
    if not quiet:
        log(f"Read {count} steps.")


def _lines(name: str) -> Iterator[str]:
    """Yield the lines of a file or of standard input, each as soon as it is there."""
    is_stream = name == STREAM
    file = standard_input() if is_stream else refold.sequences.local_path(name).open("rb")
    with contextlib.nullcontext(file) if is_stream else file as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise FileFormatError(f"Line {number} is not UTF-8. Write it as UTF-8.") from error


def _json_lines(lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of each line that is not blank."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise FileFormatError(
                    f"Line {number} is not JSON: {' '.join(str(error).split())}. Expected one "
                    f"step, or {argument(format='csv')}."
                ) from error


def _csv_rows(
    lines: Iterable[str], delimiter: str, schema: "refold.sequences.Schema", id_column: str | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of the line and the named cells of each row."""
    reader = csv.reader(lines, delimiter=delimiter)
    rows = _read_rows(reader)
    header = [name.strip() for name in next(rows, [])]
    features = [name for name in header if name != id_column]
    is_unnamed = refold.sequences.has_default_names(schema) and not {*schema.names} <= {*header}
    if is_unnamed and len(features) == schema.num_columns:
        # the model has no names of its own, so the columns are in its order
        renamed = dict(zip(features, schema.names, strict=True))
        header = [renamed.get(name, name) for name in header]
    for name in [*_names(schema, header), *([] if id_column is None else [id_column])]:
        if name not in header:
            raise SchemaError(
                f"The first line has no column {name!r}. It has {_listed(header)}. Begin with the "
                "names of the columns."
            )
    for row in filter(None, rows):
        if len(row) != len(header):
            raise FileFormatError(
                f"Line {reader.line_num} has {len(row)} cells, but the first line has "
                f"{len(header)}."
            )
        cells: dict[str, Any] = {name: cell.strip() for name, cell in zip(header, row, strict=True)}
        for name, cell in cells.items():
            if name != id_column and cell.lower() in _MISSING:
                cells[name] = None
        yield reader.line_num, cells


def _read_rows(reader: Any) -> Iterator[list[str]]:
    """Yield the rows of a CSV reader."""
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise FileFormatError(f"Line {reader.line_num} is not CSV ({error}).") from error
        if row is None:
            return
        yield row


def _identified(
    value: Any, schema: "refold.sequences.Schema", id_column: str | None
) -> tuple[Any, Any]:
    """Return the id of a step, and the step: of named values, those of the model."""
    identity = None
    if id_column is not None:
        identity = value.get(id_column) if isinstance(value, dict) else None
        if not isinstance(identity, str | int):
            raise SchemaError(
                f"There is no id in {id_column!r}. Expected text or an integer. Got {identity!r}."
            )
    if not isinstance(value, dict):
        return identity, value
    step = {name: value[name] for name in _names(schema, value) if name in value}
    if not step:
        raise SchemaError(
            f"There is no column of the model, only {_listed(value)}. Expected "
            f"{_listed(schema.names)}."
        )
    return identity, step


def _names(schema: "refold.sequences.Schema", present: Iterable[str]) -> list[str]:
    """Return the columns to read: those of the model, or times from which it computes gaps."""
    names = list(schema.names)
    if schema.time_gaps and names[-1] not in present:
        names[-1] = schema.time_name or "time"
    return names


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, [*names][:10])) or "nothing"
