"""``refold index``, ``search`` and ``cluster``, from files."""

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from refold.cli import main
from small_data import json_lines


@pytest.fixture(scope="module")
def index(sines, tmp_path_factory):
    """Return an index of the training data with two columns of metadata."""
    folder = tmp_path_factory.mktemp("search")
    lines = [f"{i},{'ab'[i % 2]},{i / 4}" for i in range(80)]
    (folder / "about.csv").write_text("\n".join(["id,site,load", *lines]))
    command = ["index", str(sines / "bare.refold"), str(sines / "train.parquet")]
    columns = ["--metadata", "site,load", "--labels", str(folder / "about.csv")]
    assert main([*command, "-o", str(folder / "s.index"), *columns, "-q"]) == 0
    return folder / "s.index"


@pytest.fixture
def rows(run):
    """Return a function that runs a command and returns the rows that it wrote."""

    def call(*arguments):
        return json_lines(run(*arguments).out)

    return call


def test_sequences_codes_and_ids_find_the_same(sines, index, tmp_path, run, rows):
    model, train, codes = sines / "bare.refold", sines / "train.parquet", tmp_path / "codes.parquet"
    hits = rows("search", model, index, train, "-k", 3)
    assert len(hits) == 240
    assert [hit["id"] for hit in hits if hit["rank"] == 1] == [*range(80)]
    hits_by_id = rows("search", model, index, "--like", "7,8", "-k", 2)
    assert [hit["id"] for hit in hits_by_id[:2]] == [hit["id"] for hit in hits[22:24]]
    run("encode", model, train, "-o", codes, "-q")
    repeated = rows("search", model, index, "--codes", codes, "-k", 3)
    assert [hit["query"] for hit in repeated] == [hit["query"] for hit in hits]


def test_hits_with_a_condition_and_a_picture(sines, index, tmp_path, run):
    table, picture = tmp_path / "hits.parquet", tmp_path / "hits.png"
    where = ["--where", "load < 2 AND site = 'b'", "-o", table, "--picture", picture]
    run("search", sines / "bare.refold", index, "--like", 7, *where)
    hits = pq.read_table(table)
    assert hits.column_names == ["query", "rank", "distance", "id", "site", "load"]
    assert sorted(hits["id"].to_pylist()) == [1, 3, 5]
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_rows_of_an_index_can_be_changed(sines, tmp_path, run):
    model, index = sines / "bare.refold", tmp_path / "x.index"
    command = ["index", model, sines / "train.parquet", "-o", index, "--vector-kind", "code"]
    assert "Wrote 80 rows to" in run(*command).err
    assert "Add rows to an index with --add or --replace" in run(*command, exit_code=2).err
    message = "The id 0 and 79 more is in the index already. Set --replace"
    assert message in run(*command, "--add", exit_code=2).err
    assert "It has 80 rows." in run(*command, "--replace").err
    removed = run("index", model, "-o", index, "--remove", "3,4,200").err
    assert "Removed 2 of 80 rows from" in removed
    removed = run("index", model, "-o", index, "--remove-where", "id >= 70").err
    assert "Removed 10 of 78 rows from" in removed
    message = "--remove-where is not valid at character 1: There is no column 'year'"
    assert (
        message in run("index", model, "-o", index, "--remove-where", "year > 7", exit_code=2).err
    )


def test_clusters_of_a_file_and_of_an_index(sines, index, tmp_path, run, rows):
    model = sines / "bare.refold"
    names = ("rows.parquet", "clusters.csv", "centers.jsonl", "map.png")
    table, clusters, centers, picture = (tmp_path / name for name in names)
    files = ["-o", table, "--clusters", clusters, "--centers", centers, "--picture", picture]
    captured = run("cluster", model, sines / "train.parquet", "-n", "3", *files)
    assert "k-means found 3 clusters of 80 sequences; the mean" in captured.err
    labels = pq.read_table(table)
    assert labels.column_names == ["id", "cluster", "distance"]
    groups = pyarrow.csv.read_csv(clusters)
    assert groups.column_names[4:6] == ["nearest", "code0"]
    sizes = groups["size"].to_pylist()
    assert sizes == sorted(sizes, reverse=True)
    assert sizes == [labels["cluster"].to_pylist().count(i) for i in range(3)]
    assert len(centers.read_text().splitlines()) == 3
    assert picture.stat().st_size > 1000
    repeated = rows("cluster", model, "--index", index, "-n", 3)
    assert [row["cluster"] for row in repeated] == labels["cluster"].to_pylist()
    dense = ["--method", "hdbscan", "--min-size", "50", "-o", table]
    captured = run("cluster", model, sines / "new.parquet", *dense)
    assert "HDBSCAN found 0 clusters of 6 sequences; 100.0 % are noise" in captured.err
    message = "--min-size is not for --method k-means. Leave it out, or set another --method."
    assert message in run("cluster", model, "--index", index, "--min-size", "5", exit_code=2).err
