"""A model that comes with the package: its file, its columns, and fewer dimensions of its codes."""

import os
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import refold
from refold._support.arrays import evenly_spaced
from refold.errors import DataError, ParameterError, argument
from refold.model._statistics import Mixture, ReferenceStatistics
from refold.network.packed.curves import CurveNetwork
from refold.network.packed.network import PackedNetwork
from refold.network.specification import dropped_dimensions, first_dimensions
from refold.sequences import Column, RunningMoments, Scaler, Schema, Sequences
from refold.sequences.types import NUMERIC

# "series" is the model, "series-16" its first 16 dimensions, as names of files may be.
_NAME = re.compile(r"series(?:-([1-9]\d*))?")
_FILE = Path(__file__).with_name("series.refold")
# Cap on sequences for the levels and scales of data.
_MAX_SAMPLE = 1024
# What `refold info series` says.
ABOUT = {
    "trained_on": "synthetic series only: Gaussian processes with trends, seasons, steps, bumps, "
    "bursts, spikes, noise, gaps and rounding",
    "can_not": "read text or categories, forecast, or hold more than half as many periods of a "
    "series as a code has numbers for it",
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
                "Leave it out, or fit a model to the data."
            )
    columns = tuple(Column(column.name, NUMERIC.name) for column in schema.columns)
    number = len(columns)
    specification = replace(
        model.specification,
        column_types=[NUMERIC.name] * number,
        num_categories=[0] * number,
        latent_dim=number * (model.specification.curve_dim + 1),
    )
    schema = replace(schema, columns=columns)
    scaler, error_scaler = _scalers_of(model, number, data)
    statistics = None
    if data is not None:  # of a sample, for `Model.generate` and features
        sample = data[evenly_spaced(len(data), _MAX_SAMPLE)].align(schema)
        with np.errstate(over="ignore", invalid="ignore"):
            statistics = scaler.statistics(sample)
    parts: dict[str, Any] = {field.name: getattr(model, field.name) for field in fields(model)}
    parts |= {
        "network": CurveNetwork(specification, model.network.arrays()),
        "schema": schema,
        "scaler": scaler,
        "error_scaler": error_scaler,
        "reference": model.reference and _reference_of(model.reference, number, statistics),
    }
    return refold.Model(**parts)


def typical_curves(lengths: np.ndarray, num_steps: int, rng: "np.random.Generator") -> np.ndarray:
    """Return curves (n, num_steps) of the pretrained model, zero after their lengths (n,)."""
    model = refold.load(_FILE)
    codes = rng.choice(model.require_reference().codes, len(lengths))
    codes[:, -2:] = 0  # the mean 0, and the standard deviation 1
    curves = np.zeros((len(codes), num_steps))
    curves[np.arange(num_steps) < lengths[:, None]] = np.concatenate(model.decode(codes, lengths))
    return curves


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
    specification, most = model.specification, model.specification.inner.learned_dim
    if not specification.nested:
        raise ParameterError(
            f"{argument(dims=dims)} needs nested codes. Fit with {argument(nested=True)}."
        )
    if dims == most:
        return model
    if not 1 <= dims < most:
        raise ParameterError(
            f"The number of dimensions must be from 1 to {most}, the learned ones. Got {dims}."
        )
    smaller, weights = first_dimensions(specification, model.network.arrays(), dims)
    network = (CurveNetwork if specification.grid else PackedNetwork)(smaller, weights)
    dropped = dropped_dimensions(specification, dims), np.arange(dims, most)
    return uncalibrated(replace(model, network=network), dropped)


def uncalibrated(
    model: "refold.Model",
    # dimensions to leave out of the codes of all columns, and of those of one
    dropped: tuple[np.ndarray, np.ndarray] = (np.zeros(0, int), np.zeros(0, int)),
) -> "refold.Model":
    """Return a model that does not know what is normal, with statistics of its codes alone."""
    reference = model.reference and _codes_alone(model.reference, *dropped)
    return replace(model, reference=reference, calibration=None, held_out_errors=None)


def side_by_side(codes: np.ndarray, number: int) -> np.ndarray:
    """Join the codes of each column (n * number, width) to codes of sequences (n, number * width).

    Means and log standard deviations of all columns come last.
    """
    codes = codes.reshape(len(codes) // number, number, -1)
    parts = codes[..., :-2].reshape(len(codes), -1), codes[..., -2], codes[..., -1]
    return np.concatenate(parts, axis=1)


def _reference_of(
    one: ReferenceStatistics, number: int, statistics: np.ndarray | None
) -> ReferenceStatistics:
    """Return statistics for a number of columns, whose codes are drawn independently."""
    # ``statistics`` (n, 2 * number) are the levels and scales of the data
    rng, count = np.random.default_rng(0), len(one.codes)
    rows = [np.arange(count), *(rng.permutation(count) for _ in range(1, number))]
    codes = side_by_side(one.codes[np.stack(rows, axis=1).ravel()], number)
    if statistics is not None and len(statistics):
        codes[:, -2 * number :] = statistics[rng.integers(len(statistics), size=count)]
    deviation = codes.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    return ReferenceStatistics(codes, codes.mean(axis=0), deviation, mixture=one.mixture)


def _codes_alone(
    reference: ReferenceStatistics, dropped: np.ndarray, dropped_of_one: np.ndarray
) -> ReferenceStatistics:
    """Return statistics without those of distances, and without some dimensions of the codes."""
    mixture, width = reference.mixture, reference.codes.shape[1]
    if mixture is not None:
        # of the codes of all columns if the model learned from the data
        gone = dropped if len(mixture.center) == width else dropped_of_one
        covariances = np.delete(np.delete(mixture.covariances, gone, 1), gone, 2)
        means, center, scale = (
            np.delete(part, gone, -1) for part in (mixture.means, mixture.center, mixture.scale)
        )
        mixture = Mixture(mixture.weights, means, covariances, center, scale)
    codes, *moments = (
        np.delete(part[..., :width], dropped, -1)
        for part in (reference.codes, reference.mean, reference.deviation)
    )
    return ReferenceStatistics(codes, *moments, mixture=mixture)


def _scalers_of(
    model: "refold.Model", number: int, data: Sequences | None
) -> tuple[Scaler, Scaler]:
    """Return both scalers for a number of columns, with the units and the range of data."""
    # all columns of the pretrained model have the same numbers
    states = [
        {k: np.repeat(v, number) if isinstance(v, np.ndarray) else v for k, v in one.items()}
        for one in (model.scaler.to_dict(), model.error_scaler.to_dict())
    ]
    if data is None:
        scaler, error_scaler = map(Scaler.from_dict, states)
        return scaler, error_scaler
    moments = RunningMoments(number)
    with np.errstate(over="ignore", invalid="ignore"):  # such numbers are refused later
        for block in data.blocks():
            moments.add(block.values)
    ends = {"least": moments.least, "greatest": moments.greatest}
    scale = np.where(moments.scale > 0, moments.scale, 1.0)
    scaler = Scaler.from_dict(states[0] | ends)
    error_scaler = Scaler.from_dict(states[1] | ends | {"mean": moments.mean, "scale": scale})
    return scaler, error_scaler
