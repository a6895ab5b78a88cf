"""Pictures of what a search found."""

from typing import Any

from refold._support.argument_checks import check_kind
from refold._support.number_text import short_number
from refold.errors import DataError
from refold.model import ModelLike, SequencesLike, model_of
from refold.search._hits import Hits
from refold.sequences import Sequences, as_sequences


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
