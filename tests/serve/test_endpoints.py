"""All endpoints give the same bits as Python, in JSON and Arrow."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pyarrow as pa
import pytest

import refold
from refold.sequences import Sequences, codes_from_arrow, codes_to_arrow
from serve.serving import ARROW, WORDS, busy, same, stream_of, table_of, wait_until
from small_data import ragged

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
NEW = [one.tolist() for one in ragged(9, seed=3)]
TABLE = Sequences.from_list(NEW).to_arrow()


def post(client, path, content, **options):
    response = client.post(f"/v1/{path}", json=content, **options)
    assert response.status_code == 200, response.text
    return response.json()


def post_table(client, path, table):
    content, headers = stream_of(table), {"content-type": ARROW}
    return table_of(client.post(f"/v1/{path}", content=content, headers=headers))


def test_encode(client, pairs, words):
    codes = pairs.encode(NEW)
    assert same(post(client, "pairs/encode", {"sequences": NEW})["codes"], codes)
    answer = post(client, "words/encode", {"sequences": WORDS[:5]})
    assert same(answer["codes"], words.encode(WORDS[:5]))
    table = Sequences.from_list(NEW, ids=[f"s{i}" for i in range(9)]).to_arrow()
    encoded, ids = codes_from_arrow(post_table(client, "pairs/encode", table))
    np.testing.assert_array_equal(encoded, codes, strict=True)
    assert ids.tolist() == table["id"].to_pylist()


@pytest.mark.parametrize(
    "given",
    [
        [[[1, 2], [3.5, 4]], [], [[2**60 + 1, -1e30]]],
        [[[0.1, 0.2]], [[True, 0.5]]],
        [[[1, 2], [3, None]], [], [[4.5, 5]]],
    ],
    ids=["numbers", "booleans", "missing"],
)
def test_numbers_without_a_detour_and_with_one(client, pairs, given):
    """Numbers for a numeric model are converted without the checks of other data."""
    arrays = [np.array(one, float).reshape(-1, 2) for one in given]
    expected = pairs.encode(arrays)
    answer = post(client, "pairs/encode", {"sequences": given})
    assert same(answer["codes"], expected)
    if np.isnan(arrays[0]).any():
        assert "1 values are missing" in answer["warnings"][0]
    table = Sequences.from_list(arrays, schema=pairs.schema).to_arrow().drop_columns(["id"])
    encoded = codes_from_arrow(post_table(client, "pairs/encode", table))[0]
    np.testing.assert_array_equal(encoded, expected)


def test_decode(client, pairs, words):
    codes = pairs.encode(NEW)
    answer = post(client, "pairs/decode", {"codes": codes.tolist()})
    assert same(answer["sequences"], pairs.decode(codes))
    content = {"codes": codes.tolist(), "lengths": [*range(9)], "clip": True}
    expected = pairs.decode(codes, [*range(9)], clip=True)
    assert same(post(client, "pairs/decode", content)["sequences"], expected)
    table = codes_to_arrow(codes).append_column("length", pa.array(range(9)))
    decoded = Sequences.from_arrow(post_table(client, "pairs/decode?clip=true", table))
    assert same(decoded.align(pairs.schema).to_list()[1:], expected[1:])
    codes = words.encode(WORDS[:3])
    answer = post(client, "words/decode", {"codes": codes.tolist()})
    assert same(answer["sequences"], words.decode(codes))


def test_tables_of_codes_tell_their_model(client, pairs, words):
    table = post_table(client, "pairs/encode", TABLE)
    assert table.schema.metadata[b"refold.model"].decode() == pairs.hash
    assert client.get("/v1/pairs").json()["model_hash"] == pairs.hash
    decoded = post_table(client, "pairs/decode", table)
    assert b"refold.warnings" not in decoded.schema.metadata
    headers = {"content-type": ARROW}
    response = client.post("/v1/words/decode", content=stream_of(table), headers=headers)
    assert response.status_code == 422
    both = f"hash {pairs.hash[:12]}, and this model has {words.hash[:12]}"
    assert both in response.json()["error"]["message"]
    decoded = post_table(client, "pairs/decode", codes_to_arrow(pairs.encode(NEW)))
    (line,) = json.loads(decoded.schema.metadata[b"refold.warnings"])
    assert "does not tell the model of its codes" in line


@pytest.mark.parametrize("operation", ["encode", "reconstruct", "detect", "forecast"])
def test_other_units_cause_a_warning(client, operation):
    wrong = [[[1000 * x for x in row] for row in one] for one in NEW]
    options = {"alpha": 0.1} if operation == "detect" else {}
    assert "warnings" not in post(client, f"pairs/{operation}", {"sequences": NEW, **options})
    (line,) = post(client, f"pairs/{operation}", {"sequences": wrong, **options})["warnings"]
    assert "columns 'x0', 'x1' are far outside of the training data, up to" in line
    query = "?alpha=0.1" if options else ""
    answer = post_table(client, f"pairs/{operation}{query}", Sequences.from_list(wrong).to_arrow())
    assert json.loads(answer.schema.metadata[b"refold.warnings"]) == [line]


def test_reconstruct(client, pairs, words):
    longer = [*NEW, ragged(1)[0].tolist() * 5]
    answer = post(client, "pairs/reconstruct", {"sequences": longer})
    assert same(answer["sequences"], pairs.reconstruct(longer))
    assert "15 steps against 8" in answer["warnings"][0]
    table = post_table(client, "pairs/reconstruct", Sequences.from_list(longer).to_arrow())
    assert json.loads(table.schema.metadata[b"refold.warnings"]) == answer["warnings"]
    assert same(Sequences.from_arrow(table).to_list(), pairs.reconstruct(longer))
    unknown = ["nine", "", "zoo"]
    answer = post(client, "words/reconstruct", {"sequences": unknown})
    assert same(answer["sequences"], words.reconstruct(unknown))
    assert "1 entries of column 'token' are no category" in answer["warnings"][0]


def test_detect(client, pairs):
    expected = pairs.detect(NEW, alpha=0.1)
    content = {"sequences": NEW, "alpha": 0.1, "steps": True}
    rows = post(client, "pairs/detect", content)["detections"]
    assert same([row["score"] for row in rows], expected.scores.tolist())
    assert same([row["p_value"] for row in rows], expected.p_values.tolist())
    assert same([row["step_scores"] for row in rows], expected.step_scores)
    assert post_table(client, "pairs/detect?alpha=0.1", TABLE).equals(expected.to_table())
    trained = [one.tolist() for one in ragged(60)][:40]
    (line,) = post(client, "pairs/detect", {"sequences": trained, "alpha": 0.1})["warnings"]
    assert "of 40 sequences are among those that the model was trained on" in line


def test_forecast(client, pairs):
    expected = pairs.forecast(NEW, 2, alpha=0.1)
    answer = post(client, "pairs/forecast", {"sequences": NEW, "steps": 2, "alpha": 0.1})
    assert same(answer["sequences"], expected.values)
    assert same(answer["lower"], expected.lower)
    table = post_table(client, "pairs/forecast?steps=2&alpha=0.1", TABLE)
    assert table.equals(expected.to_table())


def test_generate(client, pairs, words):
    content = {"n": 3, "seed": 5, "components": 1}
    answer = post(client, "pairs/generate", content)
    assert same(answer["sequences"], pairs.generate(3, components=1, random_state=5))
    answer = post(client, "words/generate", content | {"temperature": 0.7, "lengths": [3, 0, 5]})
    expected = words.generate(3, components=1, temperature=0.7, lengths=[3, 0, 5], random_state=5)
    assert same(answer["sequences"], expected)


def test_options_of_a_request_do_not_reach_others(url, pairs, service):
    """Requests that wait together may have different options."""
    alphas = (0.1, 0.99)
    alone = {alpha: pairs.detect(NEW, alpha).anomalous.tolist() for alpha in alphas}
    assert alone[0.1] != alone[0.99]

    def ask(alpha):
        content = {"sequences": NEW, "alpha": alpha}
        return httpx.post(f"{url}/v1/pairs/detect", json=content, timeout=20).json()["detections"]

    with ThreadPoolExecutor(2) as threads:
        with busy(service):
            answers = [threads.submit(ask, alpha) for alpha in alphas]
            wait_until(lambda: service.batches.waiting == 2)
        for alpha, answer in zip(alphas, answers, strict=True):
            assert [row["anomalous"] for row in answer.result()] == alone[alpha]


def test_concurrent_and_large_requests_give_the_same_bits_as_single_ones(url, pairs, service):
    sets = [[one.tolist() for one in ragged(1 + i % 4, seed=i)] for i in range(38)]
    sets += [[one.tolist() for one in ragged(40)]] * 2
    with (
        pytest.MonkeyPatch.context() as patch,
        httpx.Client(base_url=url) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        # the last two are computed in parts
        settings = refold.serve.ServeSettings(batch_steps=50)
        patch.setattr(service.batches, "settings", settings)
        paths = ["pairs/encode", "pairs/reconstruct"] * 20
        answers = [*threads.map(lambda p, s: post(client, p, {"sequences": s}), paths, sets)]
    for path, given, answer in zip(paths, sets, answers, strict=True):
        if path == "pairs/encode":
            assert same(answer["codes"], pairs.encode(given))
        else:
            assert same(answer["sequences"], pairs.reconstruct(given))
    assert service.batches.open == 0


def test_gzip_both_ways(client):
    body = gzip.compress(json.dumps({"sequences": [[[0.1, 0.2]] * 900]}).encode())
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    response = client.post("/v1/pairs/reconstruct", content=body, headers=headers)
    assert response.headers["content-encoding"] == "gzip"
    headers |= {"accept-encoding": "identity"}
    plain = client.post("/v1/pairs/reconstruct", content=body, headers=headers)
    assert "content-encoding" not in plain.headers
    assert plain.json() == response.json()


def test_json_to_arrow_and_back(client, pairs):
    expected = pairs.encode(NEW)
    response = client.post("/v1/pairs/encode", json={"sequences": NEW}, headers={"accept": ARROW})
    np.testing.assert_array_equal(codes_from_arrow(table_of(response))[0], expected)
    headers = {"content-type": ARROW, "accept": "application/json"}
    response = client.post("/v1/pairs/encode", content=stream_of(TABLE), headers=headers)
    assert same(response.json()["codes"], expected)


def test_pages(client, pairs):
    names = [model["name"] for model in client.get("/v1/models").json()["models"]]
    assert names == ["pairs", "words"]
    answer = client.get("/v1/pairs").json()
    assert answer["code_size"] == 3
    assert [column["name"] for column in answer["columns"]] == list(pairs.schema.names)
    assert client.get("/v1/other").json()["error"]["code"] == "not_found"
    wrong = client.get("/v1/pairs/encode")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert client.get("/v1/health").json() == {"version": refold.__version__}
    assert client.get("/v1/ready").json() == {"ready": True}
    post(client, "pairs/encode", {"sequences": NEW})
    text = client.get("/v1/metrics").text
    assert 'refold_requests_total{operation="encode",status="200"}' in text
    assert "refold_batch_requests_bucket" in text


def test_openapi_describes_every_operation_with_an_example(client):
    document = client.get("/v1/openapi.json").json()
    schemas = document["components"]["schemas"]
    for path, item in document["paths"].items():
        if "post" in item:
            content = item["post"]["requestBody"]["content"]["application/json"]
            schema = schemas[content["schema"]["$ref"].rpartition("/")[2]]
            for name in schema.get("required", ()):
                assert schema["properties"][name]["examples"], path
    assert "/v1/{model}/encode" in document["paths"]
