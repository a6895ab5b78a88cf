"""The DuckDB file of an index, its changes and readers; and exact search among vectors."""

import io
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute

from refold._support.arrays import check_array
from refold._support.file_lock import sole_use
from refold._support.optional_imports import optional
from refold._support.rules import check_one_each, check_whole
from refold.errors import DataError, FileFormatError, MissingFileError, ParameterError, spelled
from refold.sequences import local_path

# its functions are made when it is imported
_compute: Any = pyarrow.compute

VERSION = 5
# No statement can read other files, load code from the network or change these settings.
_SETTINGS = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "lock_configuration": "true",
}
# Seconds to wait for another process that writes, and texts of DuckDB's errors until then.
_WAIT, _PAUSE = 60.0, 0.02
_BUSY = ("Could not set lock", "being used by another process", "different configuration")
# Texts of DuckDB's errors about files that are no index.
_OTHER = ("not a valid DuckDB", "Table with name facts does not exist", "Is a directory")
# Entries of the matrix of distances that is computed at once.
_ENTRIES = 4_000_000
# Most rows of a part, of whose scores the smallest one is computed first.
_PART = 1024


class Facts(NamedTuple):
    """Facts about an index that do not change."""

    model: str  # its hash
    distance: str  # name of the vectors that distances are measured on
    schema: pa.Schema  # of the ids and the metadata
    features: dict[str, np.ndarray] | None  # that distances are measured on


class IndexRows(NamedTuple):
    """All rows of an index, in memory."""

    table: pa.Table  # ids and metadata
    ids: pa.Array  # (n_rows,)
    codes: np.ndarray  # (n_rows, width of the code)
    vectors: np.ndarray  # (n_rows, n_dimensions); the codes if distances are measured on them
    norms: np.ndarray  # (n_rows,), squared norms of the vectors


def load_duckdb() -> Any:
    """Import DuckDB, which is imported only to read or write an index."""
    return optional("duckdb", extra="search", purpose="refold.search")


class Store:
    """An index on disk: a file of DuckDB."""

    def __init__(self, place: str | os.PathLike[str]) -> None:
        self._duckdb = load_duckdb()
        self.name = os.fspath(place)
        self.path = local_path(self.name).absolute()
        self._rows: IndexRows | None = None
        self._state: Any = None  # of the files when the rows were read
        self._reading = threading.Lock()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Lock the index for one writer."""
        message = (
            f"Another process is writing to the index {self.name!r}. Wait until it ends, or choose "
            "another file."
        )
        with sole_use(self.path, message):
            yield

    # create and change

    def check_free(self) -> None:
        """Raise an error if an index cannot be created here."""
        if not self.path.parent.is_dir():
            raise MissingFileError(
                f"There is no folder {str(self.path.parent)!r} for the index {self.name!r}. "
                "Create it first, or name another."
            )
        if self.path.exists():
            raise ParameterError(
                f"{self.name!r} exists already. "
                + spelled(
                    "Add rows to an index with Index.open(...).add(...), or name another file.",
                    "Add rows to an index with --add or --replace, or name another file.",
                )
            )

    def create(self, rows: pa.Table, facts: Facts) -> None:
        """Write a new index, which takes its name once it is complete."""
        # names of metadata are in the facts, because those of columns in DuckDB ignore case
        part = self.path.with_name(f".{self.path.name}.part")
        arrays: dict[str, Any] = facts.features or {}
        features = io.BytesIO()
        np.savez(features, **{name: array.astype(np.float32) for name, array in arrays.items()})
        _remove(part)  # of a process that was killed
        try:
            with self._connected(part, writable=True) as connection:
                connection.register("new_rows", rows)
                connection.execute("CREATE TABLE codes AS SELECT * FROM new_rows")
                connection.execute(
                    "CREATE TABLE facts AS SELECT ? AS version, ? AS model, ? AS distance, "
                    "?::BLOB AS schema, ?::BLOB AS features",
                    [
                        VERSION,
                        facts.model,
                        facts.distance,
                        facts.schema.serialize().to_pybytes(),
                        features.getvalue(),
                    ],
                )
            _remove(self.path)  # an index that was deleted may have left its log
            part.replace(self.path)
        finally:
            _remove(part)

    def add(self, rows: pa.Table, ids: pa.Array, *, replace: bool) -> None:
        """Add rows, of which ``ids`` has the ids, in one transaction."""
        with self._changing(ids) as connection:
            if replace:
                connection.execute("DELETE FROM codes WHERE id IN (SELECT id FROM ids)")
            connection.register("new_rows", rows)
            connection.execute("INSERT INTO codes SELECT * FROM new_rows")

    def remove(self, ids: pa.Array) -> int:
        """Remove rows by id, and return how many there were."""
        with self._changing(ids) as connection:
            deleted = connection.execute("DELETE FROM codes WHERE id IN (SELECT id FROM ids)")
            return int(deleted.fetchall()[0][0])

    def present(self, ids: pa.Array) -> pa.Array:
        """Return those of the ids that the index has."""
        with self._connected(self.path) as connection:
            connection.register("ids", pa.table({"id": ids}))
            present = _table(connection, "SELECT id FROM codes WHERE id IN (SELECT id FROM ids)")
        return ids.filter(_compute.is_in(ids, present["id"].cast(ids.type)))

    @contextmanager
    def _changing(self, ids: pa.Array) -> Iterator[Any]:
        """Open a transaction in which the table ``ids`` has these ids."""
        with self._connected(self.path, writable=True) as connection:
            connection.register("ids", pa.table({"id": ids}))
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")  # otherwise nothing changes when the connection closes

    def check_types(self, schema: pa.Schema) -> None:
        """Check that DuckDB returns columns of metadata with the types that they had."""
        with self._duckdb.connect(config=_SETTINGS) as connection:
            for field in schema:
                try:
                    connection.register("empty", pa.schema([("x", field.type)]).empty_table())
                    _table(connection, "SELECT * FROM empty")["x"].cast(field.type)
                except (self._duckdb.Error, pa.ArrowException) as error:
                    raise DataError(
                        f"The column {field.name!r} of metadata has the type {field.type}, which "
                        "an index cannot hold. Convert it to numbers, text or times."
                    ) from error

    # read

    def facts(self) -> Facts:
        """Read the facts about the index."""
        if not self.path.exists():
            raise MissingFileError(
                f"There is no index {self.name!r}. Check the path, or create it with "
                f"{spelled('Index.create', '`refold index`')}."
            )
        with self._connected(self.path) as connection:
            [(version,)] = connection.execute("SELECT version FROM facts").fetchall()
            if version != VERSION:
                raise FileFormatError(
                    f"{self.name!r} has index version {version}, and this Refold reads version "
                    f"{VERSION}. Use another version of Refold, or create the index again."
                )
            query = "SELECT model, distance, schema, features FROM facts"
            [(model, distance, schema, features)] = connection.execute(query).fetchall()
            schema = pa.ipc.read_schema(pa.BufferReader(schema))
        with np.load(io.BytesIO(features)) as arrays:
            return Facts(model, distance, schema, dict(arrays) or None)

    def count(self) -> int:
        """Return the number of rows."""
        with self._connected(self.path) as connection:
            return connection.execute("SELECT count(*) FROM codes").fetchall()[0][0]

    def rows(self, schema: pa.Schema) -> IndexRows:
        """Return the newest rows, which are read again only if the file has changed."""
        with self._reading:
            state = [_stamp(self.path), _stamp(_log(self.path))]
            if self._rows is None or state != self._state:
                self._rows, self._state = None, None  # frees the memory
                self._rows, self._state = self._read(schema), state
            return self._rows

    def _read(self, schema: pa.Schema) -> IndexRows:
        with self._connected(self.path) as connection:
            table = _table(connection, "SELECT * FROM codes")
        arrays = {}
        for name in ("code", "vector"):
            if name in table.column_names:
                width = table.schema.field(name).type.list_size
                entries = table[name].combine_chunks().flatten().to_numpy()
                arrays[name] = entries.reshape(-1, width)  # not writable: it belongs to the index
                table = table.drop_columns([name])
        # rows are taken from one chunk without copies of the others
        table = table.rename_columns(schema.names).cast(schema).combine_chunks()
        ids = table["id"].combine_chunks()
        vectors = arrays.get("vector", arrays["code"])
        return IndexRows(table, ids, arrays["code"], vectors, squared_norms(vectors))

    # connections and errors

    @contextmanager
    def _connected(self, path: Path, *, writable: bool = False) -> Iterator[Any]:
        """Open the file, and turn DuckDB's errors into one line."""
        done = "written" if writable else "read"
        try:
            connection = self._connect(path, writable=writable)
            try:
                yield connection
            finally:
                connection.close()
        except (self._duckdb.Error, pa.ArrowException) as error:
            text = " ".join(str(error).split())[:200].rstrip(". ")
            if any(part in text for part in _OTHER):
                raise FileFormatError(
                    f"{self.name!r} is not an index: it is not a file that "
                    f"{spelled('Index.create', '`refold index`')} wrote."
                ) from error
            raise FileFormatError(
                f"The index {self.name!r} cannot be {done} ({text}). Create it again if its file "
                "is missing or damaged."
            ) from error

    def _connect(self, path: Path, *, writable: bool) -> Any:
        """Open the file, and wait for others: it has one writer or several readers at a time."""
        end = time.monotonic() + _WAIT
        while True:
            try:
                return self._duckdb.connect(str(path), read_only=not writable, config=_SETTINGS)
            except self._duckdb.Error as error:
                if not any(text in str(error) for text in _BUSY):
                    raise
                if time.monotonic() > end:
                    raise ParameterError(
                        f"Another process has had the index {self.name!r} open for {_WAIT:.0f} s. "
                        "Wait until it ends."
                    ) from error
            time.sleep(_PAUSE)


def _log(path: Path) -> Path:
    """Return DuckDB's file of changes, which only a process that was killed leaves."""
    return path.with_name(f"{path.name}.wal")


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what changes with a file, or None if there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _remove(path: Path) -> None:
    """Remove a file of DuckDB."""
    path.unlink(missing_ok=True)
    _log(path).unlink(missing_ok=True)


def _table(connection: Any, query: str) -> pa.Table:
    """Return the result of a query."""
    return pa.RecordBatchReader.from_stream(connection.sql(query)).read_all()


# Exact search


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
    check_one_each(
        queries.shape[1], "dimensions of queries", vectors.shape[1], "dimensions of vectors"
    )
    k = min(check_whole("k", k, 0), len(vectors))
    if not k:
        return [Nearest(np.zeros(0, int), np.zeros(0, np.float32)) for _ in queries]
    norms = squared_norms(vectors) if norms is None else norms
    largest = float(norms.max())
    results = []
    step = max(1, _ENTRIES // len(vectors))
    for begin in range(0, len(queries), step):
        block = queries[begin : begin + step]
        # squared distances, less the squared norm of the query
        scores = norms - 2.0 * (block @ vectors.T)
        for query, score in zip(block, scores, strict=True):
            # the most that a score of so many rounded terms is off
            error = vectors.shape[1] * np.finfo(score.dtype).eps * (largest + query @ query)
            results.append(_nearest(vectors, query, score, 2 * error, k))
    return results


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
