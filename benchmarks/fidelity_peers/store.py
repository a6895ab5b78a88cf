"""Results on disk: one JSON file, a line a run, written whole after each."""

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

    A result is found by its run, the digest of the data, the code and the versions that made it,
    and the machine.  A newer one of the same run and machine takes the place of an older.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __len__(self) -> int:
        return len(self._read())

    def has(self, run: Run, digest: str) -> bool:
        """Whether there is a result that still holds; a failure is none."""
        key = _key(run, digest)
        return any(
            all(record.get(name) == value for name, value in key.items()) and not failed(record)
            for record in self._read()
        )

    def put(self, run: Run, digest: str, result: Record) -> Record:
        """Keep a result, and return it as it is kept."""
        record = {**_key(run, digest), "date": today(), **_without_nan(result)}
        place = (*run, record["machine"])
        kept = [one for one in self._read() if (*_run(one), one["machine"]) != place]
        write_records(self._path, (*kept, record))
        return record

    def newest(self, run: Run) -> Record | None:
        """Return the last result of a run, whatever made it."""
        found = [record for record in self._read() if _run(record) == run]
        return found[-1] if found else None

    def _read(self) -> list[Record]:
        return read_records(self._path)


def failed(record: Record) -> bool:
    """Whether a run came to no result, so that it is worth another try."""
    return "failed" in record


def _run(record: Record) -> Run:
    return Run(*(record[name] for name in Run._fields))


def _key(run: Run, digest: str) -> Record:
    method = METHODS[run.method]
    made_by = {"data_digest": digest, "code": method.code, "versions": method.versions}
    return {**run._asdict(), **made_by, "machine": machine()}


def _without_nan(result: Record) -> Record:
    """JSON has no NaN."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in result.items()
    }
