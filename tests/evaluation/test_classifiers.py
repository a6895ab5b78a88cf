"""What classifiers tell: generated sequences from real ones, and labels from vectors."""

import numpy as np
import pytest

from refold.errors import DataError
from refold.evaluation import compare_generated, probe
from refold.sequences import Sequences

pytestmark = pytest.mark.usefixtures("small_forest")


def draw_brackets(count, rng):
    """Return words of balanced brackets, several pairs in each."""
    depths = (rng.integers(1, 4, rng.integers(2, 6)) for _ in range(count))
    return ["".join("(" * depth + ")" * depth for depth in word) for word in depths]


def test_words_of_the_same_grammar_are_good_and_invalid_ones_are_poor():
    rng = np.random.default_rng(0)
    real = Sequences.from_list(draw_brackets(160, rng))
    valid_words = draw_brackets(80, rng)
    invalid_words = [word[:-1] + "(" for word in draw_brackets(80, rng)]
    valid = compare_generated(real, Sequences.from_list(valid_words, schema=real.schema))
    invalid = compare_generated(real, Sequences.from_list(invalid_words, schema=real.schema))
    assert valid.two_sample_test <= 0.6
    assert valid.verdict == "good, hard to distinguish from real ones"
    np.testing.assert_allclose(valid.unseen, valid.unseen_real, atol=0.1)
    assert invalid.two_sample_test > 0.75
    assert invalid.verdict == "poor, easy to distinguish from real ones"


def test_few_sequences_have_no_verdict_and_fewer_are_refused():
    words = Sequences.from_list(["on", "no", "non", "noon", "nono"])
    comparison = compare_generated(words, words)
    assert comparison.verdict == "none, at least 50 of each are needed (got 5)"
    assert comparison.unseen is None
    with pytest.raises(DataError, match="At least 5 real and 5 generated"):
        compare_generated(words[:4], words)


def test_unseen_ngrams_by_hand():
    real = Sequences.from_list([["a", "b"]] * 10)
    new = Sequences.from_list([[None, "b"]] * 5, schema=real.schema)  # None is another category
    assert compare_generated(real, new).unseen.tolist() == pytest.approx([2 / 3, 1, 1, 0])
    new = Sequences.from_list([*[["b", "b"]] * 4, []], schema=real.schema)
    comparison = compare_generated(real, new)
    assert comparison.unseen_real.tolist() == [0, 0, 0, 0]
    # ^b and bb are new, and b$ is not; ^bb, bb$ and ^bb$ are new; and ^$ of the empty sequence
    assert comparison.unseen.tolist() == pytest.approx([9 / 13, 1, 1, 0])


def test_informative_and_uninformative_vectors_of_any_scale():
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], [60, 30, 30])
    noise = rng.normal(size=(120, 3))
    vectors = noise + 8 * (labels == "b")[:, None]
    informative = probe(vectors, labels)
    assert 0.7 < informative.accuracy < 0.9
    assert informative == probe(vectors * [1e-6, 1, 1e6], labels)
    assert probe(noise, labels).accuracy < 0.6
    assert (informative.chance, informative.num_classes, informative.num_folds) == (0.5, 3, 5)


def test_bad_labels():
    for labels, message in (
        (np.array(["a"] * 6, object), "There is only one label: 'a'"),
        (np.array(["a"] * 5 + ["b"], object), "Label 'b' has 1 sequence"),
        ([0, 1], "Got 2 labels for 6 vectors"),
    ):
        with pytest.raises(DataError, match=message):
            probe(np.zeros((6, 2)), labels)
