"""Options for reading sequences, and the reading of the files that they describe."""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

import refold
from refold._support.freed_memory import return_freed_memory
from refold._support.rules import check, one_of
from refold.cli._files_and_streams import STREAM, format_of, input_format_of, readable
from refold.cli._options import InputFormat, WindowOptions, split
from refold.errors import ParameterError, RefoldError, SchemaError

_table = functools.partial(typer.Option, rich_help_panel="Tables")


@dataclass
class Reading:
    """How to read sequences: the columns of a table, and the format of the file."""

    id_column: Annotated[
        str | None, _table("--id", metavar="NAME", help="Column with the sequence ids.")
    ] = None
    time_column: Annotated[
        str | None,
        _table(
            "--time",
            metavar="NAME",
            help="Column with the times, which must ascend within a sequence; or add --sort.",
        ),
    ] = None
    columns: Annotated[
        str | None,
        _table(
            metavar="A,B,...",
            help=r"Columns to use as features, comma-separated. \[default: all others]",
        ),
    ] = None
    column_types: Annotated[
        str | None,
        _table(
            metavar="TYPES",
            help="numeric, binary, categorical or count; or by column: page=categorical,x=count.",
        ),
    ] = None
    unit: Annotated[
        str | None,
        _table(
            metavar="UNIT",
            help=r"Steps of a .txt file: characters or words. \[default: characters]",
        ),
    ] = None
    layout: Annotated[
        str | None,
        _table(
            metavar="LAYOUT",
            help="wide: a row is a sequence, a column is a step. "
            r"\[default: long, a row is a step]",
        ),
    ] = None
    sort: Annotated[bool, _table("--sort", help="Sort the steps of each sequence by time.")] = False
    time_gaps: Annotated[
        bool,
        _table("--time-gaps", help="Add the time since the previous step as a column, time_gap."),
    ] = False
    input_format: InputFormat = None
    # The options that are set, as arguments of `refold.sequences.read`.
    options: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        given = {
            "id": self.id_column,
            "time": self.time_column,
            "columns": None if self.columns is None else split(self.columns, option="--columns"),
            "column_types": _column_types(self.column_types),
            "unit": self.unit,
            "sort": self.sort or None,
            "time_gaps": self.time_gaps or None,
            "layout": self.layout,
        }
        if self.unit is not None:
            check("unit", self.unit, one_of("characters", "words"))
        if self.layout is not None:
            check("layout", self.layout, one_of("long", "wide"))
        self.options = {name: value for name, value in given.items() if value is not None}

    @contextmanager
    def opened(
        self,
        model: "refold.Model",
        name: str,
        others: Sequence[str | None] = (),
        *,
        left_out: str | None = None,  # column of labels, which is not a feature
    ) -> Iterator[Any]:
        """Open sequences for a model; from a table, only the columns that it was fitted on."""
        with self._file(name, others) as path:
            yield self._open(model, path, () if left_out is None else (left_out,))

    @contextmanager
    def labelled(
        self,
        model: "refold.Model",
        name: str,
        label: str | None,
        labels: str | None,
        others: Sequence[str | None] = (),
    ) -> Iterator[tuple[Any, Any]]:
        """Open sequences and read their labels, from the same file or from the file `labels`."""
        given = () if label is None else (label,)
        with self.described(model, name, given, labels, others) as (source, found):
            yield source, None if label is None else found[label]

    @contextmanager
    def described(
        self,
        model: "refold.Model",
        name: str,
        columns: Sequence[str],
        labels: str | None,
        others: Sequence[str | None] = (),
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Open sequences and read columns with a value for each, as `labelled` does."""
        with self._file(name, others) as path:
            source = self._open(model, path, columns if labels is None else ())
            if labels is None and source.schema.id_name in columns:
                raise SchemaError(
                    f"The label column {source.schema.id_name!r} is the id column. Choose another "
                    "one."
                )
            yield source, {one: self._labels(labels or path, one, source) for one in columns}

    def read(self, model: "refold.Model", name: str, others: Sequence[str | None] = ()) -> Any:
        """Read sequences for a model into memory, as `opened` does."""
        with self.opened(model, name, others) as source:
            return require_in_memory(source, name)

    def read_calibrated(
        self,
        model: "refold.Model",
        name: str,
        normal: str | None,
        windows: WindowOptions | None = None,
    ) -> tuple[Any, Any]:
        """Return the model, calibrated on the file `normal`, and sequences for it."""
        if normal is not None:
            given = self.read(model, normal, (name,))
            cut = windows.cut(given) if windows else None
            model = model.calibrate(given if cut is None else cut.sequences)
        return model, self.read(model, name, (normal,))

    def _file(self, name: str, others: Sequence[str | None] = ()) -> AbstractContextManager[Path]:
        return readable(name, input_format_of((name, *others), name, self.input_format))

    def _open(self, model: "refold.Model", path: Path, left_out: Sequence[str] = ()) -> Any:
        schema, options, found = model.schema, dict(self.options), _columns_of(path)
        names = list(schema.names)
        if schema.time_gaps and ((found and names[-1] not in found) or self.time_gaps):
            options["time_gaps"] = True
            names.pop()  # computed, and not in the file
        if left_out and "columns" not in options and found:
            options["columns"] = self._features(found, left_out, schema, names)
        suffix = "parquet" if path.is_dir() else format_of(path) or ""
        chosen = refold.sequences.FORMATS.get(suffix)  # if None, reading raises an error
        named = not has_default_names(schema.names) and self.layout != "wide"
        if named and ((chosen and chosen.is_table) or found):
            options.setdefault("columns", names)
        if chosen and "unit" in chosen.read_options and schema.layout == "words":
            options.setdefault("unit", "words")
        # by default, ids and times have their names in the training data, if the file has them
        remembered = {"id": schema.id_name, "time": schema.time_name}
        remembered = {k: v for k, v in remembered.items() if v and k not in options}
        return _read(path, options, remembered)

    def _features(
        self,
        found: list[str],
        labels: Sequence[str],
        schema: "refold.sequences.Schema",
        names: list[str],
    ) -> list[str]:
        """Return the columns besides the labels: those of the model if the file has them all."""
        not_features = {*labels}
        for option, name in (("id", schema.id_name), ("time", schema.time_name)):
            not_features.add(self.options.get(option, name if name in found else option))
        others = [name for name in found if name not in not_features]
        if self.layout == "wide":
            return refold.sequences.step_columns(others)
        return names if set(names) <= set(found) else others

    def _labels(self, path: str | Path, label: str, source: Any) -> Any:
        """Read labels, matched by ``--id`` or by the id column of the sequences."""
        asked, known = self.id_column, source.schema.id_name
        if asked is None and known is not None:
            with contextlib.suppress(SchemaError):  # its id column may have another name
                return refold.sequences.read_labels(path, label, source, id=known)
        return refold.sequences.read_labels(path, label, source, id=asked)


@dataclass
class TrainingData(Reading):
    """How to read sequences to train on."""

    missing: Annotated[
        list[str] | None,
        _table(
            metavar="X,...",
            help="Numbers that mark a missing value, such as -99999.",
            show_default=False,
        ),
    ] = None
    missing_values: list[float] | None = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.missing_values = _missing_values(self.missing)

    @contextmanager
    def opened_to_fit(
        self, name: str, model: "refold.SequenceAutoencoder | None" = None
    ) -> Iterator[Any]:
        """Open sequences, for a fitted model if given."""
        with self._file(name) as path:
            if model is None:
                sequences = refold.sequences.read(path, **self.options)
            else:
                sequences = self._open(model.model_, path)
            if sequences.is_mapped:
                return_freed_memory()
            yield sequences


def check_label_files(*files: str | None) -> None:
    """Check that the files of sequences and labels are not standard input, which is read once."""
    if STREAM in files:
        raise ParameterError(
            "--label needs named files for the sequences and labels. Standard input cannot be used."
        )


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
    for known in (remembered, only_id, {}):
        try:
            return refold.sequences.read(path, **(options | known))
        except (SchemaError, ParameterError) as error:  # this file has no such columns
            first = first or error
            if not known:
                raise first from None
    raise AssertionError


def has_default_names(names: tuple[str, ...]) -> bool:
    """Return whether the columns have the names that Refold gives to columns without names."""
    return names in {("token",), tuple(f"x{i}" for i in range(len(names)))}


def _missing_values(given: list[str] | None) -> list[float] | None:
    if not given:
        return None
    parts = [part for text in given for part in split(text, option="--missing", noun="number")]
    try:
        return [float(part) for part in parts]
    except ValueError as error:
        raise ParameterError(
            f"--missing must be numbers, such as -99999,1e20. Got {','.join(parts)!r}."
        ) from error


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
