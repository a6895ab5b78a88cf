"""Held-out error against latent dimensions, next to PCA and other sequence autoencoders.

``python -m benchmarks.fidelity`` takes about seven hours on two cores.  README.md has the time of
each part.  It needs the dependency groups ``backends`` and ``peers``.  Methods whose packages are
not installed are named and left out.  Every fit runs in its own process, one after the other.

Each result is stored in ``results/fidelity.json`` as soon as it is measured, with what it depends
on: data, commit of the code, versions and machine.  A second call continues where the first one
ended, and reuses the results that are still valid.  Those of code that was not committed are not.
At the end, the table and the picture are written from all stored results.  ``--report`` writes them
without measuring.
"""

import argparse
import hashlib
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._process import MeasurementError, measure
from benchmarks._results import (
    Record,
    machine,
    read_records,
    replace,
    results_folder,
    today,
    write_page,
)
from benchmarks._sets import DATA
from benchmarks.fidelity_peers.methods import METHODS, NotPossibleError
from benchmarks.fidelity_peers.page import (
    PARTS,
    QUICK,
    Run,
    Selection,
    about,
    draw,
    page,
    read_cells,
)

# Time limit for start, compilation, and reconstruction of the test split. Some methods reconstruct
# one sequence at a time.
SECONDS_BESIDES_FIT = 900.0


def write_splits(name: str, folder: Path) -> dict[str, Any]:
    """Write both splits to files; return a digest and the numbers in the longest sequence."""
    from refold.sequences import write

    folder.mkdir()
    digest, (train, test) = hashlib.sha256(), DATA[name].splits()
    for part, split in (("train", train), ("test", test)):
        write(split, folder / f"{part}.parquet")
        for piece in (split.values.tobytes(), split.offsets.tobytes(), repr(split.schema).encode()):
            digest.update(piece)
    width = sum(column.output_width for column in train.schema.columns)
    return {"digest": digest.hexdigest()[:8], "numbers": int(train.lengths.max()) * width}


def fit_and_score(name: str, folder: Path, size: int, seconds: float, seed: int) -> Record:
    """Fit a method, reconstruct the test split, and return time and errors."""
    from refold.sequences import read

    train = read(folder / "train.parquet")
    began = time.perf_counter()
    try:
        reconstruct = METHODS[name].fit(train, size=size, seconds=seconds, seed=seed)
    except NotPossibleError as error:
        return {"not_possible": str(error)}
    took = time.perf_counter() - began
    test = read(folder / "test.parquet").convert_to_schema(train.schema)  # not before the fit
    return {"took": took, **errors(train, test, reconstruct(test))}


def errors(train: Any, test: Any, back: Any) -> dict[str, float]:
    """Return the errors of a reconstruction; they are NaN if ``back`` is None."""
    from refold.evaluation import accuracy, exact, nmse
    from refold.sequences import Scaler

    numeric = train.schema.numeric.all()
    if back is None:
        return dict.fromkeys(["nmse"] if numeric else ["exact", "accuracy"], math.nan)
    lengths = np.array([len(sequence) for sequence in back])
    wrong = {"wrong_lengths": float((lengths != test.lengths).mean())}
    if numeric:
        return {"nmse": nmse(test, back, Scaler.fit(train)), **wrong}
    return {"exact": exact(test, back), "accuracy": accuracy(test, back), **wrong}


def key_of(run: Run, digest: str) -> Record:
    """Return what a stored result has to agree with to be valid."""
    method = METHODS[run.method]
    made_by = {"data_digest": digest, "code": method.code, "versions": method.versions}
    return {**run._asdict(), **made_by, "machine": machine()}


def is_valid(path: Path, key: Record) -> bool:
    """Whether a result is stored that need not be measured again."""
    records = (one for one in reversed(read_records(path)) if key.items() <= one.items())
    record = next(records, None)
    return record is not None and "failed" not in record and not record["code"].endswith("+")


def measure_missing(path: Path, selection: Selection, scratch: Path) -> None:
    """Run all runs that have no valid result."""
    methods = []
    for name in selection.methods:
        if missing := METHODS[name].missing:
            print(f"Skipping {METHODS[name].title}: {', '.join(missing)} not installed")
        else:
            methods.append(name)
    runs = selection._replace(methods=tuple(methods)).runs()
    facts: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(run.data for run in runs):
        try:
            facts[name] = measure(write_splits, name, scratch / name)
        except MeasurementError as error:
            print(f"Skipping {DATA[name].title}: {error}")
    keys = {run: key_of(run, facts[run.data]["digest"]) for run in runs if run.data in facts}
    todo = [run for run, key in keys.items() if not is_valid(path, key)]
    hours = sum(run.seconds for run in todo) / 3600
    print(f"{len(keys)} runs, {len(keys) - len(todo)} of them stored; {hours:.1f} h left")
    for number, run in enumerate(todo, 1):
        began = time.perf_counter()
        key = key_of(run, facts[run.data]["digest"])
        result = _run(run, scratch / run.data)
        if METHODS[run.method].code != key["code"]:
            print(f"{number}/{len(todo)} discarded: the code changed during the run")
            continue
        record = {**key, "date": today(), "numbers": facts[run.data]["numbers"], **result}
        record = replace(path, record, same=(*Run._fields, "machine"))
        seconds = time.perf_counter() - began
        print(f"{number}/{len(todo)} {_describe(run, record)}, {seconds:.0f} s", flush=True)


def _run(run: Run, folder: Path) -> Record:
    try:
        return measure(
            fit_and_score,
            run.method,
            folder,
            run.size,
            run.seconds,
            run.seed,
            backend=METHODS[run.method].backend,
            timeout=run.seconds + SECONDS_BESIDES_FIT,
        )
    except MeasurementError as error:
        return {"failed": str(error).replace(str(folder), run.data)}


def _describe(run: Run, record: Record) -> str:
    shown = ", ".join(
        f"{name} {'NaN' if record[name] is None else format(record[name], '.4f')}"
        for name in ("nmse", "exact", "accuracy")
        if name in record
    )
    outcome = shown or record.get("not_possible") or record["failed"]
    return f"{DATA[run.data].title}, {run.size}, {METHODS[run.method].title}, {run.seed}: {outcome}"


def report(path: Path, selection: Selection) -> None:
    """Write the page and the picture, if there are results."""
    cells, used = read_cells(path, selection)
    if cells:
        draw(cells, path.with_suffix(".png"))
        write_page(
            "fidelity",
            "Held-out fidelity against the size of the code",
            page(cells, used, "fidelity.png"),
            about=about(used, selection),
            folder=path.parent,
        )


def main() -> None:
    """Measure the results that are missing, and write the table and the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--sets", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--quick", action="store_true", help="only check that everything runs")
    parser.add_argument("--report", action="store_true", help="write the page without measuring")
    options = parser.parse_args()
    parts = QUICK if options.quick else {name: PARTS[name] for name in options.parts}
    selection = Selection(parts, tuple(options.sets), tuple(options.methods))
    # The page shows all stored results, also if only a selection was measured.
    shown = selection if options.quick else Selection()
    path = results_folder(complete=not options.quick) / "fidelity.json"
    try:
        if not options.report:
            with tempfile.TemporaryDirectory(prefix="refold-fidelity-") as scratch:
                measure_missing(path, selection, Path(scratch))
    except KeyboardInterrupt:
        print("Interrupted. All results so far are stored, and the next call continues there.")
        raise SystemExit(130) from None
    finally:
        report(path, shown)


if __name__ == "__main__":
    main()
