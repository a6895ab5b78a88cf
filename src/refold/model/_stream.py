"""`Stream`: one sequence whose steps come a few at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

import refold
from refold._support.output import counted, short_number, warn
from refold._support.rules import check_whole
from refold.errors import DataError, SchemaError
from refold.model._inputs import ArrowTable, check_fits, describe_longer
from refold.sequences import Schema, Sequences

Value: TypeAlias = float | str | None
# of a step, if gaps between steps are computed from times
Time: TypeAlias = float | str | np.datetime64 | datetime | None
Step: TypeAlias = Value | Sequence[Value] | np.ndarray | Mapping[str, Value | Time]
Steps: TypeAlias = Step | Sequence[Step] | ArrowTable

_LISTED = 10  # columns or times that a message names


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
        Their code, as `Model.encode` returns it.
    error : float
        Their reconstruction error, as `Model.errors` measures it.
    p_value : float or None
        Their p-value, as `Model.detect` returns it; None if the model is not calibrated.

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
        p_value = "no p-value" if self.p_value is None else f"p = {short_number(self.p_value)}"
        return (
            f"StreamResult({counted(self.num_steps, 'step')}, {self.length} encoded, "
            f"error {short_number(self.error)}, {p_value})"
        )

    def to_table(self) -> pa.Table:
        """Return one row with the fields; ``code`` is a list."""
        numbers = {"num_steps": [self.num_steps], "length": [self.length]}
        code = pa.array([self.code.tolist()], pa.list_(pa.float32()))
        p_value = pa.array([self.p_value], pa.float64())
        return pa.table({**numbers, "code": code, "error": [self.error], "p_value": p_value})


class Stream:
    """A sequence that grows: its code, reconstruction error and p-value after each push.

    The results have the same bits as `Model.encode` and `Model.detect` on the steps so far.

    Parameters
    ----------
    model : Model
        For p-values, it must be calibrated.
    window : int, optional
        Encode only the last ``window`` steps; by default those of the model's window, or all steps
        since the last reset if it has none.
    every : int, default=1
        Compute a result only if at least this number of steps came after the last one.

    Notes
    -----
    Each result encodes the steps so far, or the window, again, because the encoder also reads
    sequences backward, so that each new step changes all of its states. The time grows with the
    length, so set ``window`` where a stream has no end. `Model.with_latent_steps` turns latent
    optimization off, which takes most of the time.

    A p-value compares the steps so far with whole normal sequences. Steps of a sequence that has
    just begun can therefore look anomalous. With another window than the model's, calibrate the
    model on windows of that length. Use p-values once ``length`` is that of the window. The false
    alarm rate holds for each result, not for all results of a stream together.

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
        self._window = model.window if window is None else check_whole("window", window)
        self._every = check_whole("every", every)
        self.reset()

    def __repr__(self) -> str:
        window = "" if self._window is None else f", window {self._window}"
        return f"Stream({counted(self.num_steps, 'step')}{window}, every {self._every})"

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
        self._values = np.empty((0, self._model.schema.num_columns), np.float32)
        self._num_steps = self._last = 0
        self._time: Any = None  # of the last step, if gaps are computed from times
        self._warned = False

    def push(self, steps: Steps) -> StreamResult | None:
        """Add one or more steps. If one of them is wrong, no step is added.

        Parameters
        ----------
        steps : number, text, list, array, dict or table
            One step: a value for each column, as a list, a (features,) array, or a dict by column
            name, in which a missing name is a missing value. Where the model has one column, a
            single number or text is a step, and a list is several steps. If the model was fitted
            with ``time_gaps``, a dict has the time of the step. Or several steps: a list
            of steps, a (steps, features) array, or a table with a row for each step. None and NaN
            are missing values.

        Returns
        -------
        StreamResult or None
            The result after the last of these steps; None if fewer than ``every`` steps came after
            the last result.
        """
        added, time = self._converted(steps)
        values = np.concatenate([self._values, added])
        if self._window is not None:
            values = values[-self._window :]
        if len(added):
            check_fits(np.array([len(values)]), self._model.network)
        self._values, self._time = values, time
        self._num_steps += len(added)
        if self._num_steps - self._last < self._every:
            return None
        self._last = self._num_steps

        model, sequence = self._model, self.sequence
        longer = describe_longer(sequence.lengths, model.max_steps)
        if longer and not self._warned:
            self._warned = True
            warn(longer)
        measured, _, [p_value] = model.compared(sequence)
        p_value = None if np.isnan(p_value) else float(p_value)
        code, error = model.codes_of(sequence)[0], float(measured.errors[0])
        return StreamResult(self._num_steps, len(values), code, error, p_value)

    def _converted(self, steps: Any) -> tuple[np.ndarray, Any]:
        """Return steps as values under the schema of the model, and the time of the last one."""
        schema, first = self._model.schema, self._num_steps
        if hasattr(steps, "columns") or hasattr(steps, "column_names"):
            return self._aligned(steps, None), self._time
        steps, time = _with_gaps(steps, schema, first, self._time)
        rows = _rows(steps, schema, first)
        try:
            return self._aligned(rows, schema.names), time
        except DataError:
            for i, row in enumerate(rows):  # find the step
                try:
                    self._aligned([row], schema.names)
                except DataError as error:
                    place = f"step {first + i}"
                    text = error.message.marked.replace("sequence 0, step 0", place)
                    shown = text if place in text else f"{place.capitalize()}: {text}"
                    raise type(error)(shown) from None
            raise

    def _aligned(self, rows: Any, names: Sequence[str] | None) -> np.ndarray:
        if not len(rows):
            return np.empty((0, self._model.schema.num_columns), np.float32)
        return self._model.align(Sequences.from_list([rows], names=names)).values


def _with_gaps(steps: Any, schema: Schema, first: int, last: Time) -> tuple[Any, Any]:
    """Replace the times of steps by gaps, as reading does; return the last time, too."""
    dicts = [steps] if isinstance(steps, Mapping) else steps
    name, gap = schema.time_name or "time", schema.names[-1]
    if not (schema.time_gaps and _is_list(dicts) and len(dicts)):
        return steps, last
    if not all(isinstance(step, Mapping) and name in step and gap not in step for step in dicts):
        return steps, last  # the steps have gaps
    times = [step[name] for step in dicts] if last is None else [last, *(s[name] for s in dicts)]
    table = {"id": [0] * len(times), name: times, "value": [0] * len(times)}
    try:
        gaps = Sequences.from_table(table, "id", name, time_gaps=True).values[-len(dicts) :, -1]
    except DataError as error:
        raise DataError(
            f"Times must ascend, and be all numbers or all dates. Got {times[-_LISTED:]} up "
            f"to step {first + len(dicts) - 1}."
        ) from error
    others = [{k: v for k, v in step.items() if k != name} for step in dicts]
    return [step | {gap: g} for step, g in zip(others, gaps.tolist(), strict=True)], times[-1]


def _rows(steps: Any, schema: Schema, first: int) -> Any:
    """Return steps as rows with a value for each column."""
    width = schema.num_columns
    if isinstance(steps, str) and schema.layout == "characters":
        steps = list(steps)
    is_several = _is_list(steps) and (
        width == 1
        or not len(steps)
        or any(_is_list(step) or isinstance(step, Mapping) for step in steps)
    )
    if not is_several:
        steps = [steps]
    if isinstance(steps, np.ndarray) and steps.ndim == 2 and steps.shape[1] == width:
        return steps
    return [_row(step, schema, f"Step {first + i}") for i, step in enumerate(steps)]


def _row(step: Any, schema: Schema, place: str) -> list[Any]:
    """Return the values of a step in the order of the columns, with numbers in place of texts."""
    names = ", ".join(schema.names[:_LISTED]) + " and others" * (len(schema.names) > _LISTED)
    if isinstance(step, Mapping):
        if unknown := [name for name in step if name not in schema.names]:
            raise SchemaError(
                f"{place} has the name {unknown[0]!r}, which is not a column of the model. Its "
                f"columns are {names}."
            )
        step = [step.get(name) for name in schema.names]
    row = list(step) if _is_list(step) else [step]
    if len(row) != schema.num_columns:
        raise DataError(
            f"{place} has {len(row)} value{'s' * (len(row) != 1)}, but the model has "
            f"{schema.num_columns} column{'s' * (schema.num_columns != 1)}: {names}. Give "
            "a value for each, None where it is missing."
        )
    for i, column in enumerate(schema.columns):
        if not isinstance(row[i], str) or column.column_type.has_categories:
            continue
        text = row[i].strip().lower()
        numbers = {"": None, "true": 1.0, "false": 0.0}
        try:
            row[i] = numbers[text] if text in numbers else float(text)
        except ValueError as error:
            raise DataError(
                f"{place} has the text {row[i]!r} in column {column.name!r}. Expected a number, or "
                "None where it is missing."
            ) from error
    return row


def _is_list(value: object) -> bool:
    is_text = isinstance(value, str | bytes | Mapping)
    return hasattr(value, "__len__") and not is_text and getattr(value, "ndim", 1) > 0
