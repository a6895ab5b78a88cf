"""Clients that send prepared requests and measure the responses.

All clients run in one thread, because they share the cores with the server.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

CLIENTS = 32
ARROW = "application/vnd.apache.arrow.stream"


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


async def _client(port: int, requests: Iterator[bytes], ends: float, times: list[float]) -> None:
    """Send the next request when the response to the last one is there, until the time is up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < ends:
        sent = time.perf_counter()
        writer.write(next(requests))
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))
        times.append(time.perf_counter() - sent)
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise SystemExit(f"A request failed: {body.decode(errors='replace')}")
    writer.close()


async def _clients(port: int, requests: list[bytes], seconds: float) -> list[float]:
    turns, times = itertools.cycle(requests), []
    ends = time.perf_counter() + seconds
    await asyncio.gather(*(_client(port, turns, ends, times) for _ in range(CLIENTS)))
    return times


def run(port: int, requests: list[bytes], seconds: float) -> Load:
    """Send requests for some seconds; each client sends its next one when it has a response."""
    import uvloop

    begin, used = time.perf_counter(), time.process_time()
    times = uvloop.run(_clients(port, requests, seconds))
    return Load(time.perf_counter() - begin, np.array(times), time.process_time() - used)
