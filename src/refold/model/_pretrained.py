"""A model that comes with the package: its file, its columns, and fewer dimensions of its codes."""

import os
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import refold
from refold.errors import DataError, ParameterError, argument
from refold.model._statistics import Mixture, ReferenceStatistics
from refold.network.packed.curves import CurveNetwork
from refold.network.packed.network import PackedNetwork
from refold.network.specification import dropped_dimensions, first_dimensions, of_curves
from refold.sequences import Column, RunningMoments, Scaler, Schema, Sequences
from refold.sequences.types import NUMERIC

# "series" is the model, "series-16" its first 16 dimensions, as names of files may be.
_NAME = re.compile(r"series(?:-(\d+))?")
_FILE = Path(__file__).with_name("series.refold")
# What `refold info series` says.
ABOUT = {
    "trained_on": "synthetic series only: Gaussian processes with trends, seasons, steps, bumps, "
    "bursts, spikes, noise, gaps and rounding",
    "can_not": "read text or categories, forecast, or keep what varies faster than 32 periods in "
    "a series or a window",
}


class Named(NamedTuple):
    """What the name of a model stands for."""

    path: str | os.PathLike[str]
    dims: int | None  # None for all


def named(path: str | os.PathLike[str]) -> Named:
    """Return the file of a model, and the dimensions that the name of a pretrained one asks for."""
    if (match := _NAME.fullmatch(str(path))) is None:
        return Named(path, None)
    return Named(_FILE, int(match[1]) if match[1] else None)


def with_columns(
    model: "refold.Model", schema: Schema, data: Sequences | None = None
) -> "refold.Model":
    """Return a model of curves with the columns of data, in whose units errors are measured."""
    for column in schema.columns:
        if column.column_type.has_categories:
            raise DataError(
                f"Column {column.name!r} holds {column.contents}, and this model reads numbers. "
                f"Leave it out, or fit a model to the data."
            )
    columns = tuple(Column(column.name, NUMERIC.name) for column in schema.columns)
    number, one = len(columns), of_curves(model.specification)
    specification = replace(
        model.specification,
        column_types=[NUMERIC.name] * number,
        num_categories=[0] * number,
        latent_dim=number * (one.latent_dim + 1),
    )
    parts: dict[str, Any] = {field.name: getattr(model, field.name) for field in fields(model)}
    parts |= {
        "network": CurveNetwork(specification, model.network.arrays()),
        "schema": replace(schema, columns=columns),
        "scaler": _scaler_of(model.scaler, number),
        "error_scaler": _scaler_of(model.error_scaler, number, data),
        "reference": model.reference and _reference_of(model.reference, number),
    }
    return refold.Model(**parts)


def num_columns_of(model: "refold.Model", width: int) -> int:
    """Return the number of columns of codes of a width; refuse codes of other models."""
    number, rest = divmod(width, model.code_size)
    if rest or not number:
        raise DataError(
            f"A code of this model has {model.code_size} numbers for each column. Got codes of "
            f"{width} numbers."
        )
    return number


def with_dims(model: "refold.Model", dims: int) -> "refold.Model":
    """Return a nested model whose codes have only the first learned dimensions."""
    specification = model.specification
    inner = of_curves(specification) if specification.grid else specification
    if not specification.nested:
        raise ParameterError(
            f"{argument(dims=dims)} needs nested codes. Fit with {argument(nested=True)}."
        )
    if dims == inner.learned_dim:
        return model
    if not 1 <= dims < inner.learned_dim:
        raise ParameterError(
            f"{argument(dims=dims)} must be from 1 to {inner.learned_dim}, the learned dimensions."
        )
    dropped = dropped_dimensions(specification, dims)
    smaller, weights = first_dimensions(specification, model.network.arrays(), dims)
    network = (CurveNetwork if specification.grid else PackedNetwork)(smaller, weights)
    reference = model.reference and _without(model.reference, dropped)
    return replace(
        model, network=network, reference=reference, calibration=None, held_out_errors=None
    )


def side_by_side(codes: np.ndarray, number: int) -> np.ndarray:
    """Join the codes of each column (n * number, width) to codes of sequences (n, number * width).

    Means and log standard deviations of all columns come last.
    """
    codes = codes.reshape(len(codes) // number, number, -1)
    parts = codes[..., :-2].reshape(len(codes), -1), codes[..., -2], codes[..., -1]
    return np.concatenate(parts, axis=1)


def _reference_of(one: ReferenceStatistics, number: int) -> ReferenceStatistics:
    """Return statistics for a number of columns, whose codes are drawn independently."""
    rng = np.random.default_rng(0)
    rows = [
        rng.permutation(len(one.codes)) if i else np.arange(len(one.codes)) for i in range(number)
    ]
    codes = side_by_side(one.codes[np.stack(rows, axis=1).ravel()], number)
    mean, deviation = (
        side_by_side(np.tile(part, (number, 1)), number)[0] for part in (one.mean, one.deviation)
    )
    return ReferenceStatistics(codes, mean, deviation, mixture=one.mixture)


def _without(reference: ReferenceStatistics, dropped: np.ndarray) -> ReferenceStatistics:
    """Return statistics of codes without some dimensions, and without those of distances."""
    mixture, width = reference.mixture, reference.codes.shape[1]
    if mixture is not None:
        covariances = np.delete(np.delete(mixture.covariances, dropped, 1), dropped, 2)
        others = (
            np.delete(part, dropped, -1) for part in (mixture.means, mixture.center, mixture.scale)
        )
        means, center, scale = others
        mixture = Mixture(mixture.weights, means, covariances, center, scale)
    codes, *moments = (
        np.delete(part[..., :width], dropped, -1)
        for part in (reference.codes, reference.mean, reference.deviation)
    )
    return ReferenceStatistics(codes, *moments, mixture=mixture)


def _scaler_of(one: Scaler, number: int, data: Sequences | None = None) -> Scaler:
    """Return the scaler of one column for a number of columns, with the units of data if given."""
    state = {
        name: np.repeat(value, number) if isinstance(value, np.ndarray) else value
        for name, value in one.to_dict().items()
    }
    if data is not None:
        moments = RunningMoments(number)
        for block in data.blocks():
            moments.add(block.values)
        scale = np.where(moments.scale > 0, moments.scale, 1.0)
        state |= {"mean": moments.mean, "scale": scale}
    return Scaler.from_dict(state)
