"""Tables of sequences, and the parts that a run wrote, for tests of `refold.cluster`."""

import pyarrow as pa
import pyarrow.parquet as pq

import refold


def table_of(sequences, first=0):
    """Return a table with a row for each sequence."""
    columns = {f"x{i}": [one[:, i].tolist() for one in sequences] for i in range(2)}
    types = dict.fromkeys(columns, pa.list_(pa.float64()))
    ids = [f"s{first + i}" for i in range(len(sequences))]
    return pa.table({"id": ids, **columns}, pa.schema({"id": pa.string(), **types}))


def written(output):
    """Return the table of all parts."""
    parts = sorted(output.glob("part-*.parquet"))
    return pa.concat_tables([pq.read_table(part) for part in parts])


def codes_in(output):
    """Return the ids and codes of all parts."""
    codes, ids = refold.sequences.codes_from_arrow(written(output))
    return ids.tolist(), codes
