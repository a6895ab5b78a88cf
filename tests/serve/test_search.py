"""Search in the index of a model, with the hits of Python."""

import httpx
import pytest

from refold.errors import ParameterError
from refold.search import Index
from refold.sequences import Sequences, codes_to_arrow
from refold.serve import create_app, named_indexes
from serve.serving import ARROW, started, stream_of, table_of
from small_data import ragged

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
NEW = [one.tolist() for one in ragged(3, seed=3)]


@pytest.fixture(scope="module")
def index(pairs, tmp_path_factory):
    place = tmp_path_factory.mktemp("index") / "pairs.index"
    ids = [f"s{i}" for i in range(20)]
    metadata = {"site": ["north", "south"] * 10}
    return Index.create(place, pairs, ragged(20), ids=ids, metadata=metadata)


@pytest.fixture(scope="module")
def client(files, index):
    with (
        started(files, indexes={"pairs": index.path}) as (url, _),
        httpx.Client(base_url=url) as client,
    ):
        yield client


def found(client, **content):
    response = client.post("/v1/pairs/search", json=content)
    assert response.status_code == 200, response.text
    return response.json()["hits"]


def test_sequences_codes_and_ids(client, index, pairs):
    expected = index.search(NEW, k=4)
    hits = found(client, sequences=NEW, k=4)
    assert [[hit["id"] for hit in one] for one in hits] == [expected.ids(i) for i in range(3)]
    assert [hit["distance"] for hit in hits[1]] == expected.distances(1)
    codes = pairs.encode(NEW)
    expected = index.search(codes=codes, k=4)
    hits = found(client, codes=codes.tolist(), k=4)
    assert [[hit["id"] for hit in one] for one in hits] == [expected.ids(i) for i in range(3)]
    asked = {"ids": ["s3"], "k": 2, "where": "site = 'south'"}
    expected = index.search(ids=["s3"], k=2, where="site = 'south'")
    assert [hit["id"] for hit in found(client, **asked)[0]] == expected.ids()
    assert {hit["site"] for hit in found(client, **asked)[0]} == {"south"}


def test_tables(client, index, pairs):
    codes = pairs.encode(NEW)
    for table, expected in (
        (Sequences.from_list(NEW).to_arrow(), index.search(NEW, k=4).table),
        (codes_to_arrow(codes), index.search(codes=codes, k=4).table),
    ):
        headers = {"content-type": ARROW}
        response = client.post("/v1/pairs/search?k=4", content=stream_of(table), headers=headers)
        assert table_of(response).equals(expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "Give one of 'sequences', 'codes' and 'ids'"),
        ({"ids": ["s1"], "codes": [[0, 0, 0]]}, "Give one of"),
        ({"ids": ["unknown"]}, "unknown"),
        ({"ids": [1, "a"]}, "list of texts, or of integers"),
        ({"ids": [1]}, "id"),
        ({"ids": ["s1"], "k": 0}, "`int` >= 1 at `$.k`"),
        ({"ids": ["s1"], "where": "site ="}, "where is not valid at character 7"),
        ({"ids": ["s1"], "where": "nothing = 1"}, "where is not valid at character 1"),
        ({"ids": ["s1"], "where": "repeat(id, 100000000) <> id"}, "no column 'repeat'"),
        ({"ids": ["s1"], "where": "site = 'north'; AND a = 'b'"}, "at character 15"),
    ],
)
def test_wrong_searches(client, content, message):
    response = client.post("/v1/pairs/search", json=content)
    assert response.status_code == 422, response.text
    shown = response.json()["error"]["message"]
    assert message in shown
    assert "pairs.index" not in shown


def test_rows_that_are_added_are_found(client, index):
    index.add(ragged(1, seed=8), ids=["new"], metadata={"site": ["west"]})
    hits = found(client, sequences=[one.tolist() for one in ragged(1, seed=8)], k=1)
    assert hits[0][0]["id"] == "new"
    assert client.get("/v1/pairs").json()["index_rows"] == 21


def test_a_model_without_an_index(client, files, index):
    response = client.post("/v1/words/search", json={"sequences": ["on"]})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "no_index"
    with pytest.raises(ParameterError, match="an index for 'other', and no such model"):
        create_app(files, indexes={"other": index.path})
    with pytest.raises(ParameterError, match="codes of another model"):
        create_app(files, indexes={"words": index.path})
    assert named_indexes(["pairs=a", "words=b"], files) == {"pairs": "a", "words": "b"}
    with pytest.raises(ParameterError, match="Write the name of a model before the index 'a'"):
        named_indexes(["a"], files)
