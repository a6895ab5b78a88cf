"""What classifiers tell: generated sequences from real ones, and labels from vectors."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from refold._support.arrays import check_array
from refold._support.optional_imports import check_training_packages
from refold._support.output import short_number
from refold._support.rules import check_one_each, check_whole
from refold.errors import DataError
from refold.evaluation._pca import PCABaseline
from refold.sequences import (
    Sequences,
    as_sequences,
    concatenate,
    fingerprints,
    sequence_moments,
    sums_by_sequence,
)

_MAX_SEQUENCES = 1000  # of each kind, real and generated
_MAX_VALUES = 1 << 24  # one-hot values of each kind, approximately
# Real sequences whose n-grams count as seen, and their steps.
_MAX_REFERENCE, _MAX_REFERENCE_STEPS = 10_000, 1 << 22
_COMPONENTS = 32  # principal components among the classifier's features
_FOLDS, _TREES = 5, 200  # of the classifier and its cross-validation
_MIN_VERDICT = 50  # sequences of each kind for a verdict
# Verdicts by the highest classifier accuracy for which each holds.
_VERDICTS = (
    (0.6, "good, hard to distinguish from real ones"),
    (0.75, "fair, often distinguishable from real ones"),
    (1.0, "poor, easy to distinguish from real ones"),
)
NGRAM_SIZES = (2, 3, 4, 5)  # of the n-grams of tokens that `compare` counts
_COUNTED = 64  # most frequent categories of a column that are counted
_PAIRED = 12  # most frequent categories of a column whose pairs are compared


class Comparison(NamedTuple):
    """Comparison of generated and real sequences.

    Attributes
    ----------
    two_sample_test : float
        Cross-validated accuracy of a classifier that separates the two: 0.5 is chance, and 1 means
        that they are easy to distinguish.
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

    def __repr__(self) -> str:
        accuracy = short_number(self.two_sample_test)
        return f"Comparison(two-sample test {accuracy}, verdict: {self.verdict})"

    @property
    def verdict(self) -> str:
        """Quality of the generated sequences, in words."""
        if self.count < _MIN_VERDICT:
            return f"none, at least {_MIN_VERDICT} of each are needed (got {self.count})"
        return next(words for most, words in _VERDICTS if self.two_sample_test <= most)

    def to_table(self) -> pa.Table:
        """Return one row: the fields, of which n-grams are lists, and ``verdict``."""
        test, count, *unseen = self
        lists = [pa.array([x if x is None else x.tolist()], pa.list_(pa.float64())) for x in unseen]
        names = "two_sample_test", "count", "verdict", "unseen", "unseen_real"
        return pa.table([[test], [count], [self.verdict], *lists], names)


def compare(real: Sequences, generated: Sequences, *, seed: int = 0) -> Comparison:
    """Compare generated sequences with real ones, by a classifier [1]_ and by n-grams of tokens.

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

    References
    ----------
    .. [1] D. Lopez-Paz and M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017.

    Examples
    --------
    >>> from refold.datasets import noisy_sines
    >>> a, b = noisy_sines(60, seed=0), noisy_sines(60, seed=1)
    >>> far = b.with_values(b.values + 9)
    >>> compare(a, b).two_sample_test < 0.8, compare(a, far).two_sample_test > 0.95
    (True, True)
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
    draws = [np.sort(rng.choice(len(part), count, replace=False)) for part in (real, generated)]
    parts = [
        part[rows].with_ids(np.arange(count))
        for part, rows in zip((real, generated), draws, strict=True)
    ]
    both = concatenate(parts)
    features = [_features(both)]
    unseen: tuple[np.ndarray, ...] = ()
    rest = np.setdiff1d(np.arange(len(real)), draws[0]) if has_tokens else np.arange(0)
    if len(rest):
        most = min(_MAX_REFERENCE, max(1, _MAX_REFERENCE_STEPS // longest))
        reference = real[np.sort(rng.permutation(rest)[:most])]
        new, total = _count_unseen(both, reference)
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


def copies(generated: Sequences, training: Sequences) -> float:
    """Share of generated sequences that are exact copies of training sequences, from 0 to 1.

    Both are `Sequences` or lists with the same columns. Values are compared as float32.

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
    parts = [sequences.lengths[:, None].astype(float), _label_counts(sequences)]
    if sequences.lengths.any():
        size = min(_COMPONENTS, len(sequences) - 1, width)
        parts.append(PCABaseline(size).fit(sequences).transform(sequences))
    mean, deviation = sequence_moments(sequences.values, sequences)
    return np.nan_to_num(np.concatenate([*parts, mean, deviation], axis=1))


def _count_unseen(sequences: Sequences, reference: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Count n-grams that are not in the reference, and all, of each sequence and token column."""
    columns = np.flatnonzero(~reference.schema.numeric).tolist()
    # The results have the shape (n_sequences, n_token_columns, n_sizes).
    unseen = np.zeros((len(sequences), len(columns), len(NGRAM_SIZES)), np.int64)
    total = np.zeros_like(unseen)
    for i, column in enumerate(columns):
        for j, size in enumerate(NGRAM_SIZES):
            known = {ngram for ngrams in _ngrams(reference, column, size) for ngram in ngrams}
            for row, ngrams in enumerate(_ngrams(sequences, column, size)):
                total[row, i, j] = len(ngrams)
                unseen[row, i, j] = sum(ngram not in known for ngram in ngrams)
    return unseen, total


def _ngrams(sequences: Sequences, column: int, size: int) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the n-grams of each sequence; its start and its end count as tokens."""
    values = sequences.values[:, column]
    # NaN does not equal itself, and missing tokens shall be equal
    tokens = np.where(np.isnan(values), -1, values).astype(int).tolist()
    for begin, end in pairwise(sequences.offsets.tolist()):
        bounded = ["start", *tokens[begin:end], "end"]
        yield list(zip(*(bounded[i:] for i in range(size)), strict=False))


def _label_counts(sequences: Sequences) -> np.ndarray:
    """Return features of the categories in each sequence, float (n_sequences, n_features)."""
    # The counts of the most frequent categories, the parity of each, and for pairs of categories
    # the running difference of the two counts: its last value, its minimum and its maximum. They
    # show, for example, whether brackets are balanced, which n-grams cannot.
    parts = [np.zeros((len(sequences), 0))]
    for values in sequences.values[:, ~sequences.schema.numeric].T:
        categories, frequency = np.unique(values[~np.isnan(values)], return_counts=True)
        categories = categories[np.argsort(-frequency, kind="stable")[:_COUNTED]]
        counts = sums_by_sequence(values[:, None] == categories, sequences)
        parts += [counts, counts % 2]
        for a, b in combinations(categories[:_PAIRED], 2):
            steps = (values == a).astype(np.int64) - (values == b)
            parts.append(_running(np.cumsum(steps), sequences))
    return np.concatenate(parts, axis=1)


def _running(sums: np.ndarray, sequences: Sequences) -> np.ndarray:
    """Return last value, minimum and maximum of sums that begin at 0 in each sequence."""
    result = np.zeros((len(sequences), 3))
    full = sequences.lengths > 0
    if full.any():
        starts, ends = sequences.offsets[:-1][full], sequences.offsets[1:][full]
        before = np.where(starts > 0, sums[starts - 1], 0)
        result[full, 0] = sums[ends - 1] - before
        result[full, 1] = np.minimum(np.minimum.reduceat(sums, starts) - before, 0)
        result[full, 2] = np.maximum(np.maximum.reduceat(sums, starts) - before, 0)
    return result


# Labels from vectors


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

    def __repr__(self) -> str:
        return (
            f"Probe(accuracy {short_number(self.accuracy)} ± {short_number(self.deviation)}, "
            f"chance {short_number(self.chance)}, {self.num_classes} classes, "
            f"{self.num_folds} folds)"
        )

    def to_table(self) -> pa.Table:
        """Return one row with the fields."""
        return pa.Table.from_pylist([asdict(self)])


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
