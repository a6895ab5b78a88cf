"""Held-out error against latent dimensions, next to PCA and other sequence autoencoders.

``python -m benchmarks.fidelity`` takes about seven hours on two cores.  README.md has the time of
each part.  It needs the dependency groups ``backends`` and ``peers``.  Methods whose packages are
not installed are named and left out.  Every fit runs in its own process, one after the other.

Each result is stored in ``results/fidelity.json`` as soon as it is measured, with what it depends
on: data, code, versions and machine.  A second call continues where the first one ended, and reuses
the results that are still valid.  At the end, the table and the picture are written from all stored
results.  ``--report`` writes them without measuring.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._results import FOLDER, write_page
from benchmarks.fidelity_peers.cells import read_cells
from benchmarks.fidelity_peers.data import DATA
from benchmarks.fidelity_peers.methods import METHODS
from benchmarks.fidelity_peers.page import about, page
from benchmarks.fidelity_peers.picture import draw
from benchmarks.fidelity_peers.plan import LONG_SECONDS, PARTS, QUICK, SECONDS, Run, Selection
from benchmarks.fidelity_peers.store import Store
from benchmarks.training_peers.process import MeasurementError, run

PACKAGE = "benchmarks.fidelity_peers"
QUICK_FOLDER = Path(tempfile.gettempdir(), "refold-fidelity-quick")
QUICK_SECONDS = 5
# Time limit for start, compilation, and reconstruction of the test split. Some methods reconstruct
# one sequence at a time.
SECONDS_BESIDES_FIT = 900.0


def main(arguments: Sequence[str] = ()) -> None:
    """Measure the results that are missing, and write the table and the picture."""
    options = _parse(arguments)
    selection = Selection(
        QUICK if options.quick else {name: PARTS[name] for name in options.parts},
        tuple(options.sets),
        tuple(options.methods),
        tuple(options.sizes) if options.sizes else None,
        options.seconds or (QUICK_SECONDS if options.quick else SECONDS),
        options.long_seconds,
        tuple(options.seeds) if options.seeds else None,
    )
    folder = options.folder or (QUICK_FOLDER if options.quick else FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    store = Store(folder / "fidelity.json")
    if options.report:
        if not _report(store, selection, folder):
            raise SystemExit(f"{folder / 'fidelity.json'} has no such results. Measure first.")
        return
    try:
        with tempfile.TemporaryDirectory(prefix="refold-fidelity-") as scratch:
            _measure(store, selection, Path(scratch))
    except KeyboardInterrupt:
        print("Interrupted. All results so far are stored, and the next call continues there.")
        raise SystemExit(130) from None
    finally:
        # The page shows all stored results, also if only a selection was measured.
        shown = selection if options.quick else selection._replace(**_EVERYTHING)
        _report(store, shown, folder)


_EVERYTHING: dict[str, Any] = {
    "parts": PARTS,
    "data": tuple(DATA),
    "methods": tuple(METHODS),
    "sizes": None,
    "seeds": None,
}


def _measure(store: Store, selection: Selection, scratch: Path) -> None:
    """Run all runs that have no valid result."""
    methods = []
    for name in selection.methods:
        if missing := METHODS[name].missing:
            print(f"Skipping {METHODS[name].title}: {', '.join(missing)} not installed")
        else:
            methods.append(name)
    runs = selection._replace(methods=tuple(methods)).runs()
    known: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(one.data for one in runs):
        try:
            known[name] = _export(name, scratch / name)
        except MeasurementError as error:
            print(f"Skipping {DATA[name].title}: {error}")
    runs = [one for one in runs if one.data in known]
    todo = [one for one in runs if not store.has(one, known[one.data]["digest"])]
    left = sum(one.seconds for one in todo)
    print(f"{len(runs)} runs, {len(runs) - len(todo)} of them stored; {left / 3600:.1f} h left")
    for number, one in enumerate(todo, 1):
        began = time.perf_counter()
        data, code = known[one.data], METHODS[one.method].code
        result = _run(one, scratch / one.data)
        if METHODS[one.method].code != code:
            print(f"{number}/{len(todo)} discarded: the code changed during the run")
            continue
        record = store.put(one, data["digest"], {"numbers": data["numbers"], **result})
        print(
            f"{number}/{len(todo)} {_describe(one, record)}, {time.perf_counter() - began:.0f} s",
            flush=True,
        )


def _export(name: str, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    return run("data", name, folder, package=PACKAGE)


def _run(one: Run, folder: Path) -> dict[str, Any]:
    try:
        return run(
            "worker",
            one.method,
            folder,
            one.size,
            one.seconds,
            one.seed,
            backend=METHODS[one.method].backend,
            package=PACKAGE,
            timeout=one.seconds + SECONDS_BESIDES_FIT,
        )
    except MeasurementError as error:
        return {"failed": str(error).replace(str(folder), one.data)}


def _report(store: Store, selection: Selection, folder: Path) -> bool:
    """Write the page and the picture, and return whether there are results."""
    cells, used = read_cells(store, selection)
    if not cells:
        return False
    draw(cells, folder / "fidelity.png")
    write_page(
        "fidelity",
        "Held-out fidelity against the size of the code",
        page(cells, used, selection, "fidelity.png"),
        about=about(used, selection),
        folder=folder,
    )
    print(f"{folder / 'fidelity.md'} is written")
    return True


def _describe(one: Run, record: dict[str, Any]) -> str:
    shown = ", ".join(
        f"{name} {'NaN' if record[name] is None else format(record[name], '.4f')}"
        for name in ("nmse", "exact", "accuracy")
        if name in record
    )
    outcome = shown or record.get("not_possible") or record["failed"]
    what = f"{DATA[one.data].title}, {one.size}, {METHODS[one.method].title}, seed {one.seed}"
    return f"{what}: {outcome}"


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--sets", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument(
        "--sizes", nargs="+", type=_positive, help="latent dimensions; all by default"
    )
    parser.add_argument(
        "--seconds", type=_positive, help=f"time limit for a fit; default {SECONDS}"
    )
    parser.add_argument(
        "--long-seconds",
        type=_positive,
        default=LONG_SECONDS,
        help="time limit for large codes of words and for sentences; default %(default).0f",
    )
    parser.add_argument("--seeds", nargs="+", type=int, help="seeds; all by default")
    parser.add_argument("--quick", action="store_true", help="only check that everything runs")
    parser.add_argument("--report", action="store_true", help="write the page without measuring")
    parser.add_argument("--folder", type=Path, help="folder for results, table and picture")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive whole number. Got {text!r}.")
    return int(text)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
