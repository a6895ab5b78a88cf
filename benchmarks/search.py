"""Search: retrieval of sequences of the same class, and speed and recall among many codes.

``python -m benchmarks.search`` measures the results that are missing in ``results/search.json``,
and writes ``results/search.md``. With names of data sets, or numbers of codes, it measures only
these, even if they have results. ``--models FOLDER`` keeps the fitted models. ``--method TEXT``
measures only the rows with this text in their names, and keeps the others.
"""

import argparse
import statistics
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks._records import read_records, write_records
from benchmarks._results import FOLDER, PACKAGES, machine, table, today, version_of, write_page
from benchmarks.search_peers import retrieval, speed
from benchmarks.search_peers.labelled import CHOOSE, REPORT

PATH = FOLDER / "search.json"
NUMBERS = ("100000", "1000000")
PEERS = ("duckdb", "aeon", "tslearn", "faiss-cpu", "usearch")


def measure_retrieval(
    name: str, folder: Path, known: dict[str, Any], method: str | None
) -> Iterator[dict[str, Any]]:
    """Measure all kinds of vectors on one data set."""
    rows = retrieval.measure(name, (CHOOSE | REPORT)[name](), folder, known, method)
    yield {title: list(one) for title, one in rows.items()}


def measure_speed(
    number: str, folder: Path, known: dict[str, Any], method: str | None
) -> Iterator[dict[str, Any]]:
    """Measure all methods among a number of codes, or those with ``method`` in their names.

    Methods that are known or whose packages are missing are left out. Yields all results so far
    after each method.
    """
    model = retrieval.fitted("GunPoint", CHOOSE["GunPoint"](), 0, folder)
    rows, queries = speed.draw(int(number))
    true, found = speed.true_hits(rows, queries), dict(known)
    for title, build in speed.methods(model):
        if method not in title if method else title in known:
            continue
        try:
            found[title] = list(speed.measure(build, rows, queries, true))
        except ModuleNotFoundError as error:
            print(f"{title} is left out: {error}", file=sys.stderr)
            continue
        print(number, title, found[title], file=sys.stderr, flush=True)
        yield found


def mean_rows(cells: dict[str, Any], names: list[str], which: int) -> list[list[str]]:
    """Return a row for each kind of vectors, with the mean over the data sets."""
    rows = []
    for title in cells[names[0]]:
        values = [cells[name][title][which] for name in names]
        rows.append([title, *(f"{one:.3f}" for one in values), f"{statistics.mean(values):.3f}"])
    return rows


def page(cells: dict[str, Any]) -> list[str]:
    """Return the parts of the page."""
    parts = [
        "Retrieval: the test sequences of labelled data sets are queries, and the training "
        "sequences are ranked for each query. MRR (mean reciprocal rank) is the mean of 1 / rank "
        "of the first sequence of the same class. Precision at 3 is the share of the first three "
        "sequences that have the class of the query. Refold is fitted to the training sequences "
        f"with default settings, {retrieval.SIZE} latent dimensions and at most "
        f"{retrieval.SECONDS:.0f} s for a fit. Its results are means of {len(retrieval.SEEDS)} "
        "seeds. Its index compares features of the sequences (the default) or the codes. Codes "
        "can also be queries without their sequences, and an index can consist of codes alone: "
        "they are decoded. `ae.features` describes decoded codes, too. "
        "A number after a name is the number of dimensions. PCA is fitted to zero-padded series. "
        "Catch22 (24 features per channel) and MiniRocket (10,000 features) are those of aeon. "
        "Their features are standardized, and used directly or reduced to principal components. "
        "DTW compares the standardized series and may shift steps by "
        f"{100 * retrieval.BAND:.0f} % of the longest length. Of sequences of more than "
        f"{retrieval.STEPS} steps, it compares means of two or more steps each.",
    ]
    for title, names in (
        ("on which the default was chosen", [*CHOOSE]),
        ("on which results are only reported", [*REPORT]),
    ):
        measured = [name for name in names if name in cells]
        if measured:
            for which, measure in enumerate(("MRR", "Precision at 3")):
                parts += [
                    f"## {measure}, data sets {title}",
                    table(["vectors", *measured, "mean"], mean_rows(cells, measured, which)),
                ]
    for number in NUMBERS:
        if number in cells:
            rows = [
                [
                    title,
                    f"{built:.2f} s",
                    f"{query:.2f} ms",
                    f"{worked:.2f} ms",
                    f"{recall:.3f}",
                ]
                for title, (built, query, worked, recall) in cells[number].items()
            ]
            parts += [
                f"## {int(number):,} codes",
                table(["method", "build", "query, wall", "query, CPU", "recall at 10"], rows),
            ]
    parts.append(
        f"The codes have {speed.DIMENSIONS} dimensions and come from a mixture of {speed.GROUPS} "
        f"Gaussians. Times are medians over {speed.QUERIES} single queries, or {speed.FEWER} among "
        f"more than {speed.MANY:,} codes. Refold's index is a DuckDB file, whose rows are in "
        "memory for searches. The time to build includes writing it, and a hit has an id and "
        "metadata. Wall time includes waiting for other programs. CPU time is the sum over all "
        "threads of the process."
    )
    missing = [name for name in (*CHOOSE, *REPORT, *NUMBERS) if name not in cells]
    if NUMBERS[-1] in cells and "usearch, HNSW" not in cells[NUMBERS[-1]]:
        missing.append(f"usearch among {int(NUMBERS[-1]):,} codes")
    if missing:
        parts.append(f"Not measured: {', '.join(missing)}.")
    return parts


def write() -> None:
    """Write the page from the stored results."""
    write_page(
        "search",
        "Search: sequences of the same class, and speed",
        page({one["name"]: one["found"] for one in read_records(PATH)}),
        packages=(*PACKAGES, *PEERS),
    )


def main() -> None:
    """Measure the results that are missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="names of data sets, or numbers of codes")
    parser.add_argument("--models", type=Path, help="folder for the fitted models")
    parser.add_argument("--method", help="measure only rows with this text in their names")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    records = {one["name"]: one for one in read_records(PATH)}
    with tempfile.TemporaryDirectory() as made:
        folder = options.models or Path(made)
        for name in options.names or [*CHOOSE, *REPORT, *NUMBERS]:
            known = records[name]["found"] if name in records else {}
            if options.names and not options.method:
                known = {}  # measured again
            if known and name not in NUMBERS and not options.method:
                continue
            measure = measure_speed if name in NUMBERS else measure_retrieval
            found = known
            for found in measure(name, folder, known, options.method):
                about = {"name": name, "date": today(), "machine": machine()}
                versions = {one: version_of(one) for one in (*PACKAGES, *PEERS)}
                # Another run may have added records.
                records = {one["name"]: one for one in read_records(PATH)}
                records[name] = about | {"versions": versions, "found": found}
                write_records(PATH, records.values())
            print(name, found, file=sys.stderr, flush=True)
    write()


if __name__ == "__main__":
    main()
