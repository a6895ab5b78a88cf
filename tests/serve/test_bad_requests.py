"""Malformed, extreme, cancelled and incomplete requests get an error, and do not affect others."""

import asyncio
import json
import struct

import httpx
import numpy as np
import pyarrow as pa
import pytest

from refold.sequences import Sequences
from serve.server_helpers import (
    ARROW_TYPE,
    block_batches,
    error_message,
    has_same_bits,
    open_socket,
    request_head,
    send_together,
    to_stream,
    wait_until,
)
from small_data import draw_overflowing_sequence, draw_ragged_sequences

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
PATH = "/v1/pairs/encode"
SMALL_REQUEST = b'{"sequences":[[[1,2]]]}'
JSON_HEADERS = {"content-type": "application/json"}
ARROW_HEADERS = {"content-type": ARROW_TYPE}
NUMBERS = pa.table({"x0": [[1.0] * 500]})
WORDS = pa.table({"x0": pa.array(["a" * 500]).dictionary_encode()})


@pytest.mark.parametrize(
    ("operation", "content", "expected"),
    [
        ("encode", {}, "missing required field `sequences`"),
        ("encode", {"sequences": [[[1, 2], [3]]]}, "differing numbers of features"),
        (
            "encode",
            {"sequences": [[[1, 2]]], "clip": True},
            "unknown field `clip`. The fields of this request are sequences.",
        ),
        ("decode", {"codes": [[1, 2, 3], [1]]}, "length >= 3 at `$.codes[1]`"),
        ("detect", {"sequences": [[[1, 2]]], "alpha": 2}, "`float` < 1.0 at `$.alpha`"),
        ("detect", {"sequences": [[[1, 2]]], "alpha": 1e-9}, "calibration"),
    ],
)
def test_wrong_fields(client, operation, content, expected):
    assert expected in error_message(client.post(f"/v1/pairs/{operation}", json=content))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 10_000])
def test_not_json(client, body):
    assert error_message(client.post(PATH, content=body, headers=JSON_HEADERS))


def stream_with_shifted_offsets():
    """Return a list whose offsets exceed its values."""
    body = bytearray(to_stream(pa.table({"x0": [[1.0, 2.0]], "x1": [[1.0, 2.0]]})))
    offset = body.index(struct.pack("<ii", 0, 2))
    body[offset : offset + 8] = struct.pack("<ii", 0, 1 << 20)
    return bytes(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"hello, this is not Arrow at all", "Arrow IPC"),
        (to_stream(NUMBERS, "zstd"), "must not be compressed"),
        (to_stream(WORDS, "zstd"), "must not be compressed"),
        (stream_with_shifted_offsets(), "Arrow IPC"),
        (to_stream(pa.table({"name": [[1.0]]})).replace(b"name", b"n\xffme"), "Arrow IPC"),
        (to_stream(pa.table({"x0": pa.nulls(1 << 30)})), "has the type null"),
        (to_stream(pa.table({"y": [[1.0]], "z": [[1.0]], "w": [[1.0]]})), "features"),
    ],
    ids=["text", "buffers", "words", "shifted", "name", "nulls", "columns"],
)
def test_wrong_tables(client, body, expected):
    assert expected in error_message(client.post(PATH, content=body, headers=ARROW_HEADERS))


def test_wrong_queries_lengths_and_ids_of_tables(client):
    codes = pa.table({"code": [[0.0, 0.0, 0.0]]})
    for path, table, expected in (
        ("decode", codes.append_column("length", pa.array(["a"])), "got `str` at `$.lengths[0]`"),
        ("decode", codes.append_column("id", pa.array([["a"]])), "The column 'id' holds lists"),
        ("decode?" + "a=1&" * 99, codes, "The query of the URL cannot be read"),
        ("decode?clip=maybe", codes, "Invalid enum value 'maybe' at `$.clip`"),
    ):
        path, body = f"/v1/pairs/{path}", to_stream(table)
        assert expected in error_message(client.post(path, content=body, headers=ARROW_HEADERS))


def test_truncated_or_changed_tables_get_a_response(client):
    body = to_stream(pa.table({"x0": [[1.0, 2.0], [3.0]], "x1": [[1.0, 2.0], [3.0]]}))
    rng = np.random.default_rng(0)
    for _ in range(100):
        changed = bytearray(body[: rng.integers(1, len(body))] if rng.random() < 0.3 else body)
        changed[rng.integers(len(changed))] = rng.integers(256)
        response = client.post(PATH, content=bytes(changed), headers=ARROW_HEADERS)
        assert response.status_code in (200, 422), response.text


def test_wrong_headers(client):
    zipped = JSON_HEADERS | {"content-encoding": "gzip"}
    # text is refused, because browsers send it to other origins without asking their servers
    for headers in (zipped, {"content-type": "text/plain"}):
        assert client.post(PATH, content=b"{}", headers=headers).status_code == 415


def test_clients_that_disconnect_leave_nothing_behind(url, service):
    state = service.server.server_state
    connections = state.connections
    httpx.get(f"{url}/v1/health")
    before = len(connections)
    with block_batches(service):
        complete, incomplete, cut_in_head = open_socket(url), open_socket(url), open_socket(url)
        complete.sendall(request_head(len(SMALL_REQUEST)) + SMALL_REQUEST)
        incomplete.sendall(request_head(len(SMALL_REQUEST)) + SMALL_REQUEST[:9])
        cut_in_head.sendall(request_head(len(SMALL_REQUEST))[:30])
        wait_until(lambda: len(state.tasks) == 2 and service.batcher.num_waiting == 1)
        for client in (complete, incomplete, cut_in_head):
            client.close()
        wait_until(lambda: len(connections) <= before)
    wait_until(lambda: not state.tasks and service.batcher.num_waiting == 0)
    assert 'status="499"' in httpx.get(f"{url}/v1/metrics").text
    assert httpx.post(f"{url}{PATH}", json={"sequences": [[[1, 2]]]}).status_code == 200


def test_failures_do_not_reveal_internals(url, service, caplog, monkeypatch):
    def fail(*_):
        raise RuntimeError("secret of /etc/passwd")

    monkeypatch.setattr("refold.serve._operations.describe_unusual_data", fail)
    response = httpx.post(f"{url}{PATH}", json={"sequences": [[[1, 2]]]})
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal"
    assert "secret" not in response.text
    assert "secret of" in caplog.text


def test_a_wrong_number_of_results_does_not_stop_later_batches(client, service):
    loop = service.server.servers[0].get_loop()
    computation = service.batcher.compute_in_batch("key", None, 1, lambda _: [])
    future = asyncio.run_coroutine_threadsafe(computation, loop)
    with pytest.raises(RuntimeError, match="A batch of 1 requests got 0 results"):
        future.result(10)
    assert client.post(PATH, content=SMALL_REQUEST, headers=JSON_HEADERS).status_code == 200


# Numbers of one client never make the requests of others fail, and never give a missing number


def test_one_bad_request_in_ten_fails_alone(url, service, pairs):
    bad = [draw_overflowing_sequence(pairs)]
    sets = [
        bad if i % 10 == 4 else [sequence.tolist() for sequence in draw_ragged_sequences(1, seed=i)]
        for i in range(20)
    ]

    def send(data):
        return httpx.post(f"{url}/v1/pairs/reconstruct", json={"sequences": data}, timeout=20)

    for data, answer in zip(sets, send_together(service, send, sets), strict=True):
        if data is bad:
            assert "float32" in error_message(answer)
        else:
            assert has_same_bits(answer.json()["sequences"], pairs.reconstruct(data))


def test_values_beyond_float32_are_refused_with_their_place(client):
    data = [[[1.0, 2.0]], [[1.0, 2.0], [3.0, -1e300]]]
    message = "Got -1e+300 at sequence 1, step 1, column 'x1'"
    assert message in error_message(client.post(PATH, json={"sequences": data}))
    body = to_stream(Sequences.from_list(data).to_arrow())
    assert message in error_message(client.post(PATH, content=body, headers=ARROW_HEADERS))


def test_codes_far_from_those_of_training_are_refused_with_their_place(client, pairs):
    codes = pairs.encode(draw_ragged_sequences(60))
    center, far = codes.mean(axis=0), codes.mean(axis=0) - 1500 * codes.std(axis=0) * np.eye(3)[1]
    rows = np.stack([center, far]).tolist()
    text = error_message(client.post("/v1/pairs/decode", json={"codes": rows}))
    assert "more than 1000 standard deviations" in text
    assert "row 1, dimension 1" in text


# Numbers as they are written in JSON; some of these are no JSON, and some no numbers.
@pytest.mark.parametrize("json_number", ["5e-324", "3.5e38", "1e309", "NaN", "null"])
def test_no_number_gives_a_500_or_a_missing_number(client, json_number):
    for operation, body in (
        ("reconstruct", '{"sequences": [[[1.5, NUMBER], [3, 4]], []]}'),
        ("decode", '{"codes": [[0.5, 1, NUMBER]]}'),
        ("generate", '{"n": 2, "temperature": NUMBER, "seed": 5}'),
    ):
        path, content = f"/v1/pairs/{operation}", body.replace("NUMBER", json_number)
        response = client.post(path, content=content, headers=JSON_HEADERS)
        assert response.status_code in (200, 422), response.text
        assert "null" not in json.dumps(response.json().get("sequences", []))
