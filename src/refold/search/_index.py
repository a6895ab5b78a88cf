"""`Index`: codes, ids and metadata in a LanceDB table, and the search in it."""

import os
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from refold._support.argument_checks import check_whole
from refold._support.progress_bars import progress_bar
from refold._support.rules import check_only_one
from refold.errors import DataError, ParameterError, spelled
from refold.model import Model, ModelLike, SequencesLike, model_of
from refold.search import _approximate
from refold.search._features import SequenceFeatures
from refold.search._filters import among
from refold.search._finder import Finder
from refold.search._hits import Hits
from refold.search._rows import Metadata, as_ids, check_new_ids, metadata_of, new_rows, refuse_known
from refold.search._source import RowSource, check_distance
from refold.search._spool import spooled
from refold.search._store import About, Store


class Index:
    """Codes of sequences in a LanceDB table, with ids and metadata, to search in.

    Call `Index.create` or `Index.open`. A table holds all rows of a call or none of them. A folder
    has one writer at a time, and any number of readers.

    Distances are measured on features of the sequences or on their codes. Features are principal
    components of pooled convolutions, as in MultiRocket [1]_, of amplitudes of frequencies, and of
    averages over stretches of time. They are fitted to a sample of the first sequences, and stored.

    Searches in up to 100,000 rows compute every distance, in memory. Above that, LanceDB computes
    those of the rows that are probably nearest (`build`).

    Attributes
    ----------
    path : str
        Folder or URL.
    model : Model
        Model whose codes the index holds.
    distance : {"features", "code"}
        Vectors whose Euclidean distance is measured.
    recall_ : float or None
        Share of the 10 nearest rows that an approximate search finds, measured on a sample; None if
        all searches are exact.

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
    (39, Index(39 rows, distance='features', exact search))
    """

    def __init__(
        self,
        model: Model,
        store: Store,
        table: Any,
        about: About,
        features: SequenceFeatures | None,
        verbose: int = 0,
    ) -> None:
        self.path = store.name
        self.model, self.verbose = model, verbose
        self.distance = about.distance
        self._store, self._table, self._features = store, table, features
        self.finder = Finder(store, table, "code" if features is None else "vector")

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
        storage_options: dict[str, str] | None = None,
        verbose: int = 0,
    ) -> "Index":
        """Write a new index.

        Parameters
        ----------
        path : path or str
            Folder to write, or a URL for LanceDB, such as ``"s3://bucket/codes"``.
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
        storage_options : dict of str, optional
            LanceDB's options for the store, such as credentials.
        verbose : {0, 1}, default=0
            1 shows progress bars on standard error, also in later calls of the index.

        Returns
        -------
        Index

        Raises
        ------
        ParameterError
            If there is an index already, or another process is writing it.
        DataError
            If an id occurs twice, or columns of metadata have another length.
        """
        check_distance(distance)
        model, store = model_of(model), Store(path, storage_options)
        about = About(model.hash, distance)
        with store.writing():
            store.check_free()
            source = RowSource(model, X, codes, ids, verbose=verbose)
            columns = metadata_of(metadata, len(source))
            check_new_ids(source.ids)
            features = source.fit_features() if distance == "features" else None
            with spooled(new_rows(source, features, columns), store.parent) as rows:
                opened = store.create(rows, about, None if features is None else features.arrays)
            index = cls(model, store, opened, about, features, verbose)
            with store.errors("written"):
                _approximate.update(opened, index.finder.column, verbose)
        return index

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        model: ModelLike,
        *,
        storage_options: dict[str, str] | None = None,
        verbose: int = 0,
    ) -> "Index":
        """Open an index.

        Parameters
        ----------
        path : path or str
            Folder or URL.
        model : Model or SequenceAutoencoder
            The model that the index was created with.
        storage_options : dict of str, optional
            LanceDB's options for the store.
        verbose : {0, 1}, default=0
            1 shows progress bars on standard error.

        Returns
        -------
        Index

        Raises
        ------
        MissingFileError
            If there is no such folder.
        FileFormatError
            If it is not an index, is incomplete or damaged, or comes from a newer version.
        ParameterError
            If the index holds codes of another model.
        """
        model, store = model_of(model), Store(path, storage_options)
        table, about = store.open()
        own = model.hash
        if about.model != own:
            raise ParameterError(
                f"The index {store.name!r} holds codes of another model (hash {about.model[:12]}, "
                f"and this model has {own[:12]}). Open it with the model "
                "that it was created with, or create another index."
            )
        stored = store.read_features() if about.distance == "features" else None
        features = None if stored is None else SequenceFeatures(stored)
        return cls(model, store, table, about, features, verbose)

    def __len__(self) -> int:
        return self.finder.facts().num_rows

    def __repr__(self) -> str:
        recall = self.recall_
        kind = "exact search" if recall is None else f"recall {recall:.3f}"
        return f"Index({len(self)} rows, distance={self.distance!r}, {kind})"

    @property
    def recall_(self) -> float | None:
        """Measured share of the 10 nearest rows that an approximate search finds."""
        facts = self.finder.facts()
        if facts.settings is None or facts.num_rows <= _approximate.EXACT_ROWS:
            return None
        return facts.settings.recall

    @property
    def metadata_names(self) -> list[str]:
        """Names of the columns of metadata."""
        return self.finder.metadata_names()

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
        ParameterError
            If another process is writing, or an id is in the index and ``replace`` is False.
        DataError
            If an id occurs twice, or the columns of metadata differ from those of the index.
        """
        source = RowSource(self.model, X, codes, ids, verbose=self.verbose)
        columns = metadata_of(metadata, len(source), self._table.schema)
        new = check_new_ids(source.ids)
        if new.type != self._table.schema.field("id").type:
            numbers = pa.types.is_integer(self._table.schema.field("id").type)
            raise DataError(
                f"The ids of the index are {'integers' if numbers else 'text'}, and those of the "
                f"new rows are {'text' if numbers else 'integers'}. Pass ids of the same type."
            )
        with self._store.writing():
            with self._store.errors("read"):
                self._table.checkout_latest()
                if not replace:
                    refuse_known(self._table, new)
            found = new_rows(source, self._features, columns)
            with spooled(found, self._store.parent) as rows, self._store.errors("written"):
                if replace:
                    merge = self._table.merge_insert("id").when_matched_update_all()
                    merge.when_not_matched_insert_all().execute(rows)
                else:
                    self._table.add(rows)
            with self._store.errors("written"):
                _approximate.update(self._table, self.finder.column, self.verbose)

    def remove(self, ids: ArrayLike) -> int:
        """Remove rows by id, and return how many there were.

        Parameters
        ----------
        ids : sequence of int or str
            Ids; those that are not in the index are ignored.

        Returns
        -------
        int

        Raises
        ------
        ParameterError
            If another process is writing.
        """
        with self._store.writing(), self._store.errors("written"):
            self._table.checkout_latest()
            chosen = as_ids(ids, self._table.schema.field("id").type)
            found = self._table.delete(among(chosen.to_pylist())).num_deleted_rows
            _approximate.update(self._table, self.finder.column, self.verbose)
        return int(found)

    def build(self, *, partitions: int | None = None) -> "Index":
        """Build the partitions of an approximate search, and measure its recall.

        `create` and `add` do it when an index grows beyond 100,000 rows. Call it after many
        changes: rows that are added later join the partitions of the rows before them. A search
        reads as many partitions as find 98 % of the 10 nearest rows of a sample.

        Parameters
        ----------
        partitions : int, optional
            Number of partitions; by default a quarter of the square root of the number of rows.

        Returns
        -------
        Index
        """
        with self._store.writing(), self._store.errors("written"):
            self._table.checkout_latest()
            _approximate.build(self._table, self.finder.column, partitions, self.verbose)
        return self

    def search(
        self,
        X: SequencesLike | None = None,
        *,
        codes: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        names: ArrayLike | None = None,
        k: int = 10,
        where: str | None = None,
        exact: bool | None = None,
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
        exact : bool, optional
            Whether to compute every distance; by default in indexes of up to 100,000 rows, and in
            larger ones without partitions.

        Returns
        -------
        Hits

        Raises
        ------
        ParameterError
            If the condition is not valid, or an id is not in the index.
        SchemaError, DataError
            If the sequences cannot be encoded.
        """
        k = check_whole("k", k)
        data = codes if X is None else X
        check_only_one("sequences or codes, or ids to search for", data, ids)
        facts = self.finder.facts()
        where = None if where is None else self.finder.condition(where)
        if ids is not None:
            names, codes, vectors = self.finder.stored(ids)
        else:
            source = RowSource(self.model, X, codes, names, verbose=self.verbose)
            names, (_, codes, vectors) = source.ids, source.read(self._features)
        skipped = names.tolist() if ids is not None else None
        few = facts.num_rows <= _approximate.EXACT_ROWS
        approximate = None if exact or (exact is None and few) else facts.settings
        if exact is False and approximate is None:
            raise ParameterError(
                f"{spelled('exact=False', '--approximate')} needs an index with partitions, which "
                "indexes of more than 100,000 rows have, and others after Index.build()."
            )
        if approximate is None and few:
            found = self.finder.in_memory(vectors, k, where, skipped)
        else:
            probes = None if approximate is None else approximate.probes
            with progress_bar(disable=len(vectors) == 1 or not self.verbose) as bar:
                found = [
                    self.finder.in_table(one, k, where, skipped[i] if skipped else None, probes)
                    for i, one in enumerate(bar.track(vectors, description="search"))
                ]
        return self.finder.hits(names, codes, found)

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
        names, codes, _ = self.finder.stored(ids)
        return codes, names
