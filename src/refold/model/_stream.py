"""`Stream`: one sequence whose steps come a few at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

import refold
from refold._support.argument_checks import check_whole
from refold.errors import DataError, SchemaError
from refold.model._input_checks import check_fits
from refold.model._input_types import ArrowTable
from refold.model._longer_sequences import warn_of_longer
from refold.sequences import Schema, Sequences

Value: TypeAlias = float | str | None
# of a step, if gaps between steps are computed from times
Time: TypeAlias = float | str | np.datetime64 | datetime | None
Step: TypeAlias = Value | Sequence[Value] | np.ndarray | Mapping[str, Value | Time]
Steps: TypeAlias = Step | Sequence[Step] | ArrowTable


@dataclass(frozen=True)
class StreamResult:
    """What a model says about the steps so far.

    Attributes
    ----------
    num_steps : int
        Number of steps since the start or the last reset.
    length : int
        Number of steps that were encoded: all of them, or those in the window.
    code : array of float32 of shape (width of the code,)
        Their code, as `Model.encode` returns it.
    error : float
        Their reconstruction error, as `Model.errors` measures it: mean squared error of
        standardized numeric values, and 1 for each wrong category.
    p_value : float or None
        Their p-value, as `Model.detect` returns it; None if the model is not calibrated.

    Examples
    --------
    >>> StreamResult(3, 3, np.zeros(4, np.float32), 0.02, None).num_steps
    3
    """

    num_steps: int
    length: int
    code: np.ndarray
    error: float
    p_value: float | None


class Stream:
    """A sequence that grows: its code, reconstruction error and p-value after each push.

    The results have the same bits as `Model.encode` and `Model.detect` on the steps so far.

    Parameters
    ----------
    model : Model
        For p-values, it must be calibrated.
    window : int, optional
        Encode only the last ``window`` steps; by default all steps since the last reset.
    every : int, default=1
        Compute a result only if at least this number of steps came after the last one.

    Notes
    -----
    Each result encodes the steps so far, or the window, again, because the encoder also reads
    sequences backward, so that each new step changes all of its states. A result took 1.4 ms for 15
    steps and 1.5 ms for 26, and 6.1 and 6.8 ms with 10 steps of latent optimization (12 columns, 96
    units, 16 latent dimensions, one core of a cloud machine). The time grows with the length, so
    set ``window`` where a stream has no end. `Model.with_latent_steps` turns latent optimization
    off.

    A p-value compares the steps so far with whole normal sequences. Steps of a sequence that has
    just begun can therefore look anomalous. With a window, calibrate the model on windows of the
    same length, and use p-values once ``length`` is that of the window. The false alarm rate holds
    for each result, not for all results of a stream together.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(80, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(
    ...     4, calibration_fraction=0.5, units=8, latent_steps=0, max_epochs=2, random_state=0
    ... ).fit(sines)
    >>> stream = ae.model_.stream()
    >>> for value in sines[0]:
    ...     found = stream.push(value)
    >>> found.num_steps == len(sines[0]), bool((found.code == ae.transform(sines[:1])[0]).all())
    (True, True)
    >>> bool(found.p_value == ae.detect(sines[:1], alpha=0.1).p_values[0])
    True
    """

    def __init__(self, model: "refold.Model", window: int | None = None, every: int = 1) -> None:
        self._model = model
        self._window = None if window is None else check_whole("window", window)
        self._every = check_whole("every", every)
        self.reset()

    @property
    def num_steps(self) -> int:
        """Number of steps since the start or the last reset."""
        return self._num_steps

    @property
    def sequence(self) -> Sequences:
        """The steps so far, or those in the window, as one sequence."""
        return Sequences(self._values, [0, len(self._values)], schema=self._schema)

    def reset(self) -> None:
        """Forget all steps, and begin a new sequence."""
        self._values = np.empty((0, self._schema.num_columns), np.float32)
        self._num_steps = self._last = 0
        self._time: Any = None  # of the last step, if gaps are computed from times
        self._warned = False

    def push(self, steps: Steps) -> StreamResult | None:
        """Add one or more steps.

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

        Raises
        ------
        DataError
            If a step has another number of values, or a value does not fit its column. No step is
            added then.
        SchemaError
            If a step has a name that is not a column.

        Warns
        -----
        UserWarning
            When the sequence becomes longer than the longest in training.

        Examples
        --------
        >>> import refold
        >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
        >>> ae = refold.SequenceAutoencoder(
        ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
        ... ).fit(sines)
        >>> stream = ae.model_.stream(window=20, every=5)
        >>> stream.push([0.1, 0.4, 0.6]) is None
        True
        >>> stream.push([0.9, 1.0]).length
        5
        """
        added, time = self._converted(steps)
        values = np.concatenate([self._values, added]) if len(self._values) else added
        if self._window is not None:
            values = values[-self._window :]
        if len(added):
            check_fits(np.array([len(values)]), self._model.network)
        self._values, self._time = values, time
        self._num_steps += len(added)
        if self._num_steps - self._last < self._every:
            return None
        self._last = self._num_steps
        return self._result()

    def _result(self) -> StreamResult:
        model, sequence = self._model, self.sequence
        if not self._warned and len(self._values) > model.max_steps:
            self._warned = True
            warn_of_longer(sequence.lengths, model.max_steps, "detection")
        [code] = model.codes_of(sequence)
        measured, _, p_values = model.compared(sequence)
        p_value = None if np.isnan(p_values[0]) else float(p_values[0])
        error = float(measured.errors[0])
        return StreamResult(self._num_steps, len(self._values), code, error, p_value)

    @property
    def _schema(self) -> Schema:
        return self._model.schema

    def _converted(self, steps: Any) -> tuple[np.ndarray, Any]:
        """Return steps as values under the schema of the model, and the time of the last one."""
        if hasattr(steps, "columns") or hasattr(steps, "column_names"):
            return self._aligned(steps, None), self._time
        steps, time = _with_gaps(steps, self._schema, self._num_steps, self._time)
        rows = _rows(steps, self._schema, self._num_steps)
        try:
            return self._aligned(rows, self._schema.names), time
        except DataError:
            for i, row in enumerate(rows):  # find the step
                try:
                    self._aligned([row], self._schema.names)
                except DataError as error:
                    place = f"step {self._num_steps + i}"
                    text = error.message.marked.replace("sequence 0, step 0", place)
                    shown = text if place in text else f"{place.capitalize()}: {text}"
                    raise type(error)(shown) from None
            raise

    def _aligned(self, rows: Any, names: Sequence[str] | None) -> np.ndarray:
        if not len(rows):
            return np.empty((0, self._schema.num_columns), np.float32)
        given = Sequences.from_list([rows], names=names)
        return self._model.align(given).values


def _with_gaps(steps: Any, schema: Schema, first: int, last: Time) -> tuple[Any, Any]:
    """Replace the times of steps by gaps, as reading does; return the last time, too."""
    given = [steps] if isinstance(steps, Mapping) else steps
    name, gap = schema.time_name or "time", schema.names[-1]
    if not (schema.time_gaps and _is_list(given) and len(given)):
        return steps, last
    if not all(isinstance(step, Mapping) and name in step and gap not in step for step in given):
        return steps, last  # gaps are given
    times = [step[name] for step in given]
    gaps = [0.0] if last is None else []
    for before, now in pairwise(times if last is None else [last, *times]):
        table = {"id": [0, 0], "time": [before, now], "x": [0, 0]}
        try:
            found = Sequences.from_table(table, "id", "time", time_gaps=True)
        except DataError as error:
            raise DataError(
                f"Step {first + len(gaps)} has the time {now!r} after {before!r}. Expected times "
                "that ascend, all numbers or all dates."
            ) from error
        gaps.append(float(found.values[1, -1]))
    both = zip(given, gaps, strict=True)
    return [{k: v for k, v in step.items() if k != name} | {gap: g} for step, g in both], times[-1]


def _rows(steps: Any, schema: Schema, first: int) -> Any:
    """Return steps as rows with a value for each column."""
    width = schema.num_columns
    if isinstance(steps, str) and schema.layout == "characters":
        steps = list(steps)
    if not _is_list(steps) or (width > 1 and len(steps) and not any(map(_is_row, steps))):
        steps = [steps]
    if isinstance(steps, np.ndarray) and steps.ndim == 2 and steps.shape[1] == width:
        return steps
    return [_row(step, schema, f"Step {first + i}") for i, step in enumerate(steps)]


def _row(step: Any, schema: Schema, name: str) -> list[Any]:
    if isinstance(step, Mapping):
        if unknown := [one for one in step if one not in schema.names]:
            raise SchemaError(
                f"{name} has the name {unknown[0]!r}, which is not a column of the model. Its "
                f"columns are {_names(schema)}."
            )
        step = [step.get(one) for one in schema.names]
    row = list(step) if _is_list(step) else [step]
    if len(row) != schema.num_columns:
        raise DataError(
            f"{name} has {len(row)} value{'s' * (len(row) != 1)}, but the model has "
            f"{schema.num_columns} column{'s' * (schema.num_columns != 1)}: {_names(schema)}. Give "
            "a value for each, None where it is missing."
        )
    if any(isinstance(value, str) for value in row):
        columns = zip(row, schema.columns, strict=True)
        row = [
            one if c.column_type.has_categories else _number(one, c.name, name)
            for one, c in columns
        ]
    return row


def _number(value: Value, column: str, name: str) -> Any:
    if not isinstance(value, str):
        return value
    known = {"": None, "true": 1.0, "false": 0.0}
    text = value.strip().lower()
    try:
        return known[text] if text in known else float(text)
    except ValueError as error:
        raise DataError(
            f"{name} has the text {value!r} in column {column!r}. Expected a number, or None where "
            "it is missing."
        ) from error


def _names(schema: Schema) -> str:
    names = schema.names
    return ", ".join(names) if len(names) <= 10 else f"{', '.join(names[:10])} and others"


def _is_list(value: object) -> bool:
    is_text = isinstance(value, str | bytes | Mapping)
    return hasattr(value, "__len__") and not is_text and getattr(value, "ndim", 1) > 0


def _is_row(value: object) -> bool:
    return _is_list(value) or isinstance(value, Mapping)
