"""Functions that read models, codes and sequences for commands, and options of Ray clusters."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from cyclopts import Parameter

import refold
from refold._support.atomic_files import require_local_path
from refold._support.native_libraries import configure_memory_return
from refold.cli import _options as options
from refold.cli import _outputs as outputs
from refold.errors import DataError, ParameterError, RefoldError, SchemaError


@contextmanager
def copy_stdin_if_needed(
    file_name: str, format_name: str | None, formats: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """Yield ``{"path": ..., "format": ...}``, after standard input is copied to a file."""
    if file_name != outputs.STANDARD_STREAM:
        yield {"path": require_local_path(file_name), "format": format_name}
        return
    if format_name is None:
        raise ParameterError(
            f"The format of standard input is unknown. Add --format {'|'.join(formats)}."
        )
    # Readers of some formats go back in a file. Standard input cannot go back, so it is copied.
    with tempfile.TemporaryDirectory(prefix="refold-") as folder:
        path = Path(folder) / "standard input"
        with path.open("wb") as file:
            shutil.copyfileobj(open_standard_input(), file)
        try:
            yield {"path": path, "format": format_name}
        except RefoldError as error:  # errors say "standard input", not the temporary path
            # `marked` keeps the marks of arguments, so that these can become options later
            text = error.message.marked.replace(repr(str(path)), path.name)
            raise type(error)(text.replace(str(path), path.name)) from error


def open_standard_input() -> BinaryIO:
    """Return standard input as a stream of bytes."""
    if sys.stdin is None:
        raise ParameterError("Standard input is closed. Name a file.")
    return sys.stdin.buffer


def load_model(model_file: str, *, latent_steps: int | None = None) -> "refold.Model":
    """Load a model, with another number of latent steps if ``latent_steps`` is not None."""
    model = refold.load(model_file)
    return model if latent_steps is None else model.with_latent_steps(latent_steps)


def read_codes(file_name: str, format_name: str | None, model: "refold.Model") -> tuple[Any, ...]:
    """Return codes (num_codes, code_size), ids, and a function for times; see `read_code_file`."""
    # not at the top, because it imports PyArrow, which `refold --help` does not need
    from refold.cli._code_files import read_code_file

    with copy_stdin_if_needed(file_name, format_name, outputs.CODE_FORMATS) as file_options:
        return read_code_file(**file_options, expected_id_column=model.schema.id_name, model=model)


def require_in_memory(sequences: "refold.Sequences", file_name_in_error: str) -> Any:
    """Return sequences in memory, or raise an error if they are in a memory-mapped file."""
    if sequences.is_mapped:
        raise ParameterError(
            f"{file_name_in_error} is too large for this command, which holds the data in memory "
            f"({len(sequences)} sequences). Use fewer sequences."
        )
    return sequences


@Parameter(name="*", group=options.HELP_PANELS["Tables"])
@dataclass(frozen=True)
class ReadOptions:
    """How to read sequences: the columns of a table, and the format of the file.

    Args:
        id: Column with the sequence ids.
        time: Column with the times, which must ascend within a sequence; or add --sort.
        columns: Columns to use as features, comma-separated. [default: all others]
        column_types: numeric, binary, categorical or count; or by column: page=categorical,x=count.
        text_unit: Steps of a .txt file: characters or words. [default: characters]
        layout: wide: a row is a sequence, a column is a step. [default: long, a row is a step]
        sort: Sort the steps of each sequence by time.
        time_gaps: Add the time since the previous step as a column, time_gap.
        duplicates: Row to keep if an id has a time twice: first, last or mean. [default: error]
        time_format: Form of the times, such as "%d.%m.%Y %H:%M". [default: ISO 8601]
    """

    id: options.OptionalName = None
    time: options.OptionalName = None
    columns: options.NameList = None
    column_types: options.ColumnTypes = None
    text_unit: Annotated[str | None, Parameter(metavar="UNIT")] = None
    layout: Annotated[str | None, Parameter(metavar="LAYOUT")] = None
    sort: bool = False
    time_gaps: bool = False
    duplicates: Annotated[str | None, Parameter(metavar="ROW")] = None
    time_format: Annotated[str | None, Parameter(metavar="FORMAT")] = None
    input_format: options.InputFormat = None

    def to_arguments(self) -> dict[str, Any]:
        """Return the options that are set, as arguments of `refold.sequences.read`."""
        names = [field.name for field in fields(ReadOptions) if field.name != "input_format"]
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if options.is_set(value)}

    @contextmanager
    def open_sequences(
        self,
        model: "refold.Model | None",
        file_name: str,
        command_files: outputs.CommandFiles,
        *,
        ignored_columns: Sequence[str] = (),  # such as labels, which are no features
        may_be_long_series: bool = False,  # if the file has no ids, all rows are one series
    ) -> Iterator[Any]:
        """Yield the sequences of a file, with the columns of the model if there is one.

        Sequences that are larger than memory stay in a memory-mapped file.
        """
        options = {"ignored_columns": ignored_columns, "may_be_long_series": may_be_long_series}
        with self._open_file(file_name, command_files) as file_options:
            yield self._read(model, **file_options, **options)

    @contextmanager
    def open_with_labels(
        self,
        model: "refold.Model",
        file_name: str,
        command_files: outputs.CommandFiles,
        label_columns: Sequence[str] | None,
        label_file: str | None,  # None: the labels are in the file of the sequences
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Yield sequences, and an array (num_sequences,) for each label column, by name."""
        label_columns = label_columns or []
        if label_columns:
            outputs.check_no_streams("--label", file_name, label_file)
        label_file_options: dict[str, Any] = {"path": label_file}
        # Label columns in the file of the sequences are no features, so they are ignored. If the
        # labels are in another file, a feature may have the same name, and is not ignored.
        ignored_columns: Sequence[str] = ()
        if label_file is None:
            format_name = self._get_format_option(file_name, command_files)
            label_file_options = {"path": require_local_path(file_name), "format": format_name}
            ignored_columns = label_columns
        with self.open_sequences(
            model, file_name, command_files, ignored_columns=ignored_columns
        ) as sequences:
            id_name = sequences.schema.id_name
            if id_name in ignored_columns:
                raise SchemaError(f"The label column {id_name!r} is the id column. Choose another.")
            labels: dict[str, Any] = {}
            for name in label_columns:
                arguments = {**label_file_options, "label": name, "sequences": sequences}
                if self.id is None and id_name is not None:
                    # The id column of the labels likely has the same name. If there is no such
                    # column, there is a SchemaError, and the call below finds the id column.
                    with contextlib.suppress(SchemaError):
                        labels[name] = refold.sequences.read_labels(**arguments, id=id_name)
                if name not in labels:
                    labels[name] = refold.sequences.read_labels(**arguments, id=self.id)
            yield sequences, labels

    def _read(
        self,
        model: "refold.Model | None",
        *,
        ignored_columns: Sequence[str] = (),
        may_be_long_series: bool = False,
        **file_options: Any,  # `path` and `format`
    ) -> Any:
        """Return sequences, with the arguments of `open_sequences`."""
        # A model of any columns reads all columns. A model of windows reads a file without ids as
        # one long series, because it cuts the series.
        sequences = refold.sequences.read_for(
            None if model is None or model.any_columns else model.schema,
            **file_options,
            **self.to_arguments(),
            ignored_columns=ignored_columns,
            as_sequence=may_be_long_series or (model is not None and model.window is not None),
        )
        if sequences.is_mapped:
            # from here on, each large block that is freed returns its memory to the system
            configure_memory_return()
        return sequences

    @contextmanager
    def _open_file(
        self, file_name: str, command_files: outputs.CommandFiles
    ) -> Iterator[dict[str, Any]]:
        """Yield the arguments ``path`` and ``format`` of `refold.sequences.read`."""
        format_name = self._get_format_option(file_name, command_files)
        with copy_stdin_if_needed(file_name, format_name, refold.sequences.FORMATS) as file_options:
            yield file_options

    def _get_format_option(self, file_name: str, command_files: outputs.CommandFiles) -> str | None:
        """Return ``--format``, or None if it is the format of standard input, not of this file."""
        has_known_suffix = outputs.find_format_name_or_none(file_name) in refold.sequences.FORMATS
        if outputs.STANDARD_STREAM in command_files.input_files and has_known_suffix:
            return None
        return self.input_format

    def read_sequences(
        self, model: "refold.Model", file_name: str, command_files: outputs.CommandFiles
    ) -> Any:
        """Return the sequences of a file, or raise an error if they are larger than memory."""
        with self.open_sequences(model, file_name, command_files) as sequences:
            return require_in_memory(sequences, file_name)

    def read_with_rows(
        self,
        model: "refold.Model",
        file_name: str,
        command_files: outputs.CommandFiles,
        target: outputs.OutputTarget,
    ) -> tuple[Any, Any]:
        """Return sequences in memory, and a `pyarrow.Table` with all columns of their file.

        The table is None unless each row of the file is a step, and the output can be a table.
        """
        with self._open_file(file_name, command_files) as file_options:
            sequences = require_in_memory(self._read(model, **file_options), file_name)
            if target.format_name not in outputs.TABLE_FORMATS:
                return sequences, None
            as_text = target.format_name in ("csv", "tsv")
            rows = refold.sequences.read_rows(**file_options, sequences=sequences, as_text=as_text)
            return sequences, rows

    def calibrate_model(
        self, model: "refold.Model", normal_file: str | None, command_files: outputs.CommandFiles
    ) -> "refold.Model":
        """Return the model, calibrated on the file of ``--normal`` if this option is set."""
        if normal_file is None:
            return model
        return model.calibrate(self.read_sequences(model, normal_file, command_files))


@Parameter(name="*", group=options.HELP_PANELS["Tables"])
@dataclass(frozen=True)
class TrainingReadOptions(ReadOptions):
    """How to read sequences to train on.

    Args:
        missing: Numbers that mark a missing value, such as -99999.
    """

    missing: options.NumberList = None


# Clusters of machines that run Ray, and not clusters of similar sequences


@Parameter(name="*", group=options.HELP_PANELS["Cluster"])
@dataclass(frozen=True)
class RayOptions:
    """Where to compute. On a cluster, the output is a folder.

    Args:
        num_workers: Workers of the cluster, each with one CPU. [default: all CPUs]
    """

    address: options.RayAddress = None
    num_workers: Annotated[options.OptionalPositiveInt, Parameter(name="--workers")] = None

    def __post_init__(self) -> None:
        options.check_dependent_option("--workers", self.num_workers, "--on CLUSTER", self.address)

    def run(
        self,
        operation_name: str,  # "encode", "reconstruct" or "detect"
        model: "refold.Model",
        data_file: str,
        output_folder: str,
        read_options: ReadOptions,
        *,
        quiet: bool,
        unsupported_options: Mapping[str, Any] | None = None,  # none of them may be set
        **settings: Any,
    ) -> None:
        """Run a function of `refold.cluster` on Parquet files, with ``settings`` as arguments."""
        check_ray_supports(read_options, unsupported_options or {})
        outputs.check_no_streams("--on", data_file, output_folder)
        settings |= {"on": self.address, "num_workers": self.num_workers, "verbose": int(not quiet)}
        settings |= read_options.to_arguments()
        # Ray prints a line about a worker that died, but standard output is only for results
        with contextlib.redirect_stdout(sys.stderr):
            run_on_cluster = getattr(refold.cluster, operation_name)
            summary = run_on_cluster(model, data_file, output_folder, **settings)
        if not quiet:
            outputs.log_line(str(summary))
        if summary.num_failed:
            failure, failures_file = summary.failures[0], Path(output_folder) / "_failures.jsonl"
            raise DataError(
                f"{summary.num_failed} sequences failed and were not written; {failures_file} "
                f"lists them. The first is in row {failure.row} of {failure.file}: {failure.reason}"
            )


def check_ray_supports(read_options: ReadOptions, unsupported_options: Mapping[str, Any]) -> None:
    """Refuse ``--on``, which names a Ray cluster, with options that work on one machine only."""
    values = {name: getattr(read_options, name) for name in ("text_unit", "layout", "sort")}
    values |= {**unsupported_options, "format": read_options.input_format}
    options.check_conflicts("--on", values)
