"""Loading of saved models, and of sequences with the columns that a model expects."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console

import refold
from refold.cli._files_and_streams import MODEL_FORMATS, format_of, read_formats, readable
from refold.cli._labels import columns_of
from refold.errors import ParameterError, SchemaError

__all__ = [
    "check_names",
    "check_row_names",
    "file_names",
    "id_name",
    "load_model",
    "loading",
    "opened",
    "whole",
]


def load_model(name: str, *, latent_steps: int | None = None) -> Any:
    """Load a model from a file or standard input; ``latent_steps`` overrides its setting."""
    with readable(name, format_name=None, formats=MODEL_FORMATS) as path:
        model = refold.load(path)
    if latent_steps is not None:
        model.set_params(latent_steps=latent_steps)
        _ = model.latent_steps_  # raises if the model has no latent optimization
    return model


@contextmanager
def loading(*, quiet: bool) -> Iterator[None]:
    """Show in a terminal that Keras and JAX are loading, which takes seconds."""
    if quiet:
        yield
        return
    with Console(stderr=True).status("loading Keras and JAX"):
        yield


def id_name(schema: Any, own: Sequence[str] = ()) -> str:
    """Return a name for the column of ids: that of the data, unless the table has it already."""
    taken = {None, *own, *schema.names}
    return "id" if schema.id_name in taken else schema.id_name


def file_names(schema: Any) -> dict[str, str]:
    """Return names for the columns of ids and times: those of the data if they are free."""
    identity = id_name(schema)
    taken = {None, identity, *schema.names}
    return {"id": identity, "time": "time" if schema.time_name in taken else schema.time_name}


def check_names(schema: Any, format_name: str) -> None:
    """Check before the work that no feature has the name of the column of ids or times."""
    found, chosen = file_names(schema), refold.sequences.FORMATS[format_name]
    beside = [found["id"]] if "id" in chosen.write_options else []
    if "time" in chosen.write_options and chosen.layouts[0] == "long":
        beside.append(found["time"])
    for name in beside:
        if name in schema.names:
            raise SchemaError(
                f"The model has a column {name!r}, and a .{format_name} file of sequences needs "
                "this name for itself. Write .npz, or rename the column and fit again."
            )


def check_row_names(schema: Any, own: Sequence[str]) -> None:
    """Check before the work that no feature has the name of a column of the output table."""
    if duplicates := [name for name in (id_name(schema), *own) if name in schema.names]:
        raise SchemaError(
            f"The model has a column {duplicates[0]!r}, and the output table needs this name for "
            "itself. Rename the column and fit again."
        )


@contextmanager
def opened(
    model: Any, name: str, options: dict[str, Any], format_name: str | None
) -> Iterator[Any]:
    """Open sequences; from a table, only the columns that the model was fitted on.

    Without options for the columns of ids and times, their names are those in the training data if
    the file has them.
    """
    schema = model.schema_
    with readable(name, format_name=format_name, formats=read_formats()) as path:
        suffix = "parquet" if path.is_dir() else format_of(path) or ""
        chosen = refold.sequences.FORMATS.get(suffix)  # if None, reading raises an error
        named = not _has_default_names(schema.names) and options.get("layout") != "wide"
        if named and ((chosen and chosen.is_table) or columns_of(path)):
            options.setdefault("columns", list(schema.names))
        if chosen and "unit" in chosen.read_options and schema.layout == "words":
            options.setdefault("unit", "words")
        remembered = {"id": schema.id_name, "time": schema.time_name}
        yield _read(path, options, {k: v for k, v in remembered.items() if v and k not in options})


def _read(path: Any, options: dict[str, Any], remembered: dict[str, Any]) -> Any:
    """Read a file with the remembered columns of ids and times, or with those it has."""
    only_id = {option: name for option, name in remembered.items() if option == "id"}
    first = None
    for known in (remembered, only_id, {}):
        try:
            return refold.sequences.read_or_scan(path, **(options | known))
        except (SchemaError, ParameterError) as error:  # this file has no such columns
            first = first or error
            if not known:
                raise first from None
    raise AssertionError


def whole(source: Any, name: str) -> Any:
    """Raise an error if the data are read in blocks."""
    if not isinstance(source, refold.sequences.Sequences):
        raise ParameterError(
            f"{name} is too large for this command, which holds the data in memory "
            f"({len(source)} sequences). Use fewer sequences."
        )
    return source


def _has_default_names(names: tuple[str, ...]) -> bool:
    return names in {("token",), tuple(f"x{i}" for i in range(len(names)))}
