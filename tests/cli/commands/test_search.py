"""``refold index``, ``search`` and ``cluster``, from files."""

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from refold.cli import main


@pytest.fixture(scope="module")
def folder(sines, tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    lines = [f"{i},{'ab'[i % 2]},{i / 4}" for i in range(80)]
    (folder / "about.csv").write_text("\n".join(["id,site,load", *lines]))
    made = ["index", str(sines / "bare.refold"), str(sines / "train.parquet")]
    columns = ["--metadata", "site,load", "--labels", str(folder / "about.csv")]
    assert main([*made, "-o", str(folder / "s.index"), *columns, "-q"]) == 0
    return folder


def run(capsys, *arguments):
    """Run a command that must succeed, and return its rows."""
    assert main([*map(str, arguments)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_sequences_codes_and_ids_find_the_same(sines, folder, tmp_path, capsys):
    model, index = sines / "bare.refold", folder / "s.index"
    train, codes = sines / "train.parquet", tmp_path / "codes.parquet"
    rows = run(capsys, "search", model, index, train, "-k", 3)
    assert len(rows) == 240
    assert [one["id"] for one in rows if one["rank"] == 1] == [*range(80)]
    like = run(capsys, "search", model, index, "--like", "7,8", "-k", 2)
    assert [one["id"] for one in like[:2]] == [one["id"] for one in rows[22:24]]
    run(capsys, "encode", model, train, "-o", codes, "-q")
    found = run(capsys, "search", model, index, "--codes", codes, "-k", 3)
    assert [one["query"] for one in found] == [one["query"] for one in rows]
    distance = ["--distance", "code", "-q"]
    assert main(["index", str(model), str(train), "-o", str(tmp_path / "c"), *distance]) == 0
    found = run(capsys, "search", model, tmp_path / "c", "--codes", codes, "-k", 3)
    assert found == run(capsys, "search", model, tmp_path / "c", train, "-k", 3)
    table, picture = tmp_path / "hits.parquet", tmp_path / "hits.png"
    files = ["-o", table, "--picture", picture]
    run(capsys, "search", model, index, "--like", 7, "--where", "load < 2 AND site = 'b'", *files)
    found = pq.read_table(table)
    assert found.column_names == ["query", "rank", "distance", "id", "site", "load"]
    assert sorted(found["id"].to_pylist()) == [1, 3, 5]
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_a_search_needs_neither_jax_nor_scikit_learn(sines, folder):
    program = (
        "import sys\n"
        "from refold._support.optional_imports import RefusingFinder\n"
        "sys.meta_path[:0] = map(RefusingFinder, ('jax', 'keras', 'sklearn', 'scipy', 'pandas'))\n"
        "from refold.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    given = ["search", sines / "bare.refold", folder / "s.index", "--like", "7", "-k", "1"]
    done = subprocess.run([sys.executable, "-c", program, *given], capture_output=True, text=True)
    assert done.stderr == "Found 1 hits of 1 queries in 80 rows.\n"
    assert json.loads(done.stdout)["query"] == 7


def test_rows_of_an_index_can_be_changed(sines, tmp_path, capsys):
    model, train, index = sines / "bare.refold", sines / "train.parquet", tmp_path / "x.index"
    made = ["index", str(model), str(train), "-o", str(index), "--distance", "code"]
    assert main(made) == 0
    assert "Wrote 80 rows to" in capsys.readouterr().err
    assert main(made) == 2
    assert "Add rows to an index with --add or --replace" in capsys.readouterr().err
    assert main([*made, "--add"]) == 2
    assert "The id 0 and 79 more is in the index already. Set --replace" in capsys.readouterr().err
    assert main([*made, "--replace"]) == 0
    assert "It has 80 rows." in capsys.readouterr().err
    assert main(["index", str(model), "-o", str(index), "--remove", "3,4,200"]) == 0
    assert "Removed 2 of 80 rows from" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["index", "bare.refold", "-o", "x"], "Give DATA to add, or ids with --remove"),
        (["index", "bare.refold", "train.parquet"], "option --output is missing"),
        (["index", "bare.refold", "-", "-o", "x", "--metadata", "a"], "Standard input cannot be"),
        (["index", "-", "-", "-o", "x"], "Only one input can be standard input"),
        (["index", "bare.refold", "-o", "x", "--remove", "3"], "There is no index 'x'"),
        (["cluster", "bare.refold"], "Give DATA or --index"),
        (
            ["cluster", "bare.refold", "train.parquet", "-n", "99"],
            "--num-clusters must be an integer from 1 to",
        ),
        (["search", "bare.refold", "x"], "Give DATA, --like ids or --codes"),
        (["search", "bare.refold", "x", "--like", "1"], "There is no index 'x'"),
        (["search", "bare.refold", "INDEX", "--like", "1,"], "--like has an empty id"),
        (
            ["search", "bare.refold", "INDEX", "--like", "1", "--where", "load < 2 garbage"],
            "--where is not valid at character 10: Expected AND, OR or the end. Got 'garbage'.",
        ),
        (["search", "bare.refold", "s3://a/x", "--like", "1"], "An index lives on a local disk"),
    ],
)
def test_a_mistake_is_one_line(sines, folder, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(sines)
    index = str(folder / "s.index")
    assert main([index if one == "INDEX" else one for one in arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


def test_clusters_of_a_file_and_of_an_index(sines, folder, tmp_path, capsys):
    model = str(sines / "bare.refold")
    names = ("rows.parquet", "clusters.jsonl", "centers.jsonl", "map.png")
    rows, clusters, centers, picture = (str(tmp_path / name) for name in names)
    files = ["-o", rows, "--clusters", clusters, "--centers", centers, "--picture", picture]
    assert main(["cluster", model, str(sines / "train.parquet"), "-n", "3", *files]) == 0
    assert "k-means found 3 clusters of 80 sequences; the mean" in capsys.readouterr().err
    table = pq.read_table(rows)
    assert table.column_names == ["id", "cluster", "distance"]
    found = [json.loads(line) for line in (tmp_path / "clusters.jsonl").read_text().splitlines()]
    sizes = [table["cluster"].to_pylist().count(i) for i in range(3)]
    assert [one["size"] for one in found] == sorted(sizes, reverse=True) == sizes
    assert len((tmp_path / "centers.jsonl").read_text().splitlines()) == 3
    assert (tmp_path / "map.png").stat().st_size > 1000
    again = run(capsys, "cluster", model, "--index", folder / "s.index", "-n", 3)
    assert [one["cluster"] for one in again] == table["cluster"].to_pylist()
    assert main(["cluster", model, str(sines / "new.parquet"), "--min-size", "50", "-o", rows]) == 0
    assert "found 0 clusters of 6 sequences; 100.0 % are noise" in capsys.readouterr().err
