"""The pretrained model: its file, its adaptation to columns, and codes of fewer dimensions.

The pretrained model encodes each column as a curve of its own. The code of a sequence of several
columns has the learned dimensions and the length of each column, one column after the other. After
them come the means of all columns, and then the log standard deviations of all columns.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import refold
from refold._support.arrays import linspace_indices
from refold.errors import DataError, ParameterError, argument
from refold.model._training_statistics import Mixture, ReferenceStatistics
from refold.network.packed.network import PackedNetwork
from refold.network.packed.resampling import ColumnCurveNetwork
from refold.network.specification import list_truncated_dims, truncate_latent_dim
from refold.sequences import Column, RunningMoments, Scaler, Schema, Sequences
from refold.sequences.types import NUMERIC

# "series" is the pretrained model, and "series-16" is this model with 16 learned dimensions.
_MODEL_NAME_PATTERN = re.compile(r"series(?:-([1-9]\d*))?")
_SERIES_MODEL_PATH = Path(__file__).with_name("series.refold")
# Maximum number of sequences whose means and log standard deviations an adapted model stores. The
# cap limits the time to adapt a model.
_MAX_SEQUENCES_FOR_STATISTICS = 1024
# Lines that `refold info series` prints for the pretrained model only.
PRETRAINED_MODEL_NOTES = {
    "trained_on": "synthetic series only: Gaussian processes with trends, seasons, steps, bumps, "
    "bursts, spikes, noise, gaps and rounding",
    "can_not": "read text or categories, forecast, or hold a series with more periods than half "
    "the numbers of its code",
}


class ModelFileAndDims(NamedTuple):
    """File of a model, and the number of learned dimensions that its codes keep."""

    path: str | os.PathLike[str]
    dims: int | None  # None keeps all


def resolve_file_and_dims(path_or_name: str | os.PathLike[str]) -> ModelFileAndDims:
    """Return the file and the dimensions that a path, or a name such as "series-16", stands for."""
    if (match := _MODEL_NAME_PATTERN.fullmatch(str(path_or_name))) is None:
        return ModelFileAndDims(path_or_name, None)
    return ModelFileAndDims(_SERIES_MODEL_PATH, int(match[1]) if match[1] else None)


def repeat_model_for_columns(
    model: "refold.Model", schema: Schema, scaler_data: Sequences | None = None
) -> "refold.Model":
    """Return a pretrained model for the columns of a schema."""
    # With ``scaler_data``, the model measures errors in the units of these sequences, and its
    # reference codes get the means and standard deviations of these sequences.
    for column in schema.columns:
        if column.column_type.has_categories:
            raise DataError(
                f"Column {column.name!r} holds {column.contents_description}, and this model reads "
                "numbers. Leave it out, or fit a model to the data."
            )
    columns = tuple(Column(column.name, NUMERIC.name) for column in schema.columns)
    num_columns = len(columns)
    specification = replace(
        model.specification,
        column_types=[NUMERIC.name] * num_columns,
        num_categories=[0] * num_columns,
        # besides the learned dimensions, the code of a column has one for the length
        latent_dim=num_columns * (model.specification.num_dims_per_curve + 1),
    )
    schema = replace(schema, columns=columns)
    # the scalers of the pretrained model have arrays for one column, which are repeated
    scaler_state, error_scaler_state = (
        {k: np.repeat(v, num_columns) if isinstance(v, np.ndarray) else v for k, v in state.items()}
        for state in (model.scaler.to_dict(), model.error_scaler.to_dict())
    )
    if scaler_data is not None:
        moments = RunningMoments(num_columns)
        # no warnings about numbers that are too large, because they are refused later
        with np.errstate(over="ignore", invalid="ignore"):
            for block in scaler_data.blocks():
                moments.add(block.values)
        value_range = {"least": moments.minimum, "greatest": moments.maximum}
        std = np.where(moments.scale > 0, moments.scale, 1.0)
        # The scaler needs only the range, for ``clip``, because it scales each sequence by itself.
        # Errors are measured in the units of the data.
        scaler_state |= value_range
        error_scaler_state |= value_range | {"mean": moments.mean, "scale": std}
    scaler, reference = Scaler.from_dict(scaler_state), model.reference
    if reference is not None:
        # The reference codes are those of a single column. They are shuffled for each column after
        # the first, so that columns are independent.
        rng, num_codes = np.random.default_rng(0), len(reference.codes)
        order = [np.arange(num_codes), *(rng.permutation(num_codes) for _ in range(1, num_columns))]
        codes = join_column_codes(reference.codes[np.stack(order, axis=1).ravel()], num_columns)
        if scaler_data is not None and len(scaler_data):
            # the means and log standard deviations in the codes are replaced by those of a random
            # sequence for each code
            sample = scaler_data[linspace_indices(len(scaler_data), _MAX_SEQUENCES_FOR_STATISTICS)]
            with np.errstate(over="ignore", invalid="ignore"):  # refused later
                statistics = scaler.statistics(sample.convert_to_schema(schema))
            codes[:, -2 * num_columns :] = statistics[rng.integers(len(sample), size=num_codes)]
        std = codes.std(axis=0)
        std = np.where(std > 0, std, 1.0)
        # the mixture still describes codes of a single column: `Model.draw_codes` draws a code for
        # each column and joins them
        reference = ReferenceStatistics(codes, codes.mean(axis=0), std, mixture=reference.mixture)
    # not `replace`, because the result is no longer a `PretrainedModel`
    attributes: dict[str, Any] = {field.name: getattr(model, field.name) for field in fields(model)}
    attributes |= {
        "network": ColumnCurveNetwork(specification, model.network.arrays()),
        "schema": schema,
        "scaler": scaler,
        "error_scaler": Scaler.from_dict(error_scaler_state),
        "reference": reference,
    }
    return refold.Model(**attributes)


def keep_first_dims(model: "refold.Model", num_dims: int) -> "refold.Model":
    """Return a nested model whose codes have only the first learned dimensions."""
    specification, limit = model.specification, model.specification.for_single_curve.learned_dim
    if not specification.nested:
        raise ParameterError(
            f"{argument(dims=num_dims)} needs nested codes. Fit with {argument(nested=True)}."
        )
    if num_dims == limit:
        return model
    if not 1 <= num_dims < limit:
        raise ParameterError(
            f"The number of dimensions must be from 1 to {limit}, the learned ones. Got {num_dims}."
        )
    smaller, weights = truncate_latent_dim(specification, model.network.arrays(), num_dims)
    network_type = ColumnCurveNetwork if specification.is_curve_network else PackedNetwork
    network = network_type(smaller, weights)
    return without_calibration(
        replace(model, network=network),
        dropped_dims=list_truncated_dims(specification, num_dims),
        dropped_column_dims=np.arange(num_dims, limit),
    )


def without_calibration(
    model: "refold.Model",
    dropped_dims: Sequence[int] | np.ndarray = (),  # indices in the code of all columns
    dropped_column_dims: Sequence[int] | np.ndarray = (),  # the same dimensions, in one column
) -> "refold.Model":
    """Return a model without calibration, ROCKET statistics and the dropped code dimensions."""
    reference = model.reference
    if reference is not None:
        mixture, code_width = reference.mixture, reference.codes.shape[1]
        if mixture is not None:
            # The mixture of the pretrained model describes codes of one column. A mixture that was
            # fitted to data describes codes of all columns.
            has_all_columns = len(mixture.center) == code_width
            mixture_dims = dropped_dims if has_all_columns else dropped_column_dims
            means, center, scale, covariances = (
                np.delete(array, mixture_dims, axis=-1)
                for array in (mixture.means, mixture.center, mixture.scale, mixture.covariances)
            )
            # a covariance is a matrix, so its rows are dropped, too
            covariances = np.delete(covariances, mixture_dims, axis=1)
            mixture = Mixture(mixture.weights, means, covariances, center, scale)
        # `feature_mean` and `feature_std` have entries for the code, and then for ROCKET features
        codes, mean, std = (
            np.delete(array[..., :code_width], dropped_dims, axis=-1)
            for array in (reference.codes, reference.feature_mean, reference.feature_std)
        )
        reference = ReferenceStatistics(codes, mean, std, mixture=mixture)
    return replace(model, reference=reference, calibration=None, held_out_errors=None)


def join_column_codes(column_code_rows: np.ndarray, num_columns: int) -> np.ndarray:
    """Join codes of columns (n * num_columns, width) to codes (n, num_columns * width)."""
    # In `column_code_rows`, all columns of a sequence come one after another. The code of a
    # column ends with a mean and a log standard deviation. In the joined code, the means of all
    # columns come after all else, and the log standard deviations last.
    codes = column_code_rows.reshape(len(column_code_rows) // num_columns, num_columns, -1)
    parts = codes[..., :-2].reshape(len(codes), -1), codes[..., -2], codes[..., -1]
    return np.concatenate(parts, axis=1)
