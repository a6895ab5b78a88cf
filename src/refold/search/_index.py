"""`Index`: codes, ids and metadata in a file, the search in it, and its hits."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import ArrayLike

from refold._support.arrays import offsets_from_lengths
from refold._support.output import counted, short_number
from refold._support.rules import check, check_kind, check_only_one, check_whole
from refold.errors import DataError, ParameterError, SchemaError, argument, spelled
from refold.model import Model, ModelLike, SequencesLike, model_of
from refold.search._features import SearchFeatures
from refold.search._rows import (
    DISTANCE,
    Metadata,
    RowSource,
    as_ids,
    metadata_of,
    new_ids,
    new_rows,
)
from refold.search._store import Facts, IndexRows, Store, nearest
from refold.search._where import matches
from refold.sequences import Sequences, as_sequences

# its functions are made when it is imported
_compute: Any = pyarrow.compute


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
    >>> hits, hits.ids(), hits.distances()
    (Hits(1 query, 2 hits), [7, 3], [0.5, 2.0])
    """

    queries: np.ndarray
    table: pa.Table
    codes: np.ndarray
    query_codes: np.ndarray
    offsets: np.ndarray

    def __repr__(self) -> str:
        num, hits = len(self.queries), self.table.num_rows
        queries = "query" if num == 1 else "queries"
        return f"Hits({num} {queries}, {counted(hits, 'hit')})"

    def __len__(self) -> int:
        return len(self.queries)

    def ids(self, query: int = 0) -> list[Any]:
        """Return the ids of the hits of one query, numbered from 0, the nearest first."""
        return self.column("id", query)

    def distances(self, query: int = 0) -> list[float]:
        """Return the distances of the hits of one query, in increasing order."""
        return self.column("distance", query)

    def to_table(self) -> pa.Table:
        """Return ``table``."""
        return self.table

    def column(self, name: str, query: int = 0) -> list[Any]:
        """Return one column of the hits of one query, such as a column of metadata."""
        begin, end = self.offsets[query], self.offsets[query + 1]
        return self.table[name].slice(begin, end - begin).to_pylist()


class Index:
    """Codes of sequences in a file, with ids and metadata, to search in.

    Call `Index.create` or `Index.open`. The file is an Arrow IPC file. It holds all rows of a call
    or none of them, and has one writer at a time and any number of readers. A search holds the rows
    in memory and computes every distance. It reads them again if the file has changed.

    Distances are measured on features of the sequences or on their codes. Features are principal
    components of pooled convolutions, as in MultiRocket [1]_, of amplitudes of frequencies, and of
    averages over stretches of time. They are fitted to a sample of the sequences, and stored.

    Attributes
    ----------
    path, model, distance
        As in `Index.create`.

    References
    ----------
    .. [1] C. W. Tan, A. Dempster, C. Bergmeir and G. I. Webb, "MultiRocket: multiple pooling
       operators and transformations for fast and effective time series classification", Data
       Mining and Knowledge Discovery 36, 2022.

    Examples
    --------
    >>> import tempfile, refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> settings = {"units": 8, "latent_steps": 0, "max_epochs": 2, "random_state": 0}
    >>> ae = refold.SequenceAutoencoder(4, **settings).fit(sines)
    >>> columns = {"site": ["a", "b"] * 20}
    >>> index = Index.create(tempfile.mkdtemp() + "/sines.index", ae, sines, metadata=columns)
    >>> hits = index.search(sines[3:4], k=2, where="site = 'b'")
    >>> hits.ids()[0], hits.column("site"), index.remove([3])
    (3, ['b', 'b'], 1)
    """

    def __init__(self, model: Model, store: Store, facts: Facts, verbose: int = 0) -> None:
        self.path = store.name
        self.model, self.verbose = model, verbose
        self.distance = facts.distance
        self._store, self._facts = store, facts
        self._features = None if facts.features is None else SearchFeatures(facts.features)

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        model: ModelLike,
        X: SequencesLike | None = None,
        *,
        codes: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        metadata: Metadata | None = None,
        distance: str = "features",
        verbose: int = 0,
    ) -> "Index":
        """Write a new index.

        Parameters
        ----------
        path : path or str
            File to write, on a local disk.
        model : Model or SequenceAutoencoder
            Fitted model.
        X : Sequences, list of arrays, array, table or path, optional
            Sequences to encode. Files that are larger than memory are encoded in blocks.
        codes : array of shape (n_sequences, width of the code), optional
            Codes of the sequences if you have them. Without sequences, features are those of the
            sequences that the codes decode to.
        ids : sequence of int or str, optional
            Ids of the rows; by default those of the sequences, or numbers from 0.
        metadata : mapping of str to sequence, or table, optional
            Columns with one value per row. Later rows must have the same columns. The rows of a
            model with a ``window`` are windows, of which ``model.windows(X).to_table("series")``
            has the series and the steps.
        distance : {"features", "code"}, default="features"
            What distances are measured on: features of the sequences, with as many dimensions as a
            code, or the code.
        verbose : {0, 1}, default=0
            1 shows progress bars on standard error, also in later calls of the index.
        """
        check("distance", distance, DISTANCE)
        model, store = model_of(model), Store(path)
        with store.writing():
            store.check_free()
            source = RowSource(model, X, codes, ids, verbose=verbose)
            table = metadata_of(metadata, len(source))
            row_ids = new_ids(source.ids)
            features = source.fit_features() if distance == "features" else None
            arrays = None if features is None else features.arrays
            facts = Facts(source.model.hash, distance, arrays)
            store.write(new_rows(source, row_ids, features, table), facts)
        return cls(model, store, facts, verbose)

    @classmethod
    def open(cls, path: str | os.PathLike[str], model: ModelLike, *, verbose: int = 0) -> "Index":
        """Open an index.

        Parameters
        ----------
        path : path or str
            File.
        model : Model or SequenceAutoencoder
            The model that the index was created with.
        verbose : {0, 1}, default=0
            1 shows progress bars on standard error.
        """
        model, store = model_of(model), Store(path)
        facts = store.facts()
        if not model.is_hash(facts.model):
            own = model.hash
            raise ParameterError(
                f"The index {store.name!r} holds codes of another model (hash {facts.model[:12]}, "
                f"and this model has {own[:12]}). Open it with the model "
                "that it was created with, or create another index."
            )
        return cls(model, store, facts, verbose)

    def _source(
        self, X: SequencesLike | None, codes: ArrayLike | None, ids: ArrayLike | None
    ) -> RowSource:
        """Open sequences or codes with the columns of the rows."""
        source = RowSource(self.model, X, codes, ids, verbose=self.verbose)
        width = self.rows.codes.shape[1]
        # a model with columns of its own was compared when the index was opened
        is_own = not self.model.any_columns or source.model.is_hash(self._facts.model)
        if source.model.code_size != width or not is_own:
            raise SchemaError(
                f"The index has codes of {width} numbers, and these sequences have "
                f"{source.model.code_size}, or columns of other names or in another order. Choose "
                "the columns of the index, in their order."
            )
        return source

    def __len__(self) -> int:
        return len(self.rows.ids)

    def __repr__(self) -> str:
        return f"Index({len(self)} rows, distance={self.distance!r})"

    @property
    def rows(self) -> IndexRows:
        """All rows, in memory: a table of ids and metadata, codes, and vectors."""
        return self._store.rows()

    # All rows are encoded before any is written, so a run that is killed changes nothing.
    def add(
        self,
        X: SequencesLike | None = None,
        *,
        codes: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        metadata: Metadata | None = None,
        replace: bool = False,
    ) -> None:
        """Add rows, or replace those whose ids are in the index.

        Parameters
        ----------
        X, codes, ids, metadata
            As for `create`.
        replace : bool, default=False
            Replace rows. By default, an id that is in the index already is an error.
        """
        source = self._source(X, codes, ids)
        with self._store.writing():
            rows = self.rows
            table = metadata_of(metadata, len(source), rows.table.schema)
            added = new_ids(source.ids, rows.ids.type)
            is_present = _compute.is_in(rows.ids, added)
            present = rows.ids.filter(is_present)
            if len(present) and not replace:
                more = f" and {len(present) - 1} more" if len(present) > 1 else ""
                raise ParameterError(
                    f"The id {present[0].as_py()!r}{more} is in the index already. Set "
                    f"{argument(replace=True)} to replace rows, or pass other ids."
                )
            new = new_rows(source, added, self._features, table)
            kept = rows.stored.filter(_compute.invert(is_present))
            self._store.write(pa.concat_tables([kept, new]), self._facts)

    def remove(self, ids: ArrayLike | None = None, *, where: str | None = None) -> int:
        """Remove rows, and return how many there were.

        Parameters
        ----------
        ids : sequence of int or str, optional
            Ids of the rows. Those that the index does not have are ignored.
        where : str, optional
            Condition on id and metadata instead of ids, as for `search`: ``"year < 2000"``.
        """
        check_only_one("ids of rows to remove, or a condition", ids, where)
        with self._store.writing():
            rows = self.rows
            is_kept: Any = np.ones(len(rows.ids), bool)
            if where is not None:
                is_kept[matches(where, rows.table, spelled("where", "--remove-where"))] = False
            elif ids is not None:
                is_kept = _compute.invert(_compute.is_in(rows.ids, as_ids(ids, rows.ids.type)))
            kept = rows.stored.filter(is_kept)
            self._store.write(kept, self._facts)
            return len(rows.ids) - len(kept)

    def search(
        self,
        X: SequencesLike | None = None,
        *,
        codes: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        names: ArrayLike | None = None,
        k: int = 10,
        where: str | None = None,
    ) -> Hits:
        """Find the nearest rows to sequences, codes or rows of the index.

        Parameters
        ----------
        X : Sequences, list of arrays, array, table or path, optional
            Sequences.
        codes : array of shape (n_queries, width of the code), optional
            Codes of the sequences, or without them, as for `create`.
        ids : sequence of int or str, optional
            Ids of rows instead of sequences. A row is not a hit of itself.
        names : sequence of int or str, optional
            Names of sequences or codes in the result; by default ids of sequences, or numbers.
        k : int, default=10
            Number of hits per query.
        where : str, optional
            Condition on id and metadata, as in SQL: ``"site = 'north' AND year >= 2020"``. It may
            have comparisons, AND, OR, NOT, IN, BETWEEN, LIKE and IS NULL, and no functions.
        """
        k = check_whole("k", k)
        data = codes if X is None else X
        check_only_one("sequences or codes, or ids to search for", data, ids)
        rows = self.rows
        matching: Any = slice(None) if where is None else matches(where, rows.table)
        own_rows = None if ids is None else self._numbers(rows, ids)
        if own_rows is None:
            source = self._source(X, codes, names)
            queries, (query_codes, vectors) = source.ids, source.read(self._features)
        else:
            queries = np.array(rows.ids.take(pa.array(own_rows)).to_pylist())
            query_codes, vectors = rows.codes[own_rows], rows.vectors[own_rows]
        # one more than k, because a row is not a hit of itself
        results = nearest(rows.vectors[matching], vectors, k + 1, rows.norms[matching])
        candidates = np.arange(len(rows.ids))[matching]
        shape = len(results), min(k + 1, len(candidates))
        numbers = candidates[np.array([near.rows for near in results], int).reshape(shape)]
        distances = np.array([near.distances for near in results], float).reshape(shape)
        is_hit = np.ones(shape, bool) if own_rows is None else numbers != own_rows[:, None]
        ranks = np.cumsum(is_hit, axis=1)
        is_hit &= ranks <= k
        hits = numbers[is_hit]
        id_type = pa.int64() if queries.dtype.kind in "iu" else pa.string()
        columns: dict[str, Any] = {
            "query": pa.array(queries[np.nonzero(is_hit)[0]].tolist(), id_type),
            "rank": pa.array(ranks[is_hit]),
            "distance": pa.array(distances[is_hit]),
        }
        table = rows.table.take(pa.array(hits))
        columns |= {name: table[name] for name in table.column_names}
        offsets = offsets_from_lengths(is_hit.sum(axis=1))
        return Hits(queries, pa.table(columns), rows.codes[hits], query_codes, offsets)

    def _numbers(self, rows: IndexRows, ids: ArrayLike) -> np.ndarray:
        """Return the numbers of the rows with these ids (n_ids,)."""
        wanted = as_ids(ids, rows.ids.type)
        # few ids are hashed instead of all
        numbers = np.flatnonzero(_compute.is_in(rows.ids, wanted))
        positions = _compute.index_in(wanted, rows.ids.take(pa.array(numbers)))
        if positions.null_count:
            missing = wanted.filter(positions.is_null())[0].as_py()
            raise ParameterError(
                f"There is no row with the id {missing!r} in the index {self.path!r}. Its first "
                f"ids are {rows.ids[:3].to_pylist()}."
            )
        return numbers[positions.to_numpy()]


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

    Examples
    --------
    >>> axes = draw(ae, index.search(sines[:1], k=3), sines[:1])  # doctest: +SKIP
    """
    # not at the top, because a search needs no matplotlib
    from refold import plots

    model = model_of(model).with_columns_of(hits.codes)
    check_kind("hits", hits, "Hits, the result of Index.search", "query_codes")
    begin, end = (int(row) for row in hits.offsets[query : query + 2])
    if begin == end:
        raise DataError(f"The query {query} has no hits to draw. Loosen the condition.")
    rows = zip(hits.ids(query)[:num], hits.distances(query)[:num], strict=True)
    titles = [f"{name}  ·  distance {short_number(distance)}" for name, distance in rows]
    schema = model.schema
    if X is None:
        X, query = model.decode(hits.query_codes[[query]]), 0
    else:
        X = model.windows(X).sequences
    queries = as_sequences(X, schema=schema)[np.full(len(titles), query)]
    decoded = model.decode(hits.codes[begin : begin + len(titles)])
    drawn = Sequences.from_list(decoded, schema=schema)
    return plots.reconstructions(queries, drawn, titles=titles, names=("query", "hit"))
