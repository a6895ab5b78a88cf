"""A saved model, and sequences that are to go through it."""

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
    """Load a model from a file, or from standard input; ``latent_steps`` replaces its own."""
    with readable(name, format_name=None, formats=MODEL_FORMATS) as path:
        model = refold.load(path)
    if latent_steps is not None:
        model.set_params(latent_steps=latent_steps)
        _ = model.latent_steps_  # raises where the model has no search
    return model


@contextmanager
def loading(*, quiet: bool) -> Iterator[None]:
    """Show on a terminal that Keras and JAX are being loaded, which takes seconds."""
    if quiet:
        yield
        return
    with Console(stderr=True).status("loading Keras and JAX"):
        yield


def id_name(schema: Any, own: Sequence[str] = ()) -> str:
    """Return the name for a column of ids: that of the data, unless the table has it already."""
    taken = {None, *own, *schema.names}
    return "id" if schema.id_name in taken else schema.id_name


def file_names(schema: Any) -> dict[str, str]:
    """Return the columns of ids and steps of a file to write: those of the data, where it fits."""
    identity = id_name(schema)
    taken = {None, identity, *schema.names}
    return {"id": identity, "time": "time" if schema.time_name in taken else schema.time_name}


def check_names(schema: Any, format_name: str) -> None:
    """Find before the work that features could not be written under their names."""
    found, chosen = file_names(schema), refold.sequences.FORMATS[format_name]
    beside = [found["id"]] if "id" in chosen.write_options else []
    if "time" in chosen.write_options and chosen.layouts[0] == "long":
        beside.append(found["time"])
    for name in beside:
        if name in schema.names:
            raise SchemaError(
                f"The model has a column {name!r}, and a .{format_name} file of sequences has its "
                "own. Write .npz, or fit on a table that calls it otherwise."
            )


def check_row_names(schema: Any, own: Sequence[str]) -> None:
    """Find before the work that a table of rows has columns of its own of these names."""
    if twice := [name for name in (id_name(schema), *own) if name in schema.names]:
        raise SchemaError(
            f"The model has a column {twice[0]!r}, and the table to write has its own. Fit on a "
            "table that calls it otherwise."
        )


@contextmanager
def opened(
    model: Any, name: str, options: dict[str, Any], format_name: str | None
) -> Iterator[Any]:
    """Open sequences, of a table the columns that the model was fitted on.

    Where no columns of ids and times are named, they are those of the training data if the file
    has them.
    """
    schema = model.schema_
    with readable(name, format_name=format_name, formats=read_formats()) as path:
        suffix = "parquet" if path.is_dir() else format_of(path) or ""
        chosen = refold.sequences.FORMATS.get(suffix)  # None: an error where it is read
        named = not _has_default_names(schema.names) and options.get("layout") != "wide"
        if named and ((chosen and chosen.is_table) or columns_of(path)):
            options.setdefault("columns", list(schema.names))
        if chosen and "unit" in chosen.read_options and schema.layout == "words":
            options.setdefault("unit", "words")
        remembered = {"id": schema.id_name, "time": schema.time_name}
        yield _read(path, options, {k: v for k, v in remembered.items() if v and k not in options})


def _read(path: Any, options: dict[str, Any], remembered: dict[str, Any]) -> Any:
    """Read a file with the columns that the model knows, or with as many of them as it has."""
    only_id = {option: name for option, name in remembered.items() if option == "id"}
    first = None
    for known in (remembered, only_id, {}):
        try:
            return refold.sequences.read_or_scan(path, **(options | known))
        except (SchemaError, ParameterError) as error:  # the format or the layout has none
            first = first or error
            if not known:
                raise first from None
    raise AssertionError


def whole(source: Any, name: str) -> Any:
    """Refuse data that is read in blocks."""
    if not isinstance(source, refold.sequences.Sequences):
        raise ParameterError(
            f"{name} is larger than what is held in memory here ({len(source)} sequences). Give a "
            "part of it."
        )
    return source


def _has_default_names(names: tuple[str, ...]) -> bool:
    return names in {("token",), tuple(f"x{i}" for i in range(len(names)))}
