"""The pretrained model: its file, its adaptation to columns, and codes of fewer dimensions.

It encodes each column as a curve of its own. The code of a sequence of several columns has the
codes of all columns one after the other, then the means of all columns, and then their log standard
deviations.
"""

import os
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import refold
from refold._support.arrays import linspace_indices
from refold.errors import DataError, ParameterError, argument
from refold.model._statistics import Mixture, ReferenceStatistics
from refold.network.packed.network import PackedNetwork
from refold.network.packed.resampling import CurveNetwork
from refold.network.specification import dropped_dimensions, truncate_latent_dim
from refold.sequences import Column, RunningMoments, Scaler, Schema, Sequences
from refold.sequences.types import NUMERIC

# "series" is the pretrained model, and "series-16" is the model of its first 16 dimensions.
_MODEL_NAME_PATTERN = re.compile(r"series(?:-([1-9]\d*))?")
_MODEL_FILE = Path(__file__).with_name("series.refold")
# Maximum number of sequences whose means and scales an adapted model stores. It limits the time to
# adapt.
_MAX_SAMPLED_SEQUENCES = 1024
# Lines of `refold info series` that only the pretrained model has.
PRETRAINED_MODEL_NOTES = {
    "trained_on": "synthetic series only: Gaussian processes with trends, seasons, steps, bumps, "
    "bursts, spikes, noise, gaps and rounding",
    "can_not": "read text or categories, forecast, or hold more than half as many periods of a "
    "series as a code has numbers for it",
}


class ModelFile(NamedTuple):
    """File of a model, and the number of learned dimensions to take of its codes."""

    path: str | os.PathLike[str]
    dims: int | None  # None for all


def find_model_file(path: str | os.PathLike[str]) -> ModelFile:
    """Return the file and the dimensions that a path, or a name such as "series-16", stands for."""
    if (match := _MODEL_NAME_PATTERN.fullmatch(str(path))) is None:
        return ModelFile(path, None)
    return ModelFile(_MODEL_FILE, int(match[1]) if match[1] else None)


def with_columns(
    model: "refold.Model", schema: Schema, data: Sequences | None = None
) -> "refold.Model":
    """Return a pretrained model with the columns of a schema, and the units of data for errors."""
    for column in schema.columns:
        if column.column_type.has_categories:
            raise DataError(
                f"Column {column.name!r} holds {column.contents}, and this model reads numbers. "
                "Leave it out, or fit a model to the data."
            )
    columns = tuple(Column(column.name, NUMERIC.name) for column in schema.columns)
    num_columns = len(columns)
    specification = replace(
        model.specification,
        column_types=[NUMERIC.name] * num_columns,
        num_categories=[0] * num_columns,
        # the code of a column has one more dimension, for the length
        latent_dim=num_columns * (model.specification.curve_dim + 1),
    )
    schema = replace(schema, columns=columns)
    scaler, error_scaler = _adapted_scalers(model, num_columns, data)
    statistics = None
    if data is not None:  # means and scales of a sample, for `Model.generate` and features
        sample = data[linspace_indices(len(data), _MAX_SAMPLED_SEQUENCES)].align(schema)
        with np.errstate(over="ignore", invalid="ignore"):  # such numbers are refused later
            statistics = scaler.statistics(sample)
    reference = model.reference and _adapted_reference(model.reference, num_columns, statistics)
    # not `replace`, because the result is no longer a `PretrainedModel`
    attributes: dict[str, Any] = {field.name: getattr(model, field.name) for field in fields(model)}
    attributes |= {
        "network": CurveNetwork(specification, model.network.arrays()),
        "schema": schema,
        "scaler": scaler,
        "error_scaler": error_scaler,
        "reference": reference,
    }
    return refold.Model(**attributes)


def num_columns_of(model: "refold.Model", width: int) -> int:
    """Return the number of columns that a code of a width has codes of; refuse other widths."""
    num_columns, remainder = divmod(width, model.code_size)
    if remainder or not num_columns:
        raise DataError(
            f"A code of this model has {model.code_size} numbers for each column. Got codes of "
            f"{width} numbers."
        )
    return num_columns


def with_dims(model: "refold.Model", dims: int) -> "refold.Model":
    """Return a nested model whose codes have only the first learned dimensions."""
    specification, max_dims = model.specification, model.specification.inner.learned_dim
    if not specification.nested:
        raise ParameterError(
            f"{argument(dims=dims)} needs nested codes. Fit with {argument(nested=True)}."
        )
    if dims == max_dims:
        return model
    if not 1 <= dims < max_dims:
        raise ParameterError(
            f"The number of dimensions must be from 1 to {max_dims}, the learned ones. Got {dims}."
        )
    smaller, weights = truncate_latent_dim(specification, model.network.arrays(), dims)
    network = (CurveNetwork if specification.grid else PackedNetwork)(smaller, weights)
    dropped = dropped_dimensions(specification, dims), np.arange(dims, max_dims)
    return without_calibration(replace(model, network=network), dropped)


def without_calibration(
    model: "refold.Model",
    # dimensions to drop from the code of all columns together, and from the code of one column
    dropped: tuple[np.ndarray, np.ndarray] = (np.zeros(0, int), np.zeros(0, int)),
) -> "refold.Model":
    """Return a model without calibration, and with statistics of its codes alone."""
    reference = model.reference and _drop_dimensions(model.reference, *dropped)
    return replace(model, reference=reference, calibration=None, held_out_errors=None)


def join_column_codes(codes: np.ndarray, num_columns: int) -> np.ndarray:
    """Join codes of columns (n * num_columns, width) to codes (n, num_columns * width)."""
    codes = codes.reshape(len(codes) // num_columns, num_columns, -1)
    # means and log standard deviations, which end the code of a column, come after all other values
    blocks = codes[..., :-2].reshape(len(codes), -1), codes[..., -2], codes[..., -1]
    return np.concatenate(blocks, axis=1)


def _adapted_reference(
    reference: ReferenceStatistics, num_columns: int, statistics: np.ndarray | None
) -> ReferenceStatistics:
    """Return statistics for a number of columns, from those of the pretrained model's column."""
    # ``statistics`` (n, 2 * num_columns) are the means and log standard deviations of sequences of
    # the data. Codes of columns are shuffled, so that those of different columns are independent.
    rng, num_codes = np.random.default_rng(0), len(reference.codes)
    rows = [np.arange(num_codes), *(rng.permutation(num_codes) for _ in range(1, num_columns))]
    codes = join_column_codes(reference.codes[np.stack(rows, axis=1).ravel()], num_columns)
    if statistics is not None and len(statistics):
        codes[:, -2 * num_columns :] = statistics[rng.integers(len(statistics), size=num_codes)]
    std = codes.std(axis=0)
    std = np.where(std > 0, std, 1.0)
    return ReferenceStatistics(codes, codes.mean(axis=0), std, mixture=reference.mixture)


def _drop_dimensions(
    reference: ReferenceStatistics, dropped: np.ndarray, dropped_of_column: np.ndarray
) -> ReferenceStatistics:
    """Return the statistics of codes without some dimensions, and without ROCKET features."""
    mixture, width = reference.mixture, reference.codes.shape[1]
    if mixture is not None:
        # the mixture is one of codes of a single column, unless the model learned from the data
        is_joint = len(mixture.center) == width
        dropped_of_mixture = dropped if is_joint else dropped_of_column
        means, center, scale, covariances = (
            np.delete(array, dropped_of_mixture, -1)
            for array in (mixture.means, mixture.center, mixture.scale, mixture.covariances)
        )
        covariances = np.delete(covariances, dropped_of_mixture, 1)
        mixture = Mixture(mixture.weights, means, covariances, center, scale)
    # the first entries of the mean and the standard deviation are those of the code
    codes, mean, std = (
        np.delete(array[..., :width], dropped, -1)
        for array in (reference.codes, reference.mean, reference.std)
    )
    return ReferenceStatistics(codes, mean, std, mixture=mixture)


def _adapted_scalers(
    model: "refold.Model", num_columns: int, data: Sequences | None
) -> tuple[Scaler, Scaler]:
    """Return both scalers for a number of columns, with the range and the units of data."""
    # the pretrained model has one column, whose numbers are repeated for each
    states = [
        {k: np.repeat(v, num_columns) if isinstance(v, np.ndarray) else v for k, v in state.items()}
        for state in (model.scaler.to_dict(), model.error_scaler.to_dict())
    ]
    if data is None:
        scaler, error_scaler = map(Scaler.from_dict, states)
        return scaler, error_scaler
    moments = RunningMoments(num_columns)
    with np.errstate(over="ignore", invalid="ignore"):  # such numbers are refused later
        for block in data.blocks():
            moments.add(block.values)
    value_range = {"least": moments.least, "greatest": moments.greatest}
    scale = np.where(moments.scale > 0, moments.scale, 1.0)
    units = {"mean": moments.mean, "scale": scale}
    scaler = Scaler.from_dict(states[0] | value_range)
    error_scaler = Scaler.from_dict(states[1] | value_range | units)
    return scaler, error_scaler
