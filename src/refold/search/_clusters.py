"""`cluster` finds clusters of sequences, codes or rows of an index, by k-means or HDBSCAN."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from refold._support.arrays import SeedLike, linspace_indices, to_integer_seed
from refold._support.optional_imports import check_training_packages
from refold._support.rules import (
    check,
    check_exactly_one,
    check_integer,
    check_not_empty,
    integer_rule,
    one_of,
)
from refold.errors import ParameterError, argument
from refold.model import ModelLike, SequencesLike
from refold.search._index import Index
from refold.search._rows import VECTOR_KIND_RULE, RowSource
from refold.sequences import vectors_to_arrow

# HDBSCAN measures the density at a row by the distance to the row of this rank in a list of all
# rows, sorted by distance. The first row of the list is the row itself, and the second is its
# nearest neighbor. The number was chosen on data sets in benchmarks/search.py.
_HDBSCAN_MIN_SAMPLES = 2
# Largest number of clusters that k-means chooses by itself, chosen on the same data sets.
_MAX_AUTOMATIC_CLUSTERS = 10
# The number of clusters is chosen on a sample of this many rows, because k-means runs once for each
# number.
_MAX_ROWS_TO_CHOOSE_NUM_CLUSTERS = 20_000
# Silhouettes are computed for a sample of this many rows, because each needs the distances to all
# other rows.
_MAX_ROWS_FOR_SILHOUETTES = 4000
_CLUSTER_METHOD_RULE = one_of("k-means", "hdbscan")
# Label of rows in no cluster, the same as in scikit-learn.
NOISE_LABEL = -1


@dataclass(frozen=True)
class Clusters:
    """Clusters of sequences, the largest first.

    Attributes
    ----------
    ids : array of shape (n_sequences,)
        Ids of the sequences.
    labels : array of int of shape (n_sequences,)
        Cluster of each sequence, from 0; -1 for noise, which is in no cluster.
    distances : array of float32 of shape (n_sequences,)
        Distance to the center of the cluster; NaN for noise.
    sizes : array of int of shape (n_clusters,)
        Number of sequences in each cluster.
    nearest : array of int of shape (n_clusters,)
        Index of the sequence that is nearest to the center of each cluster.
    centers : array of float32 of shape (n_clusters, width of the code)
        Means of the codes, which the model can decode.
    silhouettes : array of shape (n_clusters,)
        Mean silhouette [1]_ of the sequences of each cluster, from -1 to 1. If there are more than
        4000 sequences, it is the mean of a sample. It is NaN for a single cluster.
    silhouette : float
        Mean silhouette of all sequences that are in any cluster.
    vectors : array of float32 of shape (n_sequences, n_dimensions)
        Vector of each sequence; distances are those between vectors.

    References
    ----------
    .. [1] P. J. Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of
       cluster analysis", Journal of Computational and Applied Mathematics 20, 1987.

    Examples
    --------
    >>> cluster(ae, sines, num_clusters=3).to_table().column_names  # doctest: +SKIP
    ['cluster', 'size', 'share', 'silhouette', 'nearest', 'code']
    """

    ids: np.ndarray
    labels: np.ndarray
    distances: np.ndarray
    sizes: np.ndarray
    nearest: np.ndarray
    centers: np.ndarray
    silhouettes: np.ndarray
    silhouette: float
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.sizes)

    def __repr__(self) -> str:
        return (
            f"Clusters({len(self)} of {len(self.ids)} sequences, {100 * self.noise_share:.1f} % "
            f"noise, silhouette {self.silhouette:.3f})"
        )

    @property
    def noise_share(self) -> float:
        """Share of the sequences that are in no cluster."""
        return float((self.labels == NOISE_LABEL).mean()) if len(self.labels) else 0.0

    def to_table(self) -> pa.Table:
        """Return one row per cluster, with the id of the sequence nearest to its center."""
        return pa.table(
            {
                "cluster": pa.array(np.arange(len(self))),
                "size": pa.array(self.sizes),
                "share": pa.array(self.sizes / max(1, len(self.ids))),
                "silhouette": pa.array(self.silhouettes, pa.float64(), from_pandas=True),
                "nearest": pa.array(self.ids[self.nearest].tolist()),
                "code": vectors_to_arrow(self.centers),
            }
        )

    def to_assignment_table(self, id: str = "id") -> pa.Table:  # noqa: A002
        """Return one row per sequence: its id, its cluster (null for noise) and its distance.

        Parameters
        ----------
        id : str
            Name of the id column.
        """
        is_noise = self.labels == NOISE_LABEL
        return pa.table(
            {
                id: pa.array(self.ids.tolist()),
                "cluster": pa.array(self.labels, pa.int64(), mask=is_noise),
                "distance": pa.array(self.distances, pa.float32(), mask=is_noise),
            }
        )


def cluster(
    model: ModelLike,
    X: SequencesLike | None = None,
    *,
    codes: ArrayLike | None = None,
    ids: ArrayLike | None = None,
    method: str = "k-means",
    num_clusters: int | None = None,
    min_size: int | None = None,
    index: Index | None = None,
    vector_kind: str | None = None,
    random_state: SeedLike = 0,
    verbose: int = 0,
) -> Clusters:
    """Find clusters of sequences.

    Parameters
    ----------
    model : Model or SequenceAutoencoder
        Fitted model.
    X : Sequences, list of arrays, array, table or path, optional
        Sequences to encode.
    codes : array of shape (n_sequences, width of the code), optional
        Codes of the sequences if you have them, or codes without sequences (see `Index.create`).
    ids : sequence of int or str, optional
        Ids; by default those of the sequences, or numbers from 0.
    method : {"k-means", "hdbscan"}, default="k-means"
        HDBSCAN [2]_ finds regions of high density and their number, and sequences in sparse regions
        are noise. Density is measured by the distance to the nearest sequence.
    num_clusters : int, optional
        Number of clusters of k-means. By default, it is the number from 2 to 10 with the best
        Davies-Bouldin score [1]_ (of a sample if there are more than 20,000 sequences).
    min_size : int, optional
        Smallest size of a cluster of HDBSCAN; by default a hundredth of the sequences, and at
        least 5.
    index : Index, optional
        Index whose rows are clustered, instead of sequences.
    vector_kind : {"features", "code"}, optional
        Vectors between which distances are measured, as in `Index.create`; by default those of the
        index, or features.
    random_state : int or numpy.random.Generator, default=0
        Seed of k-means.
    verbose : {0, 1}, default=0
        1 shows a progress bar on standard error if there are many sequences to encode.

    References
    ----------
    .. [1] D. L. Davies and D. W. Bouldin, "A Cluster Separation Measure", IEEE Transactions on
       Pattern Analysis and Machine Intelligence 1, 1979.
    .. [2] R. J. G. B. Campello, D. Moulavi and J. Sander, "Density-Based Clustering Based on
       Hierarchical Density Estimates", PAKDD 2013.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> settings = {"units": 8, "latent_steps": 0, "max_epochs": 2, "random_state": 0}
    >>> ae = refold.SequenceAutoencoder(4, **settings).fit(sines)
    >>> clusters = cluster(ae, sines, num_clusters=3)
    >>> len(clusters), int(clusters.sizes.sum()), len(ae.inverse_transform(clusters.centers))
    (3, 40, 3)
    """
    check_training_packages("Finding clusters")
    check_exactly_one("sequences or codes, or an index", codes if X is None else X, index)
    check("method", method, _CLUSTER_METHOD_RULE)
    # each method has one argument that the other method lacks
    foreign_name, foreign_value = "min_size", min_size
    if method == "hdbscan":
        foreign_name, foreign_value = "num_clusters", num_clusters
    if foreign_value is not None:
        raise ParameterError(
            f"{argument(foreign_name)} is not for {argument(method=method)}. Leave it out, or "
            f"set another {argument('method')}."
        )
    if vector_kind is not None:
        check("vector_kind", vector_kind, VECTOR_KIND_RULE)
    # not at the top, because Refold can be installed without scikit-learn
    from sklearn.cluster import HDBSCAN
    from sklearn.metrics import silhouette_samples

    vectors = None
    if index is not None:
        if ids is not None:
            raise ParameterError(f"The rows of an index have ids, so leave {argument('ids')} out.")
        rows = index.rows
        ids, codes = np.array(rows.ids.to_pylist()), rows.codes
        # if `vector_kind` differs from that of the index, vectors are computed from codes below
        if len(rows.codes) and vector_kind in (None, index.vector_kind):
            vectors = rows.vectors
    if vectors is None:
        row_source = RowSource(model, X, codes, ids, verbose=verbose)
        check_not_empty(len(row_source), "sequence", "to cluster")
        # without features, the vectors are the codes
        features = None if vector_kind == "code" else row_source.fit_features()
        ids, (codes, vectors) = row_source.ids, row_source.encode(features)
    row_ids, row_codes = np.asarray(ids), np.asarray(codes)

    if method == "k-means":
        unsorted_labels = _label_by_kmeans(vectors, num_clusters, random_state)
    else:
        min_size = max(5, len(vectors) // 100) if min_size is None else min_size
        min_size = check_integer("min_size", min_size, minimum=2)
        unsorted_labels = np.full(len(vectors), NOISE_LABEL)
        if len(vectors) > min_size:  # HDBSCAN raises an error for fewer vectors; all are noise then
            options: dict[str, Any] = {"min_samples": _HDBSCAN_MIN_SAMPLES, "copy": True}
            unsorted_labels = HDBSCAN(min_size, **options).fit_predict(vectors)

    # the largest cluster gets the label 0, and so on
    is_clustered = unsorted_labels != NOISE_LABEL
    distinct_labels, sizes = np.unique(unsorted_labels[is_clustered], return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    labels = np.full(len(vectors), NOISE_LABEL)
    distances = np.full(len(vectors), np.nan, np.float32)
    nearest = np.zeros(len(sizes), int)
    centers = np.zeros((len(sizes), row_codes.shape[1]), np.float32)
    for label, unsorted_label in enumerate(distinct_labels[order]):
        members = np.flatnonzero(unsorted_labels == unsorted_label)
        labels[members] = label
        center = vectors[members].mean(axis=0)
        distances[members] = np.linalg.norm(vectors[members] - center, axis=1)
        nearest[label] = members[np.argmin(distances[members])]
        # distances are between vectors, but only a code can be decoded
        centers[label] = row_codes[members].mean(axis=0)

    silhouettes = np.full(len(sizes), np.nan)  # of each cluster
    silhouette = float("nan")  # of all rows that are in a cluster
    clustered = np.flatnonzero(is_clustered)
    sampled_rows = clustered[linspace_indices(len(clustered), _MAX_ROWS_FOR_SILHOUETTES)]
    sampled_labels = np.unique(labels[sampled_rows])
    # a silhouette needs another cluster, and a cluster with several rows
    if 2 <= len(sampled_labels) < len(sampled_rows):
        row_silhouettes = np.asarray(
            silhouette_samples(vectors[sampled_rows], labels[sampled_rows])
        )
        silhouette = float(row_silhouettes.mean())
        for label in sampled_labels:
            silhouettes[label] = row_silhouettes[labels[sampled_rows] == label].mean()
    return Clusters(
        ids=row_ids,
        labels=labels,
        distances=distances,
        sizes=sizes[order],
        nearest=nearest,
        centers=centers,
        silhouettes=silhouettes,
        silhouette=silhouette,
        vectors=vectors,
    )


def _label_by_kmeans(
    vectors: np.ndarray, num_clusters: int | None, random_state: SeedLike
) -> np.ndarray:
    """Return the k-means label (n,) of each vector; None chooses the number of clusters."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import davies_bouldin_score

    options: dict[str, Any] = {"n_init": 10, "random_state": to_integer_seed(random_state)}
    if num_clusters is None:
        sample = vectors[linspace_indices(len(vectors), _MAX_ROWS_TO_CHOOSE_NUM_CLUSTERS)]
        # the Davies-Bouldin score needs at least two clusters, and fewer clusters than vectors
        max_clusters = min(_MAX_AUTOMATIC_CLUSTERS, len(sample) - 1, len(np.unique(sample, axis=0)))
        scores = {
            k: davies_bouldin_score(sample, KMeans(k, **options).fit_predict(sample))
            for k in range(2, max_clusters + 1)
        }
        # low scores are good; fewer than three vectors have no score, and become one cluster
        num_clusters = min(scores, key=scores.__getitem__, default=1)
    check("num_clusters", num_clusters, integer_rule(maximum=len(vectors)))
    return KMeans(num_clusters, **options).fit_predict(vectors)
