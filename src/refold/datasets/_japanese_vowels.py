"""Loader of the JapaneseVowels data set; ``data/SOURCE.md`` has the licence."""

from importlib.resources import files
from io import BytesIO
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from refold.sequences import Sequences, as_sequences


class JapaneseVowels(NamedTuple):
    """The two splits of JapaneseVowels with their labels.

    Attributes
    ----------
    train, test : Sequences
        270 utterances, 30 per speaker, and 370 utterances.
    train_labels, test_labels : array of shape (n_sequences,), int64
        The speaker of each utterance, 1 to 9.
    """

    train: Sequences
    test: Sequences
    train_labels: np.ndarray
    test_labels: np.ndarray


def japanese_vowels() -> JapaneseVowels:
    """Load JapaneseVowels: vowels of nine male speakers, 12 cepstrum coefficients per step.

    Returns
    -------
    JapaneseVowels
        ``train`` and ``test`` (sequences of 7 to 29 steps and 12 numeric features),
        ``train_labels`` and ``test_labels`` (the speakers, 1 to 9).

    References
    ----------
    M. Kudo, J. Toyama and M. Shimbo, Japanese Vowels, UCI Machine Learning Repository, 1999,
    https://doi.org/10.24432/C5NS47, licensed under CC BY 4.0.

    Examples
    --------
    >>> from refold.datasets import japanese_vowels
    >>> vowels = japanese_vowels()
    >>> len(vowels.train), len(vowels.test), vowels.train[0].shape
    (270, 370, (20, 12))
    """
    path = files("refold.datasets") / "data" / "japanese_vowels.parquet"
    table = pq.read_table(BytesIO(path.read_bytes())).combine_chunks()
    splits, labels = table["split"].to_numpy(), table["label"].to_numpy().astype(np.int64)
    features = table.drop_columns(["split", "label"])
    train, test = splits == "train", splits == "test"
    return JapaneseVowels(
        as_sequences(features.filter(train)),
        as_sequences(features.filter(test)),
        labels[train],
        labels[test],
    )
