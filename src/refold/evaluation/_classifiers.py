"""Tests with classifiers: of generated sequences against real ones, and of labels from vectors.

`compare_generated` asks how well a classifier separates generated sequences from real ones.
`probe` asks how well a classifier predicts labels from codes or features.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from refold._support.arrays import check_array
from refold._support.messages import format_rounded
from refold._support.optional_imports import check_training_packages
from refold._support.rules import check_counts_match, check_integer
from refold.errors import DataError
from refold.evaluation._pca import PCABaseline
from refold.sequences import (
    Sequences,
    as_sequences,
    concatenate,
    fingerprints,
    sequence_mean_std,
    sum_by_sequence,
)

# Maximum number of real sequences, and of generated ones, that are classified. It limits the time.
_MAX_CLASSIFIED_SEQUENCES = 1000
# Maximum number of one-hot values of the real sequences, and of the generated ones, after padding.
# It limits the memory of the principal components to 128 MiB for each.
_MAX_ONE_HOT_VALUES = 1 << 24
# Maximum number of reference sequences, whose n-grams count as seen. It limits time and memory.
_MAX_REFERENCE_SEQUENCES = 10_000
# Maximum number of steps of the reference sequences after padding. It limits time and memory.
_MAX_REFERENCE_STEPS = 1 << 22
# Number of principal components among the features of the random forest. More components describe
# sequences better, and take more time.
_NUM_PRINCIPAL_COMPONENTS = 32
# A principal component is left out if its standard deviation, divided by the largest one, is at
# most this. Such a component holds only rounding errors. Rounding errors differ between decoded and
# real sequences, so the forest would use them to tell both apart.
_MIN_RELATIVE_COMPONENT_STD = 1e-5
# Number of folds of the cross-validation, and so the smallest number of sequences to compare.
_NUM_FOLDS = 5
# Number of trees of the random forest. More trees vary less with the seed, and take more time.
_NUM_TREES = 200
# Minimum number of real sequences, and of generated ones, for a verdict. With fewer sequences, the
# accuracy is mostly chance.
_MIN_SEQUENCES_FOR_VERDICT = 50
# The maximum accuracy at which each verdict holds, and the verdict, in ascending order.
_ACCURACY_VERDICTS = (
    (0.6, "good, hard to distinguish from real ones"),
    (0.75, "fair, often distinguishable from real ones"),
    (1.0, "poor, easy to distinguish from real ones"),
)
# Lengths of the n-grams of tokens that `compare_generated` counts.
_NGRAM_LENGTHS = (2, 3, 4, 5)
# Maximum number of categories of a column that are counted, the most frequent ones. It limits the
# number of features.
_MAX_COUNTED_CATEGORIES = 64
# Maximum number of categories of a column that are paired, the most frequent ones. It limits the
# number of features: twelve categories have 66 pairs, with three features each.
_MAX_PAIRED_CATEGORIES = 12


class GenerationQuality(NamedTuple):
    """Comparison of generated and real sequences.

    Attributes
    ----------
    two_sample_test : float
        Cross-validated accuracy of a classifier that separates the two: 0.5 is chance, and 1 means
        that they are easy to distinguish.
    count : int
        Number of real sequences, and of generated ones, that were classified.
    unseen, unseen_real : array of shape (4,) or None
        Share of the n-grams of the generated sequences, and of the classified real sequences, that
        do not occur in the reference: the real sequences that are not classified. One share each
        for n = 2, 3, 4 and 5. None if all columns are numeric or there are too few real sequences.
    """

    two_sample_test: float
    count: int
    unseen: np.ndarray | None = None
    unseen_real: np.ndarray | None = None

    def __repr__(self) -> str:
        accuracy = format_rounded(self.two_sample_test)
        return f"GenerationQuality(two-sample test {accuracy}, verdict: {self.verdict})"

    @property
    def verdict(self) -> str:
        """Quality of the generated sequences, in words."""
        if self.count < _MIN_SEQUENCES_FOR_VERDICT:
            minimum = f"at least {_MIN_SEQUENCES_FOR_VERDICT} of each are needed"
            return f"none, {minimum} (got {self.count})"
        accuracy = self.two_sample_test
        return next(text for max_accuracy, text in _ACCURACY_VERDICTS if accuracy <= max_accuracy)

    def to_table(self) -> pa.Table:
        """Return one row: the fields and ``verdict``. The shares of unseen n-grams are lists."""
        test, count, *unseen = self
        lists = [pa.array([x if x is None else x.tolist()], pa.list_(pa.float64())) for x in unseen]
        names = "two_sample_test", "count", "verdict", "unseen", "unseen_real"
        return pa.table([[test], [count], [self.verdict], *lists], names)


def compare_generated(real: Sequences, generated: Sequences, *, seed: int = 0) -> GenerationQuality:
    """Compare generated sequences with real ones, by a classifier [1]_ and by n-grams of tokens.

    The classifier is a random forest. Its features are principal components, the length, and the
    mean and standard deviation of each column. For columns that are not numeric, it also gets
    category counts, their parity, the running differences between pairs of counts, and the share of
    n-grams that do not occur in one half of the real sequences. This half is not classified.

    Parameters
    ----------
    real, generated : Sequences or list
        With the same columns, at least 5 of each. The same number of each is drawn at random: at
        most 1000, and fewer if the sequences are long or have many categories.
    seed : int
        Seed of the draws, the folds and the forest.

    References
    ----------
    .. [1] D. Lopez-Paz and M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017.

    Examples
    --------
    >>> from refold.datasets import noisy_sines
    >>> a, b = noisy_sines(60, seed=0), noisy_sines(60, seed=1)
    >>> tests = [compare_generated(a, new) for new in (b, b.with_values(b.values + 9))]
    >>> tests[0].two_sample_test < 0.8, tests[1].two_sample_test > 0.95
    (True, True)
    """
    check_training_packages("A two-sample test")
    # not at the top, because a small installation has no scikit-learn
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    real = as_sequences(real)
    generated = as_sequences(generated, schema=real.schema)
    has_tokens = not real.schema.numeric.all()
    max_count = min(len(real), len(generated))
    if max_count < _NUM_FOLDS:
        raise DataError(
            f"At least {_NUM_FOLDS} real and {_NUM_FOLDS} generated sequences are needed for a "
            f"two-sample test. Got {len(real)} and {len(generated)}."
        )
    if has_tokens:  # half of the real sequences are the reference for n-grams, and not classified
        max_count = min(max_count, max(_NUM_FOLDS, len(real) - len(real) // 2))
    max_steps = max(int(sequences.lengths.max(initial=1)) for sequences in (real, generated))
    max_in_memory = _MAX_ONE_HOT_VALUES // max(1, max_steps * real.schema.output_width)
    # number of real sequences, and of generated ones, that are classified
    count = max(_NUM_FOLDS, min(max_count, _MAX_CLASSIFIED_SEQUENCES, max_in_memory))
    rng = np.random.default_rng(seed)
    real_indices, generated_indices = (
        np.sort(rng.choice(len(sequences), count, replace=False)) for sequences in (real, generated)
    )
    ids = np.arange(count)  # numbers replace the ids, which are not needed
    # the first half is real, and the second half is generated
    sequences = concatenate(
        [real[real_indices].with_ids(ids), generated[generated_indices].with_ids(ids)]
    )
    features = [_compute_classifier_features(sequences)]
    unseen_shares: list[np.ndarray] = []  # of the generated sequences, and then of the real ones
    unclassified_indices = np.setdiff1d(np.arange(len(real)), real_indices)
    if has_tokens and len(unclassified_indices):
        max_reference = min(_MAX_REFERENCE_SEQUENCES, max(1, _MAX_REFERENCE_STEPS // max_steps))
        reference = real[np.sort(rng.permutation(unclassified_indices)[:max_reference])]
        # each (2 * count, number of token columns, number of n-gram lengths)
        num_unseen, num_ngrams = _count_unseen_and_all_ngrams(sequences, reference)
        features.append((num_unseen / np.maximum(num_ngrams, 1)).reshape(2 * count, -1))
        # the generated half first, then the real half; all sequences and columns of a half together
        for half in (slice(count, None), slice(count)):
            num_unseen_in_half, num_in_half = (
                counts[half].sum(axis=(0, 1)) for counts in (num_unseen, num_ngrams)
            )
            unseen_shares.append(num_unseen_in_half / np.maximum(num_in_half, 1))
    labels = np.repeat([0, 1], count)
    forest = RandomForestClassifier(_NUM_TREES, random_state=seed)
    folds = StratifiedKFold(_NUM_FOLDS, shuffle=True, random_state=seed)
    accuracy = cross_val_score(forest, np.concatenate(features, axis=1), labels, cv=folds).mean()
    return GenerationQuality(float(accuracy), count, *unseen_shares)


def copied_share(generated: Sequences, training: Sequences) -> float:
    """Return the share of generated sequences that are exact copies of training sequences.

    Both are `Sequences` or lists with the same columns. Values are compared as float32.

    Examples
    --------
    >>> words = Sequences.from_list(["on", "in", "no"])
    >>> copied_share(Sequences.from_list(["on", "ion"], schema=words.schema), words)
    0.5
    """
    training = as_sequences(training)
    generated = as_sequences(generated, schema=training.schema)
    copied = np.isin(fingerprints(generated), fingerprints(training))
    return float(copied.mean()) if len(copied) else 0.0


def _compute_classifier_features(sequences: Sequences) -> np.ndarray:
    """Return the features (n_sequences, n_features) of sequences for the random forest."""
    features = [sequences.lengths[:, None].astype(float)]
    for values in sequences.values[:, ~sequences.schema.numeric].T:
        # the count of each frequent category, and whether it is odd
        categories, frequencies = np.unique(values[~np.isnan(values)], return_counts=True)
        most_frequent = np.argsort(-frequencies, kind="stable")[:_MAX_COUNTED_CATEGORIES]
        categories = categories[most_frequent]
        counts = sum_by_sequence(values[:, None] == categories, sequences)
        features += [counts, counts % 2]
        # For each pair of frequent categories, the difference of the two counts up to each step is
        # a series. Its last value, minimum and maximum are three more features. They show, for
        # example, whether brackets are balanced. N-grams cannot.
        for a, b in combinations(categories[:_MAX_PAIRED_CATEGORIES], 2):
            changes = (values == a).astype(np.int64) - (values == b)
            # A 0 is inserted before each sequence. There, the cumulative sum is the sum over all
            # earlier sequences.
            differences = np.cumsum(np.insert(changes, sequences.offsets[:-1], 0))
            # indices of the inserted steps: each earlier sequence has one step more
            first = sequences.offsets[:-1] + np.arange(len(sequences))
            last = first + sequences.lengths
            minima, maxima = (f.reduceat(differences, first) for f in (np.minimum, np.maximum))
            pooled = np.stack([differences[last], minima, maxima], axis=1)
            # without the sum of earlier sequences, each series begins at 0
            features.append(pooled - differences[first][:, None])
    if sequences.lengths.any():
        num_padded_values = int(sequences.lengths.max()) * sequences.schema.output_width
        # n centered sequences have n - 1 components at most
        num_components = min(_NUM_PRINCIPAL_COMPONENTS, len(sequences) - 1, num_padded_values)
        components = PCABaseline(num_components).fit(sequences).transform(sequences)
        std = components.std(axis=0)
        features.append(components[:, std > _MIN_RELATIVE_COMPONENT_STD * std.max()])
    features += sequence_mean_std(sequences.values, sequences)
    return np.nan_to_num(np.concatenate(features, axis=1))


def _count_unseen_and_all_ngrams(
    sequences: Sequences, reference_sequences: Sequences
) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of n-grams that are not in the reference, and the number of all n-grams."""
    # both have the shape (n_sequences, number of token columns, number of n-gram lengths)
    token_columns = np.flatnonzero(~sequences.schema.numeric).tolist()
    num_unseen = np.zeros((len(sequences), len(token_columns), len(_NGRAM_LENGTHS)), np.int64)
    num_ngrams = np.zeros_like(num_unseen)
    for i, column_index in enumerate(token_columns):
        for j, n in enumerate(_NGRAM_LENGTHS):
            seen = set().union(*_iterate_ngrams(reference_sequences, column_index, n))
            for row, ngrams in enumerate(_iterate_ngrams(sequences, column_index, n)):
                num_ngrams[row, i, j] = len(ngrams)
                num_unseen[row, i, j] = sum(ngram not in seen for ngram in ngrams)
    return num_unseen, num_ngrams


def _iterate_ngrams(sequences: Sequences, column_index: int, n: int) -> Iterator[list[Any]]:
    """Yield the n-grams of a column for each sequence; its start and its end count as tokens."""
    values = sequences.values[:, column_index]
    # -1 for missing tokens, which count as equal, because NaN does not equal itself
    tokens = np.where(np.isnan(values), -1, values).astype(int).tolist()
    for begin, end in pairwise(sequences.offsets.tolist()):
        with_ends = ["start", *tokens[begin:end], "end"]
        # not strict, because each shift has one token less than the shift before
        yield list(zip(*(with_ends[shift:] for shift in range(n)), strict=False))


@dataclass(frozen=True)
class Probe:
    """Accuracy of a linear classifier that predicts labels from vectors.

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
            f"Probe(accuracy {format_rounded(self.accuracy)} ± {format_rounded(self.deviation)}, "
            f"chance {format_rounded(self.chance)}, {self.num_classes} classes, "
            f"{self.num_folds} folds)"
        )

    def to_table(self) -> pa.Table:
        """Return one row with the fields."""
        return pa.Table.from_pylist([asdict(self)])


def probe(vectors: ArrayLike, labels: ArrayLike, *, folds: int = 5, seed: int = 0) -> Probe:
    """Cross-validate a logistic regression that predicts labels from vectors [1]_.

    Parameters
    ----------
    vectors : array of shape (n_sequences, width)
        Codes or other features. Each fold standardizes them on its training vectors.
    labels : array of shape (n_sequences,)
        Two labels at least, and two sequences for each.
    folds : int, default=5
        Maximum number of folds. There are fewer if the rarest label has fewer sequences.
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
    check_counts_match(len(labels), "labels", len(vectors), "vectors")
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        label = f": {classes.tolist()[0]!r}" if len(classes) else ""
        raise DataError(f"There is only one label{label}. A classifier needs at least two.")
    if counts.min() < 2:
        rarest = classes.tolist()[counts.argmin()]
        raise DataError(
            f"Label {rarest!r} has 1 sequence. Each needs at least 2, one for training and one for "
            "testing."
        )
    num_folds = int(min(check_integer("folds", folds, minimum=2), counts.min()))
    stratified_folds = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    accuracies = cross_val_score(classifier, vectors, labels, cv=stratified_folds)
    return Probe(
        accuracy=float(accuracies.mean()),
        deviation=float(accuracies.std()),
        chance=float(counts.max() / counts.sum()),
        num_classes=len(classes),
        num_folds=num_folds,
    )
