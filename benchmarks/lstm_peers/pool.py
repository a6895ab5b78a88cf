"""A pool of worker processes: it starts them, finds their best settings, and takes turns.

Only one process computes at a time, except during compilation.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.lstm_peers.cases import Case
from benchmarks.lstm_peers.implementations import IMPLEMENTATIONS, Candidate

__all__ = ["Pool", "Timed", "WorkerError"]

ROOT = Path(__file__).parents[2]
FAR = 1.5  # settings that take this many times longer than the fastest are dropped
SETTLE = 0.02  # seconds until the threads of the previous process stop spinning


class WorkerError(RuntimeError):
    """An implementation failed, and the message is its error."""


class Timed(NamedTuple):
    """Median over the rounds in seconds, and the setting."""

    seconds: float
    candidate: Candidate


class Worker:
    """A worker process, which answers requests."""

    def __init__(self, name: str, cores: str, log: Path) -> None:
        backend = next(one.backend for one in IMPLEMENTATIONS if one.name == name)
        self.name, self.log = name, log
        with log.open("w", encoding="utf-8") as opened:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.lstm_peers.worker", name, cores],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=opened,
                text=True,
                cwd=ROOT,
                env=os.environ
                | {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""},
            )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            last = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise WorkerError(f"{self.name} exited: {' '.join(last)}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.process.stdout.close()


class Pool:
    """Worker processes that are started when they are first used, as a context manager.

    Parameters
    ----------
    rounds : int
        Number of turns for each implementation.
    seconds : float
        Minimum time of a turn.
    log : callable
        Called with the message of each failure.
    """

    def __init__(self, *, rounds: int, seconds: float, log: Callable[[str], None]) -> None:
        self.rounds, self.seconds, self.log = rounds, seconds, log
        self._workers: dict[tuple[str, str], Worker] = {}

    def __enter__(self) -> "Pool":
        self._folder = tempfile.TemporaryDirectory(prefix="refold-bench-")
        self.folder = Path(self._folder.name)
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.close()
        self._folder.cleanup()

    def about(self, name: str) -> str:
        """Return the remark of an implementation about itself."""
        return self._worker(name, "all").ask(do="about")["about"]

    def race(
        self,
        mode: str,
        case: Case | None,
        entries: Sequence[Candidate],
        *,
        rounds: int | None = None,
    ) -> dict[str, Timed]:
        """Time each implementation with its best setting, in a mode and a case.

        Implementations for which no setting works have no result.
        """
        able = self._build(mode, case, entries)
        names = list(dict.fromkeys(entry.name for entry in able))
        finalists = [entry for name in names for entry in self._finalists(mode, able, name)]
        medians: list[list[float]] = [[] for _ in finalists]
        for turn in range(rounds or self.rounds):
            for i in range(len(finalists)):
                k = (turn + i) % len(finalists)
                medians[k].append(self._time(mode, finalists[k], self.seconds))
        results: dict[str, Timed] = {}
        for entry, times in zip(finalists, medians, strict=True):
            timed = Timed(statistics.median(times), entry)
            results[entry.name] = min(results.get(entry.name, timed), timed, key=_seconds)
        return results

    def save(self, mode: str, candidate: Candidate) -> Path:
        """Save the results of an implementation for the last case to a file."""
        path = self.folder / f"{candidate.name}-{mode}.npz"
        self._worker(*candidate[:2]).ask(do="save", key=_key(mode, candidate), path=str(path))
        return path

    def clear(self) -> None:
        """Delete the jobs of all processes."""
        for worker in self._workers.values():
            worker.ask(do="clear")

    def _worker(self, name: str, cores: str) -> Worker:
        if (name, cores) not in self._workers:
            self._workers[name, cores] = Worker(name, cores, self.folder / f"{name}-{cores}.log")
        return self._workers[name, cores]

    def _build(self, mode: str, case: Case | None, entries: Sequence[Candidate]) -> list[Candidate]:
        """Prepare the jobs in parallel, and return the candidates that work."""
        by_worker: dict[Worker, list[Candidate]] = {}
        for entry in entries:
            by_worker.setdefault(self._worker(*entry[:2]), []).append(entry)

        def build(worker: Worker) -> list[str]:
            failed = []
            for entry in by_worker[worker]:
                try:
                    request = {"mode": mode, "case": case, "setting": entry.setting}
                    worker.ask(do="build", key=_key(mode, entry), **request)
                except WorkerError as error:
                    failed.append(_key(mode, entry))
                    self.log(f"{entry.name} ({entry.words}), {mode}: {error}")
            return failed

        with ThreadPoolExecutor(len(by_worker)) as threads:
            failed = {key for keys in threads.map(build, by_worker) for key in keys}
        return [entry for entry in entries if _key(mode, entry) not in failed]

    def _finalists(self, mode: str, able: list[Candidate], name: str) -> list[Candidate]:
        """Return the two fastest candidates, or one if the others are much slower."""
        own = [entry for entry in able if entry.name == name]
        if len(own) == 1:
            return own
        first = [self._time(mode, entry, self.seconds / 2) for entry in own]
        close = [i for i, seconds in enumerate(first) if seconds <= FAR * min(first)]
        again = {i: min(first[i], self._time(mode, own[i], self.seconds / 2)) for i in close}
        return [own[i] for i in sorted(again, key=again.__getitem__)[:2]]

    def _time(self, mode: str, candidate: Candidate, seconds: float) -> float:
        time.sleep(SETTLE)
        request = {"key": _key(mode, candidate), "seconds": seconds}
        return statistics.median(self._worker(*candidate[:2]).ask(do="time", **request)["seconds"])


def _seconds(timed: Timed) -> float:
    return timed.seconds


def _key(mode: str, candidate: Candidate) -> str:
    return f"{mode} {candidate.name} {candidate.cores} {candidate.setting}"
