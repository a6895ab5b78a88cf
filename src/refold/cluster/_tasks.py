"""The tasks of a run on a cluster: to plan it, to write one part, and to finish it.

Each returns its error, which then ends the run in one line.
"""

import functools
import hashlib
import itertools
import json
import re
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import refold
from refold._support.native_libraries import return_freed_memory
from refold.cluster._source import Slice, Unit, find_units, open_source, slices
from refold.cluster._storage import Place, attempted, make_folder, place_of, replaced, stamp_of
from refold.errors import (
    FileAccessError,
    MissingFileError,
    ParameterError,
    RefoldError,
    SchemaError,
)
from refold.evaluation import adjusted_p_values
from refold.kernels import packed
from refold.model import Model
from refold.sequences import Schema, Sequences, TableOptions, codes_to_arrow, from_file_table

# Values of a slice, and its least number of steps. Memory beyond that of a worker without work is a
# multiple of it. Slices of four times as many values are not faster.
SLICE_VALUES, MIN_STEPS = 1 << 18, 1 << 15
# Failures that are listed, of each part.
MAX_FAILURES = 100
MANIFEST, MODEL = "_refold.json", "_model.refold"
FAILURES, ADJUSTED = "_failures.jsonl", "_adjusted_p_values.parquet"
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


@dataclass(frozen=True)
class Run:
    """What all tasks of a run have in common, as plain values."""

    version: str  # of Refold
    operation: str  # "encode", "reconstruct" or "detect"
    settings: dict[str, Any]
    id_name: str  # name of the column of ids in the parts
    output: str
    model_hash: str
    options: TableOptions  # the roles of the columns, once it is planned
    # what the plan adds
    manifest_hash: str = ""
    lists: bool = True  # a row is a sequence, and not a step
    text_ids: bool = False


@dataclass
class WrittenPart:
    """What is known of a part; it is stored in its file, too."""

    manifest_hash: str
    number: int
    num_sequences: int = 0
    num_steps: int = 0
    num_failed: int = 0
    failures: list[Failure] = field(default_factory=list)
    # of this run, so they have these values in the file
    is_earlier: bool = False  # an earlier run wrote it
    warning: str | None = None
    memory: int = 0
    p_values: dict[float, int] = field(default_factory=dict)  # and how often each occurs


# Before the parts


def plan(
    run: Run, source: list[str], part_steps: int | None, schema: dict[str, Any], model: bytes
) -> tuple[Run, list[Unit]] | RefoldError:
    """Open the source and the output folder, and return the units of work."""

    def planned() -> tuple[Run, list[Unit]]:
        _check_version(run.version)
        opened = open_source(source, Schema.from_dict(schema), run.options, part_steps)
        # all that determines the parts, as JSON values
        manifest = {
            "version": run.version,
            "operation": run.operation,
            "model": run.model_hash,
            **run.settings,
            "id_name": run.id_name,
            **asdict(opened.options),
            "part_steps": opened.part_steps,
            "files": [[file.name, *file.stamp, file.num_rows] for file in opened.files],
        }
        text = json.dumps(manifest, indent=1)
        _begin(place_of(run.output), text, model)
        complete = replace(
            run,
            options=opened.options,
            manifest_hash=hashlib.sha256(text.encode()).hexdigest(),
            lists=opened.lists,
            text_ids=opened.files[0].id_type == "text",
        )
        return complete, find_units(opened)

    return attempted(", ".join([*source, run.output]), planned)


def _check_version(version: str) -> None:
    """Raise ``ParameterError`` if this machine has another version of Refold."""
    if refold.__version__ != version:
        raise ParameterError(
            f"A worker has Refold {refold.__version__}, and this process has {version}. "
            "Install the same version on all machines of the cluster."
        )


def _begin(output: Place, manifest: str, model: bytes) -> None:
    """Write the manifest and the model, or refuse a folder with the parts of another run."""
    names = make_folder(output)
    # files of other programs stay as they are
    others = [name for name in sorted(names) if not name.startswith((".", "_"))]
    if MANIFEST in names:
        _check_same(output, json.loads(manifest))
    elif others:
        raise ParameterError(
            f"The output folder {output.name} holds {others[0]!r}, and has no manifest {MANIFEST} "
            "of a run. Name a new folder."
        )
    else:
        with replaced(output.beside(MANIFEST)) as stream:
            stream.write(manifest.encode())
    if MODEL not in names:
        with replaced(output.beside(MODEL)) as stream:
            stream.write(model)


def _check_same(output: Place, manifest: dict[str, Any]) -> None:
    """Raise ``ParameterError`` if a folder has the manifest of another run."""
    earlier: dict[str, Any] = {}
    with suppress(ValueError):  # if it is no JSON
        earlier = json.loads(_content(output.beside(MANIFEST)))
    for key, value in manifest.items():
        before = earlier.get(key)
        if before == value:
            continue
        difference = f"{key}={before!r}, not {value!r}"
        if key == "model":
            difference = "another model"
        elif key == "files":
            pairs = itertools.zip_longest(before or (), value)
            name = next((new or old)[0] for old, new in pairs if old != new)
            difference = f"other source files: {name} is new, has changed or is not there"
        raise ParameterError(
            f"The output folder {output.name} holds parts of a run with {difference}. Name a new "
            "folder, or repeat that run."
        )


def _content(place: Place) -> bytes:
    with place.system.open_input_stream(place.path) as stream:
        return stream.read()


# A part


def write_part(run: Run, unit: Unit) -> WrittenPart | RefoldError:
    """Write the part of a unit if it is not there."""
    return attempted(f"{unit.file} or {run.output}", lambda: _complete(run, unit))


def without_sequences(model: Model, run: Run) -> pa.Table:
    """Return the table of no sequence."""
    ids = np.zeros(1, np.str_ if run.text_ids else np.int64)
    values, offsets = np.zeros((1, model.schema.num_columns)), np.array([0, 1])
    return _computed(model, run, Sequences(values, offsets, ids, model.schema)).slice(0, 0)


def _complete(run: Run, unit: Unit) -> WrittenPart:
    _check_version(run.version)
    place = place_of(run.output).beside(f"part-{unit.number:08d}.parquet")
    part = _read_part(place, run.manifest_hash)
    if part is None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            part = _write(run, unit, place)
        texts = [str(item.message) for item in caught if issubclass(item.category, UserWarning)]
        part.warning = texts[0] if texts else None
        pa.default_memory_pool().release_unused()
        status = Path("/proc/self/status")  # of Linux
        peak = re.search(r"VmHWM:\s*(\d+)", status.read_text() if status.exists() else "")
        part.memory = 1024 * int(peak[1]) if peak else 0
    if run.operation == "detect":
        with pq.ParquetFile(place.path, filesystem=place.system) as file:
            values = file.read(["p_value"])["p_value"].to_numpy()
        distinct, counts = np.unique(values, return_counts=True)
        part.p_values = dict(zip(distinct.tolist(), counts.tolist(), strict=True))
    return part


def _read_part(place: Place, manifest_hash: str) -> WrittenPart | None:
    """Return what a complete part of a run says about itself, or None if there is none."""
    try:
        with pq.ParquetFile(place.path, filesystem=place.system) as file:
            stored = json.loads((file.metadata.metadata or {}).get(_METADATA, b"{}"))
    except (FileNotFoundError, pa.ArrowInvalid):
        return None  # not there, or cut short by a store that shows incomplete files
    if stored.get("manifest_hash") != manifest_hash:
        return None
    failures = [Failure(**failure) for failure in stored["failures"]]
    return WrittenPart(**stored | {"failures": failures, "is_earlier": True})


def _write(run: Run, unit: Unit, place: Place) -> WrittenPart:
    model = _model(run.output, run.model_hash)
    _check_unchanged(unit)
    part = WrittenPart(run.manifest_hash, unit.number)
    tables = _tables(model, run, unit, part)
    first = next(tables, None)
    if first is None:  # all sequences failed
        first = without_sequences(model, run)
    with replaced(place) as stream:
        with pq.ParquetWriter(stream, first.schema, compression="zstd") as writer:
            for table in itertools.chain([first], tables):
                writer.write_table(table)
            writer.add_key_value_metadata({_METADATA: json.dumps(asdict(part)).encode()})
        # nothing was read from another state of the file
        _check_unchanged(unit)
    return part


def _tables(model: Model, run: Run, unit: Unit, part: WrittenPart) -> Iterator[pa.Table]:
    """Yield results, and count them in the part; sequences that fail are counted, too."""

    def compute(piece: Slice) -> pa.Table:
        sequences = from_file_table(piece.table, unit.file, run.options)
        if run.options.id is None:
            # the same ids as on one machine: rows of all files
            first = unit.rows_before + piece.first
            sequences = sequences.with_ids(np.arange(first, first + len(sequences)))
        table = _computed(model, run, sequences)
        part.num_sequences += len(table)
        part.num_steps += len(sequences.values)
        return table

    def attempt(piece: Slice) -> Iterator[pa.Table]:
        """Compute a slice; if that fails, its halves, so that only wrong sequences are left out."""
        try:
            yield compute(piece)
        except RefoldError as error:
            if len(piece) > 1:
                middle = len(piece) // 2
                yield from attempt(piece.part(0, middle))
                yield from attempt(piece.part(middle, len(piece)))
                return
            if isinstance(error, SchemaError) and piece.first == unit.start:
                # the columns are wrong, and not a sequence
                raise type(error)(f"{unit.file}: {error.message.marked}") from error
            part.num_failed += 1
            if len(part.failures) < MAX_FAILURES:
                part.failures.append(Failure(unit.file, piece.first, str(error)))

    max_steps = max(MIN_STEPS, SLICE_VALUES // max(1, model.schema.num_columns))
    for piece in slices(unit, run.options, lists=run.lists, max_steps=max_steps):
        yield from attempt(piece)


def _computed(model: Model, run: Run, sequences: Sequences) -> pa.Table:
    """Return one row for each sequence."""
    settings, ids = run.settings, sequences.ids
    with packed.limited_threads(1):
        if run.operation == "encode":
            table = codes_to_arrow(model.encode(sequences), ids, settings["dtype"], model=model)
            # renaming drops the metadata
            named = table.rename_columns([run.id_name, "code"])
            return named.replace_schema_metadata(table.schema.metadata)
        if run.operation == "detect":
            table = model.detect(sequences, settings["alpha"]).to_table(run.id_name)
            # depends on all sequences
            return table.drop_columns(["adjusted_p_value"])
        decoded = model.reconstruct(sequences, clip=settings["clip"])
    back = Sequences.from_list(decoded, schema=model.schema).with_ids(ids)
    return back.to_arrow(run.id_name)


# A worker process computes many parts.
@functools.lru_cache(1)
def _model(output: str, model_hash: str) -> Model:
    """Load the model of a run from its output folder."""
    return_freed_memory()
    place = place_of(output).beside(MODEL)
    try:
        data = _content(place)
    except FileNotFoundError as error:
        raise MissingFileError(
            f"A worker does not find {place.name}. All machines of the cluster must see the "
            "output folder under this name; use a shared file system or a URL."
        ) from error
    if hashlib.sha256(data).hexdigest() != model_hash:
        raise ParameterError(f"{place.name} is not the model of this run. Name a new folder.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL
        path.write_bytes(data)
        return Model.load(path)


def _check_unchanged(unit: Unit) -> None:
    """Raise ``FileAccessError`` if the file of a unit is not the one that was opened."""
    if stamp_of(place_of(unit.file).info()) != unit.stamp:
        raise FileAccessError(
            f"{unit.file} has changed since the run began. Restore it, or start again with a new "
            "output folder."
        )


# After the parts


def finish(
    run: Run, failures: list[Failure], p_values: Counter[float]
) -> tuple[int | None, int | None] | RefoldError:
    """Write what concerns all parts; return the numbers of anomalies and of discoveries."""

    def finished() -> tuple[int | None, int | None]:
        output = place_of(run.output)
        if failures:
            lines = [json.dumps(asdict(failure)) + "\n" for failure in failures]
            with replaced(output.beside(FAILURES)) as stream:
                stream.write("".join(lines).encode())
        if run.operation != "detect":
            return None, None
        # the adjusted p-value of each p-value depends on all parts
        values = np.array(sorted(p_values), float)
        counts = np.array([p_values[value] for value in values.tolist()], np.int64)
        adjusted = adjusted_p_values(values, counts)
        table = pa.table({"p_value": values, "adjusted_p_value": adjusted, "count": counts})
        with replaced(output.beside(ADJUSTED)) as stream:
            pq.write_table(table, stream)
        alpha = run.settings["alpha"]
        return int(counts[values <= alpha].sum()), int(counts[adjusted <= alpha].sum())

    return attempted(run.output, finished)
