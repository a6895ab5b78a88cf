"""A server in a thread, and helpers for its tests."""

import asyncio
import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from refold.serve import ServeSettings, create_app
from refold.serve._server import prepared

ARROW = "application/vnd.apache.arrow.stream"
WORDS = ["on", "in", "no", "inn", "non", "noon", "onion", "nine"] * 4
# Limits of the shared server, which are small so that a test can exceed them.
LIMITS = {"max_body": 60_000, "max_sequences": 40, "max_steps": 1000, "max_seconds": 5.0}


@contextlib.contextmanager
def started(files, *, indexes=None, **settings):
    """Run a server in a thread, and yield its address and the service."""
    settings = ServeSettings(port=0, **settings)
    service = create_app(files, settings, indexes=indexes)
    server, bound, url = prepared(service, settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    service.server = server
    try:
        yield url, service
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def busy(service):
    """Keep the computing thread busy inside the block."""
    began, done = threading.Event(), threading.Event()

    def wait():
        began.set()
        done.wait(10)

    wait_until(lambda: service.server.started)
    loop = service.server.servers[0].get_loop()
    asyncio.run_coroutine_threadsafe(service.batches.compute_alone(1, wait), loop)
    began.wait(10)
    try:
        yield
    finally:
        done.set()


def waiting_together(service, ask, contents):
    """Return the answers to requests that wait for the computing thread at the same time."""
    with ThreadPoolExecutor(len(contents)) as threads:
        with busy(service):
            answers = [threads.submit(ask, content) for content in contents]
            wait_until(lambda: service.batches.waiting == len(contents))
        return [answer.result() for answer in answers]


def post(client, path, content):
    """Post JSON, and return the answer."""
    response = client.post(f"/v1/{path}", json=content)
    assert response.status_code == 200, response.text
    return response.json()


def post_table(client, path, table):
    """Post a table, and return that of the answer."""
    headers = {"content-type": ARROW}
    response = client.post(f"/v1/{path}", content=stream_of(table), headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == ARROW
    return pa.ipc.open_stream(response.content).read_all()


def refusal(response):
    """Return the message of an answer with status 422."""
    assert response.status_code == 422, response.text
    message = response.json()["error"]["message"]
    assert "Traceback" not in message
    assert "\n" not in message
    assert "/" not in message.replace("application/", "")
    return message


def connected(url):
    """Open a connection without a client that knows HTTP."""
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)))


def head(length):
    """Return the head of a request to encode pairs."""
    return (
        "POST /v1/pairs/encode HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def stream_of(table):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def same(given, expected):
    """Return whether JSON has the same bits as arrays, lists and strings."""
    assert len(given) == len(expected)
    for one, other in zip(given, expected, strict=True):
        if isinstance(other, np.ndarray):
            one = np.array(one, other.dtype).reshape(other.shape)
            np.testing.assert_array_equal(one, other, strict=True)
        else:
            assert one == other
    return True


def wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
