"""Searches in the table of an index: exact ones in memory, others in the table."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import ArrayLike

from refold.errors import ParameterError, argument
from refold.search import _approximate
from refold.search._exact import nearest, squared_norms
from refold.search._filters import among, filter_of
from refold.search._hits import Hits
from refold.search._rows import RESERVED, IndexRows, as_ids, vectors_in
from refold.search._store import ERRORS, Store, one_line
from refold.search._where import parse

# its functions are made when it is imported
_compute: Any = pyarrow.compute


class Facts(NamedTuple):
    """Facts about a version of a table."""

    version: int
    num_rows: int
    schema: pa.Schema
    settings: _approximate.ProbeSettings | None  # of an approximate search, if there are partitions


class Finder:
    """Searches in a table, by the distance of one of its columns of vectors."""

    def __init__(self, store: Store, table: Any, column: str) -> None:
        self._store, self._table, self.column = store, table, column
        self._facts: Facts | None = None
        self._rows: IndexRows | None = None

    def facts(self) -> "Facts":
        """Return facts about the newest version of the table, and read that one from now on."""
        with self._store.errors("read"):
            self._table.checkout_latest()
            version = self._table.version
            if self._facts is None or self._facts.version != version:
                settings = _approximate.read_settings(self._table, self.column)
                schema = self._table.schema.remove_metadata()
                self._facts = Facts(version, self._table.count_rows(), schema, settings)
        return self._facts

    def metadata_names(self) -> list[str]:
        """Return the names of the columns of metadata."""
        return [name for name in (self._facts or self.facts()).schema.names if name not in RESERVED]

    def _memory(self) -> IndexRows:
        """Return all rows, in memory."""
        version = (self._facts or self.facts()).version
        if self._rows is None or self._rows.version != version:
            with self._store.errors("read"):
                table = self._table.search().limit(None).to_arrow()
            vectors = vectors_in(table, self.column)
            # rows are taken from one chunk without copies of the others
            table = table.select(["id", "code", *self.metadata_names()]).combine_chunks()
            self._rows = IndexRows(version, table, vectors, squared_norms(vectors))
        return self._rows

    def stored(self, ids: ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ids, codes and vectors of the rows with these ids, or of all rows."""
        builder, wanted = self._table.search(), None
        if ids is not None:
            wanted = as_ids(ids, self._table.schema.field("id").type)
            builder = builder.where(among(wanted.unique().to_pylist()))
        self.facts()
        with self._store.errors("read"):
            columns = list(dict.fromkeys(["id", "code", self.column]))
            table = builder.select(columns).limit(None).to_arrow()
        if wanted is not None:
            rows = _compute.index_in(wanted, table["id"].combine_chunks())
            if rows.null_count:
                missing = wanted.filter(rows.is_null())[0].as_py()
                raise ParameterError(
                    f"There is no row with the id {missing!r} in the index {self._store.name!r}. "
                    "Check the id."
                )
            table = table.take(rows)
        names = np.array(table["id"].to_pylist())
        return names, vectors_in(table, "code"), vectors_in(table, self.column)

    def condition(self, where: str) -> str:
        """Return the filter of LanceDB for a condition on ids and metadata."""
        schema = (self._facts or self.facts()).schema
        schema = pa.schema([schema.field(name) for name in ("id", *self.metadata_names())])
        return filter_of(parse(where, schema), schema)

    def in_memory(
        self, vectors: np.ndarray, k: int, where: str | None, skipped: list[Any] | None
    ) -> list[tuple[pa.Table, np.ndarray]]:
        """Find rows and their distances for each query, by all distances."""
        rows, chosen = self._memory(), None
        if where is not None:
            ids = self._filtered(self._table.search().where(where).select(["id"]).limit(None))["id"]
            chosen = np.flatnonzero(
                _compute.is_in(rows.table["id"], ids.combine_chunks()).to_numpy()
            )
            found = nearest(rows.vectors[chosen], vectors, k + 1, rows.norms[chosen])
        else:
            found = nearest(rows.vectors, vectors, k + 1, rows.norms)
        hits = []
        for i, one in enumerate(found):
            kept = one.rows if chosen is None else chosen[one.rows]
            table = rows.table.take(pa.array(kept))
            hits.append(_without(table, one.distances, skipped[i] if skipped else None, k))
        return hits

    def in_table(
        self,
        vector: np.ndarray,
        k: int,
        where: str | None,
        skipped: int | str | None,
        probes: int | None,
    ) -> tuple[pa.Table, np.ndarray]:
        """Find rows and their distances for a query, in some of the partitions or by all rows."""
        builder = _approximate.query(self._table, self.column, vector, k + 1, probes)
        if where is not None:
            builder = builder.where(where, prefilter=True)
        table = self._filtered(builder)
        distances = np.sqrt(table["_distance"].to_numpy())
        return _without(table, distances, skipped, k)

    def _filtered(self, builder: Any) -> pa.Table:
        """Run a query, whose condition LanceDB may refuse: it reads no name with a backtick."""
        try:
            return builder.to_arrow()
        except ValueError as error:
            raise ParameterError(
                f"LanceDB cannot evaluate {argument('where')}: {one_line(error)}."
            ) from error
        except ERRORS:
            with self._store.errors("read"):
                raise

    def hits(
        self, names: np.ndarray, codes: np.ndarray, found: list[tuple[pa.Table, np.ndarray]]
    ) -> Hits:
        """Collect what was found for queries with these ids and codes."""
        counts = [len(distances) for _, distances in found]
        columns = ["id", "code", *self.metadata_names()]
        schema = (self._facts or self.facts()).schema
        empty = pa.schema([schema.field(name) for name in columns]).empty_table()
        table = pa.concat_tables([empty, *(one.select(columns) for one, _ in found)])
        query = np.repeat(np.arange(len(found)), counts)
        lead: dict[str, Any] = {
            "query": pa.array(
                names[query].tolist(), pa.int64() if names.dtype.kind in "iu" else pa.string()
            ),
            "rank": pa.array(np.concatenate([np.arange(1, n + 1) for n in (0, *counts)])),
            "distance": pa.array(np.concatenate([np.zeros(0), *(d for _, d in found)])),
        }
        shown = table.drop_columns("code")
        return Hits(
            names,
            pa.table(lead | {name: shown[name] for name in shown.column_names}),
            vectors_in(table, "code"),
            codes,
            np.concatenate([[0], np.cumsum(counts, dtype=int)]),
        )


def _without(
    table: pa.Table, distances: np.ndarray, skipped: int | str | None, k: int
) -> tuple[pa.Table, np.ndarray]:
    """Return the first rows besides the one with the id ``skipped``."""
    kept = np.arange(len(distances))
    if skipped is not None:
        kept = kept[np.array(table["id"].to_pylist(), dtype=object) != skipped]
    kept = kept[:k]
    return table.take(pa.array(kept, pa.int64())), distances[kept]
