"""`encode`, `reconstruct` and `detect` on a Ray cluster.

``_run_operation`` calls three tasks on the cluster: ``plan_run`` divides the data into parts,
``compute_and_write_part`` computes one part and writes it as a Parquet file, and ``write_failures``
lists the sequences that could not be computed.
"""

import contextlib
import functools
import hashlib
import itertools
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

import refold
from refold._support.messages import collect_warnings, pluralize, warn_of_each
from refold._support.native_libraries import configure_memory_return
from refold._support.progress_bars import progress_bar
from refold._support.rules import check, check_fraction, integer_rule, or_none
from refold.cluster._files import (
    Location,
    PlannedPart,
    SequenceBlock,
    absolute_path,
    find_location,
    first_line,
    open_atomically,
    plan_parts,
    read_footers,
    read_sequence_blocks,
)
from refold.cluster._ray import LOCAL_ADDRESS, connect, run_tasks_on_cluster
from refold.errors import (
    FileAccessError,
    MissingFileError,
    ParameterError,
    RefoldError,
    SchemaError,
    argument,
    python_or_cli,
)
from refold.kernels import packed
from refold.model import Model, ModelLike, dumps, model_of
from refold.network.packed.network import PackedNetwork
from refold.sequences import (
    CLIP_RULE,
    DUPLICATES_RULE,
    ColumnTypes,
    Schema,
    Sequences,
    TableOptions,
    check_stored_code_dtype,
    codes_to_arrow,
    sequences_from_table,
)

Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

# Seconds between attempts to reach a store. They increase, so that the store has time to recover.
RETRY_WAIT_SECONDS = (0.5, 1.0, 2.0, 4.0)
# Maximum number of failures that a part lists, and that the summary lists. It keeps both short.
MAX_LISTED_FAILED_SEQUENCES = 100
# Shared memory of a local cluster. It can be small, because Ray moves only plans and summaries.
_OBJECT_STORE_BYTES = 256 << 20
# Number of values in a block, which a worker computes at a time. More values need more memory, and
# blocks of four times as many values are not faster.
MAX_BLOCK_VALUES = 1 << 18
# Minimum number of steps in a block, for data with many columns.
MIN_BLOCK_STEPS = 1 << 15
# File in the output folder that describes the run.
MANIFEST_FILE = "_refold.json"
# File in the output folder with the model, from which the workers load it.
MODEL_FILE = "_model.refold"
# File in the output folder that lists the sequences that could not be computed.
FAILED_SEQUENCES_FILE = "_failures.jsonl"
# Key in the metadata of the file of a part. The value is a `PartOutcome` as JSON.
_PART_OUTCOME_METADATA_KEY = b"refold.part"


@dataclass(frozen=True)
class FailedSequence:
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
    >>> FailedSequence("part.parquet", 3, "sequence 3 holds text").row
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
        ``num_sequences`` is the number of rows of all parts, also of parts of an earlier run.
        ``num_failed`` sequences could not be computed, and are in no part.
    row : {"sequence", "window"}
        What a row is.
    failures : list of FailedSequence
        Up to 100 sequences that could not be computed. The file ``_failures.jsonl`` in the output
        folder lists up to 100 of each part.
    num_parts, num_there : int
        ``num_parts`` is the number of parts, which are files. An earlier run wrote ``num_there`` of
        them.
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
    failures: list[FailedSequence]
    num_parts: int
    num_there: int
    num_steps: int
    seconds: float
    memory: int
    num_anomalous: int | None = None
    row: str = "sequence"

    def __repr__(self) -> str:
        rows = pluralize(self.num_sequences, self.row)
        return f"RunSummary({self.operation}, {rows}, {self.num_failed} failed)"

    def __str__(self) -> str:
        verbs = {"encode": "Encoded", "reconstruct": "Reconstructed", "detect": "Tested"}
        parts = pluralize(self.num_parts, "part")
        earlier = f" ({self.num_there} of an earlier run)" if self.num_there else ""
        anomalous = "" if self.num_anomalous is None else f"; {self.num_anomalous} are anomalous"
        return (
            f"{verbs[self.operation]} {self.num_sequences} {self.row}s in {parts}{earlier} in "
            f"{self.output}: {self.num_steps} steps in {self.seconds:.1f} s by workers with at "
            f"most {self.memory / 1e6:.0f} MB of memory{anomalous}"
        )


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

    Each worker reads a range of rows, encodes it and writes one part. The name and the content of
    the part depend on the range alone. A part appears complete or not at all. If a worker dies,
    another worker takes its range. If the run ends early, the same call completes what is missing.
    The codes are those that one machine would compute, equal to the last bit.

    Parameters
    ----------
    model : Model, SequenceAutoencoder or path
        A fitted model, or its file. It must be the default model with LSTMs.
    source : path, URL, glob or list of them
        Parquet files, or folders of them, that all machines of the cluster can read, such as
        ``"s3://bucket/folder"``. Each row is a sequence, with a list for each feature, or each row
        is a step. In a file of steps, the rows of an id must be together.
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
    check_stored_code_dtype(dtype)
    options = TableOptions(id, time, columns, column_types, time_gaps=time_gaps)
    options = replace(options, duplicates=duplicates, time_format=time_format)
    settings = {"dtype": dtype, "latent_steps": latent_steps}
    run_arguments = on, num_workers, part_steps, verbose
    return _run_operation("encode", model, source, output, options, settings, *run_arguments)


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
        True clips each numeric column to its range in the training data. ``"positive"`` only raises
        negative values to 0, in columns that had none in training.

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
    check("clip", clip, CLIP_RULE)
    settings = {"clip": clip, "latent_steps": latent_steps}
    run_arguments = on, num_workers, part_steps, verbose
    return _run_operation("reconstruct", model, source, output, options, settings, *run_arguments)


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
    alpha = check_fraction("alpha", alpha, "rate of false alarms")
    settings = {"alpha": alpha, "latent_steps": None}
    run_arguments = on, num_workers, part_steps, verbose
    return _run_operation("detect", model, source, output, options, settings, *run_arguments)


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run that all its tasks need."""

    version: str  # version of Refold
    operation: str  # "encode", "reconstruct" or "detect"
    # arguments that only some operations have, such as dtype or alpha, and the latent steps
    operation_settings: dict[str, Any]
    id_name: str  # name of the column of ids in the parts
    output: str
    model_hash: str
    table_options: TableOptions  # of the user; `plan_run` adds the roles of the columns
    # `plan_run` sets the fields below
    manifest_hash: str = ""
    has_lists: bool = True  # a row of the source is a sequence with lists, not a step
    has_text_ids: bool = False  # ids are text, not integers


@dataclass
class PartOutcome:
    """Counts and failures of a computed part, which its file also has in its metadata."""

    manifest_hash: str
    number: int  # position among all parts, from 0
    num_sequences: int = 0
    num_steps: int = 0
    num_failed: int = 0
    num_anomalous: int = 0
    failures: list[FailedSequence] = field(default_factory=list)
    # the fields below describe the current run; the file has their defaults
    is_earlier: bool = False  # whether an earlier run wrote the part
    warnings: list[str] = field(default_factory=list)
    memory: int = 0  # largest memory of the worker so far, in bytes


def _run_operation(
    operation: str,
    model: ModelLike | str | os.PathLike[str],
    paths: Paths,
    output: str | os.PathLike[str],
    table_options: TableOptions,
    operation_settings: dict[str, Any],
    on: str,
    num_workers: int | None,
    part_steps: int | None,
    verbose: int,
) -> RunSummary:
    """Plan a run, compute its parts on the cluster, and return the summary."""
    check("num_workers", num_workers, or_none(integer_rule()))
    check("part_steps", part_steps, or_none(integer_rule()))
    check("duplicates", table_options.duplicates, or_none(DUPLICATES_RULE))
    path_list: Any = paths if isinstance(paths, list | tuple) else [paths]
    if not path_list or not all(isinstance(path, str | os.PathLike) for path in path_list):
        raise ParameterError(
            f"Expected a path, URL or glob of Parquet files for {argument('source')}, or a list of "
            f"them. Got a {type(paths).__name__}."
        )
    path_list = [absolute_path(path) for path in path_list]
    model = Model.load(model) if isinstance(model, str | os.PathLike) else model_of(model)
    if operation_settings["latent_steps"] is not None:
        model = model.with_latent_steps(operation_settings["latent_steps"])
    if model.any_columns:
        raise ParameterError(
            "This model takes any columns, and the workers of a cluster need to know yours. Adapt "
            f"it to a part of the data: {python_or_cli('model.adapt(X)', '`refold adapt`')}."
        )
    if not isinstance(model.network, PackedNetwork):
        specification = model.specification
        raise ParameterError(
            f"This model runs with Keras (architecture={specification.architecture!r}, "
            f"cell={specification.cell!r}). The workers of a cluster run the default model with "
            "LSTMs only. Use one machine, or fit the default model."
        )
    model_bytes = dumps(model)
    # The parts call their column of ids "id" if another column has the name of the ids already, or
    # if this name is None, because the data have no column of ids.
    reserved_names = {"code", None, *model.schema.names}
    if has_windows := model.window is not None:
        reserved_names |= {"start", "end", "start_time", "end_time"}
    id_name = table_options.id or model.schema.id_name
    run = RunSettings(
        version=refold.__version__,
        operation=operation,
        operation_settings=operation_settings | {"latent_steps": model.latent_steps},
        id_name="id" if id_name in reserved_names else str(id_name),
        output=absolute_path(output),
        model_hash=hashlib.sha256(model_bytes).hexdigest(),
        table_options=replace(table_options, as_sequence=has_windows),
    )
    _make_empty_result_table(model, run)  # called for its errors, which each worker would raise
    # only a cluster that is started here can be given a number of CPUs
    num_cpus = num_workers if on == LOCAL_ADDRESS else None
    with (
        connect(on, num_cpus=num_cpus, object_store_memory=_OBJECT_STORE_BYTES),
        progress_bar(disable=not verbose) as bar,
    ):
        progress_task = bar.add_task(operation, total=None)
        start_time = time.monotonic()
        # Each tuple has the arguments of `call_with_retries`: a text that names the files of the
        # task, the function of the task, and the arguments of this function.
        files_text = ", ".join([*path_list, run.output])
        plan_arguments = run, path_list, part_steps, model.schema, model_bytes
        [(run, planned_parts)] = run_tasks_on_cluster(
            call_with_retries, [(files_text, plan_run, *plan_arguments)]
        )
        bar.update(progress_task, total=len(planned_parts))
        part_calls = [
            (f"{part.row_ranges[0].file_name} or {run.output}", compute_and_write_part, run, part)
            for part in planned_parts
        ]
        outcomes: list[PartOutcome] = []
        for outcome in run_tasks_on_cluster(call_with_retries, part_calls, num_workers):
            outcomes.append(outcome)
            bar.advance(progress_task)
        outcomes.sort(key=lambda outcome: outcome.number)
        failures = [failure for outcome in outcomes for failure in outcome.failures]
        if failures:
            failure_call = run.output, write_failures, run, failures
            [_] = run_tasks_on_cluster(call_with_retries, [failure_call])
        seconds = time.monotonic() - start_time  # without the time to stop a local cluster
    texts = [text for outcome in outcomes for text in outcome.warnings]
    warn_of_each(_merge_similar(texts))
    num_anomalous = sum(outcome.num_anomalous for outcome in outcomes)
    new_outcomes = [outcome for outcome in outcomes if not outcome.is_earlier]
    return RunSummary(
        operation=operation,
        output=run.output,
        num_sequences=sum(outcome.num_sequences for outcome in outcomes),
        num_failed=sum(outcome.num_failed for outcome in outcomes),
        failures=failures[:MAX_LISTED_FAILED_SEQUENCES],
        num_parts=len(outcomes),
        num_there=len(outcomes) - len(new_outcomes),
        num_steps=sum(outcome.num_steps for outcome in new_outcomes),
        seconds=seconds,
        memory=max((outcome.memory for outcome in new_outcomes), default=0),
        num_anomalous=num_anomalous if operation == "detect" else None,
        row="window" if has_windows and operation != "reconstruct" else "sequence",
    )


# The tasks


def call_with_retries(files_text: str, task: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of a task or its error; try again if a store cannot be reached."""
    # Errors are returned, because Ray would wrap an error that is raised. `files_text` names the
    # files of the task in error messages.
    wait_times = iter(RETRY_WAIT_SECONDS)
    while True:
        try:
            return task(*arguments)
        except RefoldError as error:
            return error
        except (OSError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
            # Another attempt cannot help if the file is missing, if the access right is missing, or
            # if the data are invalid (an error of Arrow).
            is_final = isinstance(error, FileNotFoundError | PermissionError | pa.ArrowException)
            wait_seconds = None if is_final else next(wait_times, None)
            if wait_seconds is None:
                attempts_note = "" if is_final else f" after {len(RETRY_WAIT_SECONDS) + 1} attempts"
                return FileAccessError(
                    f"{files_text} cannot be read or written{attempts_note}: "
                    f"{first_line(error)}. Check the name, the connection and the access rights, "
                    "and run the same again: what is done stays done."
                )
            time.sleep(wait_seconds)


# `plan_run` and `write_failures` are tasks, so that a client outside of the cluster needs no access
# to the data. `plan_run` refuses a long table with scattered ids before any part is written.
def plan_run(
    run: RunSettings,
    paths: list[str],
    part_steps: int | None,
    model_schema: Schema,
    model_bytes: bytes,
) -> tuple[RunSettings, list[PlannedPart]]:
    """Open the source, prepare the output folder, and return the completed run and its parts."""
    _check_refold_version(run.version)
    files, options, part_steps = read_footers(paths, model_schema, run.table_options, part_steps)
    # all settings that determine the content of the parts, as JSON values
    manifest = {
        "version": run.version,
        "operation": run.operation,
        "model": run.model_hash,
        **run.operation_settings,
        "id_name": run.id_name,
        **asdict(options),
        "part_steps": part_steps,
        "files": [[file.name, file.file_stamp, file.num_rows] for file in files],
    }
    manifest_text = json.dumps(manifest, indent=1)
    _prepare_output_folder(find_location(run.output), manifest_text, model_bytes)
    planned_run = replace(
        run,
        table_options=options,
        manifest_hash=hashlib.sha256(manifest_text.encode()).hexdigest(),
        has_lists=files[0].row_noun == "sequence",
        has_text_ids=files[0].id_type == "text",
    )
    id_column = None if planned_run.has_lists else options.id
    return planned_run, plan_parts(files, id_column, part_steps)


def _check_refold_version(version: str) -> None:
    """Raise ``ParameterError`` if this machine has another version of Refold than ``version``."""
    if refold.__version__ != version:
        raise ParameterError(
            f"A worker has Refold {refold.__version__}, and this process has {version}. "
            "Install the same version on all machines of the cluster."
        )


def _prepare_output_folder(folder: Location, manifest_text: str, model_bytes: bytes) -> None:
    """Write the manifest and the model to the output folder; refuse the folder of another run."""
    output_type = folder.get_info().type
    if output_type == fs.FileType.File:
        raise ParameterError(
            f"The output {folder.path_or_url} is a file. A cluster writes a folder of parts; "
            "name a new folder."
        )
    if output_type == fs.FileType.NotFound:
        folder.file_system.create_dir(folder.path, recursive=True)
    files = folder.file_system.get_file_info(fs.FileSelector(folder.path))
    names = sorted(file.base_name for file in files)
    # hidden files may belong to other programs, and do not matter
    foreign_names = [name for name in names if not name.startswith((".", "_"))]
    if MANIFEST_FILE not in names and foreign_names:
        raise ParameterError(
            f"The output folder {folder.path_or_url} holds {foreign_names[0]!r}, and has no "
            f"manifest {MANIFEST_FILE} of a run. Name a new folder."
        )
    # the text is parsed, because JSON has lists where the values of a run have tuples
    manifest = stored_manifest = json.loads(manifest_text)
    if MANIFEST_FILE in names:
        try:
            stored_manifest = json.loads(_read_bytes(folder.child(MANIFEST_FILE)))
        except ValueError:  # a file that is not JSON is not the manifest of this run
            stored_manifest = {}
    for key, value in manifest.items():
        stored_value = stored_manifest.get(key)
        if stored_value == value:
            continue
        difference = f"{key}={stored_value!r}, not {value!r}"
        if key == "model":
            difference = "another model"
        elif key == "files":
            new_names = [file[0] for file in value if file not in (stored_value or ())]
            # the message names the first of the new files, if there is one
            difference = f"other source files{''.join(f', not {name}' for name in new_names[:1])}"
        raise ParameterError(
            f"The output folder {folder.path_or_url} holds parts of a run with {difference}. "
            "Name a new folder, or repeat that run."
        )
    for name, content in ((MANIFEST_FILE, manifest_text.encode()), (MODEL_FILE, model_bytes)):
        if name not in names:
            with open_atomically(folder.child(name)) as stream:
                stream.write(content)


def _read_bytes(location: Location) -> bytes:
    """Return the content of a file."""
    with location.file_system.open_input_stream(location.path) as stream:
        return stream.read()


# The name and the content of a part depend only on its plan. A part that is computed again, after a
# worker died, therefore has the same bytes again.
def compute_and_write_part(run: RunSettings, planned_part: PlannedPart) -> PartOutcome:
    """Compute a part and write its file, unless it exists and is complete; return the outcome."""
    _check_refold_version(run.version)
    location = find_location(run.output).child(f"part-{planned_part.part_index:08d}.parquet")
    # a file that does not exist, or that a store shows before it is complete, has no metadata
    stored_outcome = {}
    with (
        contextlib.suppress(FileNotFoundError, pa.ArrowInvalid),
        pq.ParquetFile(location.path, filesystem=location.file_system) as file,
    ):
        metadata = file.metadata.metadata or {}
        stored_outcome = json.loads(metadata.get(_PART_OUTCOME_METADATA_KEY, b"{}"))
    # the hash shows that the part is not a part of another run
    if stored_outcome.get("manifest_hash") == run.manifest_hash:
        failures = [FailedSequence(**failure) for failure in stored_outcome["failures"]]
        return PartOutcome(**stored_outcome | {"failures": failures, "is_earlier": True})

    with collect_warnings() as warnings:
        model = _load_model_from_output(run.output, run.model_hash)
        _check_files_unchanged(planned_part)
        outcome = PartOutcome(run.manifest_hash, planned_part.part_index)
        options = run.table_options
        column_names = options.used_columns if options.columns is not None else None
        # maximum number of steps of a block, and the number of rows that have about so many steps
        max_steps = max(MIN_BLOCK_STEPS, MAX_BLOCK_VALUES // model.schema.num_columns)
        num_rows = planned_part.stop_row - planned_part.first_row
        max_rows = max(1, max_steps * num_rows // planned_part.num_steps)
        id_name = None if run.has_lists else options.id  # None: each row is a sequence
        tables = (
            table
            for block in read_sequence_blocks(planned_part, column_names, max_rows, id_name)
            for table in _compute_result_tables(model, run, planned_part, block, outcome)
        )
        first_table = next(tables, None)
        if first_table is None:  # all sequences failed, and the file has columns without rows
            first_table = _make_empty_result_table(model, run)
        with open_atomically(location) as stream:
            with pq.ParquetWriter(stream, first_table.schema, compression="zstd") as writer:
                for table in itertools.chain([first_table], tables):
                    writer.write_table(table)
                metadata = {_PART_OUTCOME_METADATA_KEY: json.dumps(asdict(outcome)).encode()}
                writer.add_key_value_metadata(metadata)
            # checked again: the data may have changed while they were read
            _check_files_unchanged(planned_part)
    # one of those that differ only in numbers, because each block of the part has its own
    outcome.warnings = [*_merge_similar(warnings)]
    pa.default_memory_pool().release_unused()
    status_file = Path("/proc/self/status")  # only Linux has this file
    status = status_file.read_text() if status_file.exists() else ""
    peak_kb = re.search(r"VmHWM:\s*(\d+)", status)  # the largest resident memory so far
    outcome.memory = 1024 * int(peak_kb[1]) if peak_kb else 0
    return outcome


def _merge_similar(warnings: list[str]) -> Iterable[str]:
    """Return the last one of warnings that differ only in numbers."""
    return {re.sub(r"\d+", "0", text): text for text in warnings}.values()


def _compute_result_tables(
    model: Model,
    run: RunSettings,
    planned_part: PlannedPart,
    block: SequenceBlock,
    outcome: PartOutcome,
) -> Iterator[pa.Table]:
    """Yield tables of results; add sequences, steps and failures to the outcome."""
    first_row = block.first_row  # counted over all files
    # the range of rows in which the block begins
    row_range = next(r for r in reversed(planned_part.row_ranges) if r.num_rows_before <= first_row)
    file_name = row_range.file_name
    try:
        sequences = sequences_from_table(block.table, file_name, run.table_options)
        if run.table_options.id is None:
            # row numbers over all files, which are also the ids on one machine
            sequences = sequences.with_ids(np.arange(len(sequences)) + first_row)
        results = _compute_results(model, run, sequences)
    except RefoldError as error:
        if len(block) > 1:  # compute the two halves, to lose only faulty sequences
            middle = len(block) // 2
            for start, stop in ((0, middle), (middle, len(block))):
                half = block.select_sequences(start, stop)
                yield from _compute_result_tables(model, run, planned_part, half, outcome)
            return
        if isinstance(error, SchemaError) and first_row == planned_part.first_row:
            # if the columns of the first sequence are wrong, they are wrong for all sequences
            raise type(error)(f"{file_name}: {error.message.marked}") from error
        outcome.num_failed += 1
        if len(outcome.failures) < MAX_LISTED_FAILED_SEQUENCES:
            row_in_file = first_row - row_range.num_rows_before
            outcome.failures.append(FailedSequence(file_name, row_in_file, str(error)))
        return
    outcome.num_sequences += len(results)
    outcome.num_steps += len(sequences.values)
    if run.operation == "detect":
        outcome.num_anomalous += int(results["anomalous"].to_numpy().sum())
    yield results


def _compute_results(model: Model, run: RunSettings, sequences: Sequences) -> pa.Table:
    """Return a table of results with a row for each sequence or window."""
    settings, ids = run.operation_settings, sequences.ids
    with packed.limited_threads(1):  # Ray reserves one CPU for a worker
        if run.operation == "encode":
            windows = model.windows(sequences)
            codes = model.encode(windows.sequences)
            windows_or_ids = windows if model.window else ids
            table = codes_to_arrow(codes, windows_or_ids, settings["dtype"], model=model)
            # rename_columns drops the metadata, so they are set again
            renamed = table.rename_columns([run.id_name, *table.column_names[1:]])
            return renamed.replace_schema_metadata(table.schema.metadata)
        if run.operation == "detect":
            table = model.detect(sequences, alpha=settings["alpha"]).to_table(run.id_name)
            # this column depends on all sequences of the run, which no worker knows
            return table.drop_columns(["adjusted_p_value"])
        decoded = model.reconstruct(sequences, clip=settings["clip"])
    return Sequences.from_list(decoded, schema=model.schema, ids=ids).to_arrow(run.id_name)


def _make_empty_result_table(model: Model, run: RunSettings) -> pa.Table:
    """Return a table without rows that has the columns of the results."""
    # computed for one sequence of one step, which is dropped
    ids = np.zeros(1, np.str_ if run.has_text_ids else np.int64)
    values, offsets = np.zeros((1, model.schema.num_columns)), np.array([0, 1])
    with collect_warnings():  # about this sequence, which is not the user's
        results = _compute_results(model, run, Sequences(values, offsets, ids, model.schema))
    return results.slice(0, 0)


# Cached, because a worker process computes many parts.
@functools.lru_cache(1)
def _load_model_from_output(output_folder: str, model_hash: str) -> Model:
    """Load the model from the output folder; refuse the model of another run."""
    configure_memory_return()  # here, because a worker loads the model before it computes anything
    location = find_location(output_folder).child(MODEL_FILE)
    try:
        model_bytes = _read_bytes(location)
    except FileNotFoundError as error:
        raise MissingFileError(
            f"A worker does not find {location.path_or_url}. All machines of the cluster must see "
            "the output folder under this name; use a shared file system or a URL."
        ) from error
    if hashlib.sha256(model_bytes).hexdigest() != model_hash:
        raise ParameterError(f"{location.path_or_url} is of another run. Name a new folder.")
    with tempfile.TemporaryDirectory() as temporary_folder:
        path = Path(temporary_folder) / MODEL_FILE
        path.write_bytes(model_bytes)
        return Model.load(path)


def _check_files_unchanged(planned_part: PlannedPart) -> None:
    """Raise ``FileAccessError`` if a file of a part has changed since the run was planned."""
    for row_range in planned_part.row_ranges:
        info = find_location(row_range.file_name).get_info()
        if (info.size, info.mtime_ns) != row_range.file_stamp:
            raise FileAccessError(
                f"{row_range.file_name} has changed since the run began. Restore it, or start "
                "again with a new output folder."
            )


def write_failures(run: RunSettings, failed_sequences: list[FailedSequence]) -> None:
    """Write the list of sequences that failed to the output folder."""
    lines = [json.dumps(asdict(failure)) + "\n" for failure in failed_sequences]
    with open_atomically(find_location(run.output).child(FAILED_SEQUENCES_FILE)) as stream:
        stream.write("".join(lines).encode())
