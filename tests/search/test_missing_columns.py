"""Searches and clusters of sequences that lack a column do not depend on which column it is."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from outside_data import draw_half_missing_sines
from refold import SequenceAutoencoder
from refold.search import Index, cluster
from small_data import TINY, NoEpoch

NUM_SEQUENCES = 400


@pytest.fixture(scope="module")
def sines_with_gaps():
    """Return sines of two columns, their frequencies, and which of them lack a column."""
    return draw_half_missing_sines(NUM_SEQUENCES, seed=0)


@pytest.fixture(scope="module")
def index(sines_with_gaps, tmp_path_factory):
    ae = SequenceAutoencoder(**TINY | {"latent_dim": 8})
    ae.fit(sines_with_gaps[0], callbacks=[NoEpoch()])
    return Index.create(tmp_path_factory.mktemp("missing") / "sines.index", ae, sines_with_gaps[0])


def nearest_rows(index):
    """Return the ten nearest rows of each row (n_rows, 10)."""
    hits = index.search(ids=np.arange(NUM_SEQUENCES), k=10)
    return np.array([hits.ids(i) for i in range(NUM_SEQUENCES)])


def test_neighbors_have_the_same_frequency_and_any_columns(index, sines_with_gaps):
    rows, (_, frequency, missing) = nearest_rows(index), sines_with_gaps
    assert (frequency[rows] == frequency[:, None]).mean() > 0.9
    same_columns = (missing[rows] == missing[:, None]).mean(axis=1)
    assert max(same_columns[missing].mean(), same_columns[~missing].mean()) < 0.6


def test_other_sequences_do_not_change_a_bit(index, sines_with_gaps):
    sines, _, missing = sines_with_gaps
    for row in (np.argmax(missing), np.argmin(missing)):
        hits = index.search([sines[row]], k=1)
        assert (hits.ids(), hits.distances()) == ([row], [0.0])


def test_clusters_are_those_of_frequencies(index, sines_with_gaps):
    _, frequency, missing = sines_with_gaps
    for num_clusters, min_score in ((4, 0.8), (None, 0.5)):
        labels = cluster(index.model, index=index, num_clusters=num_clusters).labels
        assert adjusted_rand_score(frequency, labels) > min_score
        assert abs(adjusted_rand_score(missing, labels)) < 0.05


def test_sequences_without_a_common_column(index, tmp_path):
    sines, frequency, _ = draw_half_missing_sines(NUM_SEQUENCES, seed=3, share=0)
    for i, x in enumerate(sines):
        x[:, i % 2] = np.nan
    sines[0][:] = np.nan  # no value at all
    index = Index.create(tmp_path / "apart.index", index.model, sines)
    rows = nearest_rows(index)
    assert (frequency[rows] == frequency[:, None]).mean() > 0.9
    assert np.isfinite(index.search(ids=[0], k=NUM_SEQUENCES).distances()).all()


def test_a_step_without_a_value_takes_that_of_the_nearest_step(index, sines_with_gaps):
    x = sines_with_gaps[0][int(np.argmin(sines_with_gaps[2]))].copy()
    filled = x.copy()
    x[:2, 0], filled[:2, 0] = np.nan, x[2, 0]
    x[11:14, 1], filled[11:14, 1] = np.nan, [x[10, 1], x[10, 1], x[14, 1]]
    codes = index.model.encode([x])
    hits = index.search([x], codes=codes, k=NUM_SEQUENCES)
    assert hits.table.equals(index.search([filled], codes=codes, k=NUM_SEQUENCES).table)
