"""PCA by cross-fitting, for data without a training split."""

import numpy as np

from refold._support.argument_checks import check_whole
from refold.errors import DataError
from refold.evaluation._pca import PCABaseline
from refold.sequences import Scaler, Sequences, as_sequences, positions


def pca_cross_fit(
    sequences: Sequences,
    latent_dim: int,
    scaler: Scaler | None = None,
    *,
    folds: int = 5,
    seed: int = 0,
    fit_on: np.ndarray | None = None,
) -> Sequences:
    """Reconstruct each sequence by PCA that was fitted on other sequences.

    The sequences are split into random folds. Each fold is reconstructed by components of the other
    folds, given the true lengths.

    Parameters
    ----------
    sequences : Sequences of shape (n_sequences,)
        At least 3.
    latent_dim : int
        Number of components; fewer if the other folds do not have as many.
    scaler : Scaler, optional
        With ``mode="features"``; by default fitted on the other folds.
    folds : int, default=5
        At least 2; at most one per sequence is used.
    seed : int, default=0
        Seed of the folds.
    fit_on : array of bool of shape (n_sequences,), optional
        Sequences on which components may be fitted; by default all.

    Returns
    -------
    Sequences of shape (n_sequences,)
        In the same order, with the same lengths and ids.

    Raises
    ------
    DataError
        If there are fewer than 3 sequences to fit on, or fewer than 2 of them are not empty.

    Examples
    --------
    >>> from refold.evaluation import nmse
    >>> waves = [np.sin(np.linspace(0, 6, 30) + shift) for shift in range(12)]
    >>> sequences = Sequences.from_list(waves)
    >>> scaler = Scaler.fit(sequences)
    >>> nmse(sequences, pca_cross_fit(sequences, 2, scaler), scaler) < 1e-6
    True
    """
    sequences = as_sequences(sequences)
    check_whole("latent_dim", latent_dim)
    check_whole("folds", folds, 2)
    if fit_on is None:
        fit_on = np.ones(len(sequences), bool)
    full = int((sequences.lengths[fit_on] > 0).sum())
    if fit_on.sum() < 3 or full < 2:
        raise DataError(
            "Cross-fitted PCA needs at least 3 sequences, 2 of them not empty. Got "
            f"{fit_on.sum()}, {full} of them not empty."
        )
    order = np.random.default_rng(seed).permutation(len(sequences))
    # those that can be fitted on come last, so that no fold gets all of them
    order = order[np.argsort((sequences.lengths > 0)[order] & fit_on[order], kind="stable")]
    fold = np.empty(len(order), int)
    fold[order] = np.arange(len(order)) % min(folds, len(order))
    row, _ = positions(sequences)
    values = np.empty(sequences.values.shape)
    for i in np.unique(fold):
        others = sequences[(fold != i) & fit_on]
        width = int(others.lengths.max()) * sequences.schema.output_width
        baseline = PCABaseline(min(latent_dim, len(others), width)).fit(others, scaler)
        values[fold[row] == i] = baseline.reconstruct(sequences[fold == i]).values
    return sequences.with_values(values)
