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
from refold.serve._server import prepare_server

ARROW_TYPE = "application/vnd.apache.arrow.stream"
WORDS = ["on", "in", "no", "inn", "non", "noon", "onion", "nine"] * 4
# Limits of the shared server, which are small so that a test can exceed them.
LIMITS = {"max_body": 60_000, "max_sequences": 40, "max_steps": 1000, "max_seconds": 5.0}


@contextlib.contextmanager
def started(files, *, indexes=None, **settings):
    """Run a server in a thread, and yield its address and the service."""
    settings = ServeSettings(port=0, **settings)
    service = create_app(files, settings, indexes=indexes)
    server, bound, url = prepare_server(service, settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    service.server = server
    try:
        yield url, service
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def block_batches(service):
    """Keep the computing thread busy inside a ``with`` block, so that requests wait."""
    is_running, may_end = threading.Event(), threading.Event()

    def wait():
        is_running.set()
        may_end.wait(10)

    wait_until(lambda: service.server.started)
    loop = service.server.servers[0].get_loop()
    asyncio.run_coroutine_threadsafe(service.batcher.compute_in_own_batch(1, wait), loop)
    is_running.wait(10)
    try:
        yield
    finally:
        may_end.set()


def send_together(service, send, contents):
    """Return the answers to requests that are computed in one batch."""
    with ThreadPoolExecutor(len(contents)) as threads:
        with block_batches(service):
            answers = [threads.submit(send, content) for content in contents]
            wait_until(lambda: service.batcher.num_waiting == len(contents))
        return [answer.result() for answer in answers]


def post(client, path, content):
    """Post JSON, and return the parsed JSON of the answer."""
    response = client.post(f"/v1/{path}", json=content)
    assert response.status_code == 200, response.text
    return response.json()


def post_table(client, path, table):
    """Post an Arrow table, and return the Arrow table of the answer."""
    headers = {"content-type": ARROW_TYPE}
    response = client.post(f"/v1/{path}", content=to_stream(table), headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == ARROW_TYPE
    return pa.ipc.open_stream(response.content).read_all()


def error_message(response):
    """Return the message of an answer with status 422, which must reveal no internals."""
    assert response.status_code == 422, response.text
    message = response.json()["error"]["message"]
    assert "Traceback" not in message
    assert "\n" not in message
    assert "/" not in message.replace("application/", "")
    return message


def open_socket(url):
    """Open a socket, to send bytes that no HTTP client would send."""
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)))


def request_head(length):
    """Return the head of a request that encodes pairs, for a body of this length."""
    return (
        "POST /v1/pairs/encode HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def to_stream(table, compression=None):
    """Return a table as the bytes of an Arrow IPC stream."""
    sink, options = pa.BufferOutputStream(), pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def has_same_bits(data, expected):
    """Check that values from JSON have the same bits as arrays, lists and strings; return True."""
    assert len(data) == len(expected)
    for item, expected_item in zip(data, expected, strict=True):
        if isinstance(expected_item, np.ndarray):
            array = np.array(item, expected_item.dtype).reshape(expected_item.shape)
            np.testing.assert_array_equal(array, expected_item, strict=True)
        else:
            assert item == expected_item
    return True


def wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
