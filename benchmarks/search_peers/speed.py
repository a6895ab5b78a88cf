"""Speed and recall of searches among many codes, next to scikit-learn, usearch and faiss.

The codes are drawn from a Gaussian mixture. Their neighbors are harder to find than those of real
codes with few groups. Queries are measured one at a time.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from refold.model import Model

DIMENSIONS, HITS, GROUPS = 32, 10, 1000
# Number of queries among up to MANY codes, and among more.
MANY, QUERIES, FEWER = 100_000, 100, 20


class Speed(NamedTuple):
    """Seconds to build, milliseconds per query as wall and CPU time (medians), and recall."""

    build: float
    query: float
    cpu: float
    recall: float


def draw(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors to index, and queries."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(GROUPS, DIMENSIONS))
    total = number + (QUERIES if number <= MANY else FEWER)
    rows = centers[rng.integers(GROUPS, size=total)] + 0.5 * rng.normal(size=(total, DIMENSIONS))
    rows = rows.astype(np.float32)
    return rows[:number], rows[number:]


def true_hits(rows: np.ndarray, queries: np.ndarray) -> list[set[int]]:
    """Return the nearest rows of each query, from an exact search."""
    from refold.search import nearest

    return [set(one.rows.tolist()) for one in nearest(rows, queries, HITS)]


class CodesModel(Model):
    """A stand-in for a model whose codes are the drawn vectors."""

    code_size = DIMENSIONS


def refold_index(model: Model, rows: np.ndarray) -> Callable[[np.ndarray], list[int]]:
    """Write an index to disk, and search in it."""
    from refold.search import Index

    model = CodesModel(model.network, model.schema, model.scaler, model.error_scaler)
    folder = tempfile.TemporaryDirectory()
    index = Index.create(f"{folder.name}/index", model, codes=rows, distance="code")

    def search(query: np.ndarray) -> list[int]:
        assert folder  # which is removed with this function
        return index.search(codes=query[None], k=HITS).ids()

    return search


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
    """Divide the rows into partitions with faiss, and search 16 of them."""
    import faiss

    flat = faiss.IndexFlatL2(rows.shape[1])
    index = faiss.IndexIVFFlat(flat, rows.shape[1], max(1, int(np.sqrt(len(rows)) / 4)))
    index.train(rows)
    index.add(rows)
    index.nprobe = 16
    return lambda query: index.search(query[None], HITS)[1][0].tolist()


def usearch_graph(rows: np.ndarray) -> Callable[[np.ndarray], list[int]]:
    """Build a graph (HNSW) with usearch and its default settings."""
    from usearch.index import Index

    index = Index(ndim=rows.shape[1], metric="l2sq", dtype="f32")
    index.add(np.arange(len(rows)), rows)
    return lambda query: index.search(query, HITS).keys.tolist()


def methods(model: Model) -> Iterator[tuple[str, Callable[[np.ndarray], Any]]]:
    """Yield the title of each method, and a function that builds it."""
    yield "**Refold (exact)**", partial(refold_index, model)
    yield "faiss, IndexIVFFlat", faiss_ivf
    yield "faiss, IndexFlatL2 (exact)", faiss_flat
    yield "scikit-learn, brute force", sklearn_brute
    yield "usearch, HNSW", usearch_graph


def measure(
    build: Callable[[np.ndarray], Any], rows: np.ndarray, queries: np.ndarray, true: list[set[int]]
) -> Speed:
    """Build once and search one query at a time."""
    begin = time.perf_counter()
    search = build(rows)
    built = time.perf_counter() - begin
    search(queries[0])
    seconds, cpu_seconds, hits = [], [], 0
    for query, wanted in zip(queries, true, strict=True):
        begin, before = time.perf_counter(), time.process_time()
        found = search(query)
        seconds.append(time.perf_counter() - begin)
        cpu_seconds.append(time.process_time() - before)
        hits += len(wanted & {*found})
    query, cpu = (1e3 * statistics.median(one) for one in (seconds, cpu_seconds))
    return Speed(built, query, cpu, hits / (HITS * len(queries)))
