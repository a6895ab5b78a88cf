"""How good generated sequences are: can they be told from real ones, and are they only copies."""

from typing import NamedTuple

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score

from refold.errors import DataError
from refold.evaluation._label_counts import label_counts
from refold.evaluation._ngrams import count_unseen
from refold.evaluation._pca import PCABaseline
from refold.sequences import Sequences, concatenate, fingerprints, sequence_moments

__all__ = ["Comparison", "compare", "copies", "two_sample_test"]

# Sequences at most of either kind, components at most that they are described by, and folds.
_MOST, _COMPONENTS, _FOLDS = 1000, 32, 5
_MOST_VALUES = 1 << 24  # of one-hot arrays of either kind, about
_MOST_REFERENCE = 10_000  # real sequences whose n-grams are known
# Sequences of either kind from which there is a verdict, and the shares of right answers up to
# which it holds.
_FEWEST = 50
_VERDICTS = (
    (0.6, "good, hardly told from real ones"),
    (0.75, "fair, often told from real ones"),
    (1.0, "poor, easily told from real ones"),
)


class Comparison(NamedTuple):
    """How generated sequences compare with real ones.

    Attributes
    ----------
    two_sample_test : float
        Share of right answers of a classifier: 0.5 is chance.
    count : int
        Sequences of either kind that the classifier had.
    unseen, unseen_real : array of shape (4,) or None
        Share of n-grams, for n = 2, 3, 4 and 5, of generated and of other real sequences, that the
        reference half of the real sequences never has; None where no column holds symbols, or
        there are too few real sequences.
    """

    two_sample_test: float
    count: int
    unseen: np.ndarray | None = None
    unseen_real: np.ndarray | None = None

    @property
    def verdict(self) -> str:
        """Whether the sequences are good, in words.

        Examples
        --------
        >>> Comparison(0.93, 200).verdict
        'poor, easily told from real ones'
        >>> Comparison(0.5, 12).verdict
        'none, 12 of each are too few and 50 are enough'
        """
        if self.count < _FEWEST:
            return f"none, {self.count} of each are too few and {_FEWEST} are enough"
        return next(words for most, words in _VERDICTS if self.two_sample_test <= most)


def compare(real: Sequences, generated: Sequences, *, seed: int = 0) -> Comparison:
    """Compare generated sequences with real ones, by a classifier and by n-grams of symbols.

    Parameters
    ----------
    real, generated : Sequences
        As for `two_sample_test`.
    seed : int

    Returns
    -------
    Comparison

    Raises
    ------
    DataError
        If there are too few.
    SchemaError
        If the columns differ.

    Examples
    --------
    >>> from refold.datasets import noisy_sines
    >>> compare(noisy_sines(60, seed=0), noisy_sines(60, seed=1)).count
    60
    """
    generated = generated.align(real.schema)
    symbols = not real.schema.numeric.all()
    fewest = min(len(real), len(generated))
    if fewest < _FOLDS:
        raise DataError(
            f"At least {_FOLDS} real and {_FOLDS} generated sequences are needed to tell them "
            f"apart. Got {len(real)} and {len(generated)}."
        )
    if symbols:
        fewest = min(fewest, max(_FOLDS, len(real) - len(real) // 2))
    longest = max(int(part.lengths.max(initial=1)) for part in (real, generated))
    widest = _MOST_VALUES // max(1, longest * real.schema.output_width)
    count = max(_FOLDS, min(fewest, _MOST, widest))
    rng = np.random.default_rng(seed)
    chosen = [np.sort(rng.choice(len(part), count, replace=False)) for part in (real, generated)]
    parts = [part[rows] for part, rows in zip((real, generated), chosen, strict=True)]
    both = concatenate([part.with_ids(np.arange(count)) for part in parts])
    described = [_describe(both)]
    unseen: tuple[np.ndarray, ...] = ()
    rest = np.setdiff1d(np.arange(len(real)), chosen[0]) if symbols else np.arange(0)
    if len(rest):
        reference = real[np.sort(rng.permutation(rest)[:_MOST_REFERENCE])]
        found, total = count_unseen(both, reference)
        described.append((found / np.maximum(total, 1)).reshape(2 * count, -1))
        unseen = tuple(
            found[part].sum(axis=(0, 1)) / np.maximum(total[part].sum(axis=(0, 1)), 1)
            for part in (slice(count, None), slice(count))
        )
    labels = np.repeat([0, 1], count)
    forest = RandomForestClassifier(200, random_state=seed)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    told = cross_val_score(forest, np.concatenate(described, axis=1), labels, cv=folds).mean()
    return Comparison(float(told), count, *unseen)


def two_sample_test(real: Sequences, generated: Sequences, *, seed: int = 0) -> float:
    """How often a classifier tells generated sequences from real ones, cross-validated [1]_.

    A random forest, on principal components, lengths, and each column's mean and deviation in each
    sequence. Where there are symbols, it also reads counts of labels, their parity, how the counts
    of two labels differ on the way, and the share of n-grams that a half of the real sequences
    never has. That half is not compared itself.

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
    >>> two_sample_test(a, b) < 0.8, two_sample_test(a, b.with_values(b.values + 9)) > 0.95
    (True, True)
    """
    return compare(real, generated, seed=seed).two_sample_test


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
    parts = [sequences.lengths[:, None].astype(float), label_counts(sequences)]
    if sequences.lengths.any():
        size = min(_COMPONENTS, len(sequences) - 1, width)
        parts.append(PCABaseline(size).fit(sequences).transform(sequences))
    mean, deviation = sequence_moments(sequences.values, sequences)
    return np.nan_to_num(np.concatenate([*parts, mean, deviation], axis=1))
