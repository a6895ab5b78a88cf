"""Figures of a query under the sequences that a search found."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from refold._support.argument_checks import check_one_each
from refold.errors import DataError
from refold.model import SequencesLike
from refold.plots._reconstructions import draw_pairs
from refold.sequences import ColumnTypes, Sequences, as_sequences


def search_hits(
    query: SequencesLike,
    hits: SequencesLike,
    titles: Sequence[str] | None = None,
    axes: Sequence[Axes] | None = None,
    *,
    column_types: ColumnTypes = None,
) -> list[Axes]:
    """Draw a sequence under each of the sequences that a search for it found.

    Numeric columns are lines, with the hit dashed, and others are strips, as in `reconstruction`.

    Parameters
    ----------
    query : Sequences or list of shape (1,)
        The sequence that was searched for.
    hits : Sequences or list of shape (n_hits,)
        The sequences that were found.
    titles : sequence of str of shape (n_hits,), optional
        Titles, such as ids and distances; by default the ids.
    axes : sequence of matplotlib.axes.Axes, optional
        One for each hit; by default a grid on a new figure.
    column_types : str, list of str or dict of str, optional
        Types of the columns, if they cannot be inferred from the query.

    Returns
    -------
    list of matplotlib.axes.Axes

    Raises
    ------
    DataError
        If there is not one query, or no hit.

    Examples
    --------
    >>> x = [np.sin(np.arange(20.0)), np.cos(np.arange(20.0))]
    >>> axes = search_hits(x[:1], x, ["first", "second"])
    >>> [ax.get_title(loc="left") for ax in axes]
    ['first', 'second']
    """
    if not isinstance(query, Sequences):
        query = as_sequences(query, column_types=column_types)
    if not isinstance(hits, Sequences):
        hits = as_sequences(hits, schema=query.schema)
    if len(query) != 1 or not len(hits):
        raise DataError(
            f"Got {len(query)} queries and {len(hits)} hits. Pass one query and at least one hit."
        )
    titles = [str(one) for one in hits.ids] if titles is None else list(titles)
    check_one_each(len(titles), "titles", len(hits), "hits")
    repeated = query[np.zeros(len(hits), int)]
    return draw_pairs(repeated, hits, axes, titles, ("query", "hit"))
