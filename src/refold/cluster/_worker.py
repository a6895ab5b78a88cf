"""A worker: reads units, computes them, and writes one part for each."""

import json
import pickle
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import refold
from refold._support.freed_memory import return_freed_memory
from refold.cluster._operations import ModelOperation, computed, hash_of, without_sequences
from refold.cluster._reading import Slice, hashes, ids_of, slices
from refold.cluster._source import Unit
from refold.cluster._storage import (
    Place,
    StoreStamp,
    patiently,
    place_of,
    read_bytes,
    replaced,
    stamp_of,
)
from refold.errors import (
    FileAccessError,
    MissingFileError,
    ParameterError,
    RefoldError,
    SchemaError,
)
from refold.model import Model
from refold.sequences import TableOptions, from_file_table

# Values of a slice, and its least number of steps. Memory beyond that of a worker without work is a
# multiple of it. Slices of four times as many values are not faster.
SLICE_VALUES, LEAST_STEPS = 1 << 18, 1 << 15
# Failures that are listed, of each part.
MOST_FAILURES = 100
MODEL = "_model.refold"
_ABOUT = b"refold.part"


@dataclass(frozen=True)
class Failure:
    """A sequence that could not be computed.

    Attributes
    ----------
    file : str
        Path or URL of the file.
    row : int
        Row of the file at which it begins.
    reason : str
        What is wrong with it.

    Examples
    --------
    >>> Failure("part.parquet", 3, "sequence 3 holds text").row
    3
    """

    file: str
    row: int
    reason: str


def part_name(number: int) -> str:
    """Return the name of the part of a unit."""
    return f"part-{number:08d}.parquet"


class Worker:
    """Computes units with a model that it loads once. Ray Data makes one in each process."""

    # The job is plain values, so that a worker with another version of Refold can say so.
    def __init__(self, job: dict[str, Any]) -> None:
        self._problem: RefoldError | None = None
        if refold.__version__ != job["version"]:
            self._problem = ParameterError(
                f"A worker has Refold {refold.__version__}, and this process has {job['version']}. "
                "Install the same version on all machines of the cluster."
            )
            return
        return_freed_memory()
        self._operation = ModelOperation(*job["operation"])
        self._options = job["options"]
        self._lists, self._run, self._text_ids = job["lists"], job["run"], job["text_ids"]
        self._output = job["output"]
        try:
            self._model = load_model(place_of(self._output).beside(MODEL))
        except RefoldError as error:
            self._problem = error
            return
        if hash_of(self._model, self._operation.name) != job["hash"]:
            self._problem = ParameterError(
                f"{MODEL} in the output folder is not the model of this run. Name a new folder."
            )
            return
        width = max(1, self._model.schema.num_columns)
        self._most_steps = max(LEAST_STEPS, SLICE_VALUES // width)
        without_sequences(self._model, self._operation, text_ids=False)
        self._idle = memory("VmRSS")

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Compute units; an error of a unit is a result, too."""
        return {"result": [pickle.dumps(self._result(text)) for text in batch["unit"]]}

    def _result(self, text: str) -> dict[str, Any]:
        if self._problem is not None:
            return {"error": self._problem}
        unit = unit_from(text)
        try:
            return patiently(f"{unit.name} cannot be read", lambda: self._part(unit))
        except RefoldError as error:
            return {"error": error}

    def _part(self, unit: Unit) -> dict[str, Any]:
        output = place_of(self._output).beside(part_name(unit.number))
        about = about_part(output, self._run)
        there = about is not None
        if about is None:
            about = self._timed(unit, output)
        if self._operation.name == "detect":
            about["p_values"] = p_value_counts(output)
        return about | {"unit": unit.number, "there": there}

    def _timed(self, unit: Unit, output: Place) -> dict[str, Any]:
        begin = time.monotonic()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", UserWarning)
            check_unchanged(unit)
            about = self._write(unit, output)
        said = [str(one.message) for one in told if issubclass(one.category, UserWarning)]
        pa.default_memory_pool().release_unused()
        return about | {
            "seconds": time.monotonic() - begin,
            "peak": memory("VmHWM"),
            "idle": self._idle,
            "warnings": said[:1],
        }

    def _write(self, unit: Unit, output: Place) -> dict[str, Any]:
        about: dict[str, Any] = {"run": self._run, "rows": 0, "steps": 0, "failed": 0}
        failures: list[Failure] = []
        with replaced(output) as stream:
            writer = None
            for table, steps in self._tables(unit, about, failures):
                if writer is None:
                    writer = pq.ParquetWriter(stream, table.schema, compression="zstd")
                writer.write_table(table)
                about["rows"] += len(table)
                about["steps"] += steps
            if writer is None:
                empty = without_sequences(self._model, self._operation, text_ids=self._text_ids)
                writer = pq.ParquetWriter(stream, empty.schema, compression="zstd")
                writer.write_table(empty)
            about["failures"] = [asdict(failure) for failure in failures]
            writer.add_key_value_metadata({_ABOUT: json.dumps(about).encode()})
            writer.close()
            # nothing was read from another state of the file
            check_unchanged(unit)
        return about

    def _tables(
        self, unit: Unit, about: dict[str, Any], failures: list[Failure]
    ) -> Iterator[tuple[pa.Table, int]]:
        found = slices(unit, self._options, lists=self._lists, most_steps=self._most_steps)
        for one in found:
            yield from self._attempted(unit, one, about, failures, whole=True)

    def _attempted(
        self,
        unit: Unit,
        one: Slice,
        about: dict[str, Any],
        failures: list[Failure],
        *,
        whole: bool = False,
    ) -> Iterator[tuple[pa.Table, int]]:
        """Compute a slice; if that fails, its halves, so that only wrong sequences are left out."""
        try:
            yield self._computed(unit, one)
            return
        except FileAccessError:
            raise
        except RefoldError as error:
            if whole and isinstance(error, SchemaError) and self._fails_alike(unit, one, error):
                raise type(error)(f"{unit.name}: {error.message.marked}") from error
            if len(one) == 1:
                about["failed"] += 1
                if len(failures) < MOST_FAILURES:
                    failures.append(Failure(unit.name, one.first, str(error)))
                return
        middle = len(one) // 2
        for start, stop in ((0, middle), (middle, len(one))):
            yield from self._attempted(unit, one.part(start, stop), about, failures)

    def _fails_alike(self, unit: Unit, one: Slice, error: RefoldError) -> bool:
        """Return whether the columns are wrong, and not a sequence."""
        for i in {0, len(one) - 1}:
            try:
                self._computed(unit, one.part(i, i + 1))
            except RefoldError as other:
                if type(other) is not type(error):
                    return False
            else:
                return False
        return True

    def _computed(self, unit: Unit, one: Slice) -> tuple[pa.Table, int]:
        sequences = from_file_table(one.table, unit.name, self._options)
        if self._options.id is None:
            # the same ids as on one machine: rows of all files
            first = unit.first + one.first
            sequences = sequences.with_ids(np.arange(first, first + len(sequences)))
        return computed(self._model, self._operation, sequences), len(sequences.values)


def load_model(place: Place) -> Model:
    """Load a model from any store."""
    data = read_bytes(place)
    if data is None:
        raise MissingFileError(
            f"A worker does not find {place.name()}. All machines of the cluster must see the "
            "output folder under this name; use a shared file system or a URL."
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL
        path.write_bytes(data)
        return Model.load(path)


def unit_to(unit: Unit) -> str:
    """Return a unit as text."""
    return json.dumps(unit)


def unit_from(text: str) -> Unit:
    """Return a unit from its text."""
    number, name, stamp, *rows = json.loads(text)
    return Unit(number, name, StoreStamp(*stamp), *rows)


def check_unchanged(unit: Unit) -> None:
    """Raise ``FileAccessError`` if the file of a unit is not the one that was opened."""
    if stamp_of(place_of(unit.name)) != unit.stamp:
        raise FileAccessError(
            f"{unit.name} has changed since the run began. Restore it, or start again with a new "
            "output folder."
        )


def about_part(place: Place, run: str) -> dict[str, Any] | None:
    """Return what a complete part of a run says about itself, or None if there is none."""
    try:
        with pq.ParquetFile(place.path, filesystem=place.system) as file:
            found = json.loads((file.metadata.metadata or {}).get(_ABOUT, b"{}"))
    except (FileNotFoundError, pa.ArrowInvalid):
        return None  # not there, or cut short by a store that shows incomplete files
    return found if found.get("run") == run else None


def hashes_of(batch: dict[str, Any], options: TableOptions, *, lists: bool) -> dict[str, Any]:
    """Return the hashes of the ids of units, each with the number of its unit."""
    found = []
    for text in batch["unit"]:
        unit = unit_from(text)

        def attempt(unit: Unit = unit) -> np.ndarray:
            parts = [hashes(ids) for _, ids in ids_of(unit, options, lists=lists)]
            return np.concatenate([*parts, np.zeros(0, np.uint64)])

        try:
            result: Any = unit.number, patiently(f"{unit.name} cannot be read", attempt).tobytes()
        except RefoldError as error:
            result = {"error": error}
        found.append(pickle.dumps(result))
    return {"result": found}


def p_value_counts(place: Place) -> tuple[list[float], list[int]]:
    """Return the p-values of a part and how often each occurs."""
    with pq.ParquetFile(place.path, filesystem=place.system) as file:
        values = file.read(["p_value"])["p_value"].to_numpy()
    found, counts = np.unique(values, return_counts=True)
    return found.tolist(), counts.tolist()


def memory(name: str) -> int:  # "VmRSS" or "VmHWM"
    """Return the memory of this process in bytes, now or at most; 0 if the system does not tell."""
    try:
        with Path("/proc/self/status").open(encoding="ascii") as file:
            lines = [line.split() for line in file if line.startswith(f"{name}:")]
        return int(lines[0][1]) * 1024
    except (OSError, IndexError):
        return 0
