"""The measurements of `benchmarks.serve`: each function returns the values of a section."""

import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import refold
from benchmarks.serve_peers.load import Load, requests_for, run, wait_until_ready
from benchmarks.serve_peers.processes import cpu_seconds, free_port, process, resident, serving

CLIENTS = 32
# Sequences per request.
SIZES = (1, 8, 64)


class Bench(NamedTuple):
    """Models in a folder, the sequences that requests encode, and the time of a measurement."""

    folder: Path
    data: dict[str, list[np.ndarray]]
    seconds: float

    @property
    def files(self) -> list[Path]:
        """Model files."""
        return [self.folder / f"{name}.refold" for name in self.data]


def fit(folder: Path, seconds: float) -> Bench:
    """Fit and save the models, with one epoch: the speed does not depend on the weights."""
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
    return Bench(folder, {"mixed": sines(512), "vowels": test, "plain": test}, seconds)


def rates(bench: Bench) -> list[dict[str, Any]]:
    """Measure the largest rates next to those of ``transform``."""
    found = []
    with serving(bench.files) as (port, server):
        for name, sequences in bench.data.items():
            ae = refold.SequenceAutoencoder.load(bench.folder / f"{name}.refold")
            best, least = _offline(ae, [sequences])
            for each in SIZES:
                alike = _offline(ae, _sets(sequences, CLIENTS * each))[0]
                for form in ("JSON", "Arrow"):
                    requests = requests_for(sequences, name, each=each, arrow=form == "Arrow")
                    run(port, requests, seconds=0.5)
                    used = cpu_seconds(server)
                    load = run(port, requests, seconds=bench.seconds)
                    _check(load)
                    count = each * len(load.times)
                    found.append(
                        {
                            "data": name, "form": form, "each": each, "rate": load.rate * each,
                            "offline": best, "together": alike,
                            "service_us": 1e6 * (cpu_seconds(server) - used) / count,
                            "clients_us": 1e6 * load.cpu_seconds / count,
                            "offline_us": 1e6 * least,
                            **_percentiles(load),
                        }
                    )  # fmt: skip
    return found


def peers(bench: Bench) -> list[dict[str, Any]]:
    """Measure a simple service with FastAPI, and then this one."""
    found = []
    for name in ("mixed", "plain"):
        sequences = bench.data[name]
        requests, port = requests_for(sequences, name), free_port()
        lengths = [str(len(one)) for one in sequences]
        command = [sys.executable, "-m", "benchmarks.serve_peers.fastapi_predict"]
        with process([*command, bench.folder / f"{name}.refold", port, *lengths]) as server:
            wait_until_ready(port)
            row = {"data": name, **_rate_and_cost(port, server, requests, bench.seconds)}
        with serving(bench.files) as (port, server):
            ours = _rate_and_cost(port, server, requests, bench.seconds)
        found.append(row | {f"our_{key}": value for key, value in ours.items()})
    return found


def memory(bench: Bench, number: int) -> dict[str, Any]:
    """Measure the memory at the start, and after a tenth, a half and all of the requests."""
    requests = requests_for(bench.data["plain"], "plain")
    with serving(bench.files) as (port, server):
        sizes, wrong = [resident(server)], 0
        for count in (number // 10, number // 2 - number // 10, number - number // 2):
            load = run(port, requests, seconds=1e9, number=count)
            sizes.append(resident(server))
            wrong += int((load.statuses != 200).sum()) + load.lost
    return {"number": number, "megabytes": sizes, "failed": wrong}


def overload(bench: Bench) -> dict[str, Any]:
    """Send requests at ten times the largest rate."""
    each = 8
    requests = requests_for(bench.data["vowels"], "vowels", each=each)
    with serving(bench.files) as (port, _):
        run(port, requests, seconds=0.5)
        largest = run(port, requests, seconds=bench.seconds).rate
        load = run(port, requests, clients=320, seconds=bench.seconds, rate=10 * largest)
        after = run(port, requests, seconds=1.0).rate
    refused = np.isin(load.statuses, (429, 503))
    return {
        "each": each,
        "largest": largest,
        "offered": len(load.times) / load.seconds,
        "rate": load.rate,
        "refused": int(refused.sum()),
        "failed": int((~refused & (load.statuses != 200)).sum()) + load.lost,
        "refusal_p50": load.percentile(50, ok=False),
        "refusal_p99": load.percentile(99, ok=False),
        "after": after,
    }


def _sets(sequences: list[np.ndarray], size: int) -> list[list[np.ndarray]]:
    """Return sets of a size, with all sequences, some of them several times."""
    count = -(-len(sequences) // size)
    many = sequences * -(-count * size // len(sequences))
    return [many[i * size : (i + 1) * size] for i in range(count)]


def _offline(ae: Any, several: list[list[np.ndarray]]) -> tuple[float, float]:
    """Return the rate of ``transform`` on sets of sequences, and the CPU time of one."""
    ae.transform(several[0][:4])
    count = sum(map(len, several))
    rates, costs = [], []
    for _ in range(5):
        begin, used = time.perf_counter(), time.process_time()
        for sequences in several:
            ae.transform(sequences)
        rates.append(count / (time.perf_counter() - begin))
        costs.append((time.process_time() - used) / count)
    return max(rates), min(costs)


def _rate_and_cost(
    port: int, server: Any, requests: list[bytes], seconds: float
) -> dict[str, float]:
    run(port, requests, seconds=0.5)
    used = cpu_seconds(server)
    load = run(port, requests, seconds=seconds)
    _check(load)
    cost = 1e6 * (cpu_seconds(server) - used) / len(load.times)
    return {"rate": load.rate, "service_us": cost, **_percentiles(load)}


def _percentiles(load: Load) -> dict[str, float]:
    return {"p50": load.percentile(50), "p99": load.percentile(99)}


def _check(load: Load) -> None:
    if load.lost or load.refused or set(load.statuses) != {200}:
        raise SystemExit(f"Requests failed: {load.counts()}, {load.lost} lost.")
