"""Measures of generated sequences: two-sample tests, n-grams and copies."""

import numpy as np
import pytest

from refold.datasets import noisy_sines
from refold.errors import DataError, SchemaError
from refold.evaluation import compare, copies, two_sample_test
from refold.evaluation._generated_sequences import count_unseen
from refold.sequences import Sequences

pytestmark = pytest.mark.usefixtures("few_trees")


def test_only_sequences_of_another_distribution_are_distinguished():
    real, more = noisy_sines(150, seed=0), noisy_sines(150, seed=1)
    assert two_sample_test(real, more) < 0.65
    flat = more.with_values(np.zeros_like(more.values))
    assert two_sample_test(real, flat) > 0.95
    short = Sequences.from_list([one[:3] for one in more.to_list()])
    assert two_sample_test(real, short) > 0.95
    far = [part.with_values(part.values.astype(float) + 1e6) for part in (real, more[:40])]
    assert two_sample_test(*far) < 0.75  # of different sizes, which are balanced


def balanced(count, rng):
    """Return words of balanced brackets with letters between them."""
    words = []
    for _ in range(count):
        word, depth, left = "", 0, rng.integers(3, 9)
        while left or depth:
            opens = left and (not depth or rng.random() < 0.5)
            word += "(" if opens else ")"
            left, depth = left - bool(opens), depth + (1 if opens else -1)
            word += rng.choice(list("CNO")) if rng.random() < 0.6 else ""
        words.append(word)
    return words


def is_balanced(word):
    depths = np.cumsum([(symbol == "(") - (symbol == ")") for symbol in word])
    return depths.min(initial=0) == 0 == depths[-1]


def with_the_same_ngrams(words, count, rng, order=3):
    """Return words of a Markov chain that are not balanced."""
    marked = ["^" * order + word + "$" for word in words]
    after = {}
    for word in marked:
        for start in range(len(word) - order):
            after.setdefault(word[start : start + order], []).append(word[start + order])
    found = []
    while len(found) < count:
        word = "^" * order
        while not word.endswith("$"):
            word += rng.choice(after[word[-order:]])
        if not is_balanced(word := word.strip("^$")):
            found.append(word)
    return found


@pytest.fixture(scope="module")
def brackets():
    """Return real words, valid new words, and invalid words with the same n-grams."""
    rng = np.random.default_rng(0)
    real = Sequences.from_list(balanced(160, rng))
    new = balanced(80, rng), with_the_same_ngrams(real.to_list(), 80, rng)
    return real, *(Sequences.from_list(words, schema=real.schema) for words in new)


def test_words_of_the_same_grammar_are_good(brackets):
    real, valid, _ = brackets
    found = compare(real, valid)
    assert found.two_sample_test <= 0.6
    assert found.verdict == "good, hard to distinguish from real ones"
    assert found.count == 80
    np.testing.assert_allclose(found.unseen, found.unseen_real, atol=0.1)


def test_invalid_words_with_the_same_ngrams_are_poor(brackets):
    real, _, invalid = brackets
    found = compare(real, invalid)
    np.testing.assert_allclose(found.unseen[:3], found.unseen_real[:3], atol=0.05)
    assert found.two_sample_test > 0.75
    assert found.verdict == "poor, easy to distinguish from real ones"
    assert two_sample_test(real, invalid) == found.two_sample_test


def test_independently_drawn_categories_have_unseen_ngrams(brackets):
    real, *_ = brackets
    shuffled = ["".join(np.random.default_rng(0).permutation(list(x))) for x in real.to_list()]
    found = compare(real, Sequences.from_list(shuffled, schema=real.schema))
    assert (found.unseen[1:] > found.unseen_real[1:] + 0.02).all()


def test_few_sequences_have_no_verdict():
    words = Sequences.from_list(["on", "no", "non", "noon", "nono"])
    found = compare(words, words)
    assert found.verdict == "none, at least 50 of each are needed (got 5)"
    assert found.unseen is None
    assert compare(noisy_sines(60, seed=0), noisy_sines(60, seed=1)).unseen is None


def unseen_shares(new, known):
    unseen, total = count_unseen(new, known)
    return (unseen.sum(axis=(0, 1)) / np.maximum(total.sum(axis=(0, 1)), 1)).tolist()


def test_unseen_ngrams_by_hand():
    known = Sequences.from_list([[("a", 0), ("b", 1)]], column_types="categorical")
    assert unseen_shares(known, known) == [0, 0, 0, 0]
    new = Sequences.from_list([[("b", 0), ("b", 1)], []], schema=known.schema)
    # ^b bb b$ in the first column, ^0 01 1$ in the second, and twice ^$ for the empty sequence
    assert unseen_shares(new, known) == [4 / 8, 2 / 4, 1 / 2, 0]


def test_missing_categories_count_as_a_separate_category():
    known = Sequences.from_list([["a", "b"], ["a", None]])
    new = Sequences.from_list([[None, "b"]], schema=known.schema)
    assert unseen_shares(known[1:], known) == [0, 0, 0, 0]
    assert unseen_shares(new, known) == [2 / 3, 1, 1, 0]


def test_too_few_sequences_are_refused():
    with pytest.raises(DataError, match="At least 5 real and 5 generated"):
        two_sample_test(noisy_sines(4, seed=0), noisy_sines(9, seed=1))


def test_copies():
    words = Sequences.from_list(["on", "in", "", "no"])
    new = Sequences.from_list(["no", "nn", "", "on"], schema=words.schema)
    assert copies(new, words) == 0.75
    assert copies(new[:0], words) == 0.0
    series = Sequences.from_list([[0.0, 1.0], [2.0]])
    assert copies(Sequences.from_list([[-0.0, 1.0], [2.0, 2.0]]), series) == 0.5
    with pytest.raises(SchemaError):
        copies(new, series)
