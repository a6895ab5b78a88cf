"""Lengths decoded from small codes: other models of the length, and other criteria.

``python -m benchmarks.lengths`` runs the fits that are missing in ``results/lengths.json``, each in
its own process, and writes ``results/lengths.md``.  All 60 take about half an hour on two cores.
``--count 1`` runs at most one, ``--sizes``, ``--seeds`` and ``--variants`` select some, and
``--quick`` checks that everything runs.  All fits of a data set have the same number of epochs and
no limit of time, so the results do not depend on the load of the machine.

The data sets are those for choosing with unequal lengths, and JapaneseVowels.  ``length_heads/``
replaces parts of Refold by other implementations, so this is a trial of the current code, and not a
test of it.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._records import read_records, write_records
from benchmarks._results import FOLDER, machine, table, today, version_of, write_page
from benchmarks.training_peers import process

STORE = FOLDER / "lengths.json"
# The largest number of epochs of each data set.
EPOCHS = {"vowels": 200, "ar2": 80, "plaid": 30}
TITLES = {"vowels": "JapaneseVowels", "ar2": "AR(2) noise", "plaid": "PLAID"}
SIZES, SEEDS = (4, 2), (0, 1)
VARIANTS = {
    "now": "predicted",
    "dimension": "a dimension for the length",
    "mixture": "mixture",
    "classes": "classes",
    "visible": "predicted, visible error in validation and of optimized codes",
}
# Other latent optimizations of the model "now".
SEARCHES = {
    "earlier": "predicted, earlier cost of a wrong length",
    "kept": "predicted, optimized code only if the visible error is smaller",
}


def record(
    name: str, size: int, seed: int, variant: str, folder: Path, *, epochs: int | None = None
) -> dict[str, Any]:
    """Run one fit, and return its errors."""
    data = folder / name
    if not data.exists():
        data.mkdir(parents=True)
        process.run("data", name, data, package="benchmarks.fidelity_peers")
    options = {"variant": variant, "size": size, "seed": seed, "most": epochs or EPOCHS[name]}
    found = process.run("fit", data, json.dumps(options), package="benchmarks.length_heads")
    versions = {one: version_of(one) for one in ("refold", "keras", "jax", "numpy")}
    about = {"date": today(), "machine": machine(), "versions": versions}
    return {"set": name, **options, **found, **about}


def check_everything() -> None:
    """Run each variant on one data set for two epochs, and print the results."""
    with tempfile.TemporaryDirectory() as temporary:
        for variant in VARIANTS:
            print(variant, record("vowels", 4, 0, variant, Path(temporary), epochs=2), flush=True)


def key_of(one: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a record measures."""
    return one["set"], one["size"], one["seed"], one["variant"]


def page(records: list[dict[str, Any]]) -> None:
    """Write ``results/lengths.md``."""
    rows = []
    for name in EPOCHS:
        for size in sorted(SIZES):
            here = [one for one in records if (one["set"], one["size"]) == (name, size)]
            now = [one for one in here if one["variant"] == "now"]
            groups = {title: [one[part] for one in now] for part, title in SEARCHES.items()}
            for variant, title in VARIANTS.items():
                groups[title] = [one for one in here if one["variant"] == variant]
            for title, group in groups.items():
                if group:
                    rows.append([TITLES[name], str(size), title, *_means(group)])
    newest = max(records, key=lambda one: one["date"])
    versions = ", ".join(f"{name} {found}" for name, found in newest["versions"].items())
    epochs = ", ".join(f"{count} for {TITLES[name]}" for name, count in EPOCHS.items())
    header = ["data", "latent dimensions", "length", "seeds", "wrong lengths", "mean error, steps"]
    write_page(
        "lengths",
        "Lengths decoded from small codes",
        [
            f"Errors on the test split, means over seeds. Fits have no refit and at most {epochs} "
            "epochs, and otherwise default settings. *NMSE* ignores extra steps. In the *visible* "
            "NMSE, the squared values of extra steps count, too. Both count a missing step as the "
            "training mean. *Told* is the NMSE with the true lengths.",
            table([*header, "NMSE", "visible NMSE", "NMSE, told"], rows),
        ],
        about=f"{newest['date']}, {newest['machine']}  \n{versions}",
    )


def _means(group: list[dict[str, Any]]) -> list[str]:
    """Return the number of seeds, and means over them."""
    wrong, off, *errors = (
        statistics.mean(one[measure] for one in group)
        for measure in ("wrong", "off", "nmse", "visible", "told")
    )
    cells = [str(len(group)), f"{100 * wrong:.0f} %", f"{off:.2f}"]
    return [*cells, *(f"{error:.4f}" for error in errors)]


def main(arguments: Sequence[str] = ()) -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lengths", description=__doc__)
    parser.add_argument("--sets", nargs="+", default=list(EPOCHS))
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS))
    parser.add_argument("--count", type=int, default=10**6, help="largest number of fits")
    parser.add_argument("--folder", type=Path, help="folder that keeps the data sets")
    parser.add_argument("--quick", action="store_true", help="check that everything runs")
    given = parser.parse_args(arguments)
    if given.quick:
        check_everything()
        return
    records = read_records(STORE)
    done = {key_of(one) for one in records}
    keys = [
        (name, size, seed, variant)
        for seed in given.seeds
        for size in given.sizes
        for name in given.sets
        for variant in given.variants
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        for key in [one for one in keys if one not in done][: given.count]:
            records.append(record(*key, folder))
            write_records(STORE, records)
            print(*key, records[-1], flush=True)
    if records:
        page(records)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
