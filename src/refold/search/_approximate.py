"""Approximate search: partitions of an index, and the recall of reading only some of them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
from rich.progress import BarColumn, TimeElapsedColumn

from refold._support.optional_imports import optional
from refold._support.progress_bars import progress_bar
from refold._support.sampling import evenly_spaced
from refold.search._exact import nearest
from refold.search._rows import vectors_in

# Most rows for which every distance is computed by default.
EXACT_ROWS = 100_000
# Recall at this number of hits is measured on that many rows, and should be at least that.
_HITS, _SAMPLE, _RECALL = 10, 100, 0.98
_FEWEST_PROBES = 8
# The centers of partitions are fitted to that many vectors each, so often.
_SAMPLE_RATE, _ITERATIONS = 64, 15
# Small files are joined once in so many versions, and recall is measured again after such a share
# of the rows was added or removed.
_VERSIONS, _CHANGE = 20, 0.1
# Rows that are compared with the sample at once.
_BATCH = 1 << 16
# Start of the names of the settings in the metadata of the column of vectors.
_PREFIX = "refold:"
_COLUMNS = ("{task.description}", BarColumn(), TimeElapsedColumn())


@dataclass(frozen=True)
class ProbeSettings:
    """Settings of an approximate search."""

    probes: int  # partitions that a search reads
    recall: float  # measured share of the 10 nearest rows that it finds
    num_rows: int  # at that time


def read_settings(table: Any, column: str) -> ProbeSettings | None:
    """Return the settings that `measure` stored; None without partitions."""
    stored = table.schema.field(column).metadata or {}
    keys = [f"{_PREFIX}{field.name}".encode() for field in fields(ProbeSettings)]
    if not all(key in stored for key in keys):
        return None
    probes, recall, num_rows = (stored[key] for key in keys)
    return ProbeSettings(int(probes), float(recall), int(num_rows))


def build(table: Any, column: str, partitions: int | None, verbose: int = 0) -> ProbeSettings:
    """Divide the rows of a table into partitions, and measure how many to read."""
    number = table.count_rows()
    if partitions is None:
        partitions = max(1, int(np.sqrt(number) / 4))
    index = optional("lancedb.index", extra="search", purpose="refold.search")
    config = index.IvfFlat(
        distance_type="l2",
        num_partitions=partitions,
        sample_rate=_SAMPLE_RATE,
        max_iterations=_ITERATIONS,
    )
    title = f"divide {number:,} rows into {partitions:,} partitions"
    with progress_bar(*_COLUMNS, disable=not verbose) as bar:
        task = bar.add_task(title, total=None)  # LanceDB does not say how much is done
        table.create_index(column, config=config, replace=True)
        bar.update(task, total=1, completed=1)
    return measure(table, column, verbose)


def update(table: Any, column: str, verbose: int = 0) -> None:
    """After a change, update the partitions of a table that has some or needs some."""
    settings, number = read_settings(table, column), table.count_rows()
    if settings is None and number > EXACT_ROWS:
        build(table, column, None, verbose)
        return
    if settings is not None or table.version % _VERSIONS == 0:
        table.optimize()  # joins small files, and assigns new rows to partitions
    if settings is not None and abs(number - settings.num_rows) > _CHANGE * settings.num_rows:
        measure(table, column, verbose)


def measure(table: Any, column: str, verbose: int = 0) -> ProbeSettings:
    """Choose how many partitions a search reads, on a sample of the rows, and store it."""
    number = table.count_rows()
    chosen = evenly_spaced(number, _SAMPLE)
    sample = table.take_offsets(list(map(int, chosen))).select(["id", column]).to_arrow()
    vectors, names = vectors_in(sample, column), sample["id"].to_pylist()

    def found(i: int, probes: int) -> set[Any]:
        builder = query(table, column, vectors[i], _HITS + 1, probes).select(["id", "_distance"])
        return {*builder.to_arrow()["id"].to_pylist()} - {names[i]}

    with progress_bar(*_COLUMNS, disable=not verbose) as bar:
        task = bar.add_task(f"measure the recall in {number:,} rows", total=number)
        near = _nearest_ids(table, column, vectors, lambda count: bar.advance(task, count))
    exact = [set(ids) - {name} for ids, name in zip(near, names, strict=True)]
    wanted = max(1, sum(map(len, exact)))
    probes, recall = _FEWEST_PROBES, 0.0
    most = max(1, int(np.sqrt(number)))
    while True:
        hits = sum(len(true & found(i, probes)) for i, true in enumerate(exact))
        recall = min(1.0, hits / wanted)
        if recall >= _RECALL or probes >= most:
            break
        probes = int(np.ceil(1.5 * probes))
    settings = ProbeSettings(probes, recall, number)
    stored = {f"{_PREFIX}{name}": str(value) for name, value in asdict(settings).items()}
    table.update_field_metadata({"path": column, "metadata": stored})
    return settings


def _nearest_ids(
    table: Any, column: str, vectors: np.ndarray, done: Callable[[int], None]
) -> list[list[Any]]:
    """Return the ids of the rows that are nearest to each vector, in one pass through the table."""
    ids = [np.zeros(0, object)] * len(vectors)
    distances = [np.zeros(0, np.float32)] * len(vectors)
    for batch in table.search().select(["id", column]).limit(None).to_batches(_BATCH):
        some = pa.Table.from_batches([batch])
        names = np.array(some["id"].to_pylist(), object)
        for i, one in enumerate(nearest(vectors_in(some, column), vectors, _HITS + 1)):
            both = np.concatenate([distances[i], one.distances])
            kept = np.argsort(both, kind="stable")[: _HITS + 1]
            ids[i] = np.concatenate([ids[i], names[one.rows]])[kept]
            distances[i] = both[kept]
        done(len(names))
    return [one.tolist() for one in ids]


def query(table: Any, column: str, vector: np.ndarray, k: int, probes: int | None) -> Any:
    """Return a query for the nearest rows: exact, or in a number of partitions."""
    builder = table.search(vector, vector_column_name=column).distance_type("l2").limit(k)
    if probes is None:
        return builder.bypass_vector_index()
    # more partitions if a condition leaves too few rows in these
    return builder.minimum_nprobes(probes).maximum_nprobes(0)
