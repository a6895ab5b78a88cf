"""What a command reads: files, models, and sequences with their options; a run on a cluster."""

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
from refold._support.native_libraries import return_freed_memory
from refold._support.paths import local_path
from refold.cli import _options as options
from refold.cli._outputs import (
    CODE_FORMATS,
    STREAM,
    Files,
    check_named,
    format_of,
    log,
)
from refold.errors import DataError, ParameterError, RefoldError, SchemaError


@contextmanager
def readable(
    name: str, format_name: str | None, formats: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """Yield the path and the format of an input, as arguments of `refold.sequences.read`."""
    if name != STREAM:
        yield {"path": local_path(name), "format": format_name}
        return
    if format_name is None:
        raise ParameterError(
            f"The format of standard input is unknown. Add --format {'|'.join(formats)}."
        )
    with tempfile.TemporaryDirectory(prefix="refold-") as folder:
        path = Path(folder) / "standard input"
        with path.open("wb") as target:
            shutil.copyfileobj(standard_input(), target)
        try:
            yield {"path": path, "format": format_name}
        except RefoldError as error:
            text = error.message.marked.replace(repr(str(path)), path.name)
            raise type(error)(text.replace(str(path), path.name)) from error


def standard_input() -> BinaryIO:
    """Return standard input as a stream of bytes."""
    if sys.stdin is None:
        raise ParameterError("Standard input is closed. Name a file.")
    return sys.stdin.buffer


def load_model(name: str, *, latent_steps: int | None = None) -> "refold.Model":
    """Load a model; ``latent_steps`` overrides its setting."""
    model = refold.load(name)
    return model if latent_steps is None else model.with_latent_steps(latent_steps)


def read_codes(name: str, format_name: str | None, model: "refold.Model") -> tuple[Any, Any, Any]:
    """Read codes (n_sequences, latent_dim) of a model, ids, and what turns lengths into times."""
    from refold.cli import _code_files

    with readable(name, format_name, CODE_FORMATS) as file:
        return _code_files.read_codes(**file, id=model.schema.id_name, model=model)


def require_in_memory(source: "refold.Sequences", name: str) -> Any:
    """Raise an error if the data are larger than memory."""
    if source.is_mapped:
        raise ParameterError(
            f"{name} is too large for this command, which holds the data in memory "
            f"({len(source)} sequences). Use fewer sequences."
        )
    return source


@Parameter(name="*", group=options.PANELS["Tables"])
@dataclass(frozen=True)
class Reading:
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
    columns: options.Names = None
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
        names = [field.name for field in fields(Reading) if field.name != "input_format"]
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if options.is_set(value)}

    @contextmanager
    def opened(
        self,
        model: "refold.Model | None",
        name: str,
        files: Files,
        *,
        left_out: str | None = None,  # column of labels, which is not a feature
        as_series: bool = False,  # whether data without ids are one series, as for a window
    ) -> Iterator[Any]:
        """Open sequences: of a table for a model, only the columns that it was fitted on."""
        with self._named(name, files) as file:
            labels = () if left_out is None else (left_out,)
            yield self._open(model, file, labels, as_series=as_series)

    @contextmanager
    def described(
        self,
        model: "refold.Model",
        name: str,
        files: Files,
        columns: Sequence[str],
        labels: str | None,
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Open sequences and read columns with a value for each, from `labels` or the same file."""
        if columns:
            check_named("--label", name, labels)
        with self._named(name, files) as file:
            source = self._open(model, file, columns if labels is None else ())
            if labels is None and source.schema.id_name in columns:
                raise SchemaError(
                    f"The label column {source.schema.id_name!r} is the id column. Choose another "
                    "one."
                )
            file = file if labels is None else {"path": labels}
            yield source, {column: self._labels(file, column, source) for column in columns}

    def read(self, model: "refold.Model", name: str, files: Files) -> Any:
        """Read sequences for a model into memory, as `opened` does."""
        with self.opened(model, name, files) as source:
            return require_in_memory(source, name)

    def calibrated(self, model: "refold.Model", normal: str | None, files: Files) -> "refold.Model":
        """Return a model that is calibrated on the file of ``--normal``, if there is one."""
        return model if normal is None else model.calibrate(self.read(model, normal, files))

    def _named(self, name: str, files: Files) -> Any:
        """Name one of the inputs; ``--format`` is that of standard input, if one of them is."""
        formats = refold.sequences.FORMATS
        is_for_other = STREAM in files.inputs and format_of(name) in formats
        return readable(name, None if is_for_other else self.input_format, formats)

    def _open(
        self,
        model: "refold.Model | None",
        file: dict[str, Any],
        labels: Sequence[str],
        *,
        as_series: bool = False,
    ) -> Any:
        """Read a file with the options; data larger than memory are mapped."""
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

    def _labels(self, file: dict[str, Any], label: str, source: Any) -> Any:
        """Read labels, matched by ``--id`` or by the id column of the sequences."""
        chosen = {**file, "label": label, "sequences": source}
        if self.id is None and source.schema.id_name is not None:
            with contextlib.suppress(SchemaError):  # its id column may have another name
                return refold.sequences.read_labels(**chosen, id=source.schema.id_name)
        return refold.sequences.read_labels(**chosen, id=self.id)


@Parameter(name="*", group=options.PANELS["Tables"])
@dataclass(frozen=True)
class TrainingData(Reading):
    """How to read sequences to train on.

    Args:
        missing: Numbers that mark a missing value, such as -99999.
    """

    missing: options.Floats = None


# Where a command computes


@Parameter(name="*", group=options.PANELS["Cluster"])
@dataclass(frozen=True)
class Cluster:
    """Where to compute, with a folder as the output.

    Args:
        workers: Workers of the cluster, each with one CPU. [default: all CPUs]
    """

    on: options.OnCluster = None
    workers: options.PositiveOrNone = None

    def __post_init__(self) -> None:
        options.check_needs("--workers", self.workers, "--on CLUSTER", self.on)

    def run(
        self,
        operation: str,  # "encode", "reconstruct" or "detect"
        model: "refold.Model",
        data: str,
        output: str,
        reading: Reading,
        refused: dict[str, Any],  # options that work on one machine only
        *,
        quiet: bool,
        **settings: Any,
    ) -> None:
        """Run an operation on Parquet files; ``settings`` are its arguments."""
        check_cluster(reading, refused)
        check_named("--on", data, output)
        settings |= reading.arguments
        settings |= {"on": self.on, "num_workers": self.workers, "verbose": 0 if quiet else 1}
        # Ray prints a line for a worker that died
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


def check_cluster(reading: Reading, refused: dict[str, Any]) -> None:
    """Refuse options that work on one machine only: some, and those of reading."""
    others = {"unit": reading.unit, "layout": reading.layout, "sort": reading.sort}
    options.check_excludes("--on", others | refused | {"format": reading.input_format})
