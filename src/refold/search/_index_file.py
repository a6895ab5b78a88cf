"""`IndexFile`, the file of an index, and `nearest`, the exact search among its vectors."""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa

from refold._support.arrays import check_array
from refold._support.atomic_files import atomic_writer, local_path, lock_path
from refold._support.rules import check_counts_match, check_integer
from refold.errors import FileFormatError, MissingFileError, ParameterError, spelled

# Version of the file format. An index of another version is refused.
FORMAT_VERSION = "6"
# Number of scores, of pairs of a query and a row, that are computed at once. It bounds the memory
# to 16 MB.
_MAX_SCORES = 4_000_000
# Largest number of rows in a group. A search first computes the smallest score of each group. Large
# groups are few, but their minima say less about the k smallest scores.
_MAX_GROUP_ROWS = 1024


class IndexHeader(NamedTuple):
    """Properties of an index that do not change when its rows do."""

    model_hash: str
    distance: str  # "features" or "code"
    features: dict[str, np.ndarray] | None  # arrays of `SearchFeatures`; None for codes


class IndexRows(NamedTuple):
    """All rows of an index, in memory."""

    file_table: pa.Table  # all columns of the file
    table: pa.Table  # ids and metadata
    ids: pa.Array  # (n_rows,)
    codes: np.ndarray  # (n_rows, width of the code)
    vectors: np.ndarray  # (n_rows, n_dimensions); the codes if distances are measured on them
    norms: np.ndarray  # (n_rows,), squared norms of the vectors

    @classmethod
    def from_table(cls, file_table: pa.Table) -> "IndexRows":
        """Split the table of a file into ids and metadata, codes, and vectors."""
        arrays = {}
        for name in {"code", "vector"} & set(file_table.column_names):
            entries = file_table[name].combine_chunks().flatten().to_numpy()
            arrays[name] = entries.reshape(-1, file_table.schema.field(name).type.list_size)
        ids, vectors = file_table["id"].combine_chunks(), arrays.get("vector", arrays["code"])
        table = file_table.drop_columns([*arrays]).replace_schema_metadata()
        return cls(file_table, table, ids, arrays["code"], vectors, squared_norms(vectors))


class IndexFile:
    """The file of an index, in the Arrow format. Each change writes a new file."""

    # The new file replaces the old one when it is complete. So readers never wait for a writer, and
    # they see all rows of a call or none. Writing a million rows takes about a second. The next
    # search takes as long to read them, so a database with transactions would not be faster: DuckDB
    # was not.

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fspath(path)
        self.path = local_path(self.name).absolute()
        self._rows: IndexRows | None = None
        self._file_state: Any = None  # time, size and inode of the file when the rows were read
        self._read_lock = threading.Lock()  # threads of a server share the rows

    @contextmanager
    def write_lock(self) -> Iterator[None]:
        """Lock the index for one writer, or raise an error if another process has the lock."""
        message = (
            f"Another process is writing to the index {self.name!r}. Wait until it ends, or choose "
            "another file."
        )
        with lock_path(self.path, message):
            yield

    def check_can_create(self) -> None:
        """Raise an error if there is no folder for the index, or if the file exists."""
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

    def write(self, table: pa.Table, header: IndexHeader) -> None:
        """Write all rows to a new file, which replaces the old one when it is complete."""
        features = io.BytesIO()
        arrays: dict[str, Any] = header.features or {}
        np.savez(features, **arrays)
        metadata: dict[Any, Any] = {
            "refold index": FORMAT_VERSION,
            "model": header.model_hash,
            "distance": header.distance,
            "features": features.getvalue(),
        }
        # one chunk, because readers would have to copy several chunks together
        table = table.replace_schema_metadata(metadata).combine_chunks()
        with atomic_writer(self.path) as stream, pa.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table)

    def header(self) -> IndexHeader:
        """Read the properties of the index from the schema of its file."""
        with self._open() as stream:
            metadata = pa.ipc.open_file(stream).schema.metadata or {}
            version = metadata[b"refold index"].decode()
            if version != FORMAT_VERSION:
                raise FileFormatError(
                    f"{self.name!r} has index version {version}, and this Refold reads version "
                    f"{FORMAT_VERSION}. Use another version of Refold, or create the index again."
                )
            with np.load(io.BytesIO(metadata[b"features"])) as arrays:
                features = dict(arrays) or None
            return IndexHeader(
                metadata[b"model"].decode(), metadata[b"distance"].decode(), features
            )

    def rows(self) -> IndexRows:
        """Return the rows, which are read again only if the file has changed."""
        with self._read_lock, self._open() as stream:
            status = os.fstat(stream.fileno())
            file_state = status.st_mtime_ns, status.st_size, status.st_ino
            if self._rows is None or file_state != self._file_state:
                self._rows = None  # frees the memory of the old rows before the new ones are read
                table = pa.ipc.open_file(stream).read_all()
                table.validate(full=True)
                self._rows, self._file_state = IndexRows.from_table(table), file_state
            return self._rows

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        """Open the file; errors of reading it become errors of Refold, with one line."""
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
    # Every distance is computed, by a matrix product, which takes 6 to 25 ms for 1,000,000 codes.
    # An approximate index would not be worth its cost: LanceDB took 12 ms with partitions, which
    # missed 0.5 % of the nearest rows, and 132 ms without partitions. It needed 12 s to build the
    # partitions, 178 MB of disk and 2 s to import.
    vectors = check_array("vectors", vectors, ("n_rows", "n_dimensions"))
    queries = check_array("queries", queries, ("n_queries", "n_dimensions"))
    check_counts_match(
        queries.shape[1], "dimensions of queries", vectors.shape[1], "dimensions of vectors"
    )
    k = min(check_integer("k", k, 0), len(vectors))
    if not k:
        return [Nearest(np.zeros(0, int), np.zeros(0, np.float32)) for _ in queries]
    norms = squared_norms(vectors) if norms is None else norms
    max_norm = float(norms.max())
    results = []
    block_queries = max(1, _MAX_SCORES // len(vectors))
    for begin in range(0, len(queries), block_queries):
        block = queries[begin : begin + block_queries]
        # Squared distances are |x|² - 2xq + |q|². The last term does not change the order.
        scores = norms - 2.0 * (block @ vectors.T)
        for query, query_scores in zip(block, scores, strict=True):
            # bound of the rounding error of a score, a sum with a term for each dimension
            error = vectors.shape[1] * np.finfo(query_scores.dtype).eps * (max_norm + query @ query)
            results.append(_nearest_by_scores(vectors, query, query_scores, 2 * error, k))
    return results


def squared_norms(vectors: np.ndarray) -> np.ndarray:
    """Return the squared norm of each row of (n_rows, n_dimensions)."""
    vectors = check_array("vectors", vectors, ("n_rows", "n_dimensions"))
    return np.einsum("ij,ij->i", vectors, vectors)


def _nearest_by_scores(
    vectors: np.ndarray, query: np.ndarray, scores: np.ndarray, max_rounding_error: float, k: int
) -> Nearest:
    """Return the k nearest rows of one query, given scores (n_rows,) with rounding errors."""
    # Rows are split into at least k groups. The k-th smallest minimum of a group is at least as
    # large as the k-th smallest score, and faster to compute. Exact distances are computed only for
    # rows with scores up to this limit.
    group_rows = max(1, min(_MAX_GROUP_ROWS, len(scores) // k))
    minima = np.minimum.reduceat(scores, np.arange(0, len(scores), group_rows))
    limit = np.partition(minima, k - 1)[k - 1] + max_rounding_error
    rows = np.flatnonzero(~(scores > limit))  # also rows whose score is NaN
    distances = np.linalg.norm(vectors[rows] - query, axis=1)
    order = np.argsort(distances, kind="stable")[:k]
    return Nearest(rows[order], distances[order])
