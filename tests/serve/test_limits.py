"""Each limit has a name and a status, and a request beyond it does not affect others."""

import gzip
import json
import socket
import threading
import time
from http.client import HTTPResponse

import httpx
import pytest

from refold.sequences import Sequences, codes_to_arrow
from serve.serving import ARROW, LIMITS, busy, started, stream_of, wait_until

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
ONE = {"sequences": [[[1.0, 2.0]]]}
JSON = {"content-type": "application/json"}


def refused(response, status, limit, maximum=None):
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == "limit_exceeded"
    assert error["limit"] == limit
    assert error["maximum"] == (LIMITS[f"max_{limit}"] if maximum is None else maximum)
    assert "retry-after" in response.headers or status not in (429, 503)
    return True


def test_body(client):
    assert refused(
        client.post("/v1/pairs/encode", content=b" " * 60_001, headers=JSON), 413, "body"
    )

    def chunks():
        for _ in range(7):
            yield b" " * 10_000

    assert refused(client.post("/v1/pairs/encode", content=chunks(), headers=JSON), 413, "body")
    bomb = gzip.compress(b" " * 1_000_000)
    response = client.post(
        "/v1/pairs/encode", content=bomb, headers=JSON | {"content-encoding": "gzip"}
    )
    assert refused(response, 413, "body")


def test_sequences(client):
    many = [[[1.0, 2.0]]] * 41
    assert refused(client.post("/v1/pairs/encode", json={"sequences": many}), 422, "sequences")
    assert refused(
        client.post("/v1/pairs/decode", json={"codes": [[0.0] * 3] * 41}), 422, "sequences"
    )
    assert refused(client.post("/v1/pairs/generate", json={"n": 41}), 422, "sequences")
    body = stream_of(Sequences.from_list(many).to_arrow())
    response = client.post("/v1/pairs/encode", content=body, headers={"content-type": ARROW})
    assert refused(response, 422, "sequences")


def test_steps(client):
    long = [[[1.0, 2.0]] * 1001]
    for operation in ("encode", "reconstruct", "detect", "forecast"):
        response = client.post(f"/v1/pairs/{operation}", json={"sequences": long})
        assert refused(response, 422, "steps")
    assert refused(client.post("/v1/words/encode", json={"sequences": ["n" * 1001]}), 422, "steps")
    asked = {"codes": [[0.0] * 3] * 2, "lengths": [900, 900]}
    assert refused(client.post("/v1/pairs/decode", json=asked), 422, "steps")
    body = stream_of(Sequences.from_list(long).to_arrow())
    response = client.post("/v1/pairs/encode", content=body, headers={"content-type": ARROW})
    assert refused(response, 422, "steps")


def test_the_limit_of_steps_includes_decoded_lengths(files):
    """Predicted lengths count, and do not affect other requests in a batch."""
    with started(files, max_steps=30) as (url, service), httpx.Client(base_url=url) as client:
        code = client.post("/v1/pairs/encode", json={"sequences": [[[5.0, 5.0]] * 8]}).json()
        asked = {"codes": code["codes"] * 9}
        assert refused(client.post("/v1/pairs/decode", json=asked), 422, "steps", 30)
        assert client.post("/v1/pairs/decode", json={"codes": code["codes"]}).status_code == 200
        body = stream_of(codes_to_arrow(asked["codes"]))
        response = client.post("/v1/pairs/decode", content=body, headers={"content-type": ARROW})
        assert refused(response, 422, "steps", 30)
        assert service.batches.open == 0


def post_in_thread(url, found):
    def run():
        found.append(httpx.post(f"{url}/v1/pairs/encode", json=ONE, timeout=20))

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_queue_and_concurrency(files):
    with started(files, max_queue=2, max_concurrency=4) as (url, service):
        httpx.get(f"{url}/v1/health")
        found = []
        with busy(service):
            waiting = [post_in_thread(url, found) for _ in range(2)]
            wait_until(lambda: service.batches.waiting == 2)
            began = time.monotonic()
            assert refused(httpx.post(f"{url}/v1/pairs/encode", json=ONE), 429, "queue", 2)
            assert time.monotonic() - began < 1
            # requests without a complete body also count as open
            address = url.removeprefix("http://").split(":")
            halves = [socket.create_connection((address[0], int(address[1]))) for _ in range(2)]
            service.batches._most_waiting = 5
            for half in halves:
                half.sendall(head(address, 100))
            wait_until(lambda: service.batches.open == 4)
            assert refused(httpx.post(f"{url}/v1/pairs/encode", json=ONE), 503, "concurrency", 4)
            assert httpx.get(f"{url}/v1/ready").status_code == 200
        for thread in waiting:
            thread.join()
        assert [response.status_code for response in found] == [200, 200]
        for half in halves:
            half.close()
        wait_until(lambda: service.batches.open == 0)
        text = httpx.get(f"{url}/v1/metrics").text
        assert 'refold_refused_total{limit="queue"} 1.0' in text


def head(address, length, path="/v1/pairs/encode"):
    return (
        f"POST {path} HTTP/1.1\r\nHost: {address[0]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def test_total_body(files):
    """Received bytes count, also those of a compressed body."""
    with started(files, max_total_body=150) as (url, service):
        address = url.removeprefix("http://").split(":")
        zipped = head(address, 500).replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
        for begun in (head(address, 100), zipped):
            with socket.create_connection((address[0], int(address[1]))) as half:
                half.sendall(begun + b"x" * 99)
                wait_until(lambda: service.bodies.size == 99)
                large = {"sequences": [[[1.0, 2.0]] * 9]}
                for packed in (json.dumps(large).encode(), gzip.compress(b" " * 99)):
                    zip_of = {"content-encoding": "gzip"} if packed[:1] != b"{" else {}
                    response = httpx.post(
                        f"{url}/v1/pairs/encode", content=packed, headers=JSON | zip_of
                    )
                    assert refused(response, 503, "total_body", 150)
            wait_until(lambda: service.bodies.size == 0)
        assert httpx.post(f"{url}/v1/pairs/encode", json=ONE).status_code == 200
        assert service.bodies.size == 0


def test_time(files):
    with started(files, max_seconds=0.2) as (url, service):
        httpx.get(f"{url}/v1/health")
        with busy(service):
            assert refused(httpx.post(f"{url}/v1/pairs/encode", json=ONE), 503, "time", 0.2)
            address = url.removeprefix("http://").split(":")
            with socket.create_connection((address[0], int(address[1]))) as slow:
                slow.sendall(head(address, 100) + b"{")
                with HTTPResponse(slow) as answer:  # the response may come in several pieces
                    answer.begin()
                    assert answer.status == 503
                    assert json.load(answer)["error"]["limit"] == "time"
        assert httpx.post(f"{url}/v1/pairs/encode", json=ONE).status_code == 200
        wait_until(lambda: not service.batches.open)


def test_connections(files):
    with started(files, max_connections=2, max_seconds=0.3) as (url, service):
        address = url.removeprefix("http://").split(":")
        target = address[0], int(address[1])
        connections = service.server.server_state.connections
        with socket.create_connection(target), socket.create_connection(target):
            wait_until(lambda: len(connections) == 2)
            assert refused(httpx.get(f"{url}/v1/ready"), 503, "connections", 2)
            # idle connections are closed
            wait_until(lambda: not connections)
        with socket.create_connection(target) as stalled:
            stalled.sendall(head(address, 100)[:30])
            wait_until(lambda: len(connections) == 1)
            assert httpx.post(f"{url}/v1/pairs/encode", json=ONE).status_code == 200
            # and so are those whose request has no end
            assert stalled.recv(100) == b""
        assert httpx.get(f"{url}/v1/ready").status_code == 200
