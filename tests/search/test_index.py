"""An index on disk: changes of rows, searches, and one line for each bad state."""

import copy
import json
import subprocess
import sys
from dataclasses import replace

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from filelock import FileLock

from refold.errors import (
    DataError,
    FileFormatError,
    MissingExtraError,
    MissingFileError,
    ParameterError,
)
from refold.model import History
from refold.search import Index, _approximate, _source, draw
from refold.search._exact import nearest
from refold.search._source import RowSource
from refold.search._store import FORMAT, TABLE
from refold.sequences import write
from small_data import mapped, ragged


def vectors(index, ae, X):
    """Return the vectors of sequences in an index."""
    return RowSource(ae, X, None, None).read(index._features).vectors


def copied(ae, **changes):
    """Return a copy of an estimator with a changed model."""
    other = copy.deepcopy(ae)
    other._set_model(replace(ae.model_, **changes))
    return other


@pytest.mark.parametrize("distance", ["code", "features"])
def test_hits_are_the_nearest_rows(ae, sequences, tmp_path, distance):
    index = Index.create(tmp_path / "a.index", ae, sequences, distance=distance)
    given = ragged(4, seed=5)
    hits = Index.open(tmp_path / "a.index", ae).search(given, k=24)
    codes, asked = ae.encode(sequences), ae.encode(given)
    rows, queries = (vectors(index, ae, one) for one in (sequences, given))
    assert rows.shape == codes.shape
    for i in range(4):
        near = np.argsort(np.linalg.norm(rows - queries[i], axis=1), kind="stable")
        assert hits.ids(i) == [f"s{j}" for j in near]
        assert hits.distances(i) == sorted(hits.distances(i))
    assert hits.table.column_names == ["query", "rank", "distance", "id"]
    assert hits.queries.tolist() == [0, 1, 2, 3]
    assert np.array_equal(hits.query_codes, asked)
    assert np.array_equal(
        hits.codes[:24][np.argsort(hits.ids(0))], codes[np.argsort(sequences.ids)]
    )


def test_the_same_hits_of_a_sequence_and_its_id(ae, sequences, made):
    index = Index.open(made, ae)
    hits = index.search(sequences[5:6], k=4)
    assert hits.ids()[0] == "s5"
    assert hits.distances()[0] < 1e-3
    codes = ae.encode(sequences[5:6])
    assert index.search(sequences[5:6], codes=codes, k=4).ids() == hits.ids()
    assert index.search(ids="s5", k=3).ids() == hits.ids()[1:]
    assert index.search(ids=["s5", "s5"], k=3).ids(1) == hits.ids()[1:]
    assert len(index.search(sequences, k=99).table) == 24 * 24
    decoded = index.search(codes=codes, k=4)  # codes alone are decoded
    again = index.search([np.asarray(one) for one in ae.decode(codes)], k=4)
    assert decoded.ids() == again.ids()
    assert np.allclose(decoded.distances(), again.distances(), atol=1e-3)


def test_conditions_on_metadata(ae, sequences, made):
    index = Index.open(made, ae)
    assert index.metadata_names == ["site", "year"]
    hits = index.search(sequences[:2], where="site = 'it''s' AND year < 2010", k=20)
    assert sorted(hits.column("year", 1)) == [2001, 2003, 2005, 2007, 2009]
    assert index.search(sequences[:1], where="year > 3000").ids() == []
    assert index.search(ids=["s1"], where="id = 's1'").ids() == []


def test_rows_are_added_replaced_and_removed(ae, place):
    index, new = Index.open(place, ae), ragged(2, seed=7)
    columns = {"year": [1.0, 2.0], "site": ["a", "b"]}
    with pytest.raises(ParameterError, match="The id 's3' is in the index already"):
        index.add(new, ids=["new", "s3"], metadata=columns)
    assert len(index) == 24
    index.add(new, ids=["new", "s3"], metadata=columns, replace=True)
    assert len(Index.open(place, ae)) == 25
    hits = index.search(new, k=1)
    assert [hits.ids(i) + hits.column("year", i) for i in range(2)] == [["new", 1], ["s3", 2]]
    assert index.remove(["s3", "s4", "never"]) == 2
    assert index.remove([]) == 0
    assert set(index.codes()[1]) == {"new", *(f"s{i}" for i in range(24))} - {"s3", "s4"}
    assert np.array_equal(index.codes(["new"])[0], ae.encode(new)[:1])


@pytest.fixture(scope="module")
def scanned(sequences, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    write(sequences, path)
    return path


def test_files_are_encoded_in_blocks(ae, sequences, scanned, tmp_path, monkeypatch, capsys):
    source = mapped(scanned, block_bytes=200)
    assert len(source.block_offsets) > 5
    columns = {"year": range(24)}
    index = Index.create(tmp_path / "blocks", ae, source, metadata=columns, verbose=1)
    assert "encode" in capsys.readouterr().err
    whole = Index.create(tmp_path / "whole", ae, sequences, metadata=columns)
    for found, expected in zip(index.finder.stored(), whole.finder.stored(), strict=True):
        assert np.array_equal(found, expected)
    assert index.search(sequences[:3], k=5).table.equals(whole.search(sequences[:3], k=5).table)
    monkeypatch.setattr(_source, "_CODES", 7)
    index.add(codes=ae.encode(sequences), ids=sequences.ids, metadata=columns, replace=True)
    assert index.codes(["s20"])[0].tolist() == ae.encode(sequences[20:21]).tolist()


def test_a_run_that_is_killed_leaves_the_old_index_or_none(ae, place, scanned, tmp_path):
    ae.save(tmp_path / "model.refold")
    program = (
        "import os, signal, sys\n"
        "model, data, new, old = sys.argv[1:]\n"
        "for task in ('create', 'add'):\n"
        "    if os.fork():\n"
        "        assert os.wait()[1] == signal.SIGKILL\n"
        "        continue\n"
        "    import refold\n"
        "    loaded, source = refold.load(model), refold.sequences.read(data, memory_bytes=1)\n"
        "    source.block_bytes = 200\n"
        "    def encode(model, block, verbose, encode=refold.Model.codes_of):\n"
        "        if 's9' in block.ids.tolist():\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return encode(model, block, verbose)\n"
        "    refold.Model.codes_of = encode\n"
        "    if task == 'create':\n"
        "        refold.search.Index.create(new, loaded, source)\n"
        "    columns = {'site': ['x'] * 24, 'year': range(24)}\n"
        "    refold.search.Index.open(old, loaded).add(source, metadata=columns, replace=True)\n"
    )
    given = [tmp_path / "model.refold", scanned, tmp_path / "new", place]
    before = Index.open(place, ae).search(ids=["s1"]).table
    subprocess.run([sys.executable, "-c", program, *map(str, given)], check=True)
    assert Index.open(place, ae).search(ids=["s1"]).table.equals(before)
    with pytest.raises(MissingFileError, match="There is no index"):
        Index.open(tmp_path / "new", ae)
    names = {path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")}
    assert names == {"copy.index", "model.refold"}


def test_many_small_changes_leave_few_files(ae, place):
    index = Index.open(place, ae)
    for i in range(25):
        index.add(codes=np.full((1, 3), i), ids=[f"n{i}"], metadata={"site": ["x"], "year": [i]})
    assert len(index) == 49
    assert index._table.stats()["fragment_stats"]["num_fragments"] < 12
    assert index.search(ids=["n3"], k=1).ids()[0] in ("n2", "n4")


def test_a_reader_sees_what_another_one_writes(ae, sequences, place):
    reader, writer = Index.open(place, ae), Index.open(place, ae)
    assert reader.search(sequences[:1], k=1).ids() == ["s0"]
    writer.remove(["s0"])
    assert reader.search(sequences[:1], k=1).ids() != ["s0"]
    assert len(reader) == 23


def test_a_url(ae, sequences, tmp_path):
    place = f"file://{tmp_path}/remote"
    index = Index.create(place, ae, sequences)
    assert Index.open(place, ae).search(sequences[3:4]).ids() == index.search(sequences[3:4]).ids()
    with pytest.raises(ParameterError, match="There is an index 'file:"):
        Index.create(place, ae, sequences)
    with pytest.raises(FileFormatError, match=r"The index 'foo://a' cannot be read \(No object st"):
        Index.open("foo://a", ae)


@pytest.mark.parametrize(
    ("ids", "metadata", "message"),
    [
        (["a", "b", "a"], None, "The id 'a' occurs 2 times"),
        (None, {"site": [1]}, "Got 1 rows of metadata for 3 sequences"),
        (None, {"rank": [1, 2, 3]}, "cannot be named 'rank'"),
        (None, [1, 2], "metadata must be a mapping"),
        (["a", "b"], None, r"Got ids of shape \(2,\) for 3 codes"),
    ],
)
def test_bad_rows(ae, tmp_path, ids, metadata, message):
    with pytest.raises(DataError, match=message):
        Index.create(tmp_path / "x.index", ae, ragged(3), ids=ids, metadata=metadata)
    assert [*tmp_path.iterdir()] == []


def test_rows_of_the_wrong_shape(ae, place):
    index = Index.open(place, ae)
    with pytest.raises(DataError, match="index has the columns site, year of metadata"):
        index.add(ragged(1), ids=["x"])
    with pytest.raises(DataError, match="column 'year' of the index has the type int64"):
        index.add(ragged(1), ids=["x"], metadata={"site": ["a"], "year": ["late"]})
    with pytest.raises(DataError, match="ids of the index are text, and those of the"):
        index.add(ragged(1), metadata={"site": ["a"], "year": [1]})
    with pytest.raises(DataError, match=r"codes must have shape \(n_sequences, 3\)"):
        index.add(codes=np.zeros((1, 4)))
    with pytest.raises(ParameterError, match="only one of them"):
        index.search(ragged(1), ids=["s1"])
    with pytest.raises(ParameterError, match="There is no row with the id 's99'"):
        index.search(ids=["s1", "s99"])
    with pytest.raises(ParameterError, match="k must be"):
        index.search(ragged(1), k=0)
    with pytest.raises(ParameterError, match="distance must be 'features' or 'code'"):
        Index.create(place, ae, ragged(1), distance="dtw")


def test_integer_ids(ae, tmp_path):
    index = Index.create(tmp_path / "x.index", ae, ragged())
    assert index.remove([3, "4"]) == 2
    with pytest.raises(DataError, match="The ids of the index are integers"):
        index.remove(["four"])
    with pytest.raises(ParameterError, match="The id 0 and 1 more is in the index already"):
        index.add(ragged(2))


# Bad states


def test_codes_of_another_model_are_refused(ae, place):
    weights = replace(ae.model_.reference, codes=ae.model_.reference.codes + 1)
    other = copied(ae, reference=weights)
    with pytest.raises(ParameterError, match=r"codes of another model \(hash [0-9a-f]{12}, and"):
        Index.open(place, other)
    same = copied(ae, history=History(initial_loss=1.0)).set_params(verbose=1)
    same.calibrate(ragged(seed=3))
    assert len(Index.open(place, same)) == 24


def test_paths_without_an_index(ae, place, tmp_path):
    with pytest.raises(MissingFileError, match=r"There is no index '.*none'"):
        Index.open(tmp_path / "none", ae)
    (tmp_path / "file").write_text("text")
    for name in ("file", "."):
        with pytest.raises(FileFormatError, match="is not an index"):
            Index.open(tmp_path / name, ae)
    with pytest.raises(ParameterError, match="is a file"):
        Index.create(tmp_path / "file", ae, ragged(1))
    with pytest.raises(MissingFileError, match=r"There is no folder '.*no' for the index"):
        Index.create(tmp_path / "no" / "x.index", ae, ragged(1))
    with pytest.raises(ParameterError, match=r"There is an index '.*copy.index' already. Add rows"):
        Index.create(place, ae, ragged(1))
    lancedb.connect(tmp_path / "other").create_table(TABLE, pa.table({"id": [1]}))
    with pytest.raises(FileFormatError, match="a LanceDB table that Refold did not write"):
        Index.open(tmp_path / "other", ae)


def test_an_index_of_a_newer_version(ae, tmp_path):
    facts = {"version": 99, "model": "", "distance": "code"}
    table = pa.table({"id": [1]}).replace_schema_metadata({FORMAT: json.dumps(facts)})
    lancedb.connect(tmp_path / "new").create_table(TABLE, table)
    with pytest.raises(FileFormatError, match="has index version 99, and this Refold"):
        Index.open(tmp_path / "new", ae)


@pytest.mark.parametrize(
    ("files", "size", "message"),
    [
        ("codes.lance/_versions/*.manifest", None, "it is incomplete"),
        ("codes.lance/_versions/*.manifest", 20, "cannot be read"),
        ("codes.lance/data/*.lance", None, "Not found"),
        ("codes.lance/data/*.lance", 50, "cannot be read"),
        ("features.lance/_versions/*.manifest", None, "it is incomplete"),
    ],
)
def test_a_half_written_index(ae, place, files, size, message):
    for path in place.glob(files):
        kept = None if size is None else path.read_bytes()[:size]
        path.unlink()
        if kept is not None:
            path.write_bytes(kept)
    with pytest.raises(FileFormatError, match=message) as found:
        Index.open(place, ae).search(ragged(1))
    assert "\n" not in str(found.value)
    assert "Create it again" in str(found.value)


def test_an_interrupted_creation_can_be_repeated(ae, place):
    for path in place.glob("codes.lance/_versions/*"):
        path.unlink()
    assert len(Index.create(place, ae, ragged(3))) == 3


def test_one_writer_at_a_time(ae, place):
    index = Index.open(place, ae)
    with FileLock(place.with_name(".copy.index.lock")):
        for change in (lambda: index.remove(["s1"]), lambda: index.build()):
            with pytest.raises(ParameterError, match="Another process is writing to the index"):
                change()
        assert index.search(ragged(1), k=1).distances()
    assert index.remove(["s1"]) == 1


def test_lancedb_is_not_installed():
    code = (
        "import sys\n"
        "from refold._support.import_finders import RefusingFinder\n"
        "sys.meta_path.insert(0, RefusingFinder('lancedb'))\n"
        "from refold.cli import main\n"
        "main(['index', 'm', 'd', '-o', 'x'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == (
        "Error: refold.search needs the package 'lancedb', which is not installed. "
        "In your clone of Refold, run: python -m pip install '.[search]'\n"
    )
    assert issubclass(MissingExtraError, ImportError)


# Approximate search


def test_approximate_search_and_its_recall(ae, sequences, place, monkeypatch, capsys):
    monkeypatch.setattr(_approximate, "EXACT_ROWS", 500)
    monkeypatch.setattr(_approximate, "_SAMPLE", 20)
    index = Index.open(place, ae, verbose=1)
    with pytest.raises(ParameterError, match="exact=False needs an index with partitions"):
        index.search(sequences[:1], exact=False)
    codes = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)
    columns = {"site": ["x"] * 600, "year": range(600)}
    monkeypatch.setattr(_approximate, "_BATCH", 100)
    index.add(codes=codes, ids=[f"r{i}" for i in range(600)], metadata=columns)
    assert index.recall_ >= 0.97
    index.search(sequences[:2], k=1)
    shown = capsys.readouterr().err
    for line in ("divide 624 rows into 6 partitions", "measure the recall in 624 rows", "search"):
        assert line in shown
    assert f"Index(624 rows, distance='features', recall {index.recall_:.3f})" == repr(index)
    near, exact = (index.search(sequences[:1], k=10, exact=one).ids() for one in (None, True))
    assert near[0] == exact[0] == "s0"
    assert len({*near} & {*exact}) >= 8
    assert index.search(ids=["s3"], k=5, where="site <> 'x'").ids()[0] != "s3"
    assert len(index.search(sequences[:1], k=9, where="site <> 'x'").ids()) == 9
    index.remove([f"r{i}" for i in range(200)])
    again = Index.open(place, ae)
    assert again.recall_ is None  # few rows are searched exactly
    assert again.search(sequences[:1], exact=False, k=1).ids() == ["s0"]
    assert again.build(partitions=2).search(sequences[:1], exact=False, k=1).ids() == ["s0"]


def test_exact_search_of_few_rows():
    line = np.arange(50, dtype=np.float32)[:, None]
    assert nearest(line, np.float32([[10.2], [49]]), 3)[1].rows.tolist() == [49, 48, 47]
    assert nearest(line, np.float32([[2]]), 0)[0].rows.tolist() == []
    assert nearest(line[:0], np.float32([[2]]), 3)[0].rows.tolist() == []
    same = np.zeros((40, 2), np.float32)
    assert nearest(same, same[:1], 4)[0].rows.tolist() == [0, 1, 2, 3]


# Pictures


def test_a_picture_of_hits(ae, sequences, made):
    index = Index.open(made, ae)
    hits = index.search(sequences[:2], k=3)
    axes = draw(ae, hits, sequences[:2], query=1, num=2)
    assert len(axes) == 2
    assert axes[0].get_title(loc="left").startswith("s1  ·  distance ")
    assert axes[0].lines[0].get_ydata().tolist() == sequences[1][:, 0].tolist()
    assert len(draw(ae, index.search(ids=["s1"], k=1))) == 1
    with pytest.raises(DataError, match="The query 0 has no hits to draw"):
        draw(ae, index.search(ids=["s1"], where="year = 1"))
