"""How good generated sequences are: can they be told from real ones, and are they only copies."""

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score

from refold.errors import DataError
from refold.evaluation._pca import PCABaseline
from refold.sequences import Sequences, concatenate, fingerprints, sequence_moments

__all__ = ["copies", "told_apart"]

# Sequences at most of either kind, components at most that they are described by, and folds.
_MOST, _COMPONENTS, _FOLDS = 1000, 32, 5
_MOST_VALUES = 1 << 24  # of one-hot arrays of either kind, about


def told_apart(real: Sequences, generated: Sequences, *, seed: int = 0) -> float:
    """How often a classifier tells generated sequences from real ones, cross-validated [1]_.

    A random forest, on principal components, lengths, and each column's mean and deviation in each
    sequence.

    Parameters
    ----------
    real, generated : Sequences
        With the same columns, at least 5 of each. Of the more numerous, as many are taken at random
        as there are of the other, and a thousand of each at most, fewer where sequences are long or
        labels many.
    seed : int

    Returns
    -------
    float
        Share of right answers: 0.5 is chance, 1 means that they are easily told apart.

    Raises
    ------
    DataError
        If there are too few.
    SchemaError
        If the columns differ.

    References
    ----------
    .. [1] D. Lopez-Paz and M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017.

    Examples
    --------
    >>> from refold.datasets import noisy_sines
    >>> a, b = noisy_sines(60, seed=0), noisy_sines(60, seed=1)
    >>> told_apart(a, b) < 0.8, told_apart(a, b.with_values(b.values + 9)) > 0.95
    (True, True)
    """
    generated = generated.align(real.schema)
    count = min(len(real), len(generated), _MOST)
    if count < _FOLDS:
        raise DataError(
            f"At least {_FOLDS} real and {_FOLDS} generated sequences are needed to tell them "
            f"apart. Got {len(real)} and {len(generated)}."
        )
    longest = max(int(part.lengths.max(initial=1)) for part in (real, generated))
    widest = _MOST_VALUES // max(1, longest * real.schema.output_width)
    count = max(_FOLDS, min(count, widest))
    rng = np.random.default_rng(seed)
    parts = [
        part[np.sort(rng.choice(len(part), count, replace=False))] for part in (real, generated)
    ]
    both = concatenate([part.with_ids(np.arange(count)) for part in parts])
    labels = np.repeat([0, 1], count)
    forest = RandomForestClassifier(200, random_state=seed)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    return float(cross_val_score(forest, _describe(both), labels, cv=folds).mean())


def copies(generated: Sequences, training: Sequences) -> float:
    """Share of generated sequences that are in the training data, value by value.

    Parameters
    ----------
    generated, training : Sequences
        With the same columns.

    Returns
    -------
    float
        Between 0 and 1; 0 where nothing was generated. Numbers are compared as float32.

    Raises
    ------
    SchemaError
        If the columns differ.

    Examples
    --------
    >>> words = Sequences.from_list(["on", "in", "no"])
    >>> copies(Sequences.from_list(["on", "ion"], schema=words.schema), words)
    0.5
    """
    found = np.isin(fingerprints(generated.align(training.schema)), fingerprints(training))
    return float(found.mean()) if len(found) else 0.0


def _describe(sequences: Sequences) -> np.ndarray:
    steps = max(1, int(sequences.lengths.max(initial=0)))
    width = steps * sum(column.width for column in sequences.schema.columns)
    parts = [sequences.lengths[:, None].astype(float)]
    if sequences.lengths.any():
        size = min(_COMPONENTS, len(sequences) - 1, width)
        parts.append(PCABaseline(size).fit(sequences).transform(sequences))
    mean, deviation = sequence_moments(sequences.values, sequences)
    return np.nan_to_num(np.concatenate([*parts, mean, deviation], axis=1))
