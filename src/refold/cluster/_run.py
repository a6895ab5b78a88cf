"""A run: from a source to parts, a summary, and the files that concern all parts."""

import contextlib
import functools
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import refold
from refold.cluster._connection import load_ray
from refold.cluster._ids import SeenIds
from refold.cluster._manifest import begin, manifest_of, run_of
from refold.cluster._operations import ModelOperation
from refold.cluster._pool import Pool, RayPool, ThisProcess
from refold.cluster._reading import hashes, ids_of
from refold.cluster._source import SourceFiles, Unit, open_source
from refold.cluster._storage import Place, one_line, place_of, replaced
from refold.cluster._summary import RunSummary
from refold.cluster._worker import Failure, hashes_of
from refold.errors import ClusterError, DataError, RefoldError, argument
from refold.evaluation import adjusted_p_values
from refold.sequences import Schema, TableOptions

FAILURES, ADJUSTED = "_failures.jsonl", "_adjusted_p_values.parquet"
# Sources of up to this size are searched for ids that occur twice by one process.
_FEW_ROWS, _FEW_UNITS = 5_000_000, 200
# What only the head of a cluster has.
_HEAD = {"node:__internal_head__": 0.001}
# Seconds between two updates of the progress bar.
_SECONDS = 0.3
# Failures that a summary lists; the file has more.
MOST_LISTED = 100

# Called with the number of parts that are done, and of all.
Report = Callable[[int, int], None]


class ClusterRun(NamedTuple):
    """A run as plain values, which may go to a machine of the cluster."""

    source: list[str]
    output: str
    model: bytes  # the model file
    hash: str  # of the model
    schema: dict[str, Any]  # of the model
    operation: ModelOperation
    asked: TableOptions
    part_steps: int | None
    num_workers: int | None


def execute(job: ClusterRun, report: Report, pool: Pool) -> RunSummary:
    """Run a job."""
    source = open_source(job.source, Schema.from_dict(job.schema), job.asked, job.part_steps)
    output = place_of(job.output)
    manifest = manifest_of(source, job.operation, job.hash)
    begin(output, manifest, job.model)
    start = time.monotonic()
    if source.options.id is not None:
        _check_ids(source, pool)
    plain = {
        "version": refold.__version__,
        "run": run_of(manifest),
        "output": output.name(),
        "hash": job.hash,
        "operation": tuple(job.operation),
        "options": source.options,
        "lists": source.lists,
        "text_ids": source.files[0].id_type == "text",
    }
    found, total = _Found(job.operation), len(source.units)
    report(0, total)
    for done, result in enumerate(pool.worked(plain, source.units), start=1):
        found.add(result)
        report(done, total)
    return found.summary(output, time.monotonic() - start, min(pool.num_workers, total))


class _Found:
    """The results of parts, added up."""

    def __init__(self, operation: ModelOperation) -> None:
        self._operation = operation
        self._sums: Counter[str] = Counter()
        self._failures: list[tuple[int, Failure]] = []
        self._warnings: dict[str, tuple[str, int]] = {}
        self._p_values: Counter[float] = Counter()
        self._memory = self._idle = 0

    def add(self, result: dict[str, Any]) -> None:
        """Add a part, or raise its error."""
        if "error" in result:
            raise result["error"]
        self._sums["parts"] += 1
        self._sums["there"] += result["there"]
        for name in ("rows", "failed"):
            self._sums[name] += result[name]
        if not result["there"]:
            self._sums["steps"] += result["steps"]
        self._failures += [(result["unit"], Failure(**one)) for one in result["failures"]]
        for text in result.get("warnings", ()):
            kind = re.sub(r"\d+", "0", text)
            first, count = self._warnings.get(kind, (text, 0))
            self._warnings[kind] = first, count + 1
        if "p_values" in result:
            for value, count in zip(*result["p_values"], strict=True):
                self._p_values[value] += count
        self._memory = max(self._memory, result.get("peak", 0))
        self._idle = max(self._idle, result.get("idle", 0))

    def summary(self, output: Place, seconds: float, num_workers: int) -> RunSummary:
        """Write what concerns all parts, and return the summary."""
        failures = [one for _, one in sorted(self._failures, key=lambda pair: pair[0])]
        if failures:
            lines = "".join(json.dumps(asdict(one)) + "\n" for one in failures)
            with replaced(output.beside(FAILURES)) as stream:
                stream.write(lines.encode())
        anomalous = discoveries = None
        if self._operation.name == "detect":
            anomalous, discoveries = self._write_adjusted(output)
        return RunSummary(
            self._operation.name,
            output.name(),
            self._sums["rows"],
            self._sums["failed"],
            failures[:MOST_LISTED],
            self._sums["parts"],
            self._sums["there"],
            self._sums["steps"],
            seconds,
            num_workers,
            self._memory,
            self._idle,
            dict(self._warnings.values()),
            anomalous,
            discoveries,
        )

    def _write_adjusted(self, output: Place) -> tuple[int, int]:
        """Write the adjusted p-value of each p-value, which no part knows alone."""
        values = np.array(sorted(self._p_values), float)
        counts = np.array([self._p_values[value] for value in values.tolist()], np.int64)
        adjusted = adjusted_p_values(values, counts)
        table = pa.table({"p_value": values, "adjusted_p_value": adjusted, "count": counts})
        with replaced(output.beside(ADJUSTED)) as stream:
            pq.write_table(table, stream)
        alpha = self._operation.settings["alpha"]
        return int(counts[values <= alpha].sum()), int(counts[adjusted <= alpha].sum())


def _check_ids(source: SourceFiles, pool: Pool) -> None:
    """Raise ``DataError`` if an id occurs in two files, or twice in a long table."""
    fn = functools.partial(hashes_of, options=source.options, lists=source.lists)
    files = {file.name: i for i, file in enumerate(source.files)}
    groups = np.array([files[unit.name] for unit in source.units])
    with SeenIds() as seen:
        rows = sum(file.num_rows for file in source.files)
        few = rows <= _FEW_ROWS and len(source.units) <= _FEW_UNITS
        for result in (ThisProcess() if few else pool).each(fn, source.units):
            if isinstance(result, dict):
                raise result["error"]
            number, found = result
            seen.add(np.frombuffer(found, np.uint64), number)
        twice = seen.first_twice(groups if source.lists else None)
    if twice is None:
        return
    hash_, *numbers = twice
    places = [_rows_with(source, source.units[number], hash_) for number in numbers]
    if numbers[0] == numbers[1]:
        (first, row), (second, other) = places[0][0], places[0][1]
    else:
        (first, row), (second, other) = places[0][0], places[1][0]
    name, also = (source.units[number].name for number in numbers)
    if first != second:  # two ids with one hash
        return
    if name != also:
        raise DataError(
            f"The id {first!r} occurs twice: in row {row} of {name} and in row {other} of {also}. "
            f"Each sequence needs its own; choose another column with {argument('id=')}."
        )
    raise DataError(
        f"{name}: the rows of id {first!r} are not together, they begin in rows {row} and {other}. "
        f"A cluster reads long tables that are sorted by their id column {source.options.id!r}."
    )


def _rows_with(source: SourceFiles, unit: Unit, hash_: int) -> list[tuple[Any, int]]:
    """Return the ids of a unit with a hash, and the rows at which they begin."""
    found = []
    for rows, ids in ids_of(unit, source.options, lists=source.lists):
        for i in np.flatnonzero(hashes(ids) == np.uint64(hash_)).tolist():
            found.append((ids[i].as_py(), int(rows[i])))
    return found


class Coordinator:
    """Runs a job on a machine of the cluster."""

    # Ray Data cannot run in a process outside of the cluster, and it prints lines that no user of
    # Refold can act on.
    def __init__(self) -> None:
        self._progress = 0, 0

    def run(self, job: ClusterRun) -> RunSummary | RefoldError:
        """Run a job, and return its summary or its error."""
        try:
            return execute(job, self._report, RayPool(job.num_workers))
        except RefoldError as error:
            return error

    def progress(self) -> tuple[int, int]:
        """Return the number of parts that are done, and of all."""
        return self._progress

    def _report(self, done: int, total: int) -> None:
        self._progress = done, total


def execute_on_cluster(job: ClusterRun, report: Report) -> RunSummary:
    """Run a job by a coordinator on the cluster that this process is connected to."""
    ray, coordinator = load_ray(), None
    try:
        # The coordinator is on the head, without which there is no cluster. If it dies, it starts
        # again and completes what is missing.
        settings = {"max_concurrency": 2, "max_restarts": 3, "max_task_retries": 3}
        coordinator = ray.remote(num_cpus=0, resources=_HEAD, **settings)(Coordinator).remote()
        result = coordinator.run.remote(job)
        while not ray.wait([result], timeout=_SECONDS)[0]:
            with contextlib.suppress(ray.exceptions.ActorUnavailableError):  # it starts again
                report(*ray.get(coordinator.progress.remote()))
        outcome = ray.get(result)
    except ray.exceptions.RayTaskError:
        raise  # an error of the program
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise ClusterError(
            f"The cluster lost the run ({one_line(error)}). Run it again: it completes what is "
            f"missing. Its machines need the same versions as here, Refold {refold.__version__} "
            f"and Ray {ray.__version__}."
        ) from error
    finally:
        if coordinator is not None:
            ray.kill(coordinator)
    if isinstance(outcome, RefoldError):
        raise outcome
    report(outcome.num_parts, outcome.num_parts)
    return outcome
