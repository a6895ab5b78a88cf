"""Clients that send prepared requests and measure the responses.

All clients run in one thread with raw sockets, because they share the cores with the server.
"""

import itertools
import json
import select
import socket
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

ARROW = "application/vnd.apache.arrow.stream"
_READABLE = select.EPOLLIN
_PIECE = 1 << 18


class Load(NamedTuple):
    """The measurements of all clients; times are in seconds."""

    seconds: float
    times: np.ndarray  # (n_responses,), since a request was due or sent
    statuses: np.ndarray  # (n_responses,)
    lost: int  # requests that were sent completely and got no complete response
    refused: int  # connections
    cpu_seconds: float  # of the clients

    @property
    def rate(self) -> float:
        """Responses with the status 200 per second."""
        return float((self.statuses == 200).sum() / self.seconds)

    def percentile(self, share: float, *, ok: bool = True) -> float:
        """Return a percentile of the response times with status 200, or with any other status."""
        chosen = self.times[(self.statuses == 200) == ok]
        return float(np.percentile(chosen, share)) if len(chosen) else float("nan")

    def counts(self) -> Counter:
        """Return the number of responses with each status."""
        return Counter(self.statuses.tolist())


def requests_for(
    sequences: Sequence[Any], model: str, *, each: int = 1, arrow: bool = False
) -> list[bytes]:
    """Return encoding requests as bytes; each of them has ``each`` sequences."""
    found = []
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
        found.append(head.encode() + body)
    return found


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

    __slots__ = ("received", "rest", "sent", "socket")

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.rest: memoryview | None = None
        self.received = b""
        self.sent = 0.0


class _Clients:
    """All clients of a run."""

    def __init__(self, port: int, requests: list[bytes], clients: int) -> None:
        self._port = port
        self._turns = itertools.cycle(requests)
        self._epoll = select.epoll()
        self._by_file: dict[int, _Client] = {}
        self.idle = deque(_Client() for _ in range(clients))
        self.times: list[float] = []
        self.statuses: list[int] = []
        self.lost = self.refused = self.waiting = 0

    def send(self, due: float) -> None:
        """Send the next request from an idle client."""
        client = self.idle.popleft()
        if client.socket is None and not self._connected(client):
            self.refused += 1
            return
        self.waiting += 1
        client.sent = due
        self._write(client, next(self._turns))

    def wait(self, seconds: float) -> None:
        """Read responses, and wait at most some seconds for the first one."""
        # The timeout of epoll is in milliseconds, and that of select in microseconds.
        if seconds > 0:
            select.select([self._epoll.fileno()], [], [], seconds)
        for file, event in self._epoll.poll(0):
            client = self._by_file[file]
            if client.rest is not None and not event & _READABLE:
                self._write(client, client.rest)
            else:
                self._read(client)

    def close(self) -> None:
        """Close all connections."""
        for client in list(self._by_file.values()):
            self._drop(client)
        self._epoll.close()

    def _connected(self, client: _Client) -> bool:
        try:
            client.socket = socket.create_connection(("127.0.0.1", self._port))
        except OSError:
            return False
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.socket.settimeout(0)
        self._by_file[client.socket.fileno()] = client
        self._epoll.register(client.socket, _READABLE)
        return True

    def _write(self, client: _Client, data: Any) -> None:
        assert client.socket is not None
        try:
            size = client.socket.send(data)
        except BlockingIOError:
            size = 0
        except OSError:  # closed before the request was sent, which is not a loss
            self._end(client)
            return
        if size < len(data):
            if client.rest is None:
                self._epoll.modify(client.socket, _READABLE | select.EPOLLOUT)
            client.rest = memoryview(data)[size:]
        elif client.rest is not None:
            client.rest = None
            self._epoll.modify(client.socket, _READABLE)

    def _read(self, client: _Client) -> None:
        assert client.socket is not None
        try:
            data = client.socket.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.lost += client.sent > 0 and client.rest is None
            self._end(client)
            return
        if client.received:
            data = client.received + data
        end = data.find(b"\r\n\r\n")
        at = data.find(b"content-length: ", 0, end) + 16
        if end < 0 or len(data) < end + 4 + int(data[at : data.index(b"\r", at)]):
            client.received = data
            return
        now = time.perf_counter()
        self.times.append(now - client.sent)
        self.statuses.append(int(data[9:12]))
        client.received = b""
        if client.rest is not None or b"connection: close" in data[:end]:
            self._end(client)
        else:
            client.sent = 0.0
            self.waiting -= 1
            self.idle.append(client)

    def _end(self, client: _Client) -> None:
        """Close the connection of a client; its next request opens a new one."""
        if client.sent:
            self.waiting -= 1
            self.idle.append(client)
        client.sent = 0.0
        self._drop(client)

    def _drop(self, client: _Client) -> None:
        assert client.socket is not None
        del self._by_file[client.socket.fileno()]
        client.socket.close()
        client.socket, client.rest, client.received = None, None, b""


def run(
    port: int,
    requests: list[bytes],
    *,
    clients: int = 32,
    seconds: float = 10.0,
    number: int = 1 << 60,
    rate: float | None = None,
) -> Load:
    """Send requests for some seconds, or a given number of requests.

    Without ``rate``, each client sends its next request after a response. With ``rate`` requests
    per second, requests are due at random times, and a response time starts when its request is
    due.
    """
    rng = np.random.default_rng(0)
    those = _Clients(port, requests, clients)
    begin, used = time.perf_counter(), time.process_time()
    end = begin + seconds
    due = begin
    while True:
        now = time.perf_counter()
        more = now < end and number > 0
        while more and those.idle and (rate is None or due <= now):
            those.send(now if rate is None else due)
            if rate is not None:
                due += rng.exponential(1 / rate)
            number -= 1
            more = number > 0
        if not those.waiting and not (more and those.idle):
            break
        until = end if more else now + 60.0
        if more and those.idle and rate is not None:
            until = min(until, due)
        those.wait(max(0.0, until - now))
    load = Load(
        time.perf_counter() - begin,
        np.array(those.times),
        np.array(those.statuses),
        those.lost,
        those.refused,
        time.process_time() - used,
    )
    those.close()
    return load


def wait_until_ready(port: int, most: float = 300.0) -> float:
    """Wait until a server responds, and return the seconds that this took."""
    begin = time.perf_counter()
    request = b"GET /v1/ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    while time.perf_counter() - begin < most:
        found = run(port, [request], clients=1, number=1)
        if len(found.statuses):
            return time.perf_counter() - begin
        time.sleep(0.005)
    raise TimeoutError
