"""What a command reads: files, models and sequences. Also how a command runs on a Ray cluster."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from cyclopts import Parameter

import refold
from refold._support.atomic_files import local_path
from refold._support.native_libraries import return_freed_memory
from refold.cli import _options as options
from refold.cli._outputs import (
    CODE_FORMATS,
    STANDARD_STREAM,
    CommandFiles,
    check_no_streams,
    format_of_file,
    log,
)
from refold.errors import DataError, ParameterError, RefoldError, SchemaError


@contextmanager
def open_input(
    name: str, format_name: str | None, formats: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """Yield ``{"path": ..., "format": ...}`` of an input, for `refold.sequences.read`."""
    if name != STANDARD_STREAM:
        yield {"path": local_path(name), "format": format_name}
        return
    if format_name is None:
        raise ParameterError(
            f"The format of standard input is unknown. Add --format {'|'.join(formats)}."
        )
    # readers need a file to seek in, so standard input is copied to one
    with tempfile.TemporaryDirectory(prefix="refold-") as folder:
        path = Path(folder) / "standard input"
        with path.open("wb") as target:
            shutil.copyfileobj(standard_input(), target)
        try:
            yield {"path": path, "format": format_name}
        except RefoldError as error:  # errors say "standard input", not the temporary path
            text = error.message.marked.replace(repr(str(path)), path.name)
            raise type(error)(text.replace(str(path), path.name)) from error


def standard_input() -> BinaryIO:
    """Return standard input as a stream of bytes."""
    if sys.stdin is None:
        raise ParameterError("Standard input is closed. Name a file.")
    return sys.stdin.buffer


def load_model(name: str, *, latent_steps: int | None = None) -> "refold.Model":
    """Load a model, with another number of latent steps if ``latent_steps`` is not None."""
    model = refold.load(name)
    return model if latent_steps is None else model.with_latent_steps(latent_steps)


def read_codes(name: str, format_name: str | None, model: "refold.Model") -> tuple[Any, Any, Any]:
    """Read codes (n_sequences, latent_dim), ids, and a function from lengths to times or None."""
    # not at the top, because it imports PyArrow, which `refold --help` does not need
    from refold.cli import _code_files

    with open_input(name, format_name, CODE_FORMATS) as file:
        return _code_files.read_codes(**file, id=model.schema.id_name, model=model)


def check_in_memory(source: "refold.Sequences", name: str) -> Any:
    """Return the sequences, or raise an error if they are larger than memory."""
    if source.is_mapped:
        raise ParameterError(
            f"{name} is too large for this command, which holds the data in memory "
            f"({len(source)} sequences). Use fewer sequences."
        )
    return source


@Parameter(name="*", group=options.HELP_PANELS["Tables"])
@dataclass(frozen=True)
class ReadOptions:
    """How to read sequences: the columns of a table, and the format of the file.

    Args:
        id: Column with the sequence ids.
        time: Column with the times, which must ascend within a sequence; or add --sort.
        columns: Columns to use as features, comma-separated. [default: all others]
        column_types: numeric, binary, categorical or count; or by column: page=categorical,x=count.
        unit: Steps of a .txt file: characters or words. [default: characters]
        layout: wide: a row is a sequence, a column is a step. [default: long, a row is a step]
        sort: Sort the steps of each sequence by time.
        time_gaps: Add the time since the previous step as a column, time_gap.
        duplicates: Row to keep if an id has a time twice: first, last or mean. [default: error]
        time_format: Form of the times, such as "%d.%m.%Y %H:%M". [default: ISO 8601]
    """

    id: options.Name = None
    time: options.Name = None
    columns: options.NameList = None
    column_types: options.ColumnTypes = None
    unit: Annotated[str | None, Parameter(metavar="UNIT")] = None
    layout: Annotated[str | None, Parameter(metavar="LAYOUT")] = None
    sort: bool = False
    time_gaps: bool = False
    duplicates: Annotated[str | None, Parameter(metavar="ROW")] = None
    time_format: Annotated[str | None, Parameter(metavar="FORMAT")] = None
    input_format: options.InputFormat = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The options that are set, as arguments of `refold.sequences.read`."""
        names = [field.name for field in fields(ReadOptions) if field.name != "input_format"]
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if options.is_set(value)}

    @contextmanager
    def open_sequences(
        self,
        model: "refold.Model | None",
        name: str,
        files: CommandFiles,
        *,
        label_column: str | None = None,  # this column is not read as a feature
        as_series: bool = False,  # whether data without ids are one long series
    ) -> Iterator[Any]:
        """Yield the sequences of a file; with a model, only the columns that the model knows."""
        with self._open_file(name, files) as file:
            labels = () if label_column is None else (label_column,)
            yield self._read_sequences(model, file, labels, as_series=as_series)

    @contextmanager
    def open_with_metadata(
        self,
        model: "refold.Model",
        name: str,
        files: CommandFiles,
        columns: Sequence[str],
        labels: str | None,
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Yield sequences, and columns by name with one value per sequence, such as labels."""
        if columns:
            check_no_streams("--label", name, labels)
        with self._open_file(name, files) as file:
            source = self._read_sequences(model, file, columns if labels is None else ())
            if labels is None and source.schema.id_name in columns:
                raise SchemaError(
                    f"The label column {source.schema.id_name!r} is the id column. Choose another "
                    "one."
                )
            file = file if labels is None else {"path": labels}
            yield source, {column: self._read_labels(file, column, source) for column in columns}

    def read(self, model: "refold.Model", name: str, files: CommandFiles) -> Any:
        """Return the sequences of a file in memory; larger ones are an error."""
        with self.open_sequences(model, name, files) as source:
            return check_in_memory(source, name)

    def calibrate_model(
        self, model: "refold.Model", normal: str | None, files: CommandFiles
    ) -> "refold.Model":
        """Return the model, calibrated on the file of ``--normal`` if this option is set."""
        return model if normal is None else model.calibrate(self.read(model, normal, files))

    def _open_file(self, name: str, files: CommandFiles) -> Any:
        """Open one of the inputs of a command as `open_input` does."""
        formats = refold.sequences.FORMATS
        # --format describes standard input if another input is standard input
        is_for_other = STANDARD_STREAM in files.inputs and format_of_file(name) in formats
        return open_input(name, None if is_for_other else self.input_format, formats)

    def _read_sequences(
        self,
        model: "refold.Model | None",
        file: dict[str, Any],
        labels: Sequence[str],
        *,
        as_series: bool = False,
    ) -> Any:
        """Read a file with these options. Data larger than memory stay on disk, memory-mapped."""
        sequences = refold.sequences.read_for(
            None if model is None or model.any_columns else model.schema,
            **file,
            **self.arguments,
            labels=labels,
            as_series=as_series or (model is not None and model.window is not None),
        )
        if sequences.is_mapped:
            return_freed_memory()
        return sequences

    def _read_labels(self, file: dict[str, Any], label: str, source: Any) -> Any:
        """Read one label per sequence, matched by the ids of the sequences."""
        arguments = {**file, "label": label, "sequences": source}
        if self.id is None and source.schema.id_name is not None:
            # the label file may have another id column, which read_labels then looks for
            with contextlib.suppress(SchemaError):
                return refold.sequences.read_labels(**arguments, id=source.schema.id_name)
        return refold.sequences.read_labels(**arguments, id=self.id)


@Parameter(name="*", group=options.HELP_PANELS["Tables"])
@dataclass(frozen=True)
class TrainingReadOptions(ReadOptions):
    """How to read sequences to train on.

    Args:
        missing: Numbers that mark a missing value, such as -99999.
    """

    missing: options.NumberList = None


# Ray clusters


@Parameter(name="*", group=options.HELP_PANELS["Cluster"])
@dataclass(frozen=True)
class ClusterOptions:
    """Where to compute, with a folder as the output.

    Args:
        workers: Workers of the cluster, each with one CPU. [default: all CPUs]
    """

    on: options.ClusterAddress = None
    workers: options.OptionalPositiveInt = None

    def __post_init__(self) -> None:
        options.check_required_option("--workers", self.workers, "--on CLUSTER", self.on)

    def run(
        self,
        operation: str,  # "encode", "reconstruct" or "detect"
        model: "refold.Model",
        data: str,
        output: str,
        read_options: ReadOptions,
        unsupported: dict[str, Any],  # options of the command that work on one machine only
        *,
        quiet: bool,
        **settings: Any,
    ) -> None:
        """Run a function of `refold.cluster` on Parquet files; ``settings`` are its arguments."""
        check_cluster_options(read_options, unsupported)
        check_no_streams("--on", data, output)
        settings |= read_options.arguments
        settings |= {"on": self.on, "num_workers": self.workers, "verbose": 0 if quiet else 1}
        # Ray prints a line about a worker that died, and standard output is for results
        with contextlib.redirect_stdout(sys.stderr):
            summary = getattr(refold.cluster, operation)(model, data, output, **settings)
        if not quiet:
            log(str(summary))
        if summary.num_failed:
            first = summary.failures[0]
            raise DataError(
                f"{summary.num_failed} sequences are in no part; "
                f"{Path(output) / '_failures.jsonl'} lists them. The first is in row {first.row} "
                f"of {first.file}: {first.reason}"
            )


def check_cluster_options(read_options: ReadOptions, unsupported: dict[str, Any]) -> None:
    """Refuse options that work on one machine only, together with ``--on``."""
    conflicting = {name: getattr(read_options, name) for name in ("unit", "layout", "sort")}
    conflicting |= unsupported | {"format": read_options.input_format}
    options.check_conflicts("--on", conflicting)
