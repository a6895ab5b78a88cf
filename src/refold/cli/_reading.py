"""Options for reading sequences, and the reading of the files that they describe."""

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import refold
from refold._support.native_libraries import return_freed_memory
from refold._support.rules import check, one_of
from refold.cli._files import STREAM, Files, format_of
from refold.cli._options import PANELS, InputFormat, Name, Names, WindowOptions, split
from refold.errors import ParameterError, RefoldError, SchemaError


@Parameter(name="*", group=PANELS["Tables"])
@dataclass(frozen=True)
class Reading:
    """How to read sequences: the columns of a table, and the format of the file.

    Parameters
    ----------
    id_column
        Column with the sequence ids.
    time_column
        Column with the times, which must ascend within a sequence; or add --sort.
    columns
        Columns to use as features, comma-separated. [default: all others]
    column_types
        numeric, binary, categorical or count; or by column: page=categorical,x=count.
    unit
        Steps of a .txt file: characters or words. [default: characters]
    layout
        wide: a row is a sequence, a column is a step. [default: long, a row is a step]
    sort
        Sort the steps of each sequence by time.
    time_gaps
        Add the time since the previous step as a column, time_gap.
    """

    id_column: Annotated[Name, Parameter(name="--id")] = None
    time_column: Annotated[Name, Parameter(name="--time")] = None
    columns: Names = None
    column_types: Annotated[str | None, Parameter(metavar="TYPES")] = None
    unit: Annotated[str | None, Parameter(metavar="UNIT")] = None
    layout: Annotated[str | None, Parameter(metavar="LAYOUT")] = None
    sort: bool = False
    time_gaps: bool = False
    input_format: InputFormat = None

    @cached_property
    def options(self) -> dict[str, Any]:
        """The options that are set, as arguments of `refold.sequences.read`."""
        if self.unit is not None:
            check("unit", self.unit, one_of("characters", "words"))
        if self.layout is not None:
            check("layout", self.layout, one_of("long", "wide"))
        options = {
            "id": self.id_column,
            "time": self.time_column,
            "columns": None if self.columns is None else split(self.columns, option="--columns"),
            "column_types": _column_types(self.column_types),
            "unit": self.unit,
            "sort": self.sort or None,
            "time_gaps": self.time_gaps or None,
            "layout": self.layout,
        }
        return {name: value for name, value in options.items() if value is not None}

    @contextmanager
    def opened(
        self,
        model: "refold.Model",
        name: str,
        files: Files,
        *,
        left_out: str | None = None,  # column of labels, which is not a feature
    ) -> Iterator[Any]:
        """Open sequences for a model; from a table, only the columns that it was fitted on."""
        with files.opened(name, self.input_format) as path:
            yield self._open(model, path, () if left_out is None else (left_out,))

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
        if columns and STREAM in (name, labels):
            raise ParameterError(
                "--label needs named files for the sequences and labels. Standard input cannot be "
                "used."
            )
        with files.opened(name, self.input_format) as path:
            source = self._open(model, path, columns if labels is None else ())
            if labels is None and source.schema.id_name in columns:
                raise SchemaError(
                    f"The label column {source.schema.id_name!r} is the id column. Choose another "
                    "one."
                )
            values = {column: self._labels(labels or path, column, source) for column in columns}
            yield source, values

    def read(self, model: "refold.Model", name: str, files: Files) -> Any:
        """Read sequences for a model into memory, as `opened` does."""
        with self.opened(model, name, files) as source:
            return require_in_memory(source, name)

    def read_calibrated(
        self,
        model: "refold.Model",
        name: str,
        files: Files,
        normal: str | None,
        windows: WindowOptions = WindowOptions(),
    ) -> tuple[Any, Any]:
        """Return the model, calibrated on the file `normal`, and sequences for it."""
        if normal is not None:
            series = self.read(model, normal, files)
            cut = windows.cut(series)
            model = model.calibrate(series if cut is None else cut.sequences)
        return model, self.read(model, name, files)

    def _open(self, model: "refold.Model", path: Path, left_out: Sequence[str] = ()) -> Any:
        """Read a file with the options, and by default with the columns of the training data."""
        schema, options, present = model.schema, dict(self.options), _columns_of(path)
        names = list(schema.names)
        if schema.time_gaps and ((present and names[-1] not in present) or self.time_gaps):
            options["time_gaps"] = True
            names.pop()  # computed, and not in the file
        if left_out and "columns" not in options and present:
            options["columns"] = self._features(present, left_out, schema, names)
        suffix = "parquet" if path.is_dir() else format_of(path) or ""
        chosen = refold.sequences.FORMATS.get(suffix)  # if None, reading raises an error
        named = not refold.sequences.has_default_names(schema) and self.layout != "wide"
        if named and ((chosen and chosen.is_table) or present):
            options.setdefault("columns", names)
        if chosen and "unit" in chosen.read_options and schema.layout == "words":
            options.setdefault("unit", "words")
        # by default, ids and times have their names in the training data, if the file has them
        remembered = {"id": schema.id_name, "time": schema.time_name}
        remembered = {k: v for k, v in remembered.items() if v and k not in options}
        return _read(path, options, remembered)

    def _features(
        self,
        present: list[str],
        labels: Sequence[str],
        schema: "refold.sequences.Schema",
        names: list[str],
    ) -> list[str]:
        """Return the columns besides the labels: those of the model if the file has them all."""
        not_features = {*labels}
        for option, name in (("id", schema.id_name), ("time", schema.time_name)):
            not_features.add(self.options.get(option, name if name in present else option))
        others = [name for name in present if name not in not_features]
        if self.layout == "wide":
            return refold.sequences.step_columns(others)
        return names if set(names) <= set(present) else others

    def _labels(self, path: str | Path, label: str, source: Any) -> Any:
        """Read labels, matched by ``--id`` or by the id column of the sequences."""
        id_column = source.schema.id_name
        if self.id_column is None and id_column is not None:
            with contextlib.suppress(SchemaError):  # its id column may have another name
                return refold.sequences.read_labels(path, label, source, id=id_column)
        return refold.sequences.read_labels(path, label, source, id=self.id_column)


@Parameter(name="*", group=PANELS["Tables"])
@dataclass(frozen=True)
class TrainingData(Reading):
    """How to read sequences to train on."""

    missing: Annotated[
        list[str] | None,
        Parameter(metavar="X,...", help="Numbers that mark a missing value, such as -99999."),
    ] = None

    @cached_property
    def missing_values(self) -> list[float] | None:
        """The numbers of ``--missing``."""
        if self.missing is None:
            return None
        numbers = [
            number
            for text in self.missing
            for number in split(text, option="--missing", noun="number")
        ]
        try:
            return [float(number) for number in numbers]
        except ValueError as error:
            raise ParameterError(
                f"--missing must be numbers, such as -99999,1e20. Got {','.join(numbers)!r}."
            ) from error

    @contextmanager
    def opened_to_fit(
        self, name: str, files: Files, model: "refold.SequenceAutoencoder | None" = None
    ) -> Iterator[Any]:
        """Open sequences, for a fitted model if given."""
        with files.opened(name, self.input_format) as path:
            if model is None:
                sequences = refold.sequences.read(path, **self.options)
            else:
                sequences = self._open(model.model_, path)
            if sequences.is_mapped:
                return_freed_memory()
            yield sequences


def require_in_memory(source: "refold.Sequences", name: str) -> Any:
    """Raise an error if the data are larger than memory."""
    if source.is_mapped:
        raise ParameterError(
            f"{name} is too large for this command, which holds the data in memory "
            f"({len(source)} sequences). Use fewer sequences."
        )
    return source


def _columns_of(path: Path) -> list[str]:
    """Return the column names of a file; an empty list if it has none or cannot be read."""
    import pyarrow as pa

    try:
        return refold.sequences.column_names(path)
    except (RefoldError, OSError, ValueError, pa.ArrowException):
        return []  # reading the file raises the error


def _read(path: Path, options: dict[str, Any], remembered: dict[str, Any]) -> Any:
    """Read a file with the remembered columns of ids and times, or with those it has."""
    only_id = {option: name for option, name in remembered.items() if option == "id"}
    first = None
    for columns in (remembered, only_id, {}):
        try:
            return refold.sequences.read(path, **(options | columns))
        except (SchemaError, ParameterError) as error:  # this file has no such columns
            first = first or error
            if not columns:
                raise first from None
    raise AssertionError


def _column_types(text: str | None) -> str | list[str] | dict[str, str] | None:
    if text is None:
        return None
    parts = split(text, option="--column-types")
    if any("=" in part for part in parts):
        if not all("=" in part for part in parts):
            raise ParameterError(
                f"--column-types must name a column for every type or for none. Got {text!r}; "
                "write page=categorical,x=numeric."
            )
        pairs = (part.rpartition("=") for part in parts)
        return {name.strip(): column_type.strip() for name, _, column_type in pairs}
    return parts[0] if len(parts) == 1 else parts
