"""The DuckDB file of an index: its tables, changes that are whole or not there, and readers."""

import io
import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute

from refold._support.file_lock import sole_use
from refold._support.optional_imports import optional
from refold.errors import DataError, FileFormatError, MissingFileError, ParameterError, spelled
from refold.search._nearest import squared_norms

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
# Bytes of new rows that stay in memory until all are there.
_SPOOL_BYTES = 1 << 26


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


@contextmanager
def spooled(tables: Iterable[pa.Table], folder: Path) -> Iterator[pa.RecordBatchReader]:
    """Collect tables, of which there is at least one, and read them as one."""
    # Others wait while rows are written, so nothing is written before all of them are encoded. The
    # temporary file has no name, so a process that is killed leaves none.
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=str(folder)) as file:
        remaining = iter(tables)
        first = next(remaining)
        with pa.ipc.new_stream(file, first.schema) as writer:
            writer.write_table(first)
            for table in remaining:
                writer.write_table(table.cast(first.schema))
        file.seek(0)
        with pa.ipc.open_stream(file) as rows:
            yield rows


class Store:
    """An index on disk: a file of DuckDB."""

    def __init__(self, place: str | os.PathLike[str]) -> None:
        self._duckdb = load_duckdb()
        self.name = os.fspath(place)
        if "://" in self.name:
            raise ParameterError(
                f"{self.name!r} is a URL. An index lives on a local disk: name a local file."
            )
        self.path = Path(self.name)
        self._rows: IndexRows | None = None
        self._state: Any = None  # of the files when the rows were read
        self._reading = threading.Lock()

    @property
    def folder(self) -> Path:
        """Folder that the file is in."""
        return self.path.absolute().parent

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
        self._check_format()
        if not self.folder.is_dir():
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

    def create(self, rows: pa.RecordBatchReader, facts: Facts) -> None:
        """Write a new index, which takes its name once it is complete."""
        # names of metadata are in the facts, because those of columns in DuckDB ignore case
        part = self.path.with_name(f".{self.path.name}.part")
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
                        _as_bytes(facts.features or {}),
                    ],
                )
            _remove(self.path)  # an index that was deleted may have left its log
            part.replace(self.path)
        finally:
            _remove(part)

    def add(self, rows: pa.RecordBatchReader, ids: pa.Array, *, replace: bool) -> None:
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

    def known(self, ids: pa.Array) -> pa.Array:
        """Return those of the ids that the index has."""
        with self._connected(self.path) as connection:
            connection.register("ids", pa.table({"id": ids}))
            known = _arrow(connection, "SELECT id FROM codes WHERE id IN (SELECT id FROM ids)")
            known = known.read_all()["id"].cast(ids.type).combine_chunks()
        return ids.filter(_compute.is_in(ids, known))

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
                    _arrow(connection, "SELECT * FROM empty").read_all()["x"].cast(field.type)
                except (self._duckdb.Error, pa.ArrowException) as error:
                    raise DataError(
                        f"The column {field.name!r} of metadata has the type {field.type}, which "
                        "an index cannot hold. Convert it to numbers, text or times."
                    ) from error

    # read

    def facts(self) -> Facts:
        """Read the facts about the index."""
        self._check_format()
        if not self.path.exists():
            raise MissingFileError(
                f"There is no index {self.name!r}. Check the path, or create it with "
                f"{spelled('Index.create', '`refold index`')}."
            )
        if self.path.is_dir():
            raise self._no_index()
        with self._connected(self.path) as connection:
            try:
                [(version,)] = connection.execute("SELECT version FROM facts").fetchall()
            except self._duckdb.CatalogException as error:
                raise self._no_index() from error
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
            return _count(connection)

    def rows(self, schema: pa.Schema) -> IndexRows:
        """Return the newest rows, which are read again only if the file has changed."""
        with self._reading:
            state = self._file_state()
            if self._rows is None or state != self._state:
                self._rows, self._state = None, None  # frees the memory
                self._rows, self._state = self._read(schema), state
            return self._rows

    def _file_state(self) -> Any:
        """Return what changes with each change of the index."""
        states = []
        for path in (self.path, _log(self.path)):
            try:
                stat = path.stat()
                states.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
            except FileNotFoundError:
                states.append(None)
        return states

    def _read(self, schema: pa.Schema) -> IndexRows:
        with self._connected(self.path) as connection:
            count = _count(connection)
            batches = _arrow(connection, "SELECT * FROM codes")
            arrays = {
                name: np.empty((count, batches.schema.field(name).type.list_size), np.float32)
                for name in ("code", "vector")
                if name in batches.schema.names
            }
            tables, first = [], 0
            for batch in batches:
                for name, array in arrays.items():
                    entries = batch[name].flatten().to_numpy()
                    array[first : first + len(batch)] = entries.reshape(len(batch), -1)
                first += len(batch)
                tables.append(pa.Table.from_batches([batch]).drop_columns([*arrays]))
        empty = batches.schema.empty_table().drop_columns([*arrays])
        table = pa.concat_tables([empty, *tables]).rename_columns(schema.names)
        vectors = arrays.get("vector", arrays["code"])
        # rows are taken from one chunk without copies of the others
        table = table.cast(schema).combine_chunks()
        ids = table["id"].combine_chunks()
        for array in arrays.values():
            array.flags.writeable = False  # they belong to the index
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
            if "not a valid DuckDB" in text:
                raise self._no_index() from error
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

    def _no_index(self) -> FileFormatError:
        return FileFormatError(
            f"{self.name!r} is not an index: it is not a file that "
            f"{spelled('Index.create', '`refold index`')} wrote."
        )

    def _check_format(self) -> None:
        if (self.path / "codes.lance").exists():
            raise FileFormatError(
                f"{self.name!r} is an index of an earlier version of Refold, which was a folder. "
                "Delete it, and create the index again."
            )


def _log(path: Path) -> Path:
    """Return DuckDB's file of changes, which only a process that was killed leaves."""
    return path.with_name(f"{path.name}.wal")


def _remove(path: Path) -> None:
    """Remove a file of DuckDB."""
    path.unlink(missing_ok=True)
    _log(path).unlink(missing_ok=True)


def _count(connection: Any) -> int:
    """Return the number of rows."""
    return connection.execute("SELECT count(*) FROM codes").fetchall()[0][0]


def _arrow(connection: Any, query: str) -> pa.RecordBatchReader:
    """Run a query, whose rows are read batch by batch."""
    return pa.RecordBatchReader.from_stream(connection.sql(query))


def _as_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """Return arrays as a file of NumPy."""
    buffer = io.BytesIO()
    converted: dict[str, Any] = {name: one.astype(np.float32) for name, one in arrays.items()}
    np.savez(buffer, **converted)
    return buffer.getvalue()
