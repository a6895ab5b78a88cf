"""What classifiers tell: generated sequences from real ones, and labels from vectors."""

import numpy as np
import pytest

from refold.datasets import noisy_sines
from refold.errors import DataError, SchemaError
from refold.evaluation import compare, copies, probe
from refold.sequences import Sequences

pytestmark = pytest.mark.usefixtures("few_trees")


def test_only_sequences_of_another_distribution_are_distinguished():
    real, more = noisy_sines(150, seed=0), noisy_sines(150, seed=1)
    found = compare(real, more)
    assert found.two_sample_test < 0.65
    assert found.unseen is None
    flat = more.with_values(np.zeros_like(more.values))
    assert compare(real, flat).two_sample_test > 0.95
    short = Sequences.from_list([one[:3] for one in more.to_list()])
    assert compare(real, short).two_sample_test > 0.95
    far = [part.with_values(part.values.astype(float) + 1e6) for part in (real, more[:40])]
    assert compare(*far).two_sample_test < 0.75  # of different sizes, which are balanced


def balanced(count, rng):
    """Return words of balanced brackets, several pairs in each."""
    depths = (rng.integers(1, 4, rng.integers(2, 6)) for _ in range(count))
    return ["".join("(" * depth + ")" * depth for depth in one) for one in depths]


def test_words_of_the_same_grammar_are_good_and_invalid_ones_are_poor():
    rng = np.random.default_rng(0)
    real = Sequences.from_list(balanced(160, rng))
    valid, invalid = (
        compare(real, Sequences.from_list(words, schema=real.schema))
        for words in (balanced(80, rng), [word[:-1] + "(" for word in balanced(80, rng)])
    )
    assert valid.two_sample_test <= 0.6
    assert valid.verdict == "good, hard to distinguish from real ones"
    assert valid.count == 80
    np.testing.assert_allclose(valid.unseen, valid.unseen_real, atol=0.1)
    assert invalid.two_sample_test > 0.75
    assert invalid.verdict == "poor, easy to distinguish from real ones"


def test_few_sequences_have_no_verdict_and_fewer_are_refused():
    words = Sequences.from_list(["on", "no", "non", "noon", "nono"])
    found = compare(words, words)
    assert found.verdict == "none, at least 50 of each are needed (got 5)"
    assert found.unseen is None
    with pytest.raises(DataError, match="At least 5 real and 5 generated"):
        compare(words[:4], words)


def test_unseen_ngrams_by_hand():
    real = Sequences.from_list([["a", "b"]] * 10)
    found = compare(real, Sequences.from_list([*[["b", "b"]] * 4, []], schema=real.schema))
    assert found.unseen_real.tolist() == [0, 0, 0, 0]
    # ^b and bb are new, and b$ is not; ^bb, bb$ and ^bb$ are new; and ^$ of the empty sequence
    assert found.unseen.tolist() == pytest.approx([9 / 13, 1, 1, 0])


def test_missing_categories_count_as_a_separate_category():
    real = Sequences.from_list([["a", "b"]] * 10)
    new = Sequences.from_list([[None, "b"]] * 5, schema=real.schema)
    assert compare(real, new).unseen.tolist() == pytest.approx([2 / 3, 1, 1, 0])


def test_copies():
    words = Sequences.from_list(["on", "in", "", "no"])
    new = Sequences.from_list(["no", "nn", "", "on"], schema=words.schema)
    assert copies(new, words) == 0.75
    assert copies(new[:0], words) == 0.0
    series = Sequences.from_list([[0.0, 1.0], [2.0]])
    assert copies(Sequences.from_list([[-0.0, 1.0], [2.0, 2.0]]), series) == 0.5
    with pytest.raises(SchemaError):
        copies(new, series)


# The linear probe


def test_informative_and_uninformative_vectors():
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], [60, 30, 30])
    noise = rng.normal(size=(120, 4))
    informative = probe(noise + 8 * (labels == "b")[:, None], labels)
    assert 0.7 < informative.accuracy < 0.9
    assert probe(noise, labels).accuracy < 0.6
    assert (informative.chance, informative.num_classes, informative.num_folds) == (0.5, 3, 5)


def test_scales_do_not_matter_and_the_seed_determines_the_folds():
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    vectors = rng.normal(size=(80, 3)) + labels[:, None]
    assert probe(vectors, labels) == probe(vectors * [1e-6, 1, 1e6], labels)
    assert probe(vectors, labels, seed=1) == probe(vectors, labels, seed=1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array(["a"] * 6, object), "There is only one label: 'a'"),
        (np.array(["a"] * 5 + ["b"], object), "Label 'b' has 1 sequence"),
        ([0, 1], "Got 2 labels for 6 vectors"),
    ],
)
def test_bad_labels(labels, message):
    with pytest.raises(DataError, match=message):
        probe(np.zeros((6, 2)), labels)
