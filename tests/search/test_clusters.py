"""Clusters of codes and of sequences, by k-means and by HDBSCAN."""

import numpy as np
import pytest

from refold.errors import DataError, ParameterError
from refold.search import Index, cluster


@pytest.fixture(scope="module")
def groups():
    """Return codes of three groups of 8, 12 and 10 rows, and two outliers."""
    rng = np.random.default_rng(0)
    centers = [np.float32([k, -k, 2 * k]) for k in (0, 5, -5)]
    rows = [c + 0.1 * rng.normal(size=(n, 3)) for c, n in zip(centers, (8, 12, 10), strict=True)]
    return np.concatenate([*rows, [[40, 40, 40], [-40, 40, -40]]]).astype(np.float32)


@pytest.mark.parametrize("settings", [{"method": "hdbscan"}, {"num_clusters": 5}, {}])
def test_clusters_of_codes(ae, groups, settings):
    ids, has_noise = [f"r{i}" for i in range(32)], "method" in settings
    clusters = cluster(ae, codes=groups, ids=ids, vector_kind="code", **settings)
    assert clusters.sizes.tolist() == [12, 10, 8] + [1, 1] * (not has_noise)
    assert set(clusters.labels[8:20]) == {0}
    assert np.allclose(clusters.centers[0], groups[8:20].mean(axis=0), atol=1e-5)
    distances = np.linalg.norm(groups[8:20] - clusters.centers[0], axis=1)
    assert clusters.nearest[0] == 8 + distances.argmin()
    assert np.allclose(clusters.distances[8:20], distances, atol=1e-5)
    assert clusters.silhouette > 0.8
    assert clusters.noise_share == (0.0625 if has_noise else 0.0)
    table = clusters.to_table()
    assert table["nearest"][0].as_py() == f"r{clusters.nearest[0]}"
    assert table["code"].type.list_size == 3
    assert clusters.to_assignment_table("name").column_names == ["name", "cluster", "distance"]
    assert clusters.to_assignment_table()["cluster"].null_count == 2 * has_noise


def test_clusters_of_sequences(ae, sequences):
    clusters = cluster(ae, sequences, num_clusters=2)
    assert clusters.ids.tolist() == sequences.ids.tolist()
    assert clusters.sizes.sum() == 24
    assert np.array_equal(cluster(ae, sequences, num_clusters=2).labels, clusters.labels)
    assert len(ae.inverse_transform(clusters.centers)) == 2
    assert np.isnan(cluster(ae, sequences, num_clusters=1).silhouettes).all()
    assert [len(cluster(ae, sequences[:n])) for n in (1, 2, 3)] == [1, 1, 2]
    assert len(cluster(ae, sequences[[0] * 9], ids=range(9))) == 1  # all of them are alike
    no_clusters = cluster(ae, sequences[:3], method="hdbscan")  # all of them are noise
    assert len(no_clusters) == no_clusters.to_table().num_rows == 0
    assert no_clusters.noise_share == 1.0


def test_wrong_arguments_are_refused(ae, tmp_path):
    codes = np.zeros((3, 3))
    index = Index.create(tmp_path / "index", ae, codes=codes, vector_kind="code")
    for settings, message in (
        ({"codes": codes, "num_clusters": 4}, "num_clusters must be an integer from 1 to 3"),
        ({"codes": codes, "min_size": 3}, r"min_size is not for method='k-means'\. Leave it"),
        ({"index": index, "ids": ["a", "b", "c"]}, "have ids, so leave ids out"),
        (
            {"codes": codes, "method": "hdbscan", "num_clusters": 3},
            "num_clusters is not for method='hdbscan'",
        ),
    ):
        with pytest.raises(ParameterError, match=message):
            cluster(ae, vector_kind="code", **settings)
    with pytest.raises(DataError, match="There is no sequence to cluster"):
        cluster(ae, codes=codes[:0])
