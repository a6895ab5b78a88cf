"""The file of an index; and exact search among vectors."""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa

from refold._support.arrays import check_array
from refold._support.paths import atomic_writer, local_path, sole_use
from refold._support.rules import check_one_each, check_whole
from refold.errors import FileFormatError, MissingFileError, ParameterError, spelled

VERSION = "6"
# Entries of the matrix of distances that is computed at once.
_ENTRIES = 4_000_000
# Most rows of a part, of whose scores the smallest one is computed first.
_PART = 1024


class Facts(NamedTuple):
    """Facts about an index that do not change."""

    model: str  # its hash
    distance: str  # name of the vectors that distances are measured on
    features: dict[str, np.ndarray] | None  # that distances are measured on


class IndexRows(NamedTuple):
    """All rows of an index, in memory."""

    stored: pa.Table  # all columns of the file
    table: pa.Table  # ids and metadata
    ids: pa.Array  # (n_rows,)
    codes: np.ndarray  # (n_rows, width of the code)
    vectors: np.ndarray  # (n_rows, n_dimensions); the codes if distances are measured on them
    norms: np.ndarray  # (n_rows,), squared norms of the vectors

    @classmethod
    def of(cls, stored: pa.Table) -> "IndexRows":
        arrays = {}
        for name in {"code", "vector"} & set(stored.column_names):
            entries = stored[name].combine_chunks().flatten().to_numpy()
            arrays[name] = entries.reshape(-1, stored.schema.field(name).type.list_size)
        ids, vectors = stored["id"].combine_chunks(), arrays.get("vector", arrays["code"])
        table = stored.drop_columns([*arrays]).replace_schema_metadata()
        return cls(stored, table, ids, arrays["code"], vectors, squared_norms(vectors))


class Store:
    """An index on disk: a file of Arrow, which is always written as a whole."""

    # A change of a million rows takes about a second, as long as the next search needs to read
    # them. So readers never wait for a writer, and see all rows of a call or none. DuckDB stored
    # the rows in transactions before. A search reads all rows again after a change, so it was no
    # quicker than a file that is replaced as a whole.

    def __init__(self, place: str | os.PathLike[str]) -> None:
        self.name = os.fspath(place)
        self.path = local_path(self.name).absolute()
        self._rows: IndexRows | None = None
        self._state: Any = None  # of the file when the rows were read
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

    def write(self, rows: pa.Table, facts: Facts) -> None:
        """Write all rows; the old file is replaced when the new one is complete."""
        features = io.BytesIO()
        arrays: dict[str, Any] = facts.features or {}
        np.savez(features, **arrays)
        about: dict[Any, Any] = {
            "refold index": VERSION,
            "model": facts.model,
            "distance": facts.distance,
            "features": features.getvalue(),
        }
        # one chunk, of which rows are taken without copies of the others
        rows = rows.replace_schema_metadata(about).combine_chunks()
        with atomic_writer(self.path) as stream, pa.ipc.new_file(stream, rows.schema) as writer:
            writer.write_table(rows)

    def facts(self) -> Facts:
        """Read the facts about the index."""
        with self._opened() as stream:
            about = pa.ipc.open_file(stream).schema.metadata or {}
            version = about[b"refold index"].decode()
            if version != VERSION:
                raise FileFormatError(
                    f"{self.name!r} has index version {version}, and this Refold reads version "
                    f"{VERSION}. Use another version of Refold, or create the index again."
                )
            with np.load(io.BytesIO(about[b"features"])) as arrays:
                features = dict(arrays) or None
            return Facts(about[b"model"].decode(), about[b"distance"].decode(), features)

    def rows(self) -> IndexRows:
        """Return the newest rows, which are read again only if the file has changed."""
        with self._reading, self._opened() as stream:
            status = os.fstat(stream.fileno())
            state = status.st_mtime_ns, status.st_size, status.st_ino
            if self._rows is None or state != self._state:
                self._rows = None  # frees the memory
                table = pa.ipc.open_file(stream).read_all()
                table.validate(full=True)
                self._rows, self._state = IndexRows.of(table), state
            return self._rows

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """Open the file, and turn errors into one line."""
        try:
            with self.path.open("rb") as stream:
                yield stream
        except FileNotFoundError as error:
            raise MissingFileError(
                f"There is no index {self.name!r}. Check the path, or create it with "
                f"{spelled('Index.create', '`refold index`')}."
            ) from error
        except (OSError, pa.ArrowException, KeyError) as error:
            text = " ".join(str(error).split())[:200].rstrip(". ")
            raise FileFormatError(
                f"{self.name!r} cannot be read as an index ({text}). Check the path, or create the "
                "index again."
            ) from error


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
    # Every distance is computed. A matrix product takes 6 to 25 ms among 1,000,000 codes. LanceDB
    # took 12 ms with partitions and a recall of 0.995, and 132 ms without them. It needed 12 s to
    # build them, 178 MB of disk and 2 s of import.
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
