"""Loading of saved models, and writing of sequences with the columns of a model."""

from collections.abc import Sequence
from typing import Any

import refold
from refold.cli._console import log
from refold.cli._files import MODEL_FORMATS, Output, readable
from refold.errors import SchemaError

# For a line about drift.
MIN_SEQUENCES = 50
MAX_P_VALUE = 0.001


def load_model(name: str, *, latent_steps: int | None = None) -> "refold.Model":
    """Load a model from a file or standard input; ``latent_steps`` overrides its setting."""
    with readable(name, formats=MODEL_FORMATS) as path:
        model = refold.load(path)
    return model if latent_steps is None else model.with_latent_steps(latent_steps)


def load_estimator(name: str) -> Any:
    """Load a model from a file or standard input to train it further."""
    with readable(name, formats=MODEL_FORMATS) as path:
        return refold.SequenceAutoencoder.load(path)


def log_drift(drift: Any) -> None:
    """Log a line if enough sequences differ significantly from the training data."""
    if drift.num_sequences >= MIN_SEQUENCES and drift.p_value <= MAX_P_VALUE:
        log(
            f"Drift: these sequences differ from the training data ({drift}). Check them; "
            "`refold fit DATA --from MODEL` trains the model further."
        )


def id_name(schema: "refold.sequences.Schema", own: Sequence[str] = ()) -> str:
    """Return a name for the column of ids: that of the data, unless the table has it already."""
    name = schema.id_name
    return "id" if name is None or name in {*own, *schema.names} else name


def check_feature_names(schema: "refold.sequences.Schema", format_name: str) -> None:
    """Check before the work that no feature has the name of the column of ids or times."""
    columns, chosen = _file_names(schema), refold.sequences.FORMATS[format_name]
    reserved = [columns["id"]] if "id" in chosen.write_options else []
    if "time" in chosen.write_options and chosen.layouts[0] == "long":
        reserved.append(columns["time"])
    for name in reserved:
        if name in schema.names:
            raise SchemaError(
                f"The model has a column {name!r}, and a .{format_name} file of sequences needs "
                "this name for itself. Write .npz, or rename the column and fit again."
            )


def check_table_names(schema: "refold.sequences.Schema", own: Sequence[str]) -> None:
    """Check before the work that no feature has the name of a column of the output table."""
    if duplicates := [name for name in (id_name(schema), *own) if name in schema.names]:
        raise SchemaError(
            f"The model has a column {duplicates[0]!r}, and the output table needs this name for "
            "itself. Rename the column and fit again."
        )


def write_sequences(
    arrays: Sequence[Any],
    schema: "refold.sequences.Schema",
    target: Output,
    ids: Any = None,
    *,
    quiet: bool,
) -> Any:
    """Write decoded arrays to an output, log it, and return them as sequences."""
    sequences = refold.sequences.Sequences.from_list(arrays, schema=schema)
    if ids is not None:
        sequences = sequences.with_ids(ids)
    with target.writing() as path:
        refold.sequences.write(sequences, path, **_file_names(schema))
    if not quiet and target.path is not None:
        log(f"Wrote {len(sequences)} sequences to {target.name}")
    return sequences


def _file_names(schema: "refold.sequences.Schema") -> dict[str, str]:
    """Return names for the columns of ids and times: those of the data if they are free."""
    identity, time = id_name(schema), schema.time_name
    if time is None or time in {identity, *schema.names}:
        time = "time"
    return {"id": identity, "time": time}
