"""Search in the index of a model, with the hits of Python."""

import httpx
import pytest

from refold.errors import ParameterError
from refold.search import Index
from refold.sequences import Sequences, codes_to_arrow
from refold.serve import create_app, named_indexes
from serve.server_helpers import error_message, post, post_table, started
from small_data import draw_ragged_sequences

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
NEW = [sequence.tolist() for sequence in draw_ragged_sequences(3, seed=3)]


@pytest.fixture(scope="module")
def index(pairs, tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "pairs.index"
    ids = [f"s{i}" for i in range(20)]
    metadata = {"site": ["north", "south"] * 10}
    return Index.create(path, pairs, draw_ragged_sequences(20), ids=ids, metadata=metadata)


@pytest.fixture(scope="module")
def client(files, index):
    with (
        started(files, indexes={"pairs": index.path}) as (url, _),
        httpx.Client(base_url=url) as client,
    ):
        yield client


def test_hits_are_those_of_python(client, index, pairs):
    codes = pairs.encode(NEW)
    for content, options in (
        ({"sequences": NEW}, {"X": NEW}),
        ({"codes": codes.tolist()}, {"codes": codes}),
        ({"ids": ["s3"], "where": "site = 'south'"}, {"ids": ["s3"], "where": "site = 'south'"}),
    ):
        expected = index.search(options.pop("X", None), k=4, **options)
        for i, hits in enumerate(post(client, "pairs/search", content | {"k": 4})["hits"]):
            assert [hit["id"] for hit in hits] == expected.ids(i)
            assert [hit["distance"] for hit in hits] == expected.distances(i)
            assert [hit["site"] for hit in hits] == expected.column("site", i)
    for table, expected in (
        (Sequences.from_list(NEW).to_arrow(), index.search(NEW, k=4).table),
        (codes_to_arrow(codes), index.search(codes=codes, k=4).table),
    ):
        assert post_table(client, "pairs/search?k=4", table).equals(expected)


def test_wrong_searches(client):
    for content, message in (
        ({}, "Give one of 'sequences', 'codes' and 'ids'"),
        ({"ids": [1, "a"]}, "list of texts, or of integers"),
        ({"ids": ["s1"], "where": "site ="}, "where is not valid at character 7"),
    ):
        assert message in error_message(client.post("/v1/pairs/search", json=content))


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
