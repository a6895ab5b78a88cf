"""Files of long tables whose times are not in order."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences import read


def test_a_csv_file_is_sorted_on_request():
    text = b"id,time,x\na,2024-01-02,2\nb,,\na,2024-01-01,1\n"
    with pytest.raises(
        DataError, match=r"line 4, after .* in line 2\. Sort the table with sort=True"
    ):
        read(io.BytesIO(text), format="csv")
    found = read(io.BytesIO(text), format="csv", sort=True)
    assert [one[:, 0].tolist() for one in found] == [[1.0, 2.0], []]


def test_sort_applies_only_to_long_tables():
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": [1], "x": [[1.0, 2.0]]}), buffer)
    with pytest.raises(SchemaError, match=r"one row per sequence, .* Leave sort= out"):
        read(io.BytesIO(buffer.getvalue()), format="parquet", sort=True)
    with pytest.raises(ParameterError, match="sort= does not apply to the format npy"):
        read(io.BytesIO(b"x"), format="npy", sort=True)
