"""Alignment of reconstructions with the steps of their originals."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from refold._support.argument_checks import check_kind, check_one_each, check_some
from refold.errors import ParameterError, SchemaError
from refold.sequences import Scaler, Schema, Sequences, as_sequences


def as_pair(
    original: Sequences | Sequence[Any], reconstructed: Sequences | Sequence[Any]
) -> tuple[Sequences, Sequences]:
    """Convert both, and check that they have the same number of sequences and the same columns."""
    original = as_sequences(original)
    if not isinstance(reconstructed, Sequences):
        reconstructed = as_sequences(reconstructed, schema=original.schema)
    check_some(len(original), "sequence", "to measure")
    check_one_each(len(reconstructed), "reconstructed sequences", len(original), "originals")
    expected, got = original.schema.columns, reconstructed.schema.columns
    if len(expected) != len(got):
        raise SchemaError(
            f"The reconstruction has {len(got)} columns, the original has {len(expected)}. "
            "Pass reconstructions with the original's columns."
        )
    for want, have in zip(expected, got, strict=True):
        if (want.name, want.type, want.categories) != (have.name, have.type, have.categories):
            other = "" if want.categories == have.categories else " with other categories"
            raise SchemaError(
                f"Column {want.name!r} ({want.type}) is reconstructed as {have.name!r} "
                f"({have.type}){other}. "
                "Bring both to one schema with `reconstructed.align(original.schema)`."
            )
    return original, reconstructed


def check_units(scaler: Scaler | None, schema: Schema) -> None:
    """Check that a scaler, if there is one, scales the features of a schema over all sequences."""
    if scaler is None:
        return
    check_kind("scaler", scaler, 'a Scaler, such as Scaler.fit(train, mode="features")', "mode")
    if len(scaler.mean_) != schema.num_columns:
        raise SchemaError(
            f"The scaler was fitted on {len(scaler.mean_)} columns, and the sequences have "
            f"{schema.num_columns}. Pass a scaler of the same columns."
        )
    if scaler.mode != "features":
        raise ParameterError(
            f"Errors are measured in the units of the training split. Got a scaler of mode "
            f'{scaler.mode!r}; pass Scaler.fit(train, mode="features").'
        )


def on_steps_of(original: Sequences, reconstructed: Sequences) -> np.ndarray:
    """Return the values of a reconstruction at the steps of the original (n_steps, n_features)."""
    lengths = original.lengths
    step = np.arange(lengths.sum()) - np.repeat(
        original.offsets[:-1] - original.offsets[0], lengths
    )
    # A step that the reconstruction lacks is NaN, and extra steps are dropped.
    present = step < np.repeat(reconstructed.lengths, lengths)
    source = np.repeat(reconstructed.offsets[:-1], lengths) + step
    values = np.full((len(step), original.values.shape[1]), np.nan)
    values[present] = reconstructed.values[source[present]]
    return values
