"""Tables of sequences, and the parts that a run wrote, for tests of `refold.cluster`."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import refold


def table_of(sequences, first=0):
    """Return a table with a row for each sequence."""
    columns = {f"x{i}": [one[:, i].tolist() for one in sequences] for i in range(2)}
    types = dict.fromkeys(columns, pa.list_(pa.float64()))
    ids = [f"s{first + i}" for i in range(len(sequences))]
    return pa.table({"id": ids, **columns}, pa.schema({"id": pa.string(), **types}))


def long_table_of(sequences):
    """Return a table with a row for each step."""
    ids = np.repeat(np.arange(len(sequences)), [len(one) for one in sequences])
    times = np.concatenate([np.arange(len(one)) for one in sequences])
    steps = np.concatenate(sequences)
    return pa.table({"id": ids, "time": times, "x0": steps[:, 0], "x1": steps[:, 1]})


def written(output):
    """Return the table of all parts."""
    parts = sorted(output.glob("part-*.parquet"))
    return pa.concat_tables([pq.read_table(part) for part in parts])


def codes_in(output):
    """Return the ids and codes of all parts."""
    codes, ids = refold.sequences.codes_from_arrow(written(output))
    return ids.tolist(), codes
