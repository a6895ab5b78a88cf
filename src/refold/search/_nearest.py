"""Exact search among vectors in memory."""

from typing import NamedTuple

import numpy as np

from refold._support.argument_checks import check_array, check_whole
from refold.errors import DataError

# Entries of the matrix of distances that is computed at once.
_ENTRIES = 4_000_000
# Most rows of a part, of whose scores the smallest one is computed first.
_PART = 1024


class Nearest(NamedTuple):
    """Nearest rows of one query, in order of distance."""

    rows: np.ndarray  # (n_hits,)
    distances: np.ndarray  # (n_hits,)


def nearest(
    vectors: np.ndarray, queries: np.ndarray, k: int, norms: np.ndarray | None = None
) -> list[Nearest]:
    """Return the rows with the smallest Euclidean distances to each query.

    Of rows at the same distance, the first ones come first.

    Parameters
    ----------
    vectors : array of float32 of shape (n_rows, n_dimensions)
        Rows to search in.
    queries : array of float32 of shape (n_queries, n_dimensions)
        Vectors to search for.
    k : int
        Number of rows, or all if there are fewer.
    norms : array of float32 of shape (n_rows,), optional
        Squared norms of the vectors, if you have them already.

    Returns
    -------
    list of Nearest
        One per query.

    Examples
    --------
    >>> line = np.arange(5, dtype=np.float32)[:, None]
    >>> nearest(line, np.array([[3.2]], np.float32), 2)[0].rows.tolist()
    [3, 4]
    """
    vectors = check_array("vectors", vectors, ("n_rows", "n_dimensions"))
    queries = check_array("queries", queries, ("n_queries", "n_dimensions"))
    if vectors.shape[1] != queries.shape[1]:
        raise DataError(
            f"Got vectors of shape {vectors.shape} and queries of shape {queries.shape}. Both need "
            "the same number of dimensions."
        )
    k = min(check_whole("k", k, 0), len(vectors))
    if not k:
        return [Nearest(np.zeros(0, int), np.zeros(0, np.float32)) for _ in queries]
    norms = squared_norms(vectors) if norms is None else norms
    largest = float(norms.max())
    found = []
    step = max(1, _ENTRIES // len(vectors))
    for begin in range(0, len(queries), step):
        block = queries[begin : begin + step]
        # squared distances, less the squared norm of the query
        scores = norms - 2.0 * (block @ vectors.T)
        for query, score in zip(block, scores, strict=True):
            # the most that a score of so many rounded terms is off
            error = vectors.shape[1] * np.finfo(score.dtype).eps * (largest + query @ query)
            found.append(_nearest(vectors, query, score, 2 * error, k))
    return found


def squared_norms(vectors: np.ndarray) -> np.ndarray:
    """Return the squared norm of each row of (n_rows, n_dimensions)."""
    vectors = check_array("vectors", vectors, ("n_rows", "n_dimensions"))
    return np.einsum("ij,ij->i", vectors, vectors)


def _nearest(
    vectors: np.ndarray, query: np.ndarray, score: np.ndarray, margin: float, k: int
) -> Nearest:
    """Return the nearest rows of one query by its scores (n_rows,), which are rounded."""
    # The k smallest scores are at most the k-th smallest minimum of parts of the rows, which is
    # found sooner. The rows up to it are compared by their distances.
    size = max(1, min(_PART, len(score) // k))
    minima = np.minimum.reduceat(score, np.arange(0, len(score), size))
    limit = np.partition(minima, k - 1)[k - 1] + margin
    rows = np.flatnonzero(~(score > limit))  # NaN is not above it
    distances = np.linalg.norm(vectors[rows] - query, axis=1)
    order = np.argsort(distances, kind="stable")[:k]
    return Nearest(rows[order], distances[order])
