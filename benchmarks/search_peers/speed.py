"""Speed and recall of searches in many codes, next to scikit-learn, usearch and faiss.

The codes are drawn from a Gaussian mixture, whose neighbors are harder to find than those of real
codes with few groups. Every measurement is of single queries, one after another.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

DIMENSIONS, HITS, QUERIES, GROUPS = 32, 10, 100, 1000


class Speed(NamedTuple):
    """Seconds to build, median milliseconds of a query, and share of the true hits found."""

    build: float
    query: float
    recall: float


def draw(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors to search in, and queries."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(GROUPS, DIMENSIONS))
    total = number + QUERIES
    rows = centers[rng.integers(GROUPS, size=total)] + 0.5 * rng.normal(size=(total, DIMENSIONS))
    rows = rows.astype(np.float32)
    return rows[:number], rows[number:]


def true_hits(rows: np.ndarray, queries: np.ndarray) -> list[set[int]]:
    """Return the nearest rows of each query, by all distances."""
    from refold.search._exact import nearest

    return [set(one.rows.tolist()) for one in nearest(rows, queries, HITS)]


class OfCodes:
    """A stand-in for a model, whose codes are the vectors that are drawn."""

    def __init__(self, model: Any) -> None:
        self._fitted = model._fitted

    def get_feature_names_out(self) -> list[str]:
        """Return a name for each dimension."""
        return [f"code{i}" for i in range(DIMENSIONS)]


def refold_index(model: Any, *, exact: bool) -> Callable[[np.ndarray], Any]:
    """Make an index on disk."""

    def build(rows: np.ndarray) -> Callable[[np.ndarray], list[int]]:
        from refold.search import Index

        folder = tempfile.TemporaryDirectory()
        index = Index.create(f"{folder.name}/codes", model, codes=rows, distance="code")
        if not exact and index.recall_ is None:
            index.build()
        index.folder = folder  # kept as long as the index

        def search(query: np.ndarray) -> list[int]:
            return index.search(codes=query[None], k=HITS, exact=exact).ids()

        return search

    return build


def sklearn_brute(rows: np.ndarray) -> Callable[[np.ndarray], list[int]]:
    """Compute every distance with scikit-learn."""
    from sklearn.neighbors import NearestNeighbors

    fitted = NearestNeighbors(n_neighbors=HITS, algorithm="brute").fit(rows)
    return lambda query: fitted.kneighbors(query[None], return_distance=False)[0].tolist()


def faiss_flat(rows: np.ndarray) -> Callable[[np.ndarray], list[int]]:
    """Compute every distance with faiss."""
    import faiss

    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(rows)
    return lambda query: index.search(query[None], HITS)[1][0].tolist()


def faiss_ivf(rows: np.ndarray) -> Callable[[np.ndarray], list[int]]:
    """Divide the rows into partitions with faiss, as many as Refold does, and read 16."""
    import faiss

    flat = faiss.IndexFlatL2(rows.shape[1])
    index = faiss.IndexIVFFlat(flat, rows.shape[1], max(1, int(np.sqrt(len(rows)) / 4)))
    index.train(rows)
    index.add(rows)
    index.nprobe = 16
    return lambda query: index.search(query[None], HITS)[1][0].tolist()


def usearch_graph(rows: np.ndarray) -> Callable[[np.ndarray], list[int]]:
    """Build a graph (HNSW) with usearch, by its defaults."""
    from usearch.index import Index

    index = Index(ndim=rows.shape[1], metric="l2sq", dtype="f32")
    index.add(np.arange(len(rows)), rows)
    return lambda query: index.search(query, HITS).keys.tolist()


def ways(model: Any) -> Iterator[tuple[str, Callable[[np.ndarray], Any]]]:
    """Yield the names of all ways, and what builds them."""
    stand_in = OfCodes(model)
    yield "**Refold, exact**", refold_index(stand_in, exact=True)
    yield "**Refold, approximate**", refold_index(stand_in, exact=False)
    yield "scikit-learn, brute force", sklearn_brute
    yield "faiss, IndexFlatL2 (exact)", faiss_flat
    yield "faiss, IndexIVFFlat", faiss_ivf
    yield "usearch, HNSW", usearch_graph


def measure(
    build: Callable[[np.ndarray], Any], rows: np.ndarray, queries: np.ndarray, true: list[set[int]]
) -> Speed:
    """Build once and search one query at a time."""
    begin = time.perf_counter()
    search = build(rows)
    built = time.perf_counter() - begin
    search(queries[0])
    seconds, hits = [], 0
    for query, wanted in zip(queries, true, strict=True):
        begin = time.perf_counter()
        found = search(query)
        seconds.append(time.perf_counter() - begin)
        hits += len(wanted & {*found})
    return Speed(built, 1e3 * statistics.median(seconds), hits / (HITS * len(queries)))
