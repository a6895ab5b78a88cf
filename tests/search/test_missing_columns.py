"""Searches and clusters of sequences that lack a column: what is missing does not decide."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from outside_data import sines_half_missing
from refold import SequenceAutoencoder
from refold.search import Index, cluster
from small_data import TINY, NoEpoch

COUNT = 400


@pytest.fixture(scope="module")
def ae():
    sines, _, _ = sines_half_missing(COUNT, seed=0)
    return SequenceAutoencoder(**TINY | {"latent_dim": 8}).fit(sines, callbacks=[NoEpoch()])


@pytest.fixture(scope="module")
def index(ae, tmp_path_factory):
    sines, _, _ = sines_half_missing(COUNT, seed=0)
    return Index.create(tmp_path_factory.mktemp("missing") / "sines.index", ae, sines)


def near_rows(index):
    """Return the ten nearest rows of each row (n_rows, 10)."""
    hits = index.search(ids=np.arange(COUNT), k=10)
    return np.array([hits.ids(i) for i in range(COUNT)])


def shares(rows, frequency, missing):
    """Return the share of neighbors with the same frequency, and with the same column missing.

    The latter is that of sequences with both columns, and that of sequences with one.
    """
    same = (missing[rows] == missing[:, None]).mean(axis=1)
    return (
        (frequency[rows] == frequency[:, None]).mean(),
        same[~missing].mean(),
        same[missing].mean(),
    )


def nearest_codes(vectors):
    distances = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1)[:, :10]


def test_neighbors_have_the_same_frequency_and_any_columns(index):
    _, frequency, missing = sines_half_missing(COUNT, seed=0)
    of_frequency, *of_missing = shares(near_rows(index), frequency, missing)
    assert of_frequency > 0.9
    assert max(of_missing) < 0.6
    assert min(of_missing) > 0.4


def test_the_same_of_gaps(ae, tmp_path):
    sines, frequency, missing = sines_half_missing(COUNT, seed=1, share=0.4)
    index = Index.create(tmp_path / "gaps.index", ae, sines)
    of_frequency, *of_missing = shares(near_rows(index), frequency, missing)
    assert of_frequency > 0.9
    assert max(of_missing) < 0.6


def test_new_sequences_and_rows_are_treated_alike(ae, index):
    sines, frequency, missing = sines_half_missing(COUNT, seed=0)
    hits = index.search(sines[:20], k=1)
    assert [hits.ids(i) for i in range(20)] == [[i] for i in range(20)]
    assert max(hits.table["distance"].to_pylist()) < 1e-3
    alone = Index.open(index.path, ae).search([sines[np.argmax(missing)]], k=1)
    assert alone.ids() == [np.argmax(missing)]
    assert alone.distances()[0] < 1e-3
    new, of_new, _ = sines_half_missing(100, seed=2)
    hits = index.search(new, k=10)
    rows = np.array([hits.ids(i) for i in range(100)])
    assert (frequency[rows] == of_new[:, None]).mean() > 0.9


def test_clusters_are_those_of_frequencies(ae):
    sines, frequency, missing = sines_half_missing(COUNT, seed=0)
    for number, bar in ((4, 0.8), (None, 0.5)):
        labels = cluster(ae, sines, num_clusters=number).labels
        assert adjusted_rand_score(frequency, labels) > bar
        assert abs(adjusted_rand_score(missing, labels)) < 0.05


def test_codes_and_their_features_do_not_say_what_is_missing(ae):
    sines, frequency, missing = sines_half_missing(COUNT, seed=0)
    codes = ae.transform(sines)
    for vectors in (codes, ae.features(codes)):
        of_frequency, *of_missing = shares(nearest_codes(vectors), frequency, missing)
        assert of_frequency > 0.9
        assert max(of_missing) < 0.62


def test_sequences_without_a_common_column(ae, tmp_path):
    sines, frequency, _ = sines_half_missing(COUNT, seed=3, share=0)
    for i, x in enumerate(sines):
        x[:, i % 2] = np.nan
    index = Index.create(tmp_path / "apart.index", ae, sines)
    rows = near_rows(index)
    assert (frequency[rows] == frequency[:, None]).mean() > 0.9


def test_sequences_without_any_value(ae, tmp_path):
    sines, _, _ = sines_half_missing(30, seed=4)
    for x in sines[:3]:
        x[:] = np.nan
    hits = Index.create(tmp_path / "none.index", ae, sines).search(sines[:1], k=3)
    assert set(hits.ids()) == {0, 1, 2}
    assert np.isfinite(hits.distances()).all()
