"""`Stream`: one sequence whose steps come a few at a time.

`Stream.push` takes steps in many forms. The functions at the end of this file convert them to rows
with a value for each column, and replace the times of steps by time gaps, the differences of times.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

import refold
from refold._support.messages import format_rounded, pluralize, warn
from refold._support.rules import check_integer
from refold.errors import DataError, SchemaError
from refold.model._anomalies import measure_errors_and_features
from refold.model._inputs import ArrowTable, check_encodable_lengths
from refold.model._warnings import describe_excess_lengths, describe_missing_values
from refold.sequences import Schema, Sequences

Value: TypeAlias = float | str | None
# Time of a step, for models with ``time_gaps``.
Time: TypeAlias = float | str | np.datetime64 | datetime | None
Step: TypeAlias = Value | Sequence[Value] | np.ndarray | Mapping[str, Value | Time]
Steps: TypeAlias = Step | Sequence[Step] | ArrowTable

# Maximum number of columns or times that a message lists, so that it stays short.
_MAX_LISTED_ITEMS = 10


@dataclass(frozen=True)
class StreamResult:
    """What a model says about the steps so far.

    Attributes
    ----------
    num_steps : int
        Number of steps since the start or the last reset.
    length : int
        Number of steps that were encoded: all of them, or those in the window.
    code : array of float32 of shape (code_size,)
        Code of the encoded steps, as `Model.encode` returns it.
    error : float
        Reconstruction error of the encoded steps, as `Model.errors` measures it.
    p_value : float or None
        P-value of the encoded steps, as `Model.detect` returns it; None if the model is not
        calibrated.

    Examples
    --------
    >>> StreamResult(3, 3, np.zeros(4, np.float32), 0.02, None)
    StreamResult(3 steps, 3 encoded, error 0.02, no p-value)
    """

    num_steps: int
    length: int
    code: np.ndarray
    error: float
    p_value: float | None

    def __repr__(self) -> str:
        p_value = "no p-value" if self.p_value is None else f"p = {format_rounded(self.p_value)}"
        return (
            f"StreamResult({pluralize(self.num_steps, 'step')}, {self.length} encoded, "
            f"error {format_rounded(self.error)}, {p_value})"
        )

    def to_table(self) -> pa.Table:
        """Return one row with the fields; ``code`` is a list."""
        columns = {name: [value] for name, value in vars(self).items()}
        columns["code"] = pa.array([self.code.tolist()], pa.list_(pa.float32()))
        columns["p_value"] = pa.array([self.p_value], pa.float64())
        return pa.table(columns)


class Stream:
    """A sequence that grows: its code, reconstruction error and p-value after each push.

    The results have the same bits as `Model.encode` and `Model.detect` on the steps so far.

    Parameters
    ----------
    model : Model
        Fitted model. It must be calibrated to give p-values.
    window : int, optional
        Encode only the last ``window`` steps; by default the window of the model, or all steps
        since the last reset if the model has no window.
    every : int, default=1
        Compute a result only if at least this number of steps came after the last result.

    Notes
    -----
    Each result encodes all steps so far, or those in the window, again. The encoder also reads
    sequences backward, so each new step changes all of its states. The time grows with the length,
    so set ``window`` where a stream has no end. Latent optimization takes most of the time, and
    `Model.with_latent_steps` turns it off.

    A p-value compares the steps so far with whole normal sequences. Steps of a sequence that has
    just begun can therefore look anomalous. With another window than the model's, calibrate the
    model on windows of that length. Use p-values once ``length`` is the length of the
    window. The false alarm rate holds for each result, not for all results of a stream together.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(4, units=8, latent_steps=0, max_epochs=2, random_state=0)
    >>> stream = ae.fit(sines).model_.stream(window=20, every=5)
    >>> stream.push([0.1, 0.4, 0.6]), stream.push([0.9, 1.0]).length
    (None, 5)
    """

    def __init__(self, model: "refold.Model", window: int | None = None, every: int = 1) -> None:
        self._model = model
        self._window = model.window if window is None else check_integer("window", window)
        self._min_new_steps = check_integer("every", every)
        self.reset()

    def __repr__(self) -> str:
        window = "" if self._window is None else f", window {self._window}"
        return f"Stream({pluralize(self.num_steps, 'step')}{window}, every {self._min_new_steps})"

    @property
    def num_steps(self) -> int:
        """Number of steps since the start or the last reset."""
        return self._num_steps

    @property
    def sequence(self) -> Sequences:
        """The steps so far, or those in the window, as one sequence."""
        return Sequences(self._values, [0, len(self._values)], schema=self._model.schema)

    def reset(self) -> None:
        """Forget all steps, and begin a new sequence."""
        # (n_steps, n_columns), of all steps so far, or of those in the window
        self._values = np.empty((0, self._model.schema.num_columns), np.float32)
        self._num_steps = self._num_steps_at_last_result = 0
        self._last_time: Any = None  # of the last step, if the model has ``time_gaps``
        self._warned_of: set[str] = set()  # what the stream has warned of

    def push(self, steps: Steps) -> StreamResult | None:
        """Add one or more steps, and return the result. If a step is wrong, no step is added.

        The result is None if fewer than ``every`` steps came after the last result.

        Parameters
        ----------
        steps : number, text, list, array, dict or table
            One step: a value for each column, as a list, a (features,) array, or a dict by column
            name, in which a missing name is a missing value. Where the model has one column, a
            single number or text is a step, and a list is several steps. If the model was fitted
            with ``time_gaps``, a dict has the time of the step. Or several steps: a list
            of steps, a (steps, features) array, or a table with a row for each step. None and NaN
            are missing values.
        """
        new_values, last_time = self._convert_steps_to_values(steps)  # (n_new_steps, n_columns)
        values = np.concatenate([self._values, new_values])
        if self._window is not None:
            values = values[-self._window :]
        if len(new_values):
            check_encodable_lengths(np.array([len(values)]), self._model.network)
        # all checks are done, so the stream can change now
        self._values, self._last_time = values, last_time
        self._num_steps += len(new_values)
        if self._num_steps - self._num_steps_at_last_result < self._min_new_steps:
            return None
        self._num_steps_at_last_result = self._num_steps

        model, sequence = self._model, self.sequence
        self._warn_once(
            "length", describe_excess_lengths(sequence.lengths, model.max_training_length)
        )
        num_missing = int(np.isnan(sequence.values).sum())
        self._warn_once("missing values", describe_missing_values(num_missing, model))
        p_value = None
        if model.calibration is None:
            # The pretrained model measures errors in the units of the steps so far, as
            # `Model.errors` does. It gives no p-value, because it knows no normal sequences.
            measured = measure_errors_and_features(model.adapt(sequence), sequence)
        else:
            measured, _, p_values = model.measure_anomalies(sequence)
            p_value = float(p_values[0])
        code, error = model.encode_checked(sequence)[0], float(measured.sequence_errors[0])
        return StreamResult(self._num_steps, len(values), code, error, p_value)

    def _warn_once(self, subject: str, message: str | None) -> None:
        """Issue a warning, unless the stream has warned of this subject."""
        if message is not None and subject not in self._warned_of:
            self._warned_of.add(subject)
            warn(message)

    def _convert_steps_to_values(self, steps: Any) -> tuple[np.ndarray, Any]:
        """Return values (n_steps, n_columns) under the model's schema, and the last time."""
        schema, first_step_index = self._model.schema, self._num_steps
        if hasattr(steps, "columns") or hasattr(steps, "column_names"):  # a table
            return self._align_rows(steps, None), self._last_time
        steps, last_time = _replace_times_by_gaps(steps, schema, first_step_index, self._last_time)
        rows = _convert_to_value_rows(steps, schema, first_step_index)
        try:
            return self._align_rows(rows, schema.names), last_time
        except DataError:
            # again, step by step, so that the message says which step of the stream is wrong
            for i, row in enumerate(rows):
                try:
                    self._align_rows([row], schema.names)
                except DataError as error:
                    step_name = f"step {first_step_index + i}"
                    text = error.message.marked.replace("sequence 0, step 0", step_name)
                    text = text if step_name in text else f"{step_name.capitalize()}: {text}"
                    raise type(error)(text) from None
            # each step is right alone, so the error is about all of them together
            raise

    def _align_rows(self, rows: Any, column_names: Sequence[str] | None) -> np.ndarray:
        """Return rows or a table as values (n_steps, n_columns) under the model's schema."""
        if not len(rows):
            return np.empty((0, self._model.schema.num_columns), np.float32)
        return self._model.convert_and_check(Sequences.from_list([rows], names=column_names)).values


def _replace_times_by_gaps(
    steps: Any, schema: Schema, first_step_index: int, last_time: Time
) -> tuple[Any, Any]:
    """Replace the times of steps by time gaps; return the steps and the time of the last one."""
    step_list = [steps] if isinstance(steps, Mapping) else steps
    # the time gap is the last column
    time_name, gap_name = schema.time_name or "time", schema.names[-1]
    if not (schema.time_gaps and _is_list_like(step_list) and len(step_list)):
        return steps, last_time
    # steps without times must have the time gap as a value, and stay as they are
    if not all(isinstance(s, Mapping) and time_name in s and gap_name not in s for s in step_list):
        return steps, last_time
    times = [] if last_time is None else [last_time]
    times += [step[time_name] for step in step_list]
    # The gaps are computed as for any other table, from a table with these times. Its values do not
    # matter.
    table = {"id": [0] * len(times), time_name: times, "value": [0] * len(times)}
    try:
        sequences = Sequences.from_table(table, "id", time_name, time_gaps=True)
    except DataError as error:
        raise DataError(
            "Times must ascend, and be all numbers or all dates. Got "
            f"{times[-_MAX_LISTED_ITEMS:]} up to step {first_step_index + len(step_list) - 1}."
        ) from error
    gaps = sequences.values[-len(step_list) :, -1].tolist()
    converted = [
        {name: value for name, value in step.items() if name != time_name} | {gap_name: gap}
        for step, gap in zip(step_list, gaps, strict=True)
    ]
    return converted, times[-1]


def _convert_to_value_rows(user_steps: Any, schema: Schema, first_step_index: int) -> Any:
    """Return one or several steps as rows (n_steps, n_columns) of values that may be texts."""
    num_columns, names = schema.num_columns, ", ".join(schema.names[:_MAX_LISTED_ITEMS])
    names += " and others" * (num_columns > _MAX_LISTED_ITEMS)
    if isinstance(user_steps, str) and schema.layout == "characters":
        user_steps = list(user_steps)
    # with several columns, a list of numbers or texts is one step
    has_several_steps = _is_list_like(user_steps) and (
        num_columns == 1
        or not len(user_steps)
        or any(_is_list_like(step) or isinstance(step, Mapping) for step in user_steps)
    )
    steps = user_steps if has_several_steps else [user_steps]
    if isinstance(steps, np.ndarray) and steps.ndim == 2 and steps.shape[1] == num_columns:
        return steps
    rows = []
    for index, step in enumerate(steps, first_step_index):
        row: list[Any] = list(step) if _is_list_like(step) else [step]
        if isinstance(step, Mapping):
            if unknown := [name for name in step if name not in schema.names]:
                raise SchemaError(
                    f"Step {index} has the name {unknown[0]!r}, which is not a column of the "
                    f"model. Its columns are {names}."
                )
            row = [step.get(name) for name in schema.names]
        if len(row) != num_columns:
            raise DataError(
                f"Step {index} has {pluralize(len(row), 'value')}, but the model has "
                f"{pluralize(num_columns, 'column')}: {names}. Give a value for each, None where "
                "it is missing."
            )
        for i, column in enumerate(schema.columns):
            # a text is a category, or a number as in a text file, which is converted here
            if not isinstance(row[i], str) or column.column_type.has_categories:
                continue
            text = row[i].strip().lower()
            numbers = {"": None, "true": 1.0, "false": 0.0}
            try:
                row[i] = numbers[text] if text in numbers else float(text)
            except ValueError as error:
                raise DataError(
                    f"Step {index} has the text {row[i]!r} in column {column.name!r}. Expected a "
                    "number, or None where it is missing."
                ) from error
        rows.append(row)
    return rows


def _is_list_like(value: object) -> bool:
    """Return whether a value is a list, a tuple or an array of values, and not a text or a dict."""
    is_text_or_dict = isinstance(value, str | bytes | Mapping)
    return hasattr(value, "__len__") and not is_text_or_dict and getattr(value, "ndim", 1) > 0
