"""`encode`, `reconstruct` and `detect` on a cluster, and their tasks: plan, write parts, finish."""

import functools
import hashlib
import itertools
import json
import os
import re
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

import refold
from refold._support.native_libraries import return_freed_memory
from refold._support.output import counted, warn
from refold._support.progress_bars import progress_bar
from refold._support.rules import check, check_rate, or_none, whole
from refold.cluster._files import (
    Place,
    Slice,
    Unit,
    absolute,
    attempted,
    find_units,
    open_source,
    place_of,
    replaced,
    slices,
    stamp_of,
)
from refold.cluster._ray import LOCAL, connected, on_cluster
from refold.errors import (
    FileAccessError,
    MissingFileError,
    ParameterError,
    RefoldError,
    SchemaError,
    argument,
    spelled,
)
from refold.kernels import packed
from refold.model import Model, ModelLike, dumps, model_of
from refold.network.packed.network import PackedNetwork
from refold.sequences import (
    CLIP,
    DUPLICATES,
    ColumnTypes,
    Schema,
    Sequences,
    TableOptions,
    check_code_dtype,
    codes_to_arrow,
    from_file_table,
)

Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

# Failures that are listed, of each part and by the summary.
MAX_FAILURES = 100
# Ray moves units and summaries only, so its shared memory can be small.
_STORE_BYTES = 256 << 20
# Values of a slice, and its least number of steps. Memory beyond that of a worker without work is a
# multiple of it. Slices of four times as many values are not faster.
SLICE_VALUES, MIN_STEPS = 1 << 18, 1 << 15
MANIFEST, MODEL = "_refold.json", "_model.refold"
FAILURES = "_failures.jsonl"
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
class RunSummary:
    """What a run on a cluster did.

    Attributes
    ----------
    operation : {"encode", "reconstruct", "detect"}
        What was done.
    output : str
        The output folder.
    num_sequences, num_failed : int
        Rows of all parts, also of an earlier run; and sequences that could not be computed, and
        are in no part.
    row : {"sequence", "window"}
        What a row is.
    failures : list of Failure
        Up to 100 of the latter. The file ``_failures.jsonl`` in the output folder lists up to 100
        of each part.
    num_parts, num_there : int
        Number of parts, which are files, and of those that an earlier run wrote.
    num_steps : int
        Steps that this run computed.
    seconds : float
        Time that the computation took, without the start of the cluster.
    memory : int
        The largest memory of a worker in bytes.
    num_anomalous : int or None
        For ``detect``: rows that are anomalous.

    Examples
    --------
    >>> summary = RunSummary("encode", "codes", 3, 0, [], 1, 0, 12, 2.0, 400_000_000)
    >>> str(summary).partition(" by ")[0]
    'Encoded 3 sequences in 1 part in codes: 12 steps in 2.0 s'
    """

    operation: str
    output: str
    num_sequences: int
    num_failed: int
    failures: list[Failure]
    num_parts: int
    num_there: int
    num_steps: int
    seconds: float
    memory: int
    num_anomalous: int | None = None
    row: str = "sequence"

    def __repr__(self) -> str:
        rows = counted(self.num_sequences, self.row)
        return f"RunSummary({self.operation}, {rows}, {self.num_failed} failed)"

    def __str__(self) -> str:
        done = {"encode": "Encoded", "reconstruct": "Reconstructed", "detect": "Tested"}
        parts = f"{self.num_parts} part{'s' * (self.num_parts != 1)}"
        if self.num_there:
            parts += f" ({self.num_there} of an earlier run)"
        text = (
            f"{done[self.operation]} {self.num_sequences} {self.row}s in {parts} in {self.output}: "
            f"{self.num_steps} steps in {self.seconds:.1f} s by workers with at most "
            f"{self.memory / 1e6:.0f} MB of memory"
        )
        if self.num_anomalous is not None:
            text += f"; {self.num_anomalous} are anomalous"
        return text


def encode(
    model: ModelLike | str | os.PathLike[str],
    source: Paths,
    output: str | os.PathLike[str],
    *,
    on: str = "auto",
    num_workers: int | None = None,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    time_gaps: bool = False,
    duplicates: str | None = None,
    time_format: str | None = None,
    latent_steps: int | None = None,
    dtype: str = "float32",
    part_steps: int | None = None,
    verbose: int = 1,
) -> RunSummary:
    """Encode the sequences of Parquet files on a Ray cluster, and write the codes as Parquet files.

    Each worker reads a range of rows, encodes it and writes one part, whose name and content depend
    on the range alone. A part appears complete or not at all. If a worker dies, another one takes
    its range, and if the run ends early, the same call completes what is missing. The codes are
    those of one machine to the bit.

    Parameters
    ----------
    model : Model, SequenceAutoencoder or path
        A fitted model, or its file. It must be the default model with LSTMs.
    source : path, URL, glob or list of them
        Parquet files, or folders of them, that all machines of the cluster can read, such as
        ``"s3://bucket/folder"``. A row is a sequence, with a list for each feature, or a step; then
        the rows of an id must be together.
    output : path or URL
        Folder for the parts, which all machines of the cluster can write to. It must be new, or the
        output of the same run.
    on : str, default="auto"
        Cluster: ``"auto"`` for that of ``RAY_ADDRESS`` or of this machine, ``"local"`` to start one
        on this machine, or an address such as ``"ray://host:10001"``. If Ray is connected already,
        that connection is used.
    num_workers : int, optional
        Number of parts that are computed at a time, each by a worker with one CPU. By default as
        many as the cluster has CPUs for.
    id, time, columns, column_types, time_gaps, duplicates, time_format
        As in `refold.sequences.read`; by default as in the training data. Without a column of ids,
        the ids are row numbers, over all files in the order of their names.
    latent_steps : int, optional
        Number of steps of latent optimization; by default that of the model.
    dtype : {"float32", "float16"}
        Type of the stored values.
    part_steps : int, optional
        Approximate number of steps of a part. By default it depends on the number of all steps.
    verbose : int, default=1
        0 hides the progress bar.

    Returns
    -------
    RunSummary
        Its `RunSummary.failures` are sequences that could not be encoded. All others are written.

    Examples
    --------
    >>> summary = refold.cluster.encode(
    ...     "sines.refold", "s3://bucket/sines", "s3://bucket/codes", on="ray://head:10001"
    ... )  # doctest: +SKIP
    """
    check_code_dtype(dtype)
    options = TableOptions(id, time, columns, column_types, time_gaps=time_gaps)
    options = replace(options, duplicates=duplicates, time_format=time_format)
    settings = {"dtype": dtype, "latent_steps": latent_steps}
    ray = {"on": on, "num_workers": num_workers, "part_steps": part_steps, "verbose": verbose}
    return _run("encode", model, source, output, options, settings, **ray)


def reconstruct(
    model: ModelLike | str | os.PathLike[str],
    source: Paths,
    output: str | os.PathLike[str],
    *,
    on: str = "auto",
    num_workers: int | None = None,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    time_gaps: bool = False,
    duplicates: str | None = None,
    time_format: str | None = None,
    latent_steps: int | None = None,
    clip: bool | str = False,
    part_steps: int | None = None,
    verbose: int = 1,
) -> RunSummary:
    """Encode the sequences of Parquet files and decode the codes on a Ray cluster.

    Parameters
    ----------
    model, source, output, on, num_workers, id, time, columns, column_types, time_gaps, latent_steps
        As in `encode`, and so are ``duplicates``, ``time_format``, ``part_steps`` and ``verbose``.
    clip : {True, False, "positive"}, default=False
        Clip each numeric column to its range in the training data, or at 0 if it was never negative
        there.

    Returns
    -------
    RunSummary
        The parts hold a row for each sequence, with a list for each column.

    Examples
    --------
    >>> refold.cluster.reconstruct("sines.refold", "*.parquet", "back")  # doctest: +SKIP
    """
    options = TableOptions(id, time, columns, column_types, time_gaps=time_gaps)
    options = replace(options, duplicates=duplicates, time_format=time_format)
    check("clip", clip, CLIP)
    settings = {"clip": clip, "latent_steps": latent_steps}
    ray = {"on": on, "num_workers": num_workers, "part_steps": part_steps, "verbose": verbose}
    return _run("reconstruct", model, source, output, options, settings, **ray)


def detect(
    model: ModelLike | str | os.PathLike[str],
    source: Paths,
    output: str | os.PathLike[str],
    *,
    alpha: float = 0.01,
    on: str = "auto",
    num_workers: int | None = None,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    time_gaps: bool = False,
    duplicates: str | None = None,
    time_format: str | None = None,
    part_steps: int | None = None,
    verbose: int = 1,
) -> RunSummary:
    """Compute anomaly scores and p-values of the sequences of Parquet files on a Ray cluster.

    Parameters
    ----------
    model : Model, SequenceAutoencoder or path
        A fitted model with calibration sequences, or its file.
    source, output, on, num_workers, id, time, columns, column_types, time_gaps
        As in `encode`, and so are ``duplicates``, ``time_format``, ``part_steps`` and ``verbose``.
    alpha : float, default=0.01
        False-alarm rate among normal sequences.

    Returns
    -------
    RunSummary
        The parts hold the columns of `refold.model.Detection.to_table`, except for
        ``adjusted_p_value``, which depends on all sequences.

    Examples
    --------
    >>> refold.cluster.detect("sines.refold", "sines", "anomalies")  # doctest: +SKIP
    """
    options = TableOptions(id, time, columns, column_types, time_gaps=time_gaps)
    options = replace(options, duplicates=duplicates, time_format=time_format)
    settings = {"alpha": check_rate("alpha", alpha, "rate of false alarms"), "latent_steps": None}
    ray = {"on": on, "num_workers": num_workers, "part_steps": part_steps, "verbose": verbose}
    return _run("detect", model, source, output, options, settings, **ray)


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
    num_anomalous: int = 0
    failures: list[Failure] = field(default_factory=list)
    # of this run, so they have these values in the file
    is_earlier: bool = False  # an earlier run wrote it
    warning: str | None = None
    memory: int = 0


def _run(
    operation: str,
    model: ModelLike | str | os.PathLike[str],
    source: Paths,
    output: str | os.PathLike[str],
    options: TableOptions,
    settings: dict[str, Any],
    *,
    on: str,
    num_workers: int | None,
    part_steps: int | None,
    verbose: int,
) -> RunSummary:
    """Plan on the cluster, compute the parts, and write what concerns all of them."""
    check("num_workers", num_workers, or_none(whole()))
    check("part_steps", part_steps, or_none(whole()))
    check("duplicates", options.duplicates, or_none(DUPLICATES))
    paths: Any = source if isinstance(source, list | tuple) else [source]
    if not paths or not all(isinstance(path, str | os.PathLike) for path in paths):
        raise ParameterError(
            f"Expected a path, URL or glob of Parquet files for {argument('source')}, or a list of "
            f"them. Got a {type(source).__name__}."
        )
    model = _packed_model(model, settings["latent_steps"])
    content, taken = dumps(model), {"code", None, *model.schema.names}
    if is_cut := model.window is not None:
        taken |= {"start", "end", "start_time", "end_time"}
    id_name = options.id or model.schema.id_name
    run = Run(
        version=refold.__version__,
        operation=operation,
        settings=settings | {"latent_steps": model.latent_steps},
        id_name="id" if id_name in taken else str(id_name),
        output=absolute(output),
        model_hash=hashlib.sha256(content).hexdigest(),
        options=replace(options, as_series=is_cut),
    )
    _table_of_none(model, run)  # raises what each worker would
    cpus = num_workers if on == LOCAL else None
    with (
        connected(on, num_cpus=cpus, object_store_memory=_STORE_BYTES),
        progress_bar(disable=not verbose) as bar,
    ):
        task = bar.add_task(operation, total=None)
        started = time.monotonic()
        names = [absolute(path) for path in paths]
        [(run, units)] = on_cluster(plan, [(run, names, part_steps, model.schema, content)])
        bar.update(task, total=len(units))
        parts: list[WrittenPart] = []
        for part in on_cluster(write_part, [(run, unit) for unit in units], num_workers):
            parts.append(part)
            bar.advance(task)
        parts.sort(key=lambda part: part.number)
        failures = [failure for part in parts for failure in part.failures]
        if failures:
            [_] = on_cluster(list_failures, [(run, failures)])
        seconds = time.monotonic() - started  # without the end of a local cluster
    # one warning of each kind: those of other parts differ in numbers
    kinds = {re.sub(r"\d+", "0", part.warning): part.warning for part in parts if part.warning}
    for text in kinds.values():
        warn(text)
    new_parts = [part for part in parts if not part.is_earlier]
    return RunSummary(
        operation=operation,
        output=run.output,
        num_sequences=sum(part.num_sequences for part in parts),
        num_failed=sum(part.num_failed for part in parts),
        failures=failures[:MAX_FAILURES],
        num_parts=len(parts),
        num_there=len(parts) - len(new_parts),
        num_steps=sum(part.num_steps for part in new_parts),
        seconds=seconds,
        memory=max((part.memory for part in new_parts), default=0),
        num_anomalous=sum(part.num_anomalous for part in parts) if operation == "detect" else None,
        row="window" if is_cut and operation != "reconstruct" else "sequence",
    )


def _packed_model(model: ModelLike | str | os.PathLike[str], latent_steps: int | None) -> Model:
    """Return a model that workers can run."""
    model = Model.load(model) if isinstance(model, str | os.PathLike) else model_of(model)
    if latent_steps is not None:
        model = model.with_latent_steps(latent_steps)
    if model.any_columns:
        raise ParameterError(
            "This model takes any columns, and the workers of a cluster need to know yours. Adapt "
            f"it to a part of the data: {spelled('model.adapt(X)', '`refold adapt`')}."
        )
    if not isinstance(model.network, PackedNetwork):
        specification = model.specification
        raise ParameterError(
            f"This model runs with Keras (architecture={specification.architecture!r}, "
            f"cell={specification.cell!r}). The workers of a cluster run the default model with "
            "LSTMs only. Use one machine, or fit the default model."
        )
    return model


# The tasks. Each returns its error, which then ends the run in one line.


# Two tasks, `plan` and `list_failures`, write what concerns all parts, so that a client outside of
# the cluster needs no access to the data. A long table whose ids are not together is refused here,
# before any part is written.
def plan(
    run: Run, source: list[str], part_steps: int | None, schema: Schema, model: bytes
) -> tuple[Run, list[Unit]] | RefoldError:
    """Open the source and the output folder, and return the units of work."""

    def planned() -> tuple[Run, list[Unit]]:
        _check_version(run.version)
        opened = open_source(source, schema, run.options, part_steps)
        # all that determines the parts, as JSON values
        manifest = {
            "version": run.version,
            "operation": run.operation,
            "model": run.model_hash,
            **run.settings,
            "id_name": run.id_name,
            **asdict(opened.options),
            "part_steps": opened.part_steps,
            "files": [[file.name, file.stamp, file.num_rows] for file in opened.files],
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
    kind = output.info().type
    if kind == fs.FileType.File:
        raise ParameterError(
            f"The output {output.name} is a file. A cluster writes a folder of parts; name a new "
            "folder."
        )
    if kind == fs.FileType.NotFound:
        output.system.create_dir(output.path, recursive=True)
    files = output.system.get_file_info(fs.FileSelector(output.path))
    names = sorted(file.base_name for file in files)
    # files of other programs stay as they are
    others = [name for name in names if not name.startswith((".", "_"))]
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
    try:
        earlier = json.loads(_content(output.beside(MANIFEST)))
    except ValueError:
        earlier = {}
    for key, value in manifest.items():
        if earlier.get(key) == value:
            continue
        difference = f"{key}={earlier.get(key)!r}, not {value!r}"
        if key == "model":
            difference = "another model"
        elif key == "files":
            changed = [file[0] for file in value if file not in earlier.get(key, ())]
            difference = f"other source files{''.join(f', not {name}' for name in changed[:1])}"
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
    return attempted(f"{unit.pieces[0].file} or {run.output}", lambda: _complete(run, unit))


def _table_of_none(model: Model, run: Run) -> pa.Table:
    """Return the table of no sequence."""
    ids = np.zeros(1, np.str_ if run.text_ids else np.int64)
    values, offsets = np.zeros((1, model.schema.num_columns)), np.array([0, 1])
    return _computed(model, run, Sequences(values, offsets, ids, model.schema)).slice(0, 0)


# The name and the content of a part depend on its unit only. So a unit that is computed twice,
# after a worker died, writes the same bytes twice.
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
    return part


# The manifest says what the parts are of. Each part names it by its hash, so that parts of another
# run do not count.
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
        first = _table_of_none(model, run)
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

    def attempt(piece: Slice) -> Iterator[pa.Table]:
        """Compute a slice; if that fails, each half, so that only wrong sequences are left out."""
        file, row = unit.find_row(piece.first)
        try:
            sequences = from_file_table(piece.table, file, run.options)
            if run.options.id is None:
                # the same ids as on one machine: rows of all files
                sequences = sequences.with_ids(np.arange(len(sequences)) + piece.first)
            results = _computed(model, run, sequences)
        except RefoldError as error:
            if len(piece) > 1:
                middle = len(piece) // 2
                yield from attempt(piece.part(0, middle))
                yield from attempt(piece.part(middle, len(piece)))
                return
            if isinstance(error, SchemaError) and piece.first == unit.start:
                # the columns are wrong, and not a sequence
                raise type(error)(f"{file}: {error.message.marked}") from error
            part.num_failed += 1
            if len(part.failures) < MAX_FAILURES:
                part.failures.append(Failure(file, row, str(error)))
            return
        part.num_sequences += len(results)
        part.num_steps += len(sequences.values)
        if run.operation == "detect":
            part.num_anomalous += int(results["anomalous"].to_numpy().sum())
        yield results

    options = run.options
    columns = options.used if options.columns is not None else None
    max_steps = max(MIN_STEPS, SLICE_VALUES // model.schema.num_columns)
    max_rows = max(1, max_steps * (unit.stop - unit.start) // unit.steps)
    for piece in slices(unit, columns, max_rows, None if run.lists else options.id):
        yield from attempt(piece)


def _computed(model: Model, run: Run, sequences: Sequences) -> pa.Table:
    """Return one row for each sequence, or for each of its windows."""
    settings, ids = run.settings, sequences.ids
    with packed.limited_threads(1):
        if run.operation == "encode":
            windows = model.windows(sequences)
            codes, rows = model.encode(windows.sequences), windows if model.window else ids
            table = codes_to_arrow(codes, rows, settings["dtype"], model=model)
            # renaming drops the metadata
            named = table.rename_columns([run.id_name, *table.column_names[1:]])
            return named.replace_schema_metadata(table.schema.metadata)
        if run.operation == "detect":
            table = model.detect(sequences, settings["alpha"]).to_table(run.id_name)
            # this column depends on all sequences
            return table.drop_columns(["adjusted_p_value"])
        decoded = model.reconstruct(sequences, clip=settings["clip"])
    return Sequences.from_list(decoded, schema=model.schema, ids=ids).to_arrow(run.id_name)


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
    """Raise ``FileAccessError`` if a file of a unit is not the one that was opened."""
    for piece in unit.pieces:
        if stamp_of(place_of(piece.file).info()) != piece.stamp:
            raise FileAccessError(
                f"{piece.file} has changed since the run began. Restore it, or start again with a "
                "new output folder."
            )


def list_failures(run: Run, failures: list[Failure]) -> RefoldError | None:
    """Write the sequences that failed beside the parts."""

    def write() -> None:
        lines = [json.dumps(asdict(failure)) + "\n" for failure in failures]
        with replaced(place_of(run.output).beside(FAILURES)) as stream:
            stream.write("".join(lines).encode())

    return attempted(run.output, write)
