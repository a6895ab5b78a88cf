"""`Index`: codes, ids and metadata in a file, and the search in them; `Hits`: what it returns."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import ArrayLike

from refold._support.arrays import offsets_from_lengths
from refold._support.messages import format_short, pluralize
from refold._support.rules import check, check_exactly_one, check_input_type, check_integer
from refold.errors import DataError, ParameterError, SchemaError, argument, spelled
from refold.model import Model, ModelLike, SequencesLike, model_of
from refold.search._conditions import matching_rows
from refold.search._features import SearchFeatures
from refold.search._index_file import IndexFile, IndexHeader, IndexRows, nearest
from refold.search._rows import (
    DISTANCE_RULE,
    Metadata,
    RowSource,
    cast_ids,
    check_metadata,
    check_new_ids,
    make_rows,
)
from refold.sequences import Sequences, as_sequences

# of the type Any, because pyarrow.compute makes its functions at import, unseen by type checkers
_compute: Any = pyarrow.compute


@dataclass(frozen=True)
class Hits:
    """Nearest rows of an index, the nearest first.

    Attributes
    ----------
    queries : array of shape (n_queries,)
        Ids of the sequences or rows that were searched for; for codes, numbers from 0.
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
        num_queries, num_hits = len(self.queries), self.table.num_rows
        queries = "query" if num_queries == 1 else "queries"
        return f"Hits({num_queries} {queries}, {pluralize(num_hits, 'hit')})"

    def __len__(self) -> int:
        return len(self.queries)

    def ids(self, query: int = 0) -> list[Any]:
        """Return the ids of the hits of a query (0 is the first query), the nearest hit first."""
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

    Call `Index.create` or `Index.open`. The file is an Arrow IPC file, with one writer at a time
    and any number of readers. A call that fails writes no row. A search holds the rows in memory
    and computes every distance. The rows are read again if the file has changed.

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

    def __init__(
        self, model: Model, index_file: IndexFile, header: IndexHeader, verbose: int = 0
    ) -> None:
        self.path = index_file.name
        self.model, self.verbose = model, verbose
        self.distance = header.distance
        self._file, self._header = index_file, header
        self._features = None if header.features is None else SearchFeatures(header.features)

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
            Vectors that distances are measured on: codes, or features of the sequences, which have
            as many dimensions as a code.
        verbose : {0, 1}, default=0
            1 shows progress bars on standard error, also in later calls of the index.
        """
        check("distance", distance, DISTANCE_RULE)
        model, index_file = model_of(model), IndexFile(path)
        with index_file.write_lock():
            index_file.check_can_create()
            row_source = RowSource(model, X, codes, ids, verbose=verbose)
            metadata_table = check_metadata(metadata, len(row_source))
            row_ids = check_new_ids(row_source.ids)
            features = row_source.fit_features() if distance == "features" else None
            arrays = None if features is None else features.arrays
            header = IndexHeader(row_source.model.hash, distance, arrays)
            index_file.write(make_rows(row_source, row_ids, features, metadata_table), header)
        return cls(model, index_file, header, verbose)

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
        model, index_file = model_of(model), IndexFile(path)
        header = index_file.header()
        if not model.is_hash(header.model_hash):
            raise ParameterError(
                f"The index {index_file.name!r} holds codes of another model (hash "
                f"{header.model_hash[:12]}, and this model has {model.hash[:12]}). Open it with "
                "the model that it was created with, or create another index."
            )
        return cls(model, index_file, header, verbose)

    def _make_source(
        self, X: SequencesLike | None, codes: ArrayLike | None, ids: ArrayLike | None
    ) -> RowSource:
        """Return sequences or codes as rows, or raise an error if their columns do not fit."""
        row_source = RowSource(self.model, X, codes, ids, verbose=self.verbose)
        width = self.rows.codes.shape[1]
        # A model that accepts any columns adapts to those of the sequences, so its hash is compared
        # again. For other models, `open` has compared it.
        is_same = not self.model.any_columns or row_source.model.is_hash(self._header.model_hash)
        code_size = row_source.model.code_size
        if code_size != width or not is_same:
            reason = "The sequences of the index have columns of other names, or in another order"
            if code_size != width:
                reason = (
                    f"The index has codes of {width} numbers, and these sequences have {code_size}"
                )
            raise SchemaError(f"{reason}. Choose the columns of the index, in their order.")
        return row_source

    def __len__(self) -> int:
        return len(self.rows.ids)

    def __repr__(self) -> str:
        return f"Index({len(self)} rows, distance={self.distance!r})"

    @property
    def rows(self) -> IndexRows:
        """All rows, in memory: a table of ids and metadata, codes, and vectors."""
        return self._file.rows()

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
        row_source = self._make_source(X, codes, ids)
        with self._file.write_lock():
            rows = self.rows
            metadata_table = check_metadata(metadata, len(row_source), rows.table.schema)
            row_ids = check_new_ids(row_source.ids, rows.ids.type)
            is_replaced = _compute.is_in(rows.ids, row_ids)
            present = rows.ids.filter(is_replaced)
            if len(present) and not replace:
                more_ids = f" and {len(present) - 1} more" if len(present) > 1 else ""
                raise ParameterError(
                    f"The id {present[0].as_py()!r}{more_ids} is in the index already. Set "
                    f"{argument(replace=True)} to replace rows, or pass other ids."
                )
            # all rows are encoded before any is written, so a run that is killed changes nothing
            added = make_rows(row_source, row_ids, self._features, metadata_table)
            unchanged = rows.file_table.filter(_compute.invert(is_replaced))
            self._file.write(pa.concat_tables([unchanged, added]), self._header)

    def remove(self, ids: ArrayLike | None = None, *, where: str | None = None) -> int:
        """Remove rows, and return how many there were.

        Parameters
        ----------
        ids : sequence of int or str, optional
            Ids of the rows. Those that the index does not have are ignored.
        where : str, optional
            Condition on id and metadata instead of ids, as for `search`: ``"year < 2000"``.
        """
        check_exactly_one("ids of rows to remove, or a condition", ids, where)
        with self._file.write_lock():
            rows = self.rows
            stays: Any = np.ones(len(rows.ids), bool)
            if where is not None:
                stays[matching_rows(where, rows.table, spelled("where", "--remove-where"))] = False
            elif ids is not None:
                stays = _compute.invert(_compute.is_in(rows.ids, cast_ids(ids, rows.ids.type)))
            remaining = rows.file_table.filter(stays)
            self._file.write(remaining, self._header)
            return len(rows.ids) - len(remaining)

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
            Codes of the sequences, or codes instead of sequences, as for `create`.
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
        k = check_integer("k", k)
        data = codes if X is None else X
        check_exactly_one("sequences or codes, or ids to search for", data, ids)
        rows = self.rows
        # a slice, not an array, selects all vectors without a copy
        matching: Any = slice(None) if where is None else matching_rows(where, rows.table)
        query_rows = None if ids is None else self._find_rows(rows, ids)
        if query_rows is None:
            source = self._make_source(X, codes, names)
            queries, (query_codes, query_vectors) = source.ids, source.encode(self._features)
        else:
            queries = np.array(rows.ids.take(pa.array(query_rows)).to_pylist())
            query_codes, query_vectors = rows.codes[query_rows], rows.vectors[query_rows]
        # k + 1, because the nearest row of a row is usually itself, which is not a hit
        results = nearest(rows.vectors[matching], query_vectors, k + 1, rows.norms[matching])
        candidates = np.arange(len(rows.ids))[matching]
        shape = len(results), min(k + 1, len(candidates))
        positions = np.array([result.rows for result in results], int).reshape(shape)
        near_rows = candidates[positions]
        distances = np.array([result.distances for result in results], float).reshape(shape)
        is_hit = np.ones(shape, bool) if query_rows is None else near_rows != query_rows[:, None]
        ranks = np.cumsum(is_hit, axis=1)
        is_hit &= ranks <= k
        hits = near_rows[is_hit]
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

    def _find_rows(self, index_rows: IndexRows, ids: ArrayLike) -> np.ndarray:
        """Return the indices (n_ids,) of the rows with these ids."""
        queried = cast_ids(ids, index_rows.ids.type)
        # Arrow builds a hash table of the second argument. Here it is never all ids of the index,
        # but the queried ids, and then the ids of the rows that were found by them.
        candidates = np.flatnonzero(_compute.is_in(index_rows.ids, queried))
        positions = _compute.index_in(queried, index_rows.ids.take(pa.array(candidates)))
        if positions.null_count:
            missing = queried.filter(positions.is_null())[0].as_py()
            raise ParameterError(
                f"There is no row with the id {missing!r} in the index {self.path!r}. Its first "
                f"ids are {index_rows.ids[:3].to_pylist()}."
            )
        return candidates[positions.to_numpy()]


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
        Index of the query.
    num : int, default=6
        Number of hits to draw, or all if there are fewer.

    Examples
    --------
    >>> axes = draw(ae, index.search(sines[:1], k=3), sines[:1])  # doctest: +SKIP
    """
    # imported here, because a search needs no matplotlib
    from refold import plots

    check_input_type("hits", hits, "Hits, the result of Index.search", "query_codes")
    model = model_of(model).with_columns_of(hits.codes)
    begin, end = (int(row) for row in hits.offsets[query : query + 2])
    if begin == end:
        raise DataError(f"The query {query} has no hits to draw. Loosen the condition.")
    id_distances = zip(hits.ids(query)[:num], hits.distances(query)[:num], strict=True)
    titles = [f"{id_}  ·  distance {format_short(distance)}" for id_, distance in id_distances]
    schema = model.schema
    if X is None:
        X, query = model.decode(hits.query_codes[[query]]), 0  # the only decoded sequence
    else:
        X = model.windows(X).sequences
    # the query is repeated, because each hit is drawn together with it
    queries = as_sequences(X, schema=schema)[np.full(len(titles), query)]
    decoded = model.decode(hits.codes[begin : begin + len(titles)])
    decoded_hits = Sequences.from_list(decoded, schema=schema)
    return plots.reconstructions(queries, decoded_hits, titles=titles, names=("query", "hit"))
