"""Tables of sequences, and the parts that a run wrote, for tests of `refold.cluster`."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import refold


def make_table(sequences, first_id=0):
    """Return a table with a row for each sequence."""
    columns = {f"x{i}": [sequence[:, i].tolist() for sequence in sequences] for i in range(2)}
    types = dict.fromkeys(columns, pa.list_(pa.float64()))
    ids = [f"s{first_id + i}" for i in range(len(sequences))]
    return pa.table({"id": ids, **columns}, pa.schema({"id": pa.string(), **types}))


def make_long_table(sequences):
    """Return a table with a row for each step."""
    ids = np.repeat(np.arange(len(sequences)), [len(sequence) for sequence in sequences])
    times = np.concatenate([np.arange(len(sequence)) for sequence in sequences])
    steps = np.concatenate(sequences)
    return pa.table({"id": ids, "time": times, "x0": steps[:, 0], "x1": steps[:, 1]})


def read_parts(output):
    """Return one table of all parts in an output folder."""
    parts = sorted(output.glob("part-*.parquet"))
    return pa.concat_tables([pq.read_table(part) for part in parts])


def read_codes(output):
    """Return the ids and codes of all parts in an output folder."""
    codes, ids = refold.sequences.codes_from_arrow(read_parts(output))
    return ids.tolist(), codes


def check_codes(output, ids, expected):
    """Check that the parts in an output folder hold these codes, to the bit."""
    part_ids, codes = read_codes(output)
    assert part_ids == ids
    assert np.array_equal(codes, expected)
