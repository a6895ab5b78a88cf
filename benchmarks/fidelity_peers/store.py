"""Stored results: a JSON file with one line for each run, rewritten after every run."""

import math
from pathlib import Path
from typing import Any

from benchmarks._records import read_records, write_records
from benchmarks._results import machine, today
from benchmarks.fidelity_peers.methods import METHODS
from benchmarks.fidelity_peers.plan import Run

__all__ = ["Store", "failed"]

Record = dict[str, Any]


class Store:
    """The results of a file.

    A result is identified by its run, the digests of the data and of the code, the versions, and
    the machine.  A new result replaces an older one of the same run and machine.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __len__(self) -> int:
        return len(self._read())

    def has(self, run: Run, digest: str) -> bool:
        """Whether there is a valid result; failed runs have none."""
        key = _key(run, digest)
        return any(
            all(record.get(name) == value for name, value in key.items()) and not failed(record)
            for record in self._read()
        )

    def put(self, run: Run, digest: str, result: Record) -> Record:
        """Store a result, and return the stored record."""
        record = {**_key(run, digest), "date": today(), **_without_nan(result)}
        place = (*run, record["machine"])
        kept = [one for one in self._read() if (*_run(one), one["machine"]) != place]
        write_records(self._path, (*kept, record))
        return record

    def newest(self, run: Run) -> Record | None:
        """Return the newest result of a run, from any code, versions and machine."""
        found = [record for record in self._read() if _run(record) == run]
        return found[-1] if found else None

    def _read(self) -> list[Record]:
        return read_records(self._path)


def failed(record: Record) -> bool:
    """Whether a run failed, so that it is repeated."""
    return "failed" in record


def _run(record: Record) -> Run:
    return Run(*(record[name] for name in Run._fields))


def _key(run: Run, digest: str) -> Record:
    method = METHODS[run.method]
    made_by = {"data_digest": digest, "code": method.code, "versions": method.versions}
    return {**run._asdict(), **made_by, "machine": machine()}


def _without_nan(result: Record) -> Record:
    """Replace NaN by None, because JSON has no NaN."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in result.items()
    }
