"""How much of a label vectors keep: a linear classifier on them, cross-validated."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from refold.errors import DataError

__all__ = ["Probe", "probe"]


class Probe(NamedTuple):
    """Accuracy of a linear classifier.

    Attributes
    ----------
    accuracy : float
        Mean over the folds.
    deviation : float
        Standard deviation over the folds.
    chance : float
        What the most frequent label gets.
    num_classes, num_folds : int
    """

    accuracy: float
    deviation: float
    chance: float
    num_classes: int
    num_folds: int


def probe(vectors: Any, labels: Any, *, folds: int = 5, seed: int = 0) -> Probe:
    """Measure how well a logistic regression tells labels by vectors, cross-validated [1]_.

    Parameters
    ----------
    vectors : array of shape (n_sequences, width)
        Standardised on the training part of each fold.
    labels : array of shape (n_sequences,)
    folds : int, default=5
        At most; fewer where the rarest label has fewer sequences.
    seed : int
        Draws the folds.

    Returns
    -------
    Probe

    Raises
    ------
    DataError
        If the numbers differ, there is one label only, or a label has one sequence only.

    References
    ----------
    .. [1] G. Alain and Y. Bengio, "Understanding intermediate layers using linear classifier
       probes", ICLR 2017 workshop.

    Examples
    --------
    >>> labels = np.arange(60) % 3
    >>> probe(np.eye(3)[labels] + 0.1, labels).accuracy
    1.0
    """
    vectors, labels = np.asarray(vectors, float), np.asarray(labels)
    if vectors.ndim != 2 or labels.shape != (len(vectors),):
        raise DataError(
            f"Expected vectors of shape (n, width) and n labels. Got {vectors.shape} and "
            f"{labels.shape}."
        )
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        only = f": {classes.tolist()[0]!r}" if len(classes) else ""
        raise DataError(f"There is but one label{only}. Telling apart takes at least two.")
    if counts.min() < 2:
        rarest = classes.tolist()[counts.argmin()]
        raise DataError(
            f"Label {rarest!r} has 1 sequence. Each needs at least 2, one to "
            "learn from and one to try."
        )
    num_folds = int(min(folds, counts.min()))
    split = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    found = cross_val_score(classifier, vectors, labels, cv=split)
    return Probe(
        float(found.mean()),
        float(found.std()),
        float(counts.max() / counts.sum()),
        len(classes),
        num_folds,
    )
