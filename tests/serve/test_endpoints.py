"""All endpoints give the same bits as Python, in JSON and Arrow."""

import html
import json
import re
import warnings
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pyarrow as pa
import pytest

import refold
from refold.sequences import Sequences, codes_from_arrow, codes_to_arrow
from refold.serve._operations import OPERATIONS
from serve.server_helpers import (
    ARROW_TYPE,
    error_message,
    has_same_bits,
    post,
    post_table,
    send_together,
    started,
    to_stream,
)
from small_data import draw_ragged_sequences, fit_without_training

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
NEW = [sequence.tolist() for sequence in draw_ragged_sequences(9, seed=3)]
IDS = [f"s{i}" for i in range(9)]
TABLE = Sequences.from_list(NEW, ids=IDS).to_arrow()


@pytest.mark.parametrize(
    ("name", "operation", "fields"),
    [
        ("pairs", "encode", {}),
        ("pairs", "decode", {"lengths": [*range(9)], "clip": True}),
        ("pairs", "reconstruct", {"clip": True}),
        ("pairs", "generate", {"n": 3, "seed": 5}),
        ("words", "reconstruct", {}),
        ("words", "generate", {"n": 3, "seed": 5, "temperature": 0.7, "lengths": [3, 0, 5]}),
    ],
)
def test_json(client, pairs, words, name, operation, fields):
    model, data = {"pairs": (pairs, NEW), "words": (words, ["nine", "", "zoo"])}[name]
    if operation == "generate":
        options = {key: value for key, value in fields.items() if key not in ("n", "seed")}
        expected = model.generate(3, random_state=5, **options)
    else:
        data = model.encode(data) if operation == "decode" else data
        expected = getattr(model, operation)(data, **fields)
        key = "codes" if operation == "decode" else "sequences"
        fields = fields | {key: np.asarray(data).tolist() if key == "codes" else data}
    answer = post(client, f"{name}/{operation}", fields)
    assert has_same_bits(answer["codes" if operation == "encode" else "sequences"], expected)


def test_detect_and_forecast(client, pairs):
    detection = pairs.detect(NEW, alpha=0.1)
    rows = post(client, "pairs/detect", {"sequences": NEW, "alpha": 0.1})["detections"]
    assert has_same_bits([row["score"] for row in rows], detection.scores.tolist())
    assert has_same_bits([row["p_value"] for row in rows], detection.p_values.tolist())
    assert [row["step"] for row in rows] == detection.to_table()["step"].to_pylist()
    forecast = pairs.forecast(NEW, 2, alpha=0.1)
    answer = post(client, "pairs/forecast", {"sequences": NEW, "steps": 2, "alpha": 0.1})
    assert has_same_bits(answer["sequences"], forecast.values)
    assert has_same_bits(answer["lower"], forecast.lower)


def test_tables(client, pairs):
    with_ids = Sequences.from_list(NEW, ids=IDS)
    codes, ids = codes_from_arrow(post_table(client, "pairs/encode", TABLE))
    np.testing.assert_array_equal(codes, pairs.encode(NEW), strict=True)
    assert ids.tolist() == IDS
    table = codes_to_arrow(codes).append_column("length", pa.array(range(9)))
    decoded = post_table(client, "pairs/decode?clip=true", table)
    expected = pairs.decode(codes, [*range(9)], clip=True)
    assert has_same_bits(Sequences.from_arrow(decoded).to_list()[1:], expected[1:])
    reconstructed = Sequences.from_arrow(post_table(client, "pairs/reconstruct", TABLE))
    assert has_same_bits(reconstructed.to_list(), pairs.reconstruct(NEW))
    expected = pairs.detect(with_ids, alpha=0.1).to_table()
    assert post_table(client, "pairs/detect?alpha=0.1", TABLE).equals(expected)
    expected = pairs.forecast(with_ids, 2, alpha=0.1).to_table()
    assert post_table(client, "pairs/forecast?steps=2&alpha=0.1", TABLE).equals(expected)


def test_a_model_of_windows_takes_series_of_any_length(tmp_path):
    """Answers are those of Python: results of windows, some of them merged to steps or series."""
    options = {"window": 6, "step": 2, "forecast_steps": 2, "calibration_fraction": 0.4}
    rng = np.random.default_rng(0)
    model = fit_without_training([rng.normal(size=(200, 2))], **options).model_
    model.save(tmp_path / "long.refold")
    series = [rng.normal(size=(steps, 2)) for steps in (13, 0, 4)]
    index = refold.search.Index.create(tmp_path / "long.index", model, series)
    body = {"sequences": [x.tolist() for x in series]}
    with_ids = Sequences.from_list(series, ids=list("abc"))
    windows, codes = model.windows(with_ids), model.encode(series)
    detection = model.detect(with_ids, 0.1)
    first_windows = [{"id": 0, "start": start, "end": start + 6} for start in (0, 2, 4)]
    files, indexes = {"long": tmp_path / "long.refold"}, {"long": index.path}
    server = started(files, indexes=indexes, max_sequences=40, max_steps=45)
    with server as (url, _), httpx.Client(base_url=url) as client:
        answer = post(client, "long/encode", body)
        assert has_same_bits(answer["codes"], codes)
        assert answer["windows"][:3] == first_windows
        assert answer["windows"] == model.windows(series).to_table().to_pylist()
        table = post_table(client, "long/encode", with_ids.to_arrow())
        assert table.equals(codes_to_arrow(codes, windows, model=model))
        assert len(post_table(client, "long/decode", table)) == len(windows.starts)

        answer = post(client, "long/reconstruct", body)
        assert has_same_bits(answer["sequences"], model.reconstruct(series))
        table = post_table(client, "long/reconstruct", with_ids.to_arrow())
        assert Sequences.from_arrow(table).ids.tolist() == ["a", "b", "c"]

        answer = post(client, "long/detect", body | {"alpha": 0.1, "by_step": True})
        assert [row["score"] for row in answer["detections"]] == detection.scores.tolist()
        assert [row["id"] for row in answer["detections"]] == [0] * 5 + [1, 2]
        assert has_same_bits(answer["step_scores"], detection.series_step_scores)
        table = post_table(client, "long/detect?alpha=0.1", with_ids.to_arrow())
        assert table.equals(detection.to_table())
        table = post_table(client, "long/detect?alpha=0.1&by_step=true", with_ids.to_arrow())
        assert table["id"].to_pylist() == ["a"] * 13 + ["c"] * 4
        p_values = np.concatenate(detection.series_step_p_values)
        assert table["p_value"].to_pylist() == p_values.tolist()

        answer = post(client, "long/forecast", body)
        assert has_same_bits(answer["sequences"], model.forecast(series).values)
        answer = post(client, "long/search", body | {"k": 1})
        assert [hits[0]["id"] for hits in answer["hits"]] == index.rows.ids.to_pylist()
        assert answer["windows"][:3] == first_windows
        too_long = {"sequences": [rng.normal(size=(20, 2)).tolist()]}
        message = error_message(client.post("/v1/long/encode", json=too_long))
        assert "allows 45 steps in a request, its windows, and its answer. Got 48." in message


def test_missing_and_large_numbers(client, pairs):
    """Numbers without gaps are converted without the checks of other data."""
    for data in ([[[2**60 + 1, -1e30]], []], [[[3, None]], []]):
        arrays = [np.array(sequence, float).reshape(-1, 2) for sequence in data]
        expected = pairs.encode(arrays)
        assert has_same_bits(post(client, "pairs/encode", {"sequences": data})["codes"], expected)
        table = Sequences.from_list(arrays, schema=pairs.schema).to_arrow().drop_columns(["id"])
        encoded = codes_from_arrow(post_table(client, "pairs/encode", table))[0]
        np.testing.assert_array_equal(encoded, expected)


def test_tables_of_codes_tell_their_model(client, pairs, words):
    table = post_table(client, "pairs/encode", TABLE)
    assert table.schema.metadata[b"refold.model"].decode() == pairs.hash
    assert client.get("/v1/pairs").json()["model_hash"] == pairs.hash
    decoded = post_table(client, "pairs/decode", table)
    assert b"refold.warnings" not in decoded.schema.metadata
    headers = {"content-type": ARROW_TYPE}
    response = client.post("/v1/words/decode", content=to_stream(table), headers=headers)
    assert response.status_code == 422
    message_part = f"hash {pairs.hash[:12]}, and this model has {words.hash[:12]}"
    assert message_part in response.json()["error"]["message"]
    decoded = post_table(client, "pairs/decode", codes_to_arrow(pairs.encode(NEW)))
    (line,) = json.loads(decoded.schema.metadata[b"refold.warnings"])
    assert "does not tell the model of its codes" in line


def test_warnings(client):
    far = [[[1000 * x for x in row] for row in sequence] for sequence in NEW]
    warnings = post(client, "pairs/encode", {"sequences": far})["warnings"]
    assert "columns 'x0', 'x1' are far outside of the training data, up to" in warnings[0]
    answer = post_table(client, "pairs/encode", Sequences.from_list(far).to_arrow())
    assert json.loads(answer.schema.metadata[b"refold.warnings"]) == warnings
    trained = [sequence.tolist() for sequence in draw_ragged_sequences(60)][:40]
    line = post(client, "pairs/detect", {"sequences": trained, "alpha": 0.1})["warnings"][0]
    assert "of 40 sequences are among those that the model was trained on" in line
    assert "warnings" not in post(client, "pairs/encode", {"sequences": NEW})


def list_warnings(method, *arguments, **options):
    """Return the texts of all warnings that a method of a model causes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        method(*arguments, **options)
    return [str(warning.message) for warning in caught]


WITH_GAPS_AND_LONG = [[[1000.0, None]] * 9, [[1.0, 2.0]]]


@pytest.mark.parametrize(
    ("name", "operation", "field", "data", "options"),
    [
        ("pairs", "encode", "sequences", WITH_GAPS_AND_LONG, {}),
        ("pairs", "reconstruct", "sequences", WITH_GAPS_AND_LONG, {}),
        ("pairs", "detect", "sequences", WITH_GAPS_AND_LONG, {"alpha": 0.1}),
        ("pairs", "forecast", "sequences", WITH_GAPS_AND_LONG, {}),
        ("pairs", "decode", "codes", [[0.0, 0.0, 0.0]], {"lengths": [9]}),
        ("pairs", "generate", "n", 1, {"lengths": [9]}),
        ("words", "encode", "sequences", ["zoö", "nine"], {}),
    ],
)
def test_the_service_warns_in_the_words_of_the_model(
    client, pairs, words, name, operation, field, data, options
):
    model = {"pairs": pairs, "words": words}[name]
    expected = list_warnings(getattr(model, operation), data, **options)
    assert expected
    assert post(client, f"{name}/{operation}", {field: data, **options})["warnings"] == expected
    if field == "sequences":
        table = Sequences.from_list(data, schema=model.schema if name == "pairs" else None)
        query = "&".join(f"{key}={value}" for key, value in options.items())
        answer = post_table(client, f"{name}/{operation}?{query}", table.to_arrow())
        assert json.loads(answer.schema.metadata[b"refold.warnings"]) == expected


def test_the_pretrained_model_warns_alike_in_the_service():
    """It interpolates missing values, and says how much of a fast series its code explains."""
    series = np.random.default_rng(0).normal(size=(2, 300)).tolist()
    model = refold.load("series")
    with started({"series": "series"}) as (url, _), httpx.Client(base_url=url) as client:
        for operation in ("encode", "reconstruct"):
            expected = list_warnings(getattr(model, operation), series)
            answer = post(client, f"series/{operation}", {"sequences": series})
            assert answer["warnings"] == expected
            assert "Codes of 64 numbers explain 1" in expected[0]
        answer = post(client, "series/encode", {"sequences": [[1.0, None, 3.0, 2.0]]})
        assert "warnings" not in answer


def test_many_and_large_requests_give_the_same_bits_as_one_machine(url, pairs, monkeypatch):
    """Requests are computed together. The last one exceeds a batch, so it is computed in parts."""
    for module in ("_batches", "_operations"):
        monkeypatch.setattr(f"refold.serve.{module}.MAX_BATCH_STEPS", 50)
    sets = [draw_ragged_sequences(1 + i % 4, seed=i) for i in range(10)]
    sets.append(draw_ragged_sequences(40))

    def send(data):
        with httpx.Client(base_url=url, timeout=20) as client:
            fields = {"sequences": [sequence.tolist() for sequence in data]}
            return post(client, "pairs/encode", fields), post(client, "pairs/reconstruct", fields)

    with ThreadPoolExecutor(8) as threads:
        answers = [*threads.map(send, sets)]
    for data, (encoded, reconstructed) in zip(sets, answers, strict=True):
        assert has_same_bits(encoded["codes"], pairs.encode(data))
        assert has_same_bits(reconstructed["sequences"], pairs.reconstruct(data))


def test_options_of_a_request_do_not_reach_others(url, pairs, service):
    """Requests that wait together may have different options."""
    alphas = (0.1, 0.99)
    expected = {alpha: pairs.detect(NEW, alpha).anomalous.tolist() for alpha in alphas}
    assert expected[0.1] != expected[0.99]

    def send(alpha):
        content = {"sequences": NEW, "alpha": alpha}
        return httpx.post(f"{url}/v1/pairs/detect", json=content, timeout=20).json()["detections"]

    for alpha, answer in zip(alphas, send_together(service, send, alphas), strict=True):
        assert [row["anomalous"] for row in answer] == expected[alpha]


def test_an_answer_in_another_format(client, pairs):
    expected = pairs.encode(NEW)
    headers = {"accept": ARROW_TYPE}
    response = client.post("/v1/pairs/encode", json={"sequences": NEW}, headers=headers)
    table = pa.ipc.open_stream(response.content).read_all()
    np.testing.assert_array_equal(codes_from_arrow(table)[0], expected)
    headers = {"content-type": ARROW_TYPE, "accept": "application/json"}
    response = client.post("/v1/pairs/encode", content=to_stream(TABLE), headers=headers)
    assert has_same_bits(response.json()["codes"], expected)


def test_a_page_for_readers_with_requests_that_work(url, client, files):
    page = client.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "<script" not in page.text
    for operation in OPERATIONS.values():
        for name in operation.request_type.__struct_fields__:
            assert f"<dt>{name}</dt>" in page.text
    assert "False alarm rate. <small>number, above 0, below 1, default 0.01" in page.text
    with started({"words": files["words"]}) as (words_url, _):
        texts = [html.unescape(text) for text in (page.text, httpx.get(f"{words_url}/docs").text)]
    requests = [re.findall(r"curl (\S+).*?-d '(.*?)'</pre>", text, re.DOTALL) for text in texts]
    assert [len(commands) for commands in requests] == [len(OPERATIONS)] * 2
    for path, body in [*requests[0][:-1], *requests[1][:2]]:  # the last is a search
        path = url + path[path.index("/v1/") :]
        content = body.replace(r"'\''", "'")
        headers = {"content-type": "application/json"}
        response = client.post(path.replace("detect", "encode"), content=content, headers=headers)
        assert response.status_code == 200, response.text


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
    post(client, "pairs/encode", {"sequences": NEW})
    text = client.get("/v1/metrics").text
    assert 'refold_requests_total{model="pairs",operation="encode",status="200"}' in text
    assert "/v1/{model}/encode" in client.get("/v1/openapi.json").json()["paths"]
