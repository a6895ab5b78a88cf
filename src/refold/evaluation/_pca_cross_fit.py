"""PCA of sequences that it has not seen, where there is no training split to fit it on."""

import numpy as np

from refold.errors import DataError, ParameterError
from refold.evaluation._pca import PCABaseline
from refold.sequences import Scaler, Sequences, positions

__all__ = ["pca_cross_fit"]


def pca_cross_fit(
    sequences: Sequences,
    latent_dim: int,
    scaler: Scaler | None = None,
    *,
    folds: int = 5,
    seed: int = 0,
    fit_on: np.ndarray | None = None,
) -> Sequences:
    """Reconstruct sequences by PCA that was fitted on others of them.

    They are cut into folds at random; each fold is reconstructed by components of the other ones,
    told the lengths.

    Parameters
    ----------
    sequences : Sequences of shape (n_sequences,)
        At least 3.
    latent_dim : int
        Number of components; fewer where the other folds have no more.
    scaler : Scaler, optional
        Units, with ``mode="features"``; by default those of the other folds.
    folds : int, default=5
        At least 2; where there are fewer sequences, as many as these.
    seed : int, default=0
        Draws the folds.
    fit_on : array of bool of shape (n_sequences,), optional
        Sequences that components may be fitted on; by default all.

    Returns
    -------
    Sequences of shape (n_sequences,)
        In the same order, of the same lengths and ids.

    Raises
    ------
    DataError
        If there are fewer than 3 sequences to fit on, or fewer than 2 of them have a step.
    ParameterError
        If ``folds`` is below 2.

    Examples
    --------
    >>> from refold.evaluation import nmse
    >>> waves = [np.sin(np.linspace(0, 6, 30) + shift) for shift in range(12)]
    >>> sequences = Sequences.from_list(waves)
    >>> scaler = Scaler.fit(sequences)
    >>> nmse(sequences, pca_cross_fit(sequences, 2, scaler), scaler) < 1e-6
    True
    """
    if folds < 2:
        raise ParameterError(f"folds must be at least 2. Got {folds!r}.")
    if fit_on is None:
        fit_on = np.ones(len(sequences), bool)
    full = int((sequences.lengths[fit_on] > 0).sum())
    if fit_on.sum() < 3 or full < 2:
        raise DataError(
            "PCA of other sequences needs at least 3 sequences, 2 of them with a step. Got "
            f"{fit_on.sum()}, {full} of them with a step."
        )
    order = np.random.default_rng(seed).permutation(len(sequences))
    # those with a step that are fitted on last, so that no fold has all of them
    order = order[np.argsort((sequences.lengths > 0)[order] & fit_on[order], kind="stable")]
    fold = np.empty(len(order), int)
    fold[order] = np.arange(len(order)) % min(folds, len(order))
    row, _ = positions(sequences)
    values = np.empty(sequences.values.shape)
    for one in np.unique(fold):
        others = sequences[(fold != one) & fit_on]
        width = int(others.lengths.max()) * sequences.schema.output_width
        baseline = PCABaseline(min(latent_dim, len(others), width)).fit(others, scaler)
        values[fold[row] == one] = baseline.reconstruct(sequences[fold == one]).values
    return sequences.with_values(values)
