"""Result of a search: the nearest rows of an index for each query, and pictures of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from refold._support.argument_checks import check_kind
from refold._support.display import short_number
from refold.errors import DataError
from refold.model import ModelLike, SequencesLike, model_of
from refold.sequences import Sequences, as_sequences


@dataclass(frozen=True)
class Hits:
    """Nearest rows of an index, the nearest first.

    Attributes
    ----------
    queries : array of shape (n_queries,)
        Ids of the queries: those of the sequences or rows searched for; numbers for codes.
    table : pyarrow.Table
        One row per hit: ``query``, ``rank`` from 1, ``distance``, ``id`` and the metadata.
    codes : array of float32 of shape (n_hits, width of the code)
        Codes of the hits, in the order of the table.
    query_codes : array of float32 of shape (n_queries, width of the code)
        Codes of the queries.
    offsets : array of int of shape (n_queries + 1,)
        The hits of query ``i`` are the rows from ``offsets[i]`` to ``offsets[i + 1]``. There may be
        fewer than asked for, if fewer rows match.

    Examples
    --------
    >>> table = pa.table({"query": [0, 0], "rank": [1, 2], "distance": [0.5, 2.0], "id": [7, 3]})
    >>> hits = Hits(np.array([0]), table, np.zeros((2, 4)), np.zeros((1, 4)), np.array([0, 2]))
    >>> hits
    Hits(1 query, 2 hits)
    >>> hits.ids(), hits.distances()
    ([7, 3], [0.5, 2.0])
    """

    queries: np.ndarray
    table: pa.Table
    codes: np.ndarray
    query_codes: np.ndarray
    offsets: np.ndarray

    def __repr__(self) -> str:
        num, hits = len(self.queries), self.table.num_rows
        queries = "query" if num == 1 else "queries"
        return f"Hits({num} {queries}, {hits} hit{'s' * (hits != 1)})"

    def __len__(self) -> int:
        return len(self.queries)

    def ids(self, query: int = 0) -> list[Any]:
        """Return the ids of the hits of one query, the nearest first.

        Parameters
        ----------
        query : int
            Number of the query, from 0.

        Returns
        -------
        list of str or int
        """
        return self.column("id", query)

    def distances(self, query: int = 0) -> list[float]:
        """Return the distances of the hits of one query, in increasing order.

        Parameters
        ----------
        query : int
            Number of the query, from 0.

        Returns
        -------
        list of float
        """
        return self.column("distance", query)

    def column(self, name: str, query: int = 0) -> list[Any]:
        """Return one column of the hits of one query, such as a column of metadata.

        Parameters
        ----------
        name : str
            Name of the column.
        query : int
            Number of the query, from 0.

        Returns
        -------
        list
        """
        begin, end = self.offsets[query], self.offsets[query + 1]
        return self.table[name].slice(begin, end - begin).to_pylist()


def draw(
    model: ModelLike, hits: Hits, X: SequencesLike | None = None, *, query: int = 0, num: int = 6
) -> list[Any]:
    """Draw a query under its nearest hits, which are decoded from their codes.

    Parameters
    ----------
    model : Model or SequenceAutoencoder
        The model of the index.
    hits : Hits
        Result of `Index.search`.
    X : Sequences, list of arrays, array or table, optional
        Sequences that were searched for; by default the query is decoded from its code, too.
    query : int, default=0
        Number of the query.
    num : int, default=6
        Number of hits to draw, or all if there are fewer.

    Returns
    -------
    list of matplotlib.axes.Axes

    Raises
    ------
    DataError
        If the query has no hits.

    Examples
    --------
    >>> import tempfile, refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(
    ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
    ... ).fit(sines)
    >>> index = refold.search.Index.create(tempfile.mkdtemp() + "/sines.index", ae, sines)
    >>> len(draw(ae, index.search(sines[:1], k=3), sines[:1]))
    3
    """
    # not at the top, because a search needs no matplotlib
    from refold import plots

    model = model_of(model)
    check_kind("hits", hits, "Hits, the result of Index.search", "query_codes")
    begin, end = (int(one) for one in hits.offsets[query : query + 2])
    if begin == end:
        raise DataError(f"The query {query} has no hits to draw. Loosen the condition.")
    rows = zip(hits.ids(query)[:num], hits.distances(query)[:num], strict=True)
    titles = [f"{one}  ·  distance {short_number(distance)}" for one, distance in rows]
    schema = model.schema
    if X is None:
        X, query = model.decode(hits.query_codes[[query]]), 0
    found = model.decode(hits.codes[begin : begin + len(titles)])
    return plots.search_hits(
        as_sequences(X, schema=schema)[[query]], Sequences.from_list(found, schema=schema), titles
    )
