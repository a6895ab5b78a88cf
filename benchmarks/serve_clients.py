"""Clients that send prepared requests and measure the responses.

All clients run in one thread with raw sockets, because they share the cores with the server.
"""

import itertools
import json
import selectors
import socket
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

CLIENTS = 32
ARROW = "application/vnd.apache.arrow.stream"
_PIECE = 1 << 18


class Load(NamedTuple):
    """The measurements of all clients, in seconds."""

    seconds: float
    times: np.ndarray  # (n_responses,), since a request was sent
    cpu_seconds: float  # of the clients

    @property
    def rate(self) -> float:
        """Responses per second."""
        return len(self.times) / self.seconds

    @property
    def percentiles(self) -> tuple[float, float]:
        """The median and the 99th percentile of the response times, in milliseconds."""
        median, high = np.percentile(1e3 * self.times, [50, 99])
        return float(median), float(high)


def requests_for(
    sequences: Sequence[Any], model: str, *, each: int = 1, arrow: bool = False
) -> list[bytes]:
    """Return encoding requests as bytes; each of them has ``each`` sequences."""
    requests = []
    for first in range(0, len(sequences) - each + 1, each):
        several = [np.round(one, 6) for one in sequences[first : first + each]]
        if arrow:
            body, kind = _stream(several), ARROW
        else:
            rows = [one.tolist() for one in several]
            body = json.dumps({"sequences": rows}, separators=(",", ":")).encode()
            kind = "application/json"
        head = (
            f"POST /v1/{model}/encode HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


def _stream(sequences: list[np.ndarray]) -> bytes:
    """Return sequences as an Arrow IPC stream with a column of lists for each feature."""
    columns = [one.reshape(len(one), -1).T for one in sequences]
    features = len(columns[0])
    table = pa.table({f"x{i}": [one[i] for one in columns] for i in range(features)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


class _Client:
    """A connection, with the bytes that must still be sent and the received bytes."""

    def __init__(self, port: int, selector: selectors.BaseSelector) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(0)
        self._selector = selector
        selector.register(self.socket, selectors.EVENT_READ, self)
        self._rest = memoryview(b"")
        self._received = b""
        self.sent = 0.0

    def send(self, request: bytes) -> None:
        """Begin to send a request."""
        self.sent = time.perf_counter()
        self._rest = memoryview(request)
        self.write()
        if self._rest:
            self._selector.modify(self.socket, selectors.EVENT_WRITE, self)

    def write(self) -> None:
        """Send as much as the server takes, and then wait for the response."""
        try:
            self._rest = self._rest[self.socket.send(self._rest) :]
        except BlockingIOError:
            return
        if not self._rest:
            self._selector.modify(self.socket, selectors.EVENT_READ, self)

    def read(self) -> bool:
        """Receive a part of a response, and return whether it is complete."""
        data = self.socket.recv(_PIECE)
        if not data:
            raise SystemExit("The server closed a connection.")
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        at = self._received.find(b"content-length: ", 0, end) + 16
        if end < 0:
            return False
        length = int(self._received[at : self._received.index(b"\r", at)])
        if len(self._received) < end + 4 + length:
            return False
        if int(self._received[9:12]) != 200:
            raise SystemExit(f"A request failed: {self._received.decode(errors='replace')}")
        self._received = b""
        return True


def run(port: int, requests: list[bytes], seconds: float) -> Load:
    """Send requests for some seconds; each client sends its next one when it has a response."""
    turns, times = itertools.cycle(requests), []
    begin, used = time.perf_counter(), time.process_time()
    with selectors.DefaultSelector() as selector:
        clients = [_Client(port, selector) for _ in range(CLIENTS)]
        for client in clients:
            client.send(next(turns))
        waiting = len(clients)
        while waiting:
            ready = selector.select(60.0)
            if not ready:
                raise SystemExit("The server did not respond for a minute.")
            for key, event in ready:
                client = key.data
                if event & selectors.EVENT_WRITE:
                    client.write()
                elif client.read():
                    now = time.perf_counter()
                    times.append(now - client.sent)
                    if now < begin + seconds:
                        client.send(next(turns))
                    else:
                        waiting -= 1
        for client in clients:
            client.socket.close()
    return Load(time.perf_counter() - begin, np.array(times), time.process_time() - used)
