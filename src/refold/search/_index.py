"""`Index`: codes, ids and metadata in a file, and the search in it."""

import os
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import ArrayLike

from refold._support.argument_checks import check_whole
from refold._support.rules import check_only_one
from refold.errors import ParameterError, argument
from refold.model import Model, ModelLike, SequencesLike, model_of
from refold.search._features import SequenceFeatures
from refold.search._hits import Hits
from refold.search._nearest import nearest
from refold.search._rows import Metadata, as_ids, metadata_of, new_ids, new_rows
from refold.search._source import RowSource, check_distance
from refold.search._store import Facts, IndexRows, Store, spooled
from refold.search._where import matches

# its functions are made when it is imported
_compute: Any = pyarrow.compute


class Index:
    """Codes of sequences in a DuckDB file, with ids and metadata, to search in.

    Call `Index.create` or `Index.open`. A file holds all rows of a call or none of them. It has one
    writer at a time, and any number of readers.

    Distances are measured on features of the sequences or on their codes. Features are principal
    components of pooled convolutions, as in MultiRocket [1]_, of amplitudes of frequencies, and of
    averages over stretches of time. They are fitted to a sample of the first sequences, and stored.

    A search holds the rows in memory and computes every distance. It reads them again if the file
    has changed.

    Attributes
    ----------
    path : str
        File.
    model : Model
        Model whose codes the index holds.
    distance : {"features", "code"}
        Vectors whose Euclidean distance is measured.

    References
    ----------
    .. [1] C. W. Tan, A. Dempster, C. Bergmeir and G. I. Webb, "MultiRocket: multiple pooling
       operators and transformations for fast and effective time series classification", Data
       Mining and Knowledge Discovery 36, 2022.

    Examples
    --------
    >>> import tempfile, refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(
    ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
    ... ).fit(sines)
    >>> place = tempfile.mkdtemp() + "/sines.index"
    >>> index = Index.create(place, ae, sines[:30], metadata={"site": ["a", "b"] * 15})
    >>> hits = index.search(sines[3:4], k=2, where="site = 'b'")
    >>> hits.ids()[0], hits.column("site")
    (3, ['b', 'b'])
    >>> index.add(sines[30:], metadata={"site": ["c"] * 10})
    >>> index.remove([3])
    1
    >>> len(index), Index.open(place, ae)
    (39, Index(39 rows, distance='features'))
    """

    def __init__(self, model: Model, store: Store, facts: Facts, verbose: int = 0) -> None:
        self.path = store.name
        self.model, self.verbose = model, verbose
        self.distance = facts.distance
        self._store, self._schema = store, facts.schema
        self._features = None if facts.features is None else SequenceFeatures(facts.features)

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
            Columns with one value per row. Later rows must have the same columns.
        distance : {"features", "code"}, default="features"
            What distances are measured on: features of the sequences, with as many dimensions as a
            code, or the code.
        verbose : {0, 1}, default=0
            1 shows progress bars on standard error, also in later calls of the index.

        Returns
        -------
        Index

        Raises
        ------
        DataError
            If an id occurs twice, or columns of metadata have another length.
        """
        check_distance(distance)
        model, store = model_of(model), Store(path)
        with store.writing():
            store.check_free()
            source = RowSource(model, X, codes, ids, verbose=verbose)
            table = metadata_of(metadata, len(source))
            store.check_types(table.schema)
            schema = table.schema.insert(0, pa.field("id", new_ids(source.ids).type))
            features = source.fit_features() if distance == "features" else None
            arrays = None if features is None else features.arrays
            facts = Facts(model.hash, distance, schema.remove_metadata(), arrays)
            with spooled(new_rows(source, features, table), store.folder) as rows:
                store.create(rows, facts)
        return cls(model, store, facts, verbose)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        model: ModelLike,
        *,
        verbose: int = 0,
    ) -> "Index":
        """Open an index.

        Parameters
        ----------
        path : path or str
            File.
        model : Model or SequenceAutoencoder
            The model that the index was created with.
        verbose : {0, 1}, default=0
            1 shows progress bars on standard error.

        Returns
        -------
        Index

        Raises
        ------
        MissingFileError
            If there is no such file.
        FileFormatError
            If it is not an index, is damaged, or comes from another version.
        ParameterError
            If the index holds codes of another model.
        """
        model, store = model_of(model), Store(path)
        facts, own = store.facts(), model.hash
        if facts.model != own:
            raise ParameterError(
                f"The index {store.name!r} holds codes of another model (hash {facts.model[:12]}, "
                f"and this model has {own[:12]}). Open it with the model "
                "that it was created with, or create another index."
            )
        return cls(model, store, facts, verbose)

    def __len__(self) -> int:
        return self._store.count()

    def __repr__(self) -> str:
        return f"Index({len(self)} rows, distance={self.distance!r})"

    @property
    def metadata_names(self) -> list[str]:
        """Names of the columns of metadata."""
        return self._schema.names[1:]

    @property
    def rows(self) -> IndexRows:
        """All rows, in memory: a table of ids and metadata, codes, and vectors."""
        return self._store.rows(self._schema)

    def add(
        self,
        X: SequencesLike | None = None,
        *,
        codes: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        metadata: Metadata | None = None,
        replace: bool = False,
    ) -> None:
        """Add rows.

        Parameters
        ----------
        X, codes, ids, metadata
            As for `create`.
        replace : bool, default=False
            Replace the rows whose ids are in the index already.

        Raises
        ------
        DataError
            If an id occurs twice, or the columns of metadata differ from those of the index.
        """
        source = RowSource(self.model, X, codes, ids, verbose=self.verbose)
        table = metadata_of(metadata, len(source), self._schema)
        added = new_ids(source.ids, self._schema.field("id").type)
        with self._store.writing():
            known = [] if replace else self._store.known(added)
            if len(known):
                more = f" and {len(known) - 1} more" if len(known) > 1 else ""
                raise ParameterError(
                    f"The id {known[0].as_py()!r}{more} is in the index already. Set "
                    f"{argument(replace=True)} to replace rows, or pass other ids."
                )
            with spooled(new_rows(source, self._features, table), self._store.folder) as rows:
                self._store.add(rows, added, replace=replace)

    def remove(self, ids: ArrayLike) -> int:
        """Remove rows by id, and return how many there were.

        Parameters
        ----------
        ids : sequence of int or str
            Ids; those that are not in the index are ignored.

        Returns
        -------
        int
        """
        with self._store.writing():
            return self._store.remove(as_ids(ids, self._schema.field("id").type))

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

        Returns
        -------
        Hits

        Raises
        ------
        SchemaError, DataError
            If the sequences cannot be encoded.
        """
        k = check_whole("k", k)
        data = codes if X is None else X
        check_only_one("sequences or codes, or ids to search for", data, ids)
        rows = self.rows
        candidates = None if where is None else matches(where, rows.table)
        queried = None if ids is None else self._numbers(rows, ids)
        if queried is not None:
            names = _array(rows.ids.take(pa.array(queried)))
            codes, vectors = rows.codes[queried], rows.vectors[queried]
        else:
            source = RowSource(self.model, X, codes, names, verbose=self.verbose)
            names, (_, codes, vectors) = source.ids, source.read(self._features)
        if candidates is None:
            found = nearest(rows.vectors, vectors, k + 1, rows.norms)
        else:
            found = nearest(rows.vectors[candidates], vectors, k + 1, rows.norms[candidates])
        numbers, distances = [], []
        for i, near in enumerate(found):
            hits = near.rows if candidates is None else candidates[near.rows]
            others = slice(k) if queried is None else np.flatnonzero(hits != queried[i])[:k]
            numbers.append(hits[others])
            distances.append(near.distances[others])
        return _hits(rows, names, codes, numbers, distances)

    def codes(self, ids: ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return codes and their ids, of the rows with these ids or of all rows.

        Parameters
        ----------
        ids : sequence of int or str, optional
            By default all.

        Returns
        -------
        codes : array of float32 of shape (n_rows, width of the code)
        ids : array of shape (n_rows,)
        """
        rows = self.rows
        if ids is None:
            return rows.codes.copy(), _array(rows.ids)
        chosen = self._numbers(rows, ids)
        return rows.codes[chosen], _array(rows.ids.take(pa.array(chosen)))

    def _numbers(self, rows: IndexRows, ids: ArrayLike) -> np.ndarray:
        """Return the numbers of the rows with these ids (n_ids,)."""
        wanted = as_ids(ids, rows.ids.type)
        # few ids are hashed instead of all
        numbers = np.flatnonzero(_compute.is_in(rows.ids, wanted))
        positions = _compute.index_in(wanted, rows.ids.take(pa.array(numbers)))
        if positions.null_count:
            missing = wanted.filter(positions.is_null())[0].as_py()
            raise ParameterError(
                f"There is no row with the id {missing!r} in the index {self.path!r}. Check the id."
            )
        return numbers[positions.to_numpy()]


def _hits(
    rows: IndexRows,
    names: np.ndarray,
    codes: np.ndarray,
    numbers: list[np.ndarray],
    distances: list[np.ndarray],
) -> Hits:
    """Return hits of queries with these names and codes, as numbers of rows for each query."""
    counts = [len(hits) for hits in numbers]
    joined = np.concatenate([np.zeros(0, int), *numbers])
    query = np.repeat(np.arange(len(counts)), counts)
    id_type = pa.int64() if names.dtype.kind in "iu" else pa.string()
    columns: dict[str, Any] = {
        "query": pa.array(names[query].tolist(), id_type),
        "rank": pa.array(np.concatenate([np.arange(1, n + 1) for n in (0, *counts)])),
        "distance": pa.array(np.concatenate([np.zeros(0), *distances])),
    }
    table = rows.table.take(pa.array(joined))
    columns |= {name: table[name] for name in table.column_names}
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=int)])
    return Hits(names, pa.table(columns), rows.codes[joined], codes, offsets)


def _array(ids: pa.Array) -> np.ndarray:
    """Return ids as an array of integers or of text."""
    return np.array(ids.to_pylist())
