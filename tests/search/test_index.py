"""An index on disk: changes of rows, searches, and errors of one line."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from filelock import FileLock
from pyarrow import feather

from refold.errors import (
    DataError,
    FileAccessError,
    FileFormatError,
    MissingFileError,
    ParameterError,
)
from refold.model import History
from refold.search import Index, _rows, nearest, plot_hits
from refold.search._rows import RowSource
from refold.sequences import write
from small_data import draw_ragged_sequences, read_as_mapped


def vectors_of(index, ae, X):
    """Return the vectors of sequences in an index."""
    return RowSource(ae, X, None, None).encode(index._features)[1]


@pytest.mark.parametrize("vector_kind", ["code", "features"])
def test_hits_are_the_nearest_rows(ae, sequences, tmp_path, vector_kind):
    index = Index.create(tmp_path / "a.index", ae, sequences, vector_kind=vector_kind)
    queries = draw_ragged_sequences(4, seed=5)
    hits = Index.open(tmp_path / "a.index", ae).search(queries, k=24)
    codes, rows = ae.encode(sequences), vectors_of(index, ae, sequences)
    for i, query in enumerate(vectors_of(index, ae, queries)):
        near = np.argsort(np.linalg.norm(rows - query, axis=1), kind="stable")
        assert hits.ids(i) == [f"s{j}" for j in near]
        assert hits.distances(i) == sorted(hits.distances(i))
        assert np.array_equal(hits.codes[24 * i : 24 * i + 24], codes[near])
    assert hits.table.column_names == ["query", "rank", "distance", "id"]
    assert np.array_equal(hits.query_codes, ae.encode(queries))


def test_the_same_hits_of_a_sequence_and_its_id(ae, sequences, shared_index_path):
    index = Index.open(shared_index_path, ae)
    hits = index.search(sequences[5:6], k=4)
    assert hits.ids()[0] == "s5"
    assert hits.distances()[0] < 1e-3
    codes = ae.encode(sequences[5:6])
    assert index.search(sequences[5:6], codes=codes, k=4).ids() == hits.ids()
    assert index.search(ids="s5", k=3).ids() == hits.ids()[1:]
    assert len(index.search(sequences, k=99).table) == 24 * 24
    decoded = [np.asarray(values) for values in ae.decode(codes)]  # as for codes without sequences
    assert index.search(codes=codes, k=4).ids() == index.search(decoded, k=4).ids()


def test_rows_are_added_replaced_and_removed(ae, index_path):
    index, new = Index.open(index_path, ae), draw_ragged_sequences(2, seed=7)
    reader = Index.open(index_path, ae)
    assert len(reader.rows.ids) == 24  # they are in memory from now on
    columns = {"year": [1.0, 2.0], "site": ["a", "b"]}
    with pytest.raises(ParameterError, match="The id 's3' is in the index already"):
        index.add(new, ids=["new", "s3"], metadata=columns)
    assert len(index) == 24
    index.add(new, ids=["new", "s3"], metadata=columns, replace=True)
    assert len(Index.open(index_path, ae)) == 25
    hits = index.search(new, k=1)
    assert [hits.ids(i) + hits.column("year", i) for i in range(2)] == [["new", 1], ["s3", 2]]
    assert index.remove(["s3", "s4", "x' OR 1 = 1 --"]) == 2
    assert reader.search(ids=["new"], k=99).table.num_rows == len(reader) - 1 == 22
    assert index.remove(where="year < 2010 AND site = 'north'") == 4  # 2000, 2002, 2006 and 2008
    assert index.remove(where="year > 3000") == 0
    with pytest.raises(ParameterError, match="Give ids of rows to remove, or a condition"):
        index.remove(["s5"], where="year > 2010")
    rows = index.rows
    removed = {f"s{i}" for i in (0, 2, 3, 4, 6, 8)}
    assert {*rows.ids.to_pylist()} == {"new", *(f"s{i}" for i in range(24))} - removed
    assert np.array_equal(rows.codes[rows.ids.index("new").as_py()], ae.encode(new)[0])


def test_files_are_encoded_in_blocks(ae, sequences, tmp_path, monkeypatch, capsys):
    write(sequences, tmp_path / "rows.parquet")
    source = read_as_mapped(tmp_path / "rows.parquet", block_bytes=200)
    assert len(source.block_sequence_offsets) > 5
    columns = {"year": range(24)}
    index = Index.create(tmp_path / "blocks", ae, source, metadata=columns, verbose=1)
    assert "encode" in capsys.readouterr().err
    at_once = Index.create(tmp_path / "whole", ae, sequences, metadata=columns)
    assert index.search(sequences[:3], k=5).table.equals(at_once.search(sequences[:3], k=5).table)
    monkeypatch.setattr(_rows, "_MAX_BLOCK_CODES", 7)
    index.add(codes=ae.encode(sequences), ids=sequences.ids, metadata=columns, replace=True)
    assert np.array_equal(index.rows.codes, ae.encode(sequences))


def test_an_interrupted_call_leaves_the_old_index_or_none(ae, index_path, tmp_path, monkeypatch):
    index = Index.open(index_path, ae)
    new_row = {"codes": np.zeros((1, 3)), "metadata": {"site": ["x"], "year": [0]}}
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            index.add(ids=["s1"], replace=True, **new_row)
        with pytest.raises(KeyboardInterrupt):
            Index.create(tmp_path / "new", ae, **new_row)
    assert Index.open(index_path, ae).rows.codes.any(axis=1).all()
    assert [path.name for path in tmp_path.iterdir()] == ["copy.index"]


def test_types_and_names_of_metadata(ae, tmp_path):
    metadata = {
        "Site": pa.array(["a", None, "b"], pa.dictionary(pa.int32(), pa.string())),
        "site": pa.array([1, 2, None], pa.uint8()),
        "Code": pa.array([0, 1, 2], pa.timestamp("ms", "Europe/Berlin")),
        'a "name"; --': pa.array([[1], None, [2, 3]], pa.list_(pa.int64())),
        "\x00": pa.array(["1.5", "-2", None]).cast(pa.decimal128(6, 2)),
        "t": pa.array([1, 2, None], pa.duration("s")),
    }
    Index.create(tmp_path / "a", ae, draw_ragged_sequences(3), metadata=metadata)
    index = Index.open(tmp_path / "a", ae)
    assert index.rows.table.drop_columns("id").equals(pa.table(metadata))
    assert index.search(codes=np.zeros((1, 3)), where="Site = 'a' AND site < 2").ids() == [0]
    new = {name: values[2:] for name, values in metadata.items()}
    index.add(draw_ragged_sequences(1), ids=[3], metadata=new | {"Site": pa.array(["c"])})
    table = index.search(ids=[3], where="Site IN ('a', 'b')").table
    assert table.schema.field("Site").type == metadata["Site"].type
    assert sorted(table["Site"].to_pylist()) == ["a", "b"]
    assert index.remove([0, 1, 2, 3]) == 4
    assert len(index.search(draw_ragged_sequences(1)).table) == 0
    assert len(Index.open(tmp_path / "a", ae)) == 0


def test_rows_that_cannot_be_stored(ae, tmp_path):
    for rows, message in (
        ({"ids": ["a", "b", "a"]}, "The id 'a' occurs 2 times"),
        ({"ids": ["a", "b"]}, "Got 2 ids for 3 sequences"),
        ({"metadata": {"site": [1]}}, "Got 1 rows of metadata for 3 sequences"),
        ({"metadata": {"rank": [1, 2, 3]}}, "cannot be named 'rank'"),
        ({"metadata": [1, 2]}, "metadata must be a mapping"),
    ):
        with pytest.raises(DataError, match=message):
            Index.create(tmp_path / "x.index", ae, draw_ragged_sequences(3), **rows)
    assert [*tmp_path.iterdir()] == []


def test_rows_of_the_wrong_shape_and_ids_of_the_wrong_type(ae, index_path, tmp_path):
    index = Index.open(index_path, ae)
    with pytest.raises(DataError, match=r"metadata site \(string\), year \(int64\)\. Got none"):
        index.add(draw_ragged_sequences(1), ids=["x"])
    with pytest.raises(DataError, match=r"Got site \(string\), year \(string\) \(.*'late'"):
        index.add(draw_ragged_sequences(1), ids=["x"], metadata={"site": ["a"], "year": ["late"]})
    with pytest.raises(DataError, match="ids of the index are text, and those of the"):
        index.add(draw_ragged_sequences(1), metadata={"site": ["a"], "year": [1]})
    with pytest.raises(DataError, match=r"codes must have shape \(n_sequences, 3\)"):
        index.add(codes=np.zeros((1, 4)))
    with pytest.raises(ParameterError, match="only one of them"):
        index.search(draw_ragged_sequences(1), ids=["s1"])
    with pytest.raises(ParameterError, match=r"no row with the id 's99' .* ids are \['s0',"):
        index.search(ids=["s1", "s99"])
    index = Index.create(tmp_path / "x.index", ae, codes=np.eye(9, 3))
    assert index.remove([3, "4"]) == 2
    with pytest.raises(DataError, match="The ids of the index are integers"):
        index.remove(["four"])


def test_codes_of_another_model_are_refused(ae, index_path):
    model = ae.model_
    reference = replace(model.reference, codes=model.reference.codes + 1)
    with pytest.raises(ParameterError, match=r"codes of another model \(hash [0-9a-f]{12}, and"):
        Index.open(index_path, replace(model, reference=reference))
    other_history = replace(model, history=History(initial_loss=1.0))
    same = other_history.calibrate(draw_ragged_sequences(seed=3))
    assert len(Index.open(index_path, same)) == 24


def test_paths_without_an_index_of_this_version(ae, index_path, tmp_path):
    with pytest.raises(MissingFileError, match=r"There is no index '.*none'"):
        Index.open(tmp_path / "none", ae)
    (tmp_path / "file").write_text("text")
    feather.write_feather(pa.table({"id": [1]}), tmp_path / "other")
    (tmp_path / "damaged").write_bytes(index_path.read_bytes()[:20_000])
    for name in ("file", ".", "other", "damaged"):
        with pytest.raises(FileFormatError, match=r"cannot be read as an index .* Check") as error:
            Index.open(tmp_path / name, ae)
        assert "\n" not in str(error.value)
    with pytest.raises(MissingFileError, match=r"There is no folder '.*no' for the index"):
        Index.create(tmp_path / "no" / "x.index", ae, draw_ragged_sequences(1))
    with pytest.raises(ParameterError, match=r"'.*copy.index' exists already. Add rows"):
        Index.create(index_path, ae, draw_ragged_sequences(1))
    with pytest.raises(FileAccessError, match=r"s3://b/x is an address\. Name a file of this"):
        Index.open("s3://b/x", ae)
    table = feather.read_table(index_path)
    metadata = table.schema.metadata | {b"refold index": b"99"}
    feather.write_feather(table.replace_schema_metadata(metadata), index_path)
    with pytest.raises(FileFormatError, match="has index version 99, and this Refold"):
        Index.open(index_path, ae)


def test_one_writer_at_a_time(ae, index_path):
    index = Index.open(index_path, ae)
    with FileLock(index_path.with_name(".copy.index.lock")):
        with pytest.raises(ParameterError, match="Another process is writing to the index"):
            index.remove(["s1"])
        assert index.search(draw_ragged_sequences(1), k=1).distances()
    assert index.remove(["s1"]) == 1


@pytest.mark.parametrize("offset", [0, 3000])  # at 3000, the scores of all rows are rounded alike
def test_many_rows_at_the_same_distance_come_in_order(offset):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 4)).astype(np.float32) + np.float32(offset)
    rows = np.repeat(rows, 40, axis=0)[rng.permutation(20_000)]
    for near, query in zip(nearest(rows, rows[:9], 50), rows[:9], strict=True):
        distances = np.linalg.norm(rows - query, axis=1)
        assert near.indices.tolist() == np.argsort(distances, kind="stable")[:50].tolist()
        assert near.distances.tolist() == distances[near.indices].tolist()


def test_hits_are_drawn_with_their_query(ae, sequences, shared_index_path):
    index = Index.open(shared_index_path, ae)
    hits = index.search(sequences[:2], k=3)
    axes = plot_hits(ae, hits, sequences[:2], query_index=1, max_hits=2)
    assert axes[0].get_title(loc="left").startswith("s1  ·  distance ")
    assert axes[0].lines[0].get_ydata().tolist() == sequences[1][:, 0].tolist()
    assert len(plot_hits(ae, index.search(ids=["s1"], k=1))) == 1
    with pytest.raises(DataError, match="The query 0 has no hits to draw"):
        plot_hits(ae, index.search(ids=["s1"], where="year = 1"))
