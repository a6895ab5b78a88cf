"""What a worker does: it reads the sequences of a unit, computes them, and writes one part."""

import functools
import hashlib
import itertools
import json
import re
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import refold
from refold._support.native_libraries import return_freed_memory
from refold.cluster._source import Slice, Unit, slices
from refold.cluster._storage import Place, place_of, read_bytes, replaced, retried, stamp_of
from refold.errors import (
    FileAccessError,
    MissingFileError,
    ParameterError,
    RefoldError,
    SchemaError,
)
from refold.kernels import packed
from refold.model import Model
from refold.sequences import Sequences, TableOptions, codes_to_arrow, from_file_table

# Values of a slice, and its least number of steps. Memory beyond that of a worker without work is a
# multiple of it. Slices of four times as many values are not faster.
SLICE_VALUES, MIN_STEPS = 1 << 18, 1 << 15
# Failures that are listed, of each part.
MAX_FAILURES = 100
MODEL = "_model.refold"
_METADATA = b"refold.part"


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


class ModelOperation(NamedTuple):
    """What is done with a model."""

    name: str  # "encode", "reconstruct" or "detect"
    settings: dict[str, Any]
    id_name: str  # name of the column of ids in the parts


@dataclass(frozen=True)
class RunWork:
    """What all parts of a run have in common, as plain values."""

    version: str  # of Refold
    run: str  # hash of the manifest
    output: str
    model_hash: str
    operation: ModelOperation
    options: TableOptions
    lists: bool  # a row is a sequence, and not a step
    text_ids: bool


@dataclass
class WrittenPart:
    """What is known of a part; it is stored in its file, too."""

    run: str
    number: int
    num_sequences: int = 0
    num_steps: int = 0
    num_failed: int = 0
    failures: list[Failure] = field(default_factory=list)
    # not stored: what this run did
    is_earlier: bool = False  # an earlier run wrote it
    warning: str | None = None
    memory: int = 0
    p_values: dict[float, int] = field(default_factory=dict)  # and how often each occurs


def write_part(work: RunWork, unit: Unit) -> WrittenPart | RefoldError:
    """Write the part of a unit if it is not there; an error is returned, and ends the run."""
    try:
        check_version(work.version)
        return retried(f"{unit.file} cannot be read", lambda: _complete(work, unit))
    except RefoldError as error:
        return error


def check_version(version: str) -> None:
    """Raise ``ParameterError`` if this machine has another version of Refold."""
    if refold.__version__ != version:
        raise ParameterError(
            f"A worker has Refold {refold.__version__}, and this process has {version}. "
            "Install the same version on all machines of the cluster."
        )


def without_sequences(model: Model, operation: ModelOperation, *, text_ids: bool) -> pa.Table:
    """Return the table of no sequence."""
    ids = np.zeros(1, np.str_ if text_ids else np.int64)
    values, offsets = np.zeros((1, model.schema.num_columns)), np.array([0, 1])
    return _computed(model, operation, Sequences(values, offsets, ids, model.schema)).slice(0, 0)


def _complete(work: RunWork, unit: Unit) -> WrittenPart:
    place = place_of(work.output).beside(f"part-{unit.number:08d}.parquet")
    part = _read_part(place, work.run)
    if part is None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            part = _write(work, unit, place)
        texts = [str(item.message) for item in caught if issubclass(item.category, UserWarning)]
        part.warning = texts[0] if texts else None
        pa.default_memory_pool().release_unused()
        status = Path("/proc/self/status")  # of Linux
        peak = re.search(r"VmHWM:\s*(\d+)", status.read_text() if status.exists() else "")
        part.memory = 1024 * int(peak[1]) if peak else 0
    if work.operation.name == "detect":
        with pq.ParquetFile(place.path, filesystem=place.system) as file:
            values = file.read(["p_value"])["p_value"].to_numpy()
        distinct, counts = np.unique(values, return_counts=True)
        part.p_values = dict(zip(distinct.tolist(), counts.tolist(), strict=True))
    return part


def _read_part(place: Place, run: str) -> WrittenPart | None:
    """Return what a complete part of a run says about itself, or None if there is none."""
    try:
        with pq.ParquetFile(place.path, filesystem=place.system) as file:
            stored = json.loads((file.metadata.metadata or {}).get(_METADATA, b"{}"))
    except (FileNotFoundError, pa.ArrowInvalid):
        return None  # not there, or cut short by a store that shows incomplete files
    if stored.get("run") != run:
        return None
    failures = [Failure(**failure) for failure in stored.pop("failures")]
    return WrittenPart(**stored, failures=failures, is_earlier=True)


def _write(work: RunWork, unit: Unit, place: Place) -> WrittenPart:
    model = _model(work.output, work.model_hash)
    _check_unchanged(unit)
    part = WrittenPart(work.run, unit.number)
    tables = _tables(model, work, unit, part)
    first = next(tables, None)
    if first is None:  # all sequences failed
        first = without_sequences(model, work.operation, text_ids=work.text_ids), 0
    with replaced(place) as stream:
        with pq.ParquetWriter(stream, first[0].schema, compression="zstd") as writer:
            for table, num_steps in itertools.chain([first], tables):
                writer.write_table(table)
                part.num_sequences += len(table)
                part.num_steps += num_steps
            stored = ("run", "number", "num_sequences", "num_steps", "num_failed", "failures")
            values = {name: value for name, value in asdict(part).items() if name in stored}
            writer.add_key_value_metadata({_METADATA: json.dumps(values).encode()})
        # nothing was read from another state of the file
        _check_unchanged(unit)
    return part


def _tables(
    model: Model, work: RunWork, unit: Unit, part: WrittenPart
) -> Iterator[tuple[pa.Table, int]]:
    """Yield results and their numbers of steps; sequences that fail are counted in the part."""

    def compute(piece: Slice) -> tuple[pa.Table, int]:
        sequences = from_file_table(piece.table, unit.file, work.options)
        if work.options.id is None:
            # the same ids as on one machine: rows of all files
            first = unit.rows_before + piece.first
            sequences = sequences.with_ids(np.arange(first, first + len(sequences)))
        return _computed(model, work.operation, sequences), len(sequences.values)

    def attempt(piece: Slice, *, whole: bool = False) -> Iterator[tuple[pa.Table, int]]:
        """Compute a slice; if that fails, its halves, so that only wrong sequences are left out."""
        try:
            yield compute(piece)
            return
        except FileAccessError:
            raise
        except RefoldError as error:
            if whole and isinstance(error, SchemaError) and fails_alike(piece, error):
                raise type(error)(f"{unit.file}: {error.message.marked}") from error
            if len(piece) == 1:
                part.num_failed += 1
                if len(part.failures) < MAX_FAILURES:
                    part.failures.append(Failure(unit.file, piece.first, str(error)))
                return
        middle = len(piece) // 2
        yield from attempt(piece.part(0, middle))
        yield from attempt(piece.part(middle, len(piece)))

    def fails_alike(piece: Slice, error: RefoldError) -> bool:
        """Return whether the columns are wrong, and not a sequence."""
        for i in {0, len(piece) - 1}:
            try:
                compute(piece.part(i, i + 1))
            except RefoldError as other:
                if type(other) is not type(error):
                    return False
            else:
                return False
        return True

    max_steps = max(MIN_STEPS, SLICE_VALUES // max(1, model.schema.num_columns))
    for piece in slices(unit, work.options, lists=work.lists, max_steps=max_steps):
        yield from attempt(piece, whole=True)


def _computed(model: Model, operation: ModelOperation, sequences: Sequences) -> pa.Table:
    """Return one row for each sequence."""
    settings, ids = operation.settings, sequences.ids
    with packed.limited_threads(1):
        if operation.name == "encode":
            table = codes_to_arrow(model.encode(sequences), ids, settings["dtype"], model=model)
            # renaming drops the metadata
            named = table.rename_columns([operation.id_name, "code"])
            return named.replace_schema_metadata(table.schema.metadata)
        if operation.name == "detect":
            table = model.detect(sequences, settings["alpha"]).to_table(operation.id_name)
            # depends on all sequences
            return table.drop_columns(["adjusted_p_value"])
        decoded = model.reconstruct(sequences, clip=settings["clip"])
    back = Sequences.from_list(decoded, schema=model.schema).with_ids(ids)
    return back.to_arrow(operation.id_name)


# A worker process computes many parts.
@functools.lru_cache(1)
def _model(output: str, model_hash: str) -> Model:
    """Load the model of a run from its output folder."""
    return_freed_memory()
    place = place_of(output).beside(MODEL)
    data = read_bytes(place)
    if data is None:
        raise MissingFileError(
            f"A worker does not find {place.name}. All machines of the cluster must see the "
            "output folder under this name; use a shared file system or a URL."
        )
    if hashlib.sha256(data).hexdigest() != model_hash:
        raise ParameterError(f"{place.name} is not the model of this run. Name a new folder.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL
        path.write_bytes(data)
        return Model.load(path)


def _check_unchanged(unit: Unit) -> None:
    """Raise ``FileAccessError`` if the file of a unit is not the one that was opened."""
    if stamp_of(place_of(unit.file)) != unit.stamp:
        raise FileAccessError(
            f"{unit.file} has changed since the run began. Restore it, or start again with a new "
            "output folder."
        )
