"""`Index` stores codes, ids and metadata in a file. Its searches return `Hits`.

`IndexFile` reads and writes the file, and `nearest` searches among vectors.
"""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import ArrayLike

from refold._support.arrays import check_array, offsets_from_lengths
from refold._support.atomic_files import atomic_writer, hold_path_lock, require_local_path
from refold._support.messages import format_rounded, pluralize
from refold._support.rules import (
    check,
    check_counts_match,
    check_exactly_one,
    check_has_attribute,
    check_integer,
)
from refold.errors import (
    DataError,
    FileFormatError,
    MissingFileError,
    ParameterError,
    SchemaError,
    argument,
    python_or_cli,
)
from refold.model import Model, ModelLike, SequencesLike, model_of
from refold.search._conditions import find_matching_rows
from refold.search._features import SearchFeatures
from refold.search._rows import (
    VECTOR_KIND_RULE,
    Metadata,
    RowSource,
    cast_ids,
    check_new_ids,
    make_metadata_table,
    make_row_table,
)
from refold.sequences import as_sequences

# Any, because type checkers do not see the functions that pyarrow.compute makes at import
pc: Any = pyarrow.compute

# Version of the file format. An index of another version is refused.
_INDEX_FORMAT_VERSION = "6"
# Cap on the scores that are computed at once, one for each pair of a query and a row. They take
# 16 MB, because a score is a float32.
_MAX_BLOCK_SCORES = 4_000_000
# Largest number of rows in a group. A search first computes the smallest score of each group. With
# larger groups, there are fewer minima to sort, but more rows remain for which exact distances are
# computed.
_MAX_ROWS_PER_PRUNING_GROUP = 1024


# The file of an index


class IndexHeader(NamedTuple):
    """Properties of an index that do not change when its rows do."""

    model_hash: str
    vector_kind: str  # "features" or "code"
    # arrays of `SearchFeatures`; None if distances are measured on codes
    feature_arrays: dict[str, np.ndarray] | None


class IndexRows(NamedTuple):
    """All rows of an index, in memory."""

    file_table: pa.Table  # all columns of the file
    table: pa.Table  # ids and metadata only
    ids: pa.Array  # (n_rows,)
    codes: np.ndarray  # (n_rows, width of the code)
    # (n_rows, n_dimensions), what distances are measured on: features, or the same array as `codes`
    vectors: np.ndarray
    squared_norms: np.ndarray  # (n_rows,), squared Euclidean norm of each vector


class IndexFile:
    """The file of an index, in the Arrow format. Each change writes a new file."""

    # The new file replaces the old one when it is complete. So readers never wait for a writer, and
    # they see either all rows that a call adds, or none. Writing a million rows takes about a
    # second, and the next search takes as long to read them. DuckDB, a database with transactions,
    # was not faster.

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path_text = os.fspath(path)  # as the caller wrote it
        self.path = require_local_path(self.path_text).absolute()
        self._cached_rows: IndexRows | None = None
        # Time of change, size and inode that the file had when the rows were read. If they differ
        # now, the file has changed.
        self._cached_file_stamp: tuple[int, int, int] | None = None
        self._read_lock = threading.Lock()  # threads of a server share the rows

    def write_lock(self) -> AbstractContextManager[None]:
        """Lock the index for one writer, or raise an error if another process has the lock."""
        message = (
            f"Another process is writing to the index {self.path_text!r}. Wait until it ends, or "
            "choose another file."
        )
        return hold_path_lock(self.path, message)

    def write(self, row_table: pa.Table, header: IndexHeader) -> None:
        """Write all rows to a new file, which replaces the old one when it is complete."""
        feature_bytes = io.BytesIO()
        feature_arrays: dict[str, Any] = header.feature_arrays or {}
        np.savez(feature_bytes, **feature_arrays)
        metadata: dict[Any, Any] = {
            "refold index": _INDEX_FORMAT_VERSION,
            "model": header.model_hash,
            "distance": header.vector_kind,
            "features": feature_bytes.getvalue(),
        }
        # one chunk, because readers would have to copy several chunks into one array
        table = row_table.replace_schema_metadata(metadata).combine_chunks()
        with atomic_writer(self.path) as stream, pa.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table)

    def read_header(self) -> IndexHeader:
        """Read the properties of the index from the schema of its file."""
        with self._open_explaining_errors() as stream:
            metadata = pa.ipc.open_file(stream).schema.metadata or {}
            version = metadata[b"refold index"].decode()
            if version != _INDEX_FORMAT_VERSION:
                raise FileFormatError(
                    f"{self.path_text!r} has index version {version}, and this Refold reads "
                    f"version {_INDEX_FORMAT_VERSION}. Use another version of Refold, or create "
                    "the index again."
                )
            with np.load(io.BytesIO(metadata[b"features"])) as arrays:
                feature_arrays = dict(arrays) or None  # `write` stores None as no arrays
            model_hash, kind = metadata[b"model"].decode(), metadata[b"distance"].decode()
            return IndexHeader(model_hash, kind, feature_arrays)

    def read_all_rows(self) -> IndexRows:
        """Return the rows, which are read again only if the file has changed."""
        with self._read_lock, self._open_explaining_errors() as stream:
            status = os.fstat(stream.fileno())
            file_stamp = status.st_mtime_ns, status.st_size, status.st_ino
            if self._cached_rows is None or file_stamp != self._cached_file_stamp:
                self._cached_rows = None  # frees the memory before the new rows are read
                file_table = pa.ipc.open_file(stream).read_all()
                file_table.validate(full=True)
                arrays = {}  # by column, the lists of all rows as one array (n_rows, list length)
                for name in {"code", "vector"} & set(file_table.column_names):
                    entries = file_table[name].combine_chunks().flatten().to_numpy()
                    arrays[name] = entries.reshape(-1, file_table.schema.field(name).type.list_size)
                # a file has no column "vector" if distances are measured on codes
                codes, vectors = arrays["code"], arrays.get("vector", arrays["code"])
                table = file_table.drop_columns([*arrays]).replace_schema_metadata()
                ids, norms = file_table["id"].combine_chunks(), squared_norms(vectors)
                self._cached_rows = IndexRows(file_table, table, ids, codes, vectors, norms)
                self._cached_file_stamp = file_stamp
            return self._cached_rows

    @contextmanager
    def _open_explaining_errors(self) -> Iterator[BinaryIO]:
        """Open the file; turn errors in the ``with`` block into errors of Refold, with one line."""
        try:
            with self.path.open("rb") as stream:
                yield stream
        except FileNotFoundError as error:
            raise MissingFileError(
                f"There is no index {self.path_text!r}. Check the path, or create it with "
                f"{python_or_cli('Index.create', '`refold index`')}."
            ) from error
        except (OSError, pa.ArrowException, KeyError) as error:
            text = " ".join(str(error).split())[:200].rstrip(". ")
            raise FileFormatError(
                f"{self.path_text!r} cannot be read as an index ({text}). Check the path, or "
                "create the index again."
            ) from error


# Exact search


class Nearest(NamedTuple):
    """Indices of the nearest rows of one query, in order of distance."""

    indices: np.ndarray  # (n_hits,)
    distances: np.ndarray  # (n_hits,)


def nearest(
    candidate_vectors: np.ndarray, queries: np.ndarray, k: int, norms: np.ndarray | None = None
) -> list[Nearest]:
    """Return the rows with the smallest Euclidean distances to each query.

    Rows at the same distance keep their order.

    Parameters
    ----------
    candidate_vectors : array of float32 of shape (n_rows, n_dimensions)
        Rows to search in.
    queries : array of float32 of shape (n_queries, n_dimensions)
        Vectors to search for.
    k : int
        Number of rows to return for each query, or all rows if there are fewer.
    norms : array of float32 of shape (n_rows,), optional
        Squared norms of the vectors, if you have them already.

    Returns
    -------
    list of Nearest
        One per query.

    Examples
    --------
    >>> line = np.arange(5, dtype=np.float32)[:, None]
    >>> nearest(line, np.array([[3.2]], np.float32), 2)[0].indices.tolist()
    [3, 4]
    """
    # Every distance is computed, by a matrix product, which takes 6 to 25 ms for 1,000,000 codes.
    # An approximate index would not be worth its cost: LanceDB took 12 ms with partitions, which
    # missed 0.5 % of the nearest rows, and 132 ms without partitions. It needed 12 s to build the
    # partitions, 178 MB of disk and 2 s to import.
    vectors = check_array("candidate_vectors", candidate_vectors, ("n_rows", "n_dimensions"))
    queries = check_array("queries", queries, ("n_queries", "n_dimensions"))
    check_counts_match(
        queries.shape[1], "dimensions of queries", vectors.shape[1], "dimensions of vectors"
    )
    k = min(check_integer("k", k, 0), len(vectors))
    if not k:
        return [Nearest(np.zeros(0, int), np.zeros(0, np.float32)) for _ in queries]
    norms = squared_norms(vectors) if norms is None else norms
    max_squared_norm = float(norms.max())
    results = []
    # Rows are split into at least k groups, and each group has a smallest score. Exact distances
    # are computed only for rows whose scores are at most the k-th smallest of these group minima.
    # The k nearest rows are among these rows, because k groups have a row with such a score.
    rows_per_group = max(1, min(_MAX_ROWS_PER_PRUNING_GROUP, len(vectors) // k))
    group_starts = np.arange(0, len(vectors), rows_per_group)
    max_block_queries = max(1, _MAX_BLOCK_SCORES // len(vectors))
    for begin in range(0, len(queries), max_block_queries):
        block = queries[begin : begin + max_block_queries]
        # The squared distance of a row x and a query q is |x|² - 2xq + |q|². The score leaves out
        # the last term, which is the same for all rows. Scores have the shape (n_queries, n_rows).
        scores = norms - 2.0 * (block @ vectors.T)
        for query, query_scores in zip(block, scores, strict=True):
            # upper bound of the rounding error of a score, which is a sum over the dimensions
            epsilon = np.finfo(query_scores.dtype).eps
            max_error = vectors.shape[1] * epsilon * (max_squared_norm + query @ query)
            minima = np.minimum.reduceat(query_scores, group_starts)
            # twice the error, because two scores are compared, and each has a rounding error
            max_score = np.partition(minima, k - 1)[k - 1] + 2 * max_error
            rows = np.flatnonzero(~(query_scores > max_score))  # also rows whose score is NaN
            distances = np.linalg.norm(vectors[rows] - query, axis=1)
            order = np.argsort(distances, kind="stable")[:k]
            results.append(Nearest(rows[order], distances[order]))
    return results


def squared_norms(vectors: np.ndarray) -> np.ndarray:
    """Return the squared norm of each row of (n_rows, n_dimensions)."""
    vectors = check_array("vectors", vectors, ("n_rows", "n_dimensions"))
    return np.einsum("ij,ij->i", vectors, vectors)


# The index


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
        The hits of query ``i`` are the rows from ``offsets[i]`` up to ``offsets[i + 1]``. A query
        has fewer hits than asked for if fewer rows match.

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
        queries = "query" if len(self) == 1 else "queries"
        return f"Hits({len(self)} {queries}, {pluralize(self.table.num_rows, 'hit')})"

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
    averages over segments of time. They are fitted to a sample of the sequences, and stored.

    Attributes
    ----------
    path, model, vector_kind
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
        self.path = index_file.path_text
        self.model, self.verbose = model, verbose
        self.vector_kind = header.vector_kind
        self._file, self._header = index_file, header
        arrays = header.feature_arrays
        self._features = None if arrays is None else SearchFeatures(arrays)

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
        vector_kind: str = "features",
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
            Columns with one value per row. Later rows must have the same columns. If the model has
            a ``window``, the rows are windows; ``model.windows(X).to_table("series")`` has the
            series and the steps of each.
        vector_kind : {"features", "code"}, default="features"
            Vectors between which distances are measured: codes, or features of the sequences, which
            have as many dimensions as a code.
        verbose : {0, 1}, default=0
            1 shows progress bars on standard error, also in later calls of the index.
        """
        check("vector_kind", vector_kind, VECTOR_KIND_RULE)
        model, index_file = model_of(model), IndexFile(path)
        with index_file.write_lock():
            if not index_file.path.parent.is_dir():
                raise MissingFileError(
                    f"There is no folder {str(index_file.path.parent)!r} for the index "
                    f"{index_file.path_text!r}. Create it first, or name another."
                )
            if index_file.path.exists():
                how_to_add = python_or_cli("Index.open(...).add(...)", "--add or --replace")
                raise ParameterError(
                    f"{index_file.path_text!r} exists already. Add rows to an index with "
                    f"{how_to_add}, or name another file."
                )
            row_source = RowSource(model, X, codes, ids, verbose=verbose)
            metadata_table = make_metadata_table(metadata, len(row_source))
            row_ids = check_new_ids(row_source.ids)
            features = row_source.fit_features() if vector_kind == "features" else None
            feature_arrays = None if features is None else features.arrays
            header = IndexHeader(row_source.model.hash, vector_kind, feature_arrays)
            index_file.write(make_row_table(row_source, row_ids, features, metadata_table), header)
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
        header = index_file.read_header()
        if not model.has_hash(header.model_hash):
            raise ParameterError(
                f"The index {index_file.path_text!r} holds codes of another model (hash "
                f"{header.model_hash[:12]}, and this model has {model.hash[:12]}). Open it with "
                "the model that it was created with, or create another index."
            )
        return cls(model, index_file, header, verbose)

    def _make_checked_row_source(
        self, X: SequencesLike | None, codes: ArrayLike | None, ids: ArrayLike | None
    ) -> RowSource:
        """Return a source of rows; raise an error if its codes or columns do not fit the index."""
        row_source = RowSource(self.model, X, codes, ids, verbose=self.verbose)
        index_width, code_width = self.rows.codes.shape[1], row_source.model.code_size
        if code_width != index_width:
            problem = (
                f"The index has codes of {index_width} numbers, and these sequences have "
                f"{code_width}"
            )
        # A model that accepts any columns is adapted to those of the sequences, and the hash of the
        # adapted model depends on them. The header has the hash for the columns of the index.
        elif self.model.any_columns and not row_source.model.has_hash(self._header.model_hash):
            problem = "The sequences of the index have columns of other names, or in another order"
        else:
            return row_source
        raise SchemaError(f"{problem}. Choose the columns of the index, in their order.")

    def __len__(self) -> int:
        return len(self.rows.ids)

    def __repr__(self) -> str:
        return f"Index({len(self)} rows, vector_kind={self.vector_kind!r})"

    @property
    def rows(self) -> IndexRows:
        """All rows, in memory: a table of ids and metadata, codes, and vectors."""
        return self._file.read_all_rows()

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
        row_source = self._make_checked_row_source(X, codes, ids)
        with self._file.write_lock():
            rows = self.rows
            metadata_table = make_metadata_table(metadata, len(row_source), rows.table.schema)
            row_ids = check_new_ids(row_source.ids, rows.ids.type)
            is_replaced = pc.is_in(rows.ids, row_ids)
            present_ids = rows.ids.filter(is_replaced)
            if len(present_ids) and not replace:
                more_ids = f" and {len(present_ids) - 1} more" if len(present_ids) > 1 else ""
                raise ParameterError(
                    f"The id {present_ids[0].as_py()!r}{more_ids} is in the index already. Set "
                    f"{argument(replace=True)} to replace rows, or pass other ids."
                )
            # all rows are encoded before the file is written, so a killed process changes nothing
            new_rows = make_row_table(row_source, row_ids, self._features, metadata_table)
            unchanged_rows = rows.file_table.filter(pc.invert(is_replaced))
            self._file.write(pa.concat_tables([unchanged_rows, new_rows]), self._header)

    def remove(self, ids: ArrayLike | None = None, *, where: str | None = None) -> int:
        """Remove rows, and return how many rows were removed.

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
            is_removed = np.zeros(len(rows.ids), bool)
            if where is not None:
                where_name = python_or_cli("where", "--remove-where")
                is_removed[find_matching_rows(where, rows.table, where_name)] = True
            elif ids is not None:
                removed_ids = cast_ids(ids, rows.ids.type)
                is_removed = pc.is_in(rows.ids, removed_ids).to_numpy(zero_copy_only=False)
            remaining = rows.file_table.filter(~is_removed)
            self._file.write(remaining, self._header)
            return len(rows.ids) - len(remaining)

    def search(
        self,
        X: SequencesLike | None = None,
        *,
        codes: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        query_names: ArrayLike | None = None,
        k: int = 10,
        where: str | None = None,
    ) -> Hits:
        """Find the nearest rows to sequences, codes or rows of the index.

        Parameters
        ----------
        X : Sequences, list of arrays, array, table or path, optional
            Sequences.
        codes : array of shape (n_queries, width of the code), optional
            Codes of the sequences if you have them, or codes without sequences (see `create`).
        ids : sequence of int or str, optional
            Ids of rows instead of sequences. A row is not a hit of itself.
        query_names : sequence of int or str, optional
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
        # indices of the rows that can be hits; a slice selects all rows without a copy of vectors
        selection: Any = slice(None) if where is None else find_matching_rows(where, rows.table)
        candidates = np.arange(len(rows.ids))[selection]
        if ids is None:
            row_source = self._make_checked_row_source(X, codes, query_names)
            queries, query_rows = row_source.ids, None
            query_codes, query_vectors = row_source.encode(self._features)
        else:
            queried_ids = cast_ids(ids, rows.ids.type)
            # `is_in` finds the queried rows in the order of the index. `index_in` finds each
            # queried id among these rows. Both build a hash table of their second argument, which
            # is short here. A table of all ids of the index would take long.
            unordered_rows = np.flatnonzero(pc.is_in(rows.ids, queried_ids))
            unordered_ids = rows.ids.take(pa.array(unordered_rows))
            positions = pc.index_in(queried_ids, unordered_ids)
            if positions.null_count:
                missing_id = queried_ids.filter(positions.is_null())[0].as_py()
                raise ParameterError(
                    f"There is no row with the id {missing_id!r} in the index {self.path!r}. Its "
                    f"first ids are {rows.ids[:3].to_pylist()}."
                )
            query_rows = unordered_rows[positions.to_numpy()]
            queries = np.array(rows.ids.take(pa.array(query_rows)).to_pylist())
            query_codes, query_vectors = rows.codes[query_rows], rows.vectors[query_rows]
        # k + 1 results, because a queried row finds itself, and this result is no hit
        norms = rows.squared_norms[selection]
        results = nearest(rows.vectors[selection], query_vectors, k + 1, norms=norms)
        # (n_queries, n_results); without queries, `np.array` would lose the second dimension
        shape = len(results), min(k + 1, len(candidates))
        near_rows = candidates[np.array([result.indices for result in results], int).reshape(shape)]
        distances = np.array([result.distances for result in results], float).reshape(shape)
        is_hit = np.ones(shape, bool) if query_rows is None else near_rows != query_rows[:, None]
        ranks = np.cumsum(is_hit, axis=1)
        is_hit &= ranks <= k
        hit_rows = near_rows[is_hit]  # (n_hits,), row indices: all hits of a query, then the next
        query_type = pa.int64() if queries.dtype.kind in "iu" else pa.string()
        columns: dict[str, Any] = {
            "query": pa.array(queries[np.nonzero(is_hit)[0]].tolist(), query_type),
            "rank": pa.array(ranks[is_hit]),
            "distance": pa.array(distances[is_hit]),
        }
        hit_table = rows.table.take(pa.array(hit_rows))
        columns |= {name: hit_table[name] for name in hit_table.column_names}
        offsets = offsets_from_lengths(is_hit.sum(axis=1))
        return Hits(queries, pa.table(columns), rows.codes[hit_rows], query_codes, offsets)


def plot_hits(
    model: ModelLike,
    hits: Hits,
    X: SequencesLike | None = None,
    *,
    query_index: int = 0,
    max_hits: int = 6,
) -> list[Any]:
    """Draw a query together with each of its nearest hits, which are decoded from their codes.

    Parameters
    ----------
    model : Model or SequenceAutoencoder
        The model of the index.
    hits : Hits
        Result of `Index.search`.
    X : Sequences, list of arrays, array or table, optional
        Sequences that were searched for; by default the query is decoded from its code, too.
    query_index : int, default=0
        Index of the query.
    max_hits : int, default=6
        Largest number of hits to draw.

    Examples
    --------
    >>> axes = plot_hits(ae, index.search(sines[:1], k=3), sines[:1])  # doctest: +SKIP
    """
    # imported here, because a search needs no matplotlib
    from refold import plots

    check_has_attribute("hits", hits, "Hits, the result of Index.search", attribute="query_codes")
    model = model_of(model).adapt_to_code_width(hits.codes)
    begin, end = (int(row) for row in hits.offsets[query_index : query_index + 2])
    if begin == end:
        raise DataError(f"The query {query_index} has no hits to draw. Loosen the condition.")
    pairs = [*zip(hits.ids(query_index), hits.distances(query_index), strict=True)][:max_hits]
    titles = [f"{id_}  ·  distance {format_rounded(distance)}" for id_, distance in pairs]
    if X is None:
        X, query_index = model.decode(hits.query_codes[[query_index]]), 0  # X has only the query
    else:
        X = model.windows(X).sequences
    # the query is repeated, because each hit is drawn together with it
    queries = as_sequences(X, schema=model.schema)[np.full(len(titles), query_index)]
    decoded = model.decode(hits.codes[begin : begin + len(titles)])
    return plots.reconstructions(queries, decoded, titles=titles, legend_names=("query", "hit"))
