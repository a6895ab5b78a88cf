"""Vectors that distances are measured on: codes, or features of the sequences they decode to."""

from typing import Any

import numpy as np
import pyarrow as pa

from refold.errors import DataError, ParameterError, argument
from refold.inference import check_codes
from refold.sequences import codes_from_arrow, codes_to_arrow

DISTANCES = ("features", "code")
# Principal axes of features, or as many as a code has dimensions if these are more.
_AXES = 32


def check_distance(distance: str) -> str:
    """Check the name of a distance."""
    if distance not in DISTANCES:
        raise ParameterError(
            f"{argument('distance')} must be 'features' or 'code'. Got {distance!r}."
        )
    return distance


def fit_projection(model: Any) -> np.ndarray:
    """Return the principal axes of the features of training sequences, a column each.

    There are 32, or as many as a code has dimensions if these are more, and fewer if the model
    knows fewer sequences.

    Parameters
    ----------
    model : SequenceAutoencoder

    Returns
    -------
    array of float32 of shape (n_features, n_axes)
    """
    features = model.features(model._known().codes).astype(float)
    features -= features.mean(axis=0)
    # the sequences are fewer than the features
    values, vectors = np.linalg.eigh(features @ features.T)
    most = max(_AXES, len(model.get_feature_names_out()))
    width = min(most, int((values > 1e-9 * values[-1]).sum()))
    axes = features.T @ vectors[:, ::-1][:, : max(1, width)]
    return (axes / np.maximum(np.linalg.norm(axes, axis=0), 1e-12)).astype(np.float32)


def to_table(projection: np.ndarray) -> pa.Table:
    """Return a projection as a table, one axis per row."""
    return codes_to_arrow(np.ascontiguousarray(projection.T), np.arange(projection.shape[1]))


def from_table(table: pa.Table) -> np.ndarray:
    """Return the projection that `to_table` stored."""
    axes, order = codes_from_arrow(table, "id")
    return np.ascontiguousarray(axes[np.argsort(order)].T)


def vectors_of(model: Any, codes: np.ndarray, projection: np.ndarray | None) -> np.ndarray:
    """Return the vectors of codes; the codes themselves without a projection."""
    if projection is None:
        return codes
    return np.ascontiguousarray(model.features(codes) @ projection)


def codes_of(model: Any, X: Any, codes: Any, ids: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return codes and ids of sequences, or of codes."""
    if (X is None) == (codes is None):
        raise ParameterError("Pass sequences or codes, and only one of them.")
    if codes is None:
        blocks = list(model.encode_blocks(X))
        codes = np.concatenate([one for one, _ in blocks])
        ids = np.concatenate([one for _, one in blocks]) if ids is None else ids
    codes = check_codes(codes, len(model.get_feature_names_out()))
    ids = np.arange(len(codes)) if ids is None else np.asarray(ids)
    if ids.shape != (len(codes),):
        raise DataError(
            f"Got ids of shape {ids.shape} for {len(codes)} codes. Pass one id per code."
        )
    return codes, ids
