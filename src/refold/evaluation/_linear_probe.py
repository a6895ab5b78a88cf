"""Linear probe: cross-validated accuracy of a linear classifier on vectors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from refold._support.arrays import check_array
from refold._support.optional_imports import check_training_packages
from refold._support.rules import check_one_each, check_whole
from refold.errors import DataError


@dataclass(frozen=True)
class Probe:
    """Accuracy of a linear classifier.

    Attributes
    ----------
    accuracy : float
        Mean over the folds.
    deviation : float
        Standard deviation over the folds.
    chance : float
        Accuracy of always predicting the most frequent label.
    num_classes, num_folds : int
        Number of different labels, and of folds.

    Examples
    --------
    >>> labels = np.arange(60) % 3
    >>> probe(np.eye(3)[labels] + 0.1, labels).num_classes
    3
    """

    accuracy: float
    deviation: float
    chance: float
    num_classes: int
    num_folds: int


def probe(vectors: ArrayLike, labels: ArrayLike, *, folds: int = 5, seed: int = 0) -> Probe:
    """Cross-validated accuracy of a logistic regression that predicts labels from vectors [1]_.

    Parameters
    ----------
    vectors : array of shape (n_sequences, width)
        They are standardized on the training part of each fold.
    labels : array of shape (n_sequences,)
        Two labels at least, and two sequences for each.
    folds : int, default=5
        Maximum number; fewer if the rarest label has fewer sequences.
    seed : int
        Seed of the folds.

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
    check_training_packages("A linear probe")
    # not at the top, because a small installation has no scikit-learn
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    vectors, labels = check_array("vectors", vectors, ("n", "width")), np.ravel(labels)
    check_one_each(len(labels), "labels", len(vectors), "vectors")
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        only = f": {classes.tolist()[0]!r}" if len(classes) else ""
        raise DataError(f"There is only one label{only}. A classifier needs at least two.")
    if counts.min() < 2:
        rarest = classes.tolist()[counts.argmin()]
        raise DataError(
            f"Label {rarest!r} has 1 sequence. Each needs at least 2, one for training and one for "
            "testing."
        )
    num_folds = int(min(check_whole("folds", folds, 2), counts.min()))
    split = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    accuracies = cross_val_score(classifier, vectors, labels, cv=split)
    return Probe(
        float(accuracies.mean()),
        float(accuracies.std()),
        float(counts.max() / counts.sum()),
        len(classes),
        num_folds,
    )
