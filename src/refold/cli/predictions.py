"""``refold detect``, ``forecast``, ``stream`` and ``generate``, which use what a model predicts."""

import csv
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Annotated, Any, Literal

from cyclopts import Parameter

import refold
from refold._support.atomic_files import require_local_path
from refold._support.messages import format_rounded
from refold._support.optional_imports import check_training_packages
from refold._support.rules import check_not_empty
from refold.cli import _options as options
from refold.cli import _outputs as outputs
from refold.cli._inputs import RayOptions, ReadOptions, load_model, open_standard_input
from refold.errors import FileFormatError, ParameterError, RefoldError, SchemaError

# Columns of the tables of `refold detect`. If the id column has such a name, it becomes "id".
_DETECT_TABLE_COLUMNS = (
    *("score", "error", "distance", "p_value", "adjusted_p_value"),
    *("anomalous", "start", "end", "start_time", "end_time", "step", "column"),
)
# Minimum number of sequences for --compare: one for each of the 5 folds of its classifier.
_MIN_GENERATED_TO_COMPARE = 5
# Drift is logged only for at least this number of sequences. With fewer, its test has little power.
_MIN_SEQUENCES_TO_LOG_DRIFT = 50
# Drift is logged only up to this p-value, so that chance rarely causes the message.
_MAX_P_VALUE_TO_LOG_DRIFT = 0.001
# Delimiters of the cells in a line, by format. JSON lines have no delimiter.
_FORMAT_DELIMITERS = {"csv": ",", "tsv": "\t"}
# Cells that stand for a missing value, in lower case.
_MISSING_VALUE_WORDS = {"", "na", "n/a", "nan", "null", "none"}


def detect(
    model_file: options.ModelFile,
    data_file: options.DataFile,
    /,
    *,
    output: options.TableOutput = "-",
    normal_file: options.NormalFile = None,
    alpha: Annotated[float, Parameter(metavar="R")] = 0.01,
    step_file: Annotated[str | None, Parameter(name="--steps", metavar="TABLE")] = None,
    picture_file: options.PictureFile = None,
    read_options: ReadOptions = ReadOptions(),
    ray_options: RayOptions = RayOptions(),
    quiet: options.Quiet = False,
) -> None:
    """Compute anomaly scores and p-values of sequences.

    Args:
        output: File for one row per sequence, or -.
        alpha: False-alarm rate among normal sequences.
        step_file: File for one row per step: .jsonl, .csv or .parquet.
        picture_file: Image file for the most anomalous sequence, its anomalous steps shaded:
            .png or .svg.
    """
    files = outputs.CommandFiles(data_file, normal_file)
    if ray_options.address is not None:
        model = read_options.calibrate_model(load_model(model_file), normal_file, files)
        # a cluster writes neither of these files, so their options are refused
        unsupported_options = {"steps": step_file, "picture": picture_file}
        settings = {"alpha": alpha, "unsupported_options": unsupported_options}
        ray_options.run("detect", model, data_file, output, read_options, quiet=quiet, **settings)
        return
    target = files.add_output(output, outputs.TABLE_FORMATS)
    step_target = files.add_optional_output("--steps", step_file, outputs.TABLE_FORMATS)
    picture_target = files.add_optional_picture(picture_file)

    model = read_options.calibrate_model(load_model(model_file), normal_file, files)
    series = read_options.read_sequences(model, data_file, files)
    if picture_target is not None:
        check_not_empty(len(series), "sequence", "to draw with --picture")
    anomalies = model.detect(series, alpha=alpha)
    windows = anomalies.windows
    id_column = outputs.name_id_column(series.schema, _DETECT_TABLE_COLUMNS)
    target.write_table(anomalies.to_table(id_column))

    if step_target is not None:
        time_column = series.schema.choose_time_name((id_column, "step", "score", "p_value"))
        step_target.write_table(anomalies.to_step_table(id_column, time_column))
    if picture_target is not None:
        # with windows, the scores are those of windows; the picture shows the series of a window
        series_index = int(anomalies.scores.argmax())
        if windows is not None:
            series_index = int(windows.series[series_index])
        p_values = anomalies.series_step_p_values[series_index]  # (num_steps,)
        axes = refold.plots.anomalous_steps(series[[series_index]], p_values, alpha=alpha)
        picture_target.write_picture(axes.figure)
    if quiet:
        return
    count, noun = len(anomalies.scores), "sequences" if windows is None else "windows"
    summary = (
        f"{int(anomalies.anomalous.sum())} of {count} {noun} are anomalous at a false-alarm rate "
        f"of {alpha:g} (if all were normal, at most {format_rounded(alpha * count)} on average). "
        f"{int(anomalies.discoveries.sum())} remain anomalous after correction for multiple testing"
    )
    # Can an anomaly remain after the correction? The smallest possible p-value is
    # 1 / (num_calibrated + 1), and the correction multiplies it by `count`. An anomaly remains if
    # the product is at most alpha.
    min_calibrated = math.ceil(count / alpha) - 1
    if model.num_calibrated < min_calibrated:
        summary += f". To find any, the correction needs {min_calibrated} normal {noun}, not "
        summary += str(model.num_calibrated)
    outputs.log_line(f"{summary}.")
    # the test for drift assumes independent sequences, but windows that overlap are similar
    drift = anomalies.drift if windows is None else None
    if (
        drift is not None
        and drift.num_sequences >= _MIN_SEQUENCES_TO_LOG_DRIFT
        and drift.p_value <= _MAX_P_VALUE_TO_LOG_DRIFT
    ):
        outputs.log_line(
            f"Drift: these sequences differ from the training data ({drift}). Check them; "
            "`refold fit DATA --from MODEL` trains the model further."
        )


def forecast(
    model_file: options.ModelFile,
    data_file: options.DataFile,
    /,
    *,
    output: options.TableOutput = "-",
    num_steps: Annotated[options.OptionalInt, Parameter(name="--steps")] = None,
    alpha: Annotated[float | None, Parameter(metavar="R")] = None,
    normal_file: options.NormalFile = None,
    evaluate: bool = False,
    steps_per_season: Annotated[options.OptionalInt, Parameter(name="--season")] = None,
    picture_file: options.PictureFile = None,
    read_options: ReadOptions = ReadOptions(),
    clip_options: options.ClipOptions = options.ClipOptions(),
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Forecast the next steps of sequences.

    The model must come from `refold fit --forecast-steps`.

    Args:
        output: File for one row per step, or -.
        num_steps: Steps to forecast. [default: as in the fit]
        alpha: Share of values outside of the intervals. [default: 0.1 if calibrated]
        evaluate: Forecast the last steps of DATA from those before, and print the errors.
        steps_per_season: Steps per season, for --evaluate. [default: detected]
        picture_file: Image file for the first sequence: .png or .svg.
        as_json: Print the errors of --evaluate, also by column and step, as one JSON object.
    """
    files = outputs.CommandFiles(data_file, normal_file)
    options.check_dependent_option("--season", steps_per_season, "--evaluate", evaluate)
    options.check_dependent_option("--json", as_json, "--evaluate", evaluate)
    if evaluate:  # it writes no forecasts and no intervals, so options about them are mistakes
        forecast_file = None if output == outputs.STANDARD_STREAM else output
        conflicting = {"output": forecast_file, "alpha": alpha, "picture": picture_file}
        conflicting |= {"normal": normal_file, "clip": clip_options.mode}
        options.check_conflicts("--evaluate, which writes no forecast", conflicting)
    target = files.add_output(output, outputs.TABLE_FORMATS)
    picture_target = files.add_optional_picture(picture_file)
    model = read_options.calibrate_model(load_model(model_file), normal_file, files)
    series = read_options.read_sequences(model, data_file, files)
    if evaluate:
        errors = model.forecast_errors(series, num_steps, season=steps_per_season)
        num_steps = num_steps or model.specification.forecast_steps
        if as_json:
            by_step = errors.to_table().to_pylist()
            outputs.print_json({"steps": num_steps, **asdict(errors), "by_step": by_step})
        else:
            summary = f"{errors.num_sequences} sequences, {num_steps} steps ahead: {errors}"
            outputs.print_line(summary)
        return
    if picture_target is not None:
        # the picture shows numeric columns only
        num_drawable = len(series) if model.schema.numeric.any() else 0
        check_not_empty(num_drawable, "sequence with a numeric column", "to draw with --picture")
    predicted = model.forecast(
        series, num_steps, alpha=alpha, clip=clip_options.mode, verbose=int(not quiet)
    )
    target.write_table(predicted.to_table(outputs.name_id_column(series.schema, ("step",))))
    if picture_target is not None:
        picture_target.write_picture(refold.plots.forecast(series, predicted).figure)
    if not quiet:
        num_sequences = len(predicted.sequences)
        # all forecasts have the same number of steps
        num_steps = len(predicted.sequences.values) // max(1, num_sequences)
        intervals = "without prediction intervals"
        if predicted.alpha is not None:
            intervals = f"with {100 * (1 - predicted.alpha):g} % prediction intervals"
        outputs.log_line(f"Forecast {num_steps} steps of {num_sequences} sequences, {intervals}.")


def generate(
    model_file: options.ModelFile,
    /,
    *,
    output: options.SequenceOutput = "-",
    num_sequences: Annotated[options.PositiveInt, Parameter(name="-n")] = 10,
    temperature: Annotated[float, Parameter(metavar="T")] = 0.0,
    lengths: options.SequenceLengths = None,
    compared_file: Annotated[str | None, Parameter(name="--compare", metavar="DATA")] = None,
    seed: options.OptionalSeed = None,
    read_options: ReadOptions = ReadOptions(),
    clip_options: options.ClipOptions = options.ClipOptions(clip=True),
    quiet: options.Quiet = False,
) -> None:
    """Generate new sequences: draw codes from a Gaussian mixture, and decode them.

    Args:
        num_sequences: Number of sequences.
        temperature: Sampling temperature of categories; 0 takes the most likely.
        compared_file: Real sequences to compare the new ones with.
    """
    files = outputs.CommandFiles(compared_file)
    target = files.add_output(output)
    if compared_file is not None and num_sequences < _MIN_GENERATED_TO_COMPARE:
        raise ParameterError(
            f"--compare needs at least -n {_MIN_GENERATED_TO_COMPARE}. Got {num_sequences}."
        )
    model, compared = load_model(model_file), None
    if compared_file is not None:
        check_training_packages("refold generate with --compare")
        compared = model.windows(read_options.read_sequences(model, compared_file, files)).sequences
    generated = model.generate(
        num_sequences,
        temperature=temperature,
        lengths=options.repeat_single_length(lengths, num_sequences),
        clip=clip_options.mode,
        random_state=seed,
    )
    sequences = target.write_sequences(generated, model.schema, quiet=quiet)
    if compared is not None:
        # without --seed, the classifier gets a fixed seed
        comparison = refold.evaluation.compare_generated(compared, sequences, seed=seed or 0)
        outputs.log_line(
            "A classifier separates new from real sequences with "
            f"{100 * comparison.two_sample_test:.0f} % accuracy (chance: 50 %). Verdict: "
            f"{comparison.verdict}."
        )


def stream(
    model_file: options.ModelFile,
    data_file: Annotated[options.FileArgument, Parameter(name="DATA")] = outputs.STANDARD_STREAM,
    /,
    *,
    window: options.OptionalPositiveInt = None,
    every_n_steps: Annotated[options.PositiveInt, Parameter(name="--every")] = 1,
    id_column: Annotated[options.OptionalName, Parameter(name="--id")] = None,
    latent_steps: options.LatentSteps = None,
    input_format: Annotated[
        Literal["csv", "tsv", "jsonl"] | None, Parameter(name="--format", metavar="FORMAT")
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Read steps line by line, and write the code, error and p-value of the steps so far.

    A line of JSON is a step: an object with the values by column, or a list. In a CSV file, the
    first line has the names of the columns. Columns that the model does not have are ignored. Each
    line of the output is a JSON object, and is written as soon as its step is read.

    Args:
        data_file: File with a line for each step, or -.
        window: Encode only the last N steps. [default: those of the model's window, or all]
        every_n_steps: Write a line only for every N-th step.
        id_column: Column or key of the ids; each id is a stream of its own.
        input_format: csv, tsv or jsonl. [default: the suffix, else jsonl]
    """
    model = load_model(model_file, latent_steps=latent_steps)
    streams, num_steps = {}, 0  # streams by id
    format_name = input_format or outputs.find_format_name_or_none(data_file) or "jsonl"
    lines = _read_lines(data_file)
    # Line numbers and raw steps. A raw step is a line of JSON as bytes, or a row of a table as a
    # dict of its cells by column name.
    raw_steps: Iterable[tuple[int, Any]] = enumerate(lines, start=1)
    if format_name in _FORMAT_DELIMITERS:
        csv_reader = csv.reader(
            (line.decode("utf-8-sig") for line in lines), delimiter=_FORMAT_DELIMITERS[format_name]
        )
        raw_steps = _read_csv_rows_as_dicts(csv_reader, model.schema, id_column)
    try:
        for line_number, raw_step in raw_steps:
            if isinstance(raw_step, bytes) and not raw_step.strip():
                continue  # an empty line
            try:
                id_value, step = _parse_id_and_values(raw_step, model.schema, id_column)
                if id_value not in streams:
                    streams[id_value] = model.stream(window, every_n_steps)
                # `push` returns a state for every N-th step, and None for the others
                state = streams[id_value].push([step])
            except RefoldError as error:
                # `marked` keeps the marks of arguments, so that these can become options later
                raise type(error)(f"Line {line_number}: {error.message.marked}") from error
            num_steps += 1
            if state is not None:
                id_field = {} if id_column is None else {"id": id_value}
                outputs.print_json(id_field | state.to_table().to_pylist()[0])
        if not quiet:
            outputs.log_line(f"Read {num_steps} steps.")
    except KeyboardInterrupt:  # the usual end of a stream
        raise KeyboardInterrupt(f"Stopped by Ctrl-C after {num_steps} steps.") from None


def _read_lines(file_name: str) -> Iterator[bytes]:
    """Yield the lines of a file or of standard input, each as soon as it is complete."""
    if file_name == outputs.STANDARD_STREAM:
        yield from open_standard_input()
        return
    with require_local_path(file_name).open("rb") as file:
        yield from file


def _read_csv_rows_as_dicts(
    csv_reader: Any, schema: "refold.sequences.Schema", id_column: str | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the line number and the cells by column name of each row after the header."""
    try:
        names: list[str] = [name.strip() for name in next(csv_reader, [])]
        feature_names = [name for name in names if name != id_column]
        # A model of data without column names calls its columns x0, x1 and so on. If the file has
        # equally many columns with other names, they are the columns of the model, in order.
        has_default_names = refold.sequences.has_default_names(schema)
        is_renamed = len(feature_names) == schema.num_columns and not {*schema.names} <= {*names}
        if has_default_names and is_renamed:
            default_names = dict(zip(feature_names, schema.names, strict=True))
            names = [default_names.get(name, name) for name in names]
        for row in filter(None, csv_reader):  # skips empty lines
            if len(row) != len(names):
                problem = f"has {len(row)} cells, but the first line has {len(names)}"
                raise FileFormatError(f"Line {csv_reader.line_num} {problem}.")
            step: dict[str, Any] = dict(zip(names, map(str.strip, row), strict=True))
            for name in {*step} - {id_column}:
                step[name] = None if step[name].lower() in _MISSING_VALUE_WORDS else step[name]
            yield csv_reader.line_num, step
    except (csv.Error, UnicodeDecodeError) as error:
        raise FileFormatError(
            f"Line {csv_reader.line_num} or the next one is not CSV in UTF-8: {error}."
        ) from error


def _parse_id_and_values(
    json_or_row: Any,  # a line of JSON as bytes, or the cells of a table row by column name
    schema: "refold.sequences.Schema",
    id_column: str | None,
) -> tuple[Any, Any]:
    """Return the id of a step, and its values: a list, or a dict by column of the model."""
    try:
        parsed = json.loads(json_or_row) if isinstance(json_or_row, bytes) else json_or_row
    except (ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise FileFormatError(f"This is not JSON: {problem}. Expected one step.") from error
    id_value = None
    if id_column is not None:
        id_value = parsed.get(id_column) if isinstance(parsed, dict) else None
        if not isinstance(id_value, str | int):
            raise SchemaError(
                f"There is no id in {id_column!r}. Expected text or an integer. Got {id_value!r}."
            )
    if not isinstance(parsed, dict):
        return id_value, parsed
    names = list(schema.names)
    if schema.time_gaps and names[-1] not in parsed:
        # The last column of the model has time gaps. If it is not in the step, the model computes
        # the gap from the time of the step.
        names[-1] = schema.time_name or "time"
    step = {name: parsed[name] for name in names if name in parsed}
    if not step:
        # ten names are enough for a message
        present_names = ", ".join(map(repr, [*parsed][:10])) or "nothing"
        expected_names = ", ".join(map(repr, schema.names[:10]))
        raise SchemaError(
            f"There is no column of the model, only {present_names}. Expected {expected_names}."
        )
    return id_value, step
