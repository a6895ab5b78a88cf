"""Exact search among vectors in memory."""

from typing import NamedTuple

import numpy as np

from refold._support.argument_checks import check_array, check_whole
from refold.errors import DataError

# Entries of the matrix of distances that is computed at once.
_ENTRIES = 4_000_000
# Rows of a part; of many rows, only those parts are searched that have the smallest minima.
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
    found = []
    step = max(1, _ENTRIES // len(vectors))
    for begin in range(0, len(queries), step):
        some = queries[begin : begin + step]
        scores = norms - 2.0 * (some @ vectors.T)
        for query, score in zip(some, scores, strict=True):
            found.append(_best(vectors, query, score, k))
    return found


def squared_norms(vectors: np.ndarray) -> np.ndarray:
    """Return the squared norm of each row of (n_rows, n_dimensions)."""
    vectors = check_array("vectors", vectors, ("n_rows", "n_dimensions"))
    return np.einsum("ij,ij->i", vectors, vectors)


def _best(vectors: np.ndarray, query: np.ndarray, score: np.ndarray, k: int) -> Nearest:
    # scores are rounded, so some more rows are compared by their distances
    more = min(len(score), k + max(10, k // 2))
    whole = len(score) // _PART
    if whole > 4 * more:
        # the best rows are in the parts with the smallest minima, or in the rest at the end
        least = score[: whole * _PART].reshape(whole, _PART).min(axis=1)
        parts = np.append(np.sort(np.argpartition(least, more - 1)[:more]), whole)
        rows = (parts[:, None] * _PART + np.arange(_PART)).ravel()
        rows = rows[: np.searchsorted(rows, len(score))]
        score = score[rows]
    else:
        rows = np.arange(len(score))
    if more < len(score):
        rows = rows[np.sort(np.argpartition(score, more - 1)[:more])]
    distances = np.linalg.norm(vectors[rows] - query, axis=1)
    order = np.argsort(distances, kind="stable")[:k]
    return Nearest(rows[order], distances[order])
