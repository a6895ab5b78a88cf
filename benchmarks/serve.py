"""The service under load, next to the offline rate and to a simple service with FastAPI.

``python -m benchmarks.serve [--requests N]`` fits models to sines of 10 to 1000 steps and to
JapaneseVowels, serves them with ``refold serve``, and writes ``results/serve.md``. The clients and
the service share the cores of the machine. A fit has one epoch, because the speed does not depend
on the weights.
"""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import refold
from benchmarks._results import PACKAGES, table, write_page
from benchmarks.serve_peers.load import Load, requests_for, run, wait_until_ready

CLIENTS = 32
SECONDS = 6.0
# Sequences per request.
SIZES = (1, 16, 64)
ENCODING = {
    "mixed": "sines, 10 to 1000 steps",
    "vowels": "JapaneseVowels, 10 steps of latent optimization",
    "plain": "JapaneseVowels, no latent optimization",
}
SHOWN = (*PACKAGES, "uvicorn", "starlette", "fastapi")
ROOT = Path(__file__).parents[1]


def main() -> None:
    """Measure everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--requests", type=int, default=200_000, help="number of requests for the memory test"
    )
    number = parser.parse_args().requests
    warnings.simplefilter("ignore", UserWarning)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = _fit(folder)
        offline = {name: _offline(folder, name, data[name]) for name in data}
        parts, largest, costs = _rates(folder, data, offline)
        parts += _peers(folder, data, largest, costs)
        parts += [_memory(folder, data["plain"], number), _overload(folder, data["vowels"])]
        parts += [_shutdown(folder, data["plain"])]
    write_page("serve", "The service", parts, packages=SHOWN)


def _fit(folder: Path) -> dict[str, list[np.ndarray]]:
    """Fit and save the models; return the sequences that requests encode."""
    rng = np.random.default_rng(0)

    def sines(n: int) -> list[np.ndarray]:
        lengths = rng.integers(10, 1001, n)
        phases = (np.arange(n) * rng.uniform(0.05, 0.3) + rng.uniform(0, 6) for n in lengths)
        return [np.sin(one) + rng.normal(0, 0.05, len(one)) for one in phases]

    vowels = refold.datasets.japanese_vowels()
    settings: dict[str, Any] = {"latent_dim": 16, "max_epochs": 1, "random_state": 0}
    refold.SequenceAutoencoder(**settings).fit(sines(100)).save(folder / "mixed.refold")
    ae = refold.SequenceAutoencoder(**settings).fit(vowels.train)
    # A longer fit chooses 10 steps by default.
    ae.set_params(latent_steps=10).save(folder / "vowels.refold")
    ae.set_params(latent_steps=0).save(folder / "plain.refold")
    test = [np.asarray(one) for one in vowels.test.to_list()]
    return {"mixed": sines(512), "vowels": test, "plain": test}


def _offline(folder: Path, name: str, sequences: list[np.ndarray]) -> tuple[float, float]:
    """Return the rate of ``transform`` on all sequences, and the CPU time per sequence."""
    ae = refold.load(folder / f"{name}.refold")
    ae.transform(sequences[:4])
    rates, costs = [], []
    for _ in range(5):
        begin, used = time.perf_counter(), time.process_time()
        ae.transform(sequences)
        rates.append(len(sequences) / (time.perf_counter() - begin))
        costs.append((time.process_time() - used) / len(sequences))
    return max(rates), min(costs)


def _rates(
    folder: Path, data: dict[str, list[np.ndarray]], offline: dict[str, tuple[float, float]]
) -> tuple[list[str], dict[tuple[str, int], float], dict[tuple[str, int], float]]:
    """Measure the largest rates, and the response times at half of these rates."""
    rows, halves, largest = [], [], {}
    costs = {}
    with _serving(folder) as (port, process):
        for name, sequences in data.items():
            for each in SIZES:
                used = _cpu_seconds(process)
                load = run(port, requests_for(sequences, name, each=each), seconds=SECONDS)
                _check(load)
                rate = load.rate * each
                largest[name, each] = rate
                cost = (_cpu_seconds(process) - used) / (each * len(load.times))
                costs[name, each] = cost
                best, least = offline[name]
                rows.append(
                    [ENCODING[name], f"{each}", f"{rate:,.0f}", f"{best:,.0f}",
                     f"{rate / best:.2f}", _us(cost), _us(least), _ms(load.percentile(50)),
                     _ms(load.percentile(99))]
                )  # fmt: skip
            load = run(
                port, requests_for(sequences, name), seconds=SECONDS, rate=largest[name, 1] / 2
            )
            _check(load)
            halves.append(
                [ENCODING[name], f"{load.rate:,.0f}", _ms(load.percentile(50)),
                 _ms(load.percentile(99))]
            )  # fmt: skip
    return [
        f"{CLIENTS} clients send JSON requests. Each client sends its next request when it has the "
        "response to the last one. Clients and service share the cores. The offline rate is the "
        "best of five calls of `transform` on all sequences at once. CPU time is the sum over all "
        "threads of the service, without the clients.",
        table(
            ["data", "sequences per request", "sequences per second", "offline", "ratio",
             "CPU time, µs per sequence", "offline", "median, ms", "p99, ms"],
            rows,
        ),
        "Response times at half of the largest rate, with one sequence per request, sent at random "
        "times:",
        table(["data", "requests per second", "median, ms", "p99, ms"], halves),
    ], largest, costs  # fmt: skip


def _peers(
    folder: Path,
    data: dict[str, list[np.ndarray]],
    largest: dict[tuple[str, int], float],
    costs: dict[tuple[str, int], float],
) -> list[str]:
    """Measure a simple service with FastAPI."""
    peers = []
    for name in ("mixed", "plain"):
        load, cost = _fastapi(folder, name, data[name])
        ratio = largest[name, 1] / load.rate
        peers.append(
            [ENCODING[name], f"{load.rate:,.0f}", _us(cost), _ms(load.percentile(99)),
             f"{ratio:.1f}", f"{cost / costs[name, 1]:.1f}"]
        )  # fmt: skip
    return [
        "For comparison, a FastAPI service calls `encoder.predict` for each request. Sequences are "
        "padded to a power of two, and all shapes are compiled in advance. A request has one "
        "sequence, and there is no latent optimization.",
        table(["data", "requests per second", "CPU time, µs per sequence", "p99, ms",
             "rate of Refold relative to this row", "CPU time relative to Refold"], peers),
    ]  # fmt: skip


def _fastapi(folder: Path, name: str, sequences: list[np.ndarray]) -> tuple[Load, float]:
    port = _free_port()
    lengths = [str(len(one)) for one in sequences]
    command = [sys.executable, "-m", "benchmarks.serve_peers.fastapi_predict"]
    with _process([*command, folder / f"{name}.refold", port, *lengths]) as process:
        wait_until_ready(port)
        used = _cpu_seconds(process)
        load = run(port, requests_for(sequences, name), seconds=SECONDS)
        _check(load)
        return load, (_cpu_seconds(process) - used) / max(1, len(load.times))


def _memory(folder: Path, sequences: list[np.ndarray], number: int) -> str:
    """Measure the memory after a tenth, a half and all of the requests."""
    requests = requests_for(sequences, "plain")
    with _serving(folder) as (port, process):
        start = _resident(process)
        sizes, wrong = [], 0
        for count in (number // 10, number // 2 - number // 10, number - number // 2):
            load = run(port, requests, seconds=1e9, number=count)
            sizes.append(_resident(process))
            wrong += int((load.statuses != 200).sum()) + load.lost
    grown = ", ".join(f"{size:.0f} MB" for size in sizes)
    return (
        f"The process uses {start:.0f} MB of memory at the start, and {grown} after a tenth, a "
        f"half and all of {number:,} requests. {wrong} requests failed."
    )


def _overload(folder: Path, sequences: list[np.ndarray]) -> str:
    """Send requests at ten times the largest rate."""
    each = 8
    requests = requests_for(sequences, "vowels", each=each)
    with _serving(folder, "--max-queue", "32") as (port, _):
        largest = run(port, requests, seconds=SECONDS).rate
        load = run(port, requests, clients=320, seconds=SECONDS, rate=10 * largest)
        after = run(port, requests, seconds=1.0).rate
    offered = len(load.times) / load.seconds
    refused = int(np.isin(load.statuses, (429, 503)).sum())
    return (
        f"Overload, with {each} utterances per request and a queue of 32: {CLIENTS} clients "
        f"reached {largest:,.0f} requests per second. Then 320 clients sent {offered:,.0f} "
        f"requests per second ({offered / largest:.1f} times as many). {load.rate:,.0f} per second "
        f"succeeded ({load.rate / largest:.2f} of the largest rate), and {refused:,} were refused "
        f"with 429 or 503. Half of the refusals came within {_ms(load.percentile(50, ok=False))} "
        f"ms after the request was due, and 99 % within {_ms(load.percentile(99, ok=False))} ms. "
        f"{load.lost} requests got no response. In the following second, the rate was {after:,.0f}."
    )


def _shutdown(folder: Path, sequences: list[np.ndarray]) -> str:
    """Terminate the service under load, and kill it."""
    requests = requests_for(sequences, "plain")
    with _serving(folder) as (port, process):
        load = run(port, requests, seconds=4.0, hooks=[(2.0, process.terminate)])
        code = process.wait(30)
    text = (
        f"SIGTERM under load: {len(load.times):,} requests got a response, {load.lost} got none, "
        f"and the process exited with code {code}."
    )
    with _serving(folder) as (port, process):
        run(port, requests, seconds=1.0, hooks=[(0.5, process.kill)])
        process.wait()
        with _serving(folder, port=port) as (_, again):
            begun = again.began
    return f"{text} After `kill -9`, a new process was ready after {begun:.2f} s."


@contextlib.contextmanager
def _serving(folder: Path, *options: str, port: int | None = None) -> Iterator[tuple[int, Any]]:
    """Serve all models; the attribute ``began`` of the process is its start-up time in seconds."""
    port = port or _free_port()
    files = [folder / f"{name}.refold" for name in ENCODING]
    command = [sys.executable, "-m", "refold", "serve", *files, "--port", port, *options]
    with _process(command) as process:
        process.began = wait_until_ready(port)
        yield port, process


@contextlib.contextmanager
def _process(command: list[Any]) -> Iterator[Any]:
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    process: Any = subprocess.Popen(
        [str(part) for part in command],
        env=os.environ | {"PYTHONPATH": paths},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        process.wait()


def _check(load: Load) -> None:
    if load.lost or load.refused or set(load.statuses) != {200}:
        raise SystemExit(f"Requests failed: {load.counts()}, {load.lost} lost.")


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def _resident(process: Any) -> float:
    """Return the resident memory of a process, in megabytes."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _cpu_seconds(process: Any) -> float:
    """Return the CPU time of a process, in seconds."""
    text = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8")
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}"


if __name__ == "__main__":
    main()
