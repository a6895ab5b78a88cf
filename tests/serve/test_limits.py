"""Each limit has a name and a status, and a request beyond it does not affect others."""

import asyncio
import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse

import httpx
import numpy as np
import pyarrow as pa
import pytest

from refold.errors import ParameterError
from refold.sequences import Sequences
from refold.serve import ServeSettings, create_app
from serve.server_helpers import (
    ARROW_TYPE,
    LIMITS,
    block_batches,
    open_socket,
    post,
    request_head,
    send_together,
    started,
    to_stream,
    wait_until,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
SMALL_REQUEST = {"sequences": [[[1.0, 2.0]]]}
JSON_HEADERS = {"content-type": "application/json"}
PATH = "/v1/pairs/encode"


def is_refused(response, status, limit, maximum=None):
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == "limit_exceeded"
    assert error["limit"] == limit
    assert error["maximum"] == (LIMITS[f"max_{limit}"] if maximum is None else maximum)
    assert "retry-after" in response.headers or status not in (429, 503)
    return True


def test_body(client):
    def chunks():
        for _ in range(7):
            yield b" " * 10_000

    for content in (b" " * 60_001, chunks()):
        assert is_refused(client.post(PATH, content=content, headers=JSON_HEADERS), 413, "body")


@pytest.mark.parametrize("header", [b"x: " + b"a" * 70_000, b"x: a\r\n" * 12_000])
def test_head(client, url, header):
    with open_socket(url) as connection:
        connection.sendall(b"GET /v1/health HTTP/1.1\r\n" + header)
        assert connection.recv(1000).startswith(b"HTTP/1.1 431 ")
    assert client.get("/v1/health").status_code == 200


def test_long_computations_run_one_at_a_time_although_a_client_leaves(service):
    async def run():
        active, most_active = 0, 0

        def work():
            nonlocal active, most_active
            active += 1
            most_active = max(most_active, active)
            time.sleep(0.05)
            active -= 1

        for _ in range(2):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(service.batcher.run_in_background(work), 0.01)
        await service.batcher.run_in_background(work)
        return most_active

    wait_until(lambda: service.server.started)
    loop = service.server.servers[0].get_loop()
    assert asyncio.run_coroutine_threadsafe(run(), loop).result(10) == 1


ROW, CODE = [1.0, 2.0], [0.0, 0.0, 0.0]
LONG_ROW = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(1001)), 1001)


@pytest.mark.parametrize(
    ("limit", "path", "content"),
    [
        ("sequences", "pairs/encode", {"sequences": [[ROW]] * 41}),
        ("sequences", "pairs/encode", Sequences.from_list([[ROW]] * 41).to_arrow()),
        ("sequences", "pairs/decode", {"codes": [CODE] * 41}),
        ("sequences", "pairs/generate", {"n": 41}),
        ("steps", "pairs/reconstruct", {"sequences": [[ROW] * 1001]}),
        ("steps", "pairs/encode", Sequences.from_list([[ROW] * 1001]).to_arrow()),
        ("steps", "pairs/encode", pa.table({"a": LONG_ROW})),
        ("steps", "words/encode", {"sequences": ["n" * 1001]}),
        ("steps", "pairs/decode", {"codes": [CODE] * 2, "lengths": [900, 900]}),
    ],
)
def test_sequences_and_steps(client, limit, path, content):
    if isinstance(content, dict):
        body, headers = json.dumps(content).encode(), JSON_HEADERS
    else:
        body, headers = to_stream(content), {"content-type": ARROW_TYPE}
    assert is_refused(client.post(f"/v1/{path}", content=body, headers=headers), 422, limit)


def test_the_limit_of_steps_includes_decoded_lengths(files):
    """Predicted lengths count, and do not affect other requests in a batch."""

    def send(codes):
        return httpx.post(f"{url}/v1/pairs/decode", json={"codes": codes}, timeout=20)

    with (
        started(files, max_sequences=30, max_steps=30) as (url, service),
        httpx.Client(base_url=url) as client,
    ):
        codes = post(client, "pairs/encode", {"sequences": [[[5.0, 5.0]] * 8]})["codes"]
        long, short = send_together(service, send, [codes * 9, codes])
        assert is_refused(long, 422, "steps", 30)
        assert short.status_code == 200


def test_queue(files):
    def send():
        return httpx.post(url + PATH, json=SMALL_REQUEST, timeout=20)

    with started(files, max_queue=2) as (url, service), ThreadPoolExecutor(2) as threads:
        with block_batches(service):
            waiting = [threads.submit(send) for _ in range(2)]
            wait_until(lambda: service.batcher.num_waiting == 2)
            start_time = time.monotonic()
            assert is_refused(send(), 429, "queue", 2)
            assert time.monotonic() - start_time < 1
            assert httpx.get(f"{url}/v1/ready").status_code == 200
        assert [answer.result().status_code for answer in waiting] == [200, 200]
        metrics = httpx.get(f"{url}/v1/metrics").text
        assert 'refold_refused_total{limit="queue",model="pairs"} 1.0' in metrics


def test_total_body(files):
    """Received bytes count, even if the rest of their body never comes."""
    limits = {"max_sequences": 9, "max_body": 150, "max_total_body": 150}
    with started(files, **limits) as (url, service):
        large = json.dumps({"sequences": [[[1.0, 2.0]] * 9]}).encode()
        with open_socket(url) as incomplete:
            incomplete.sendall(request_head(100) + b"x" * 99)
            wait_until(lambda: service.num_body_bytes == 99)
            response = httpx.post(url + PATH, content=large, headers=JSON_HEADERS)
            assert is_refused(response, 503, "total_body", 150)
        wait_until(lambda: service.num_body_bytes == 0)
        assert httpx.post(url + PATH, json=SMALL_REQUEST).status_code == 200
        assert service.num_body_bytes == 0


def test_default_limits_fit_together():
    """A request may have max_sequences sequences of 100 steps and 3 columns each."""
    limits = ServeSettings()
    assert 100 * limits.max_sequences <= limits.max_steps
    sequence = json.dumps(np.random.default_rng(0).normal(size=(100, 3)).tolist())
    assert len(sequence) * limits.max_sequences <= limits.max_body <= limits.max_total_body


def test_limits_that_contradict_each_other_or_a_model_are_refused(files):
    for limits, expected in [
        ({"max_sequences": 20, "max_steps": 10}, "=20 cannot be combined with max_steps=10"),
        ({"max_sequences": 20, "max_body": 10}, "Raise max_body to at least 20, or lower max_seq"),
        ({"max_body": 1 << 30}, "max_body=1073741824 cannot be combined with max_total_body="),
    ]:
        with pytest.raises(ParameterError, match=expected):
            ServeSettings(**limits)
    expected = r"max_steps=5 is too low.* model 'pairs' .* up to 8 steps"
    with pytest.raises(ParameterError, match=expected):
        create_app(files, ServeSettings(max_sequences=5, max_steps=5))


def test_time(files):
    with started(files, max_seconds=0.2) as (url, service):
        httpx.get(f"{url}/v1/health")
        with block_batches(service):
            assert is_refused(httpx.post(url + PATH, json=SMALL_REQUEST), 503, "time", 0.2)
            with open_socket(url) as slow:
                slow.sendall(request_head(100) + b"{")
                with HTTPResponse(slow) as answer:  # the response may come in several pieces
                    answer.begin()
                    assert answer.status == 503
                    assert json.load(answer)["error"]["limit"] == "time"
        assert httpx.post(url + PATH, json=SMALL_REQUEST).status_code == 200


def test_connections(files):
    with started(files, max_connections=2, max_seconds=0.3) as (url, service):
        connections = service.server.server_state.connections
        with open_socket(url), open_socket(url):
            wait_until(lambda: len(connections) == 2)
            assert httpx.get(f"{url}/v1/ready").status_code == 503
            # idle connections are closed
            wait_until(lambda: not connections)
        with open_socket(url) as stalled:
            stalled.sendall(request_head(100)[:30])
            wait_until(lambda: len(connections) == 1)
            assert httpx.post(url + PATH, json=SMALL_REQUEST).status_code == 200
            # a connection is also closed if its request never ends
            assert stalled.recv(100) == b""
        assert httpx.get(f"{url}/v1/ready").status_code == 200
