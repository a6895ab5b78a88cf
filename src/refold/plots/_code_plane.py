"""Projection of codes onto two dimensions, by PCA or UMAP."""

from typing import Literal

import numpy as np

from refold._support.argument_checks import check_array
from refold._support.rules import check, one_of
from refold._support.umap_layout import umap_layout
from refold.errors import ParameterError


def code_plane(
    codes: np.ndarray, method: Literal["pca", "umap"] = "pca", *, seed: int = 0
) -> tuple[np.ndarray, tuple[str, str]]:
    """Return two coordinates per code, and the names of the axes.

    Parameters
    ----------
    codes : array of shape (n_sequences, latent_dim)
        Output of ``transform``.
    method : {"pca", "umap"}, default="pca"
        Two principal components, which preserve distances as well as a linear projection can, or
        UMAP [1]_ of the standardized codes, which preserves neighborhoods; its distances between
        groups have no meaning. UMAP needs the extra ``umap``. Codes with one or two dimensions are
        returned as they are.
    seed : int, default=0
        Seed of UMAP.

    Returns
    -------
    points : array of shape (n_sequences, 2)
    names : (str, str)
        Names of principal components include their share of the variance.

    Raises
    ------
    DataError
        If the codes are not a two-dimensional array of numbers.
    ParameterError
        If the codes are not finite, there are fewer than 5 for UMAP, or ``method`` is unknown.
    MissingExtraError
        If the extra ``umap`` is needed but not installed.

    References
    ----------
    .. [1] L. McInnes, J. Healy and J. Melville, "UMAP: Uniform Manifold Approximation and
       Projection for Dimension Reduction", 2018.

    Examples
    --------
    >>> points, names = code_plane(np.eye(4)[:, :3] * [3, 1, 1])
    >>> points.shape, names
    ((4, 2), ('component 1 (84%)', 'component 2 (12%)'))
    """
    codes = check_codes(codes)
    check("method", method, one_of("pca", "umap"))
    if codes.shape[1] == 1:
        return np.column_stack([codes[:, 0], np.zeros(len(codes))]), ("code", "")
    if codes.shape[1] == 2:
        return codes, ("code 0", "code 1")
    return _umap(codes, seed) if method == "umap" else _principal(codes)


def check_codes(codes: np.ndarray) -> np.ndarray:
    """Check that codes are finite numbers of shape (n_sequences, latent_dim)."""
    codes = check_array("codes", codes, ("n_sequences", "latent_dim")).astype(float)
    if 0 in codes.shape:
        raise ParameterError(
            f"codes must be an array of shape (n_sequences, latent_dim), not empty. "
            f"Got shape {codes.shape}."
        )
    if not np.isfinite(codes).all():
        row = int(np.flatnonzero(~np.isfinite(codes).all(axis=1))[0])
        raise ParameterError(f"codes must be finite. Row {row} is not.")
    return codes


def _principal(codes: np.ndarray) -> tuple[np.ndarray, tuple[str, str]]:
    centred = codes - codes.mean(axis=0)
    _, deviations, directions = np.linalg.svd(centred, full_matrices=False)
    share = deviations**2 / max(float((deviations**2).sum()), np.finfo(float).tiny)
    directions, share = directions[:2], [*share, 0.0][:2]
    if len(directions) < 2:  # a single code
        directions = np.vstack([directions, np.zeros_like(directions)])
    signs = np.sign(directions[np.arange(2), np.abs(directions).argmax(axis=1)])
    points = centred @ (directions * signs[:, None]).T
    first, second = (f"component {i} ({part:.0%})" for i, part in enumerate(share, start=1))
    return points, (first, second)


def _umap(codes: np.ndarray, seed: int) -> tuple[np.ndarray, tuple[str, str]]:
    spread = codes.std(axis=0)
    scaled = (codes - codes.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return umap_layout(scaled, seed=seed), ("UMAP 1", "UMAP 2")
