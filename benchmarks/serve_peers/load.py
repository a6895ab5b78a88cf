"""Clients that send prepared requests and measure the responses."""

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Load(NamedTuple):
    """The measurements of all clients.

    Attributes
    ----------
    seconds : float
    times : array of shape (n_responses,)
        Seconds from the first byte of a request to the last byte of its response.
    statuses : array of shape (n_responses,)
    ends : array of shape (n_responses,)
        Seconds from the start to the end of each response.
    lost : int
        Number of requests that were sent completely and got no complete response.
    refused : int
        Number of connections that were refused.
    """

    seconds: float
    times: np.ndarray
    statuses: np.ndarray
    ends: np.ndarray
    lost: int
    refused: int

    @property
    def rate(self) -> float:
        """Responses per second with status 200."""
        return float((self.statuses == 200).sum() / self.seconds)

    def percentile(self, share: float, *, ok: bool = True) -> float:
        """Return a percentile of the response times with status 200, or with any other status."""
        chosen = self.times[(self.statuses == 200) == ok]
        return float(np.percentile(chosen, share)) if len(chosen) else float("nan")

    def counts(self) -> Counter:
        """Return the number of responses with each status."""
        return Counter(self.statuses.tolist())


def requests_for(
    sequences: Sequence[Any], model: str, *, each: int = 1, operation: str = "encode"
) -> list[bytes]:
    """Return requests as bytes; each of them has ``each`` sequences."""
    found = []
    for first in range(0, len(sequences) - each + 1, each):
        rows = [np.round(one, 6).tolist() for one in sequences[first : first + each]]
        body = json.dumps({"sequences": rows}, separators=(",", ":")).encode()
        head = (
            f"POST /v1/{model}/{operation} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        found.append(head.encode() + body)
    return found


def run(port: int, requests: list[bytes], **options: Any) -> Load:
    """Send requests from many clients and wait until they end; see `send`."""
    return asyncio.run(send(port, requests, **options))


async def send(
    port: int,
    requests: list[bytes],
    *,
    clients: int = 32,
    seconds: float = 10.0,
    number: int | None = None,
    rate: float | None = None,
    hooks: Sequence[tuple[float, Any]] = (),
) -> Load:
    """Send requests for some seconds, or a given number of requests.

    Without ``rate``, each client sends its next request after a response. With ``rate`` requests
    per second, requests are due at random times, and the time of a response counts from the time
    at which its request was due. ``hooks`` are pairs of seconds and a function, which is called
    after these seconds.
    """
    times: list[float] = []
    statuses: list[int] = []
    ends: list[float] = []
    lost = refused = 0
    loop = asyncio.get_running_loop()
    turns = itertools.cycle(requests)
    begin = loop.time()
    end = begin + seconds
    left = number if number is not None else 1 << 60
    rng = np.random.default_rng(0)
    due = begin

    async def client() -> None:
        nonlocal lost, refused, left, due
        reader = writer = None
        while loop.time() < end and left > 0:
            left -= 1
            if writer is None:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    refused += 1
                    return
            sent = loop.time()
            if rate is not None:
                due += rng.exponential(1 / rate)
                sent = due
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())
            writer.write(next(turns))
            try:
                assert reader is not None
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
            except (asyncio.IncompleteReadError, OSError):
                lost += 1
                writer.close()
                writer = None
                continue
            now = loop.time()
            times.append(now - sent)
            ends.append(now - begin)
            statuses.append(int(head[9:12]))
            if b"connection: close" in head:
                writer.close()
                writer = None
        if writer is not None:
            writer.close()

    handles = [loop.call_later(after, hook) for after, hook in hooks]
    await asyncio.gather(*(client() for _ in range(clients)))
    for handle in handles:
        handle.cancel()
    return Load(
        loop.time() - begin, np.array(times), np.array(statuses), np.array(ends), lost, refused
    )


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
