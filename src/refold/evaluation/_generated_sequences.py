"""Quality of generated sequences: a classifier two-sample test, unseen n-grams, and copies."""

from typing import NamedTuple

import numpy as np

from refold._support.optional_imports import check_training_packages
from refold.errors import DataError
from refold.evaluation._label_counts import label_counts
from refold.evaluation._ngrams import count_unseen
from refold.evaluation._pca import PCABaseline
from refold.sequences import Sequences, as_sequences, concatenate, fingerprints, sequence_moments

_MAX_SEQUENCES = 1000  # of each kind, real and generated
_MAX_VALUES = 1 << 24  # one-hot values of each kind, approximately
_MAX_REFERENCE = 10_000  # real sequences whose n-grams count as seen
_COMPONENTS = 32  # principal components among the classifier's features
_FOLDS, _TREES = 5, 200  # of the classifier and its cross-validation
_MIN_VERDICT = 50  # sequences of each kind for a verdict
# Verdicts by the highest classifier accuracy for which each holds.
_VERDICTS = (
    (0.6, "good, hard to distinguish from real ones"),
    (0.75, "fair, often distinguishable from real ones"),
    (1.0, "poor, easy to distinguish from real ones"),
)


class Comparison(NamedTuple):
    """Comparison of generated and real sequences.

    Attributes
    ----------
    two_sample_test : float
        Accuracy of a classifier that separates the two: 0.5 is chance.
    count : int
        Sequences of each kind that the classifier was given.
    unseen, unseen_real : array of shape (4,) or None
        Share of n-grams, for n = 2, 3, 4 and 5, that do not occur in the reference half of the real
        sequences: of the generated sequences and of the other real ones. None if all columns are
        numeric, or there are too few real sequences.
    """

    two_sample_test: float
    count: int
    unseen: np.ndarray | None = None
    unseen_real: np.ndarray | None = None

    @property
    def verdict(self) -> str:
        """Quality of the generated sequences, in words.

        Examples
        --------
        >>> Comparison(0.93, 200).verdict
        'poor, easy to distinguish from real ones'
        >>> Comparison(0.5, 12).verdict
        'none, at least 50 of each are needed (got 12)'
        """
        if self.count < _MIN_VERDICT:
            return f"none, at least {_MIN_VERDICT} of each are needed (got {self.count})"
        return next(words for most, words in _VERDICTS if self.two_sample_test <= most)


def compare(real: Sequences, generated: Sequences, *, seed: int = 0) -> Comparison:
    """Compare generated sequences with real ones, by a classifier and by n-grams of tokens.

    Parameters
    ----------
    real, generated : Sequences or list
        See `two_sample_test`.
    seed : int
        Seed of the draws, the folds and the forest.

    Returns
    -------
    Comparison

    Raises
    ------
    DataError
        If there are fewer than 5 of either.
    SchemaError
        If the columns differ.

    Examples
    --------
    >>> from refold.datasets import noisy_sines
    >>> compare(noisy_sines(60, seed=0), noisy_sines(60, seed=1)).count
    60
    """
    check_training_packages("A two-sample test")
    # not at the top, because a small installation has no scikit-learn
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    real = as_sequences(real)
    generated = as_sequences(generated, schema=real.schema)
    has_tokens = not real.schema.numeric.all()
    fewest = min(len(real), len(generated))
    if fewest < _FOLDS:
        raise DataError(
            f"At least {_FOLDS} real and {_FOLDS} generated sequences are needed for a two-sample "
            f"test. Got {len(real)} and {len(generated)}."
        )
    if has_tokens:
        fewest = min(fewest, max(_FOLDS, len(real) - len(real) // 2))
    longest = max(int(part.lengths.max(initial=1)) for part in (real, generated))
    most = _MAX_VALUES // max(1, longest * real.schema.output_width)
    count = max(_FOLDS, min(fewest, _MAX_SEQUENCES, most))
    rng = np.random.default_rng(seed)
    chosen = [np.sort(rng.choice(len(part), count, replace=False)) for part in (real, generated)]
    parts = [part[rows] for part, rows in zip((real, generated), chosen, strict=True)]
    both = concatenate([part.with_ids(np.arange(count)) for part in parts])
    features = [_features(both)]
    unseen: tuple[np.ndarray, ...] = ()
    rest = np.setdiff1d(np.arange(len(real)), chosen[0]) if has_tokens else np.arange(0)
    if len(rest):
        reference = real[np.sort(rng.permutation(rest)[:_MAX_REFERENCE])]
        new, total = count_unseen(both, reference)
        features.append((new / np.maximum(total, 1)).reshape(2 * count, -1))
        unseen = tuple(
            new[part].sum(axis=(0, 1)) / np.maximum(total[part].sum(axis=(0, 1)), 1)
            for part in (slice(count, None), slice(count))
        )
    labels = np.repeat([0, 1], count)
    forest = RandomForestClassifier(_TREES, random_state=seed)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    accuracy = cross_val_score(forest, np.concatenate(features, axis=1), labels, cv=folds).mean()
    return Comparison(float(accuracy), count, *unseen)


def two_sample_test(real: Sequences, generated: Sequences, *, seed: int = 0) -> float:
    """Cross-validated accuracy of a classifier that separates generated from real sequences [1]_.

    The classifier is a random forest. Its features are principal components, the length, and the
    mean and standard deviation of each column. For columns that are not numeric, it also gets
    category counts, their parity, the running differences between pairs of counts, and the share of
    n-grams that do not occur in one half of the real sequences. That half is not classified.

    Parameters
    ----------
    real, generated : Sequences or list
        With the same columns, at least 5 of each. Equally many of each are drawn at random, at most
        1000, fewer if the sequences are long or have many categories.
    seed : int
        Seed of the draws, the folds and the forest.

    Returns
    -------
    float
        0.5 is chance; 1 means that the two are easy to distinguish.

    Raises
    ------
    DataError
        If there are fewer than 5 of either.
    SchemaError
        If the columns differ.

    References
    ----------
    .. [1] D. Lopez-Paz and M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017.

    Examples
    --------
    >>> from refold.datasets import noisy_sines
    >>> a, b = noisy_sines(60, seed=0), noisy_sines(60, seed=1)
    >>> two_sample_test(a, b) < 0.8, two_sample_test(a, b.with_values(b.values + 9)) > 0.95
    (True, True)
    """
    return compare(real, generated, seed=seed).two_sample_test


def copies(generated: Sequences, training: Sequences) -> float:
    """Share of generated sequences that are exact copies of training sequences.

    Parameters
    ----------
    generated, training : Sequences or list
        With the same columns.

    Returns
    -------
    float
        Between 0 and 1; 0 if nothing was generated. Values are compared as float32.

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
    training = as_sequences(training)
    generated = as_sequences(generated, schema=training.schema)
    copied = np.isin(fingerprints(generated), fingerprints(training))
    return float(copied.mean()) if len(copied) else 0.0


def _features(sequences: Sequences) -> np.ndarray:
    steps = max(1, int(sequences.lengths.max(initial=0)))
    width = steps * sum(column.width for column in sequences.schema.columns)
    parts = [sequences.lengths[:, None].astype(float), label_counts(sequences)]
    if sequences.lengths.any():
        size = min(_COMPONENTS, len(sequences) - 1, width)
        parts.append(PCABaseline(size).fit(sequences).transform(sequences))
    mean, deviation = sequence_moments(sequences.values, sequences)
    return np.nan_to_num(np.concatenate([*parts, mean, deviation], axis=1))
