"""The service under load, next to the offline rate.

``python -m benchmarks.serve`` fits models to sines of 10 to 1000 steps and to JapaneseVowels,
serves them with ``refold serve``, and writes ``results/serve.md``. ``--quick`` only checks that
everything runs. The clients and the service share the cores of the machine.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import refold
from benchmarks._process import ROOT
from benchmarks._results import PACKAGES, run_parts, section, table
from benchmarks.serve_clients import CLIENTS, Load, requests_for, run

ENCODING = {
    "mixed": "sines, 10 to 1000 steps",
    "vowels": "JapaneseVowels, 10 steps of latent optimization",
    "plain": "JapaneseVowels, no latent optimization",
}
# Sequences per request.
SIZES = (1, 8, 64)


def fit(folder: Path) -> dict[str, list[np.ndarray]]:
    """Fit and save the models, and return the sequences that requests encode.

    There is one epoch: the speed does not depend on the weights.
    """
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


def rates(seconds: float, folder: Path) -> str:
    """Measure the largest rates next to those of ``transform``."""
    rows = []
    data = fit(folder)
    with serving(folder, data) as (port, server):
        for name, sequences in data.items():
            ae = refold.SequenceAutoencoder.load(folder / f"{name}.refold")
            offline, offline_cost = _offline(ae, sequences)
            for each in SIZES:
                for form in ("JSON", "Arrow"):
                    requests = requests_for(sequences, name, each=each, arrow=form == "Arrow")
                    load, cost = _load_and_cost(port, server, requests, seconds)
                    count = each * len(load.times)
                    costs = cost / each, 1e6 * load.cpu_seconds / count, offline_cost
                    rows.append(
                        [
                            ENCODING[name],
                            form,
                            str(each),
                            f"{load.rate * each:,.0f}",
                            f"{offline:,.0f}",
                            f"{load.rate * each / offline:.2f}",
                            *(f"{microseconds:,.0f}" for microseconds in costs),
                            *(f"{milliseconds:.1f}" for milliseconds in load.percentiles),
                        ]
                    )
    text = (
        f"Each of {CLIENTS} clients sends its next request when it has the response to the "
        "last one. The clients run in one thread, and share the cores with the service. The "
        "offline rate is the best of five calls of `transform` on all sequences at once. Two "
        f"things bound the ratio. First, at most {CLIENTS} requests can be computed "
        "together. Second, the service and the clients need CPU time "
        "for HTTP and for the format. The table has the CPU time per sequence of all threads."
    )
    header = (
        "data | format | sequences per request | sequences per second | offline | ratio | "
        "CPU time of the service, µs | clients, µs | offline, µs | median, ms | p99, ms"
    )
    return section("Rates", text, table(header.split(" | "), rows))


def _offline(ae: Any, sequences: list[np.ndarray]) -> tuple[float, float]:
    """Return the rate of ``transform``, and the CPU time for one sequence in µs."""
    ae.transform(sequences[:4])
    rates, costs = [], []
    for _ in range(5):
        begin, used = time.perf_counter(), time.process_time()
        ae.transform(sequences)
        rates.append(len(sequences) / (time.perf_counter() - begin))
        costs.append(1e6 * (time.process_time() - used) / len(sequences))
    return max(rates), min(costs)


def _load_and_cost(
    port: int, server: Any, requests: list[bytes], seconds: float
) -> tuple[Load, float]:
    """Measure the clients, and the CPU time of the service for one request in µs."""
    run(port, requests, 0.5)
    used = _cpu_seconds(server)
    load = run(port, requests, seconds)
    return load, 1e6 * (_cpu_seconds(server) - used) / len(load.times)


@contextlib.contextmanager
def serving(folder: Path, names: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Serve models with ``refold serve``; yield the port and the process."""
    files, port = [folder / f"{name}.refold" for name in names], _free_port()
    command = ["refold", "serve", *files, "--port", port]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    server: Any = subprocess.Popen(
        [sys.executable, "-m", *map(str, command)],
        env=os.environ | {"PYTHONPATH": paths},
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(6000):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/ready")
                break
            time.sleep(0.05)
        else:
            raise SystemExit("The server is not ready after five minutes.")
        yield port, server
    finally:
        server.kill()
        server.wait()


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def _cpu_seconds(server: Any) -> float:
    """Return the CPU time of a process, in seconds."""
    text = Path(f"/proc/{server.pid}/stat").read_text(encoding="utf-8")
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure the parts and write the page."""
    warnings.simplefilter("ignore", UserWarning)
    packages = (*PACKAGES, "uvicorn", "uvloop", "httptools", "msgspec", "pyarrow")
    parts = {"rates": rates}
    run_parts("serve", "The service", parts, (5.0, 0.3), about=__doc__, packages=packages)


if __name__ == "__main__":
    main()
