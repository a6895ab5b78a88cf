"""Search: retrieval of the same class, and speed and recall among many codes.

``python -m benchmarks.search`` measures what is missing in ``results/search.json``, and writes
``results/search.md``. Names of data sets, and numbers of codes for the speed, measure only these
(again). ``--models FOLDER`` keeps the fitted models.
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
# Seconds, of an index that there is.
LEAST = 0.01
NUMBERS = ("100000", "1000000")
PEERS = ("lancedb", "aeon", "tslearn", "faiss-cpu", "usearch")


def measure_retrieval(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Measure all vectors on one set."""
    rows = retrieval.measure(name, (CHOOSE | REPORT)[name](), folder)
    yield {title: list(one) for title, one in rows.items()}


def measure_speed(number: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Measure all ways among so many codes; those whose package is missing are left out.

    Yields what there is after each of them.
    """
    model = retrieval.fitted("GunPoint", CHOOSE["GunPoint"](), 0, folder)
    rows, queries = speed.draw(int(number))
    true, found = speed.true_hits(rows, queries), {}
    for title, build in speed.ways(model):
        try:
            found[title] = list(speed.measure(build, rows, queries, true))
        except ModuleNotFoundError as error:
            print(f"{title} is left out: {error}", file=sys.stderr)
            continue
        print(number, title, found[title], file=sys.stderr, flush=True)
        yield found


def mean_rows(cells: dict[str, Any], names: list[str], which: int) -> list[list[str]]:
    """Return a row for each kind of vectors, with its mean over the sets."""
    rows = []
    for title in cells[names[0]]:
        values = [cells[name][title][which] for name in names]
        rows.append([title, *(f"{one:.3f}" for one in values), f"{statistics.mean(values):.3f}"])
    return rows


def page(cells: dict[str, Any]) -> list[str]:
    """Return the parts of the page."""
    parts = [
        "Retrieval: the test sequences of labelled sets are queries, and the training sequences "
        "are ranked. MRR is the mean of 1 / rank of the first sequence of the class of the query. "
        "Precision at 3 is the share of the class among the first three. Refold is fitted on the "
        f"training sequences by the defaults with {retrieval.SIZE} latent dimensions, "
        f"{retrieval.SECONDS:.0f} s at most; means of {len(retrieval.SEEDS)} seeds. Its searches "
        "are those of an index, by features of the decoded codes (the default) or by the code. "
        "A number after a name is that of dimensions. PCA codes are of zero-padded series. Catch22 "
        "(24 features a channel) and MiniRocket (10,000 features) are aeon's, standardized, whole "
        "and as principal components. DTW compares the standardized series themselves and may "
        f"shift {100 * retrieval.BAND:.0f} % of the longest length.",
    ]
    for title, names in (("chose the default", [*CHOOSE]), ("only report", [*REPORT])):
        there = [name for name in names if name in cells]
        if there:
            for which, measure in enumerate(("MRR", "precision at 3")):
                parts += [
                    f"## {measure}, sets that {title}",
                    table(["vectors", *there, "mean"], mean_rows(cells, there, which)),
                ]
    for number in NUMBERS:
        if number in cells:
            rows = [
                [
                    title,
                    f"{built:.1f} s" if built > LEAST else "the same",
                    f"{query:.2f} ms",
                    f"{worked:.2f} ms",
                    f"{recall:.3f}",
                ]
                for title, (built, query, worked, recall) in cells[number].items()
            ]
            parts += [
                f"## {int(number):,} codes",
                table(["way", "build", "query, clock", "query, processor", "recall at 10"], rows),
            ]
    parts.append(
        f"Codes of {speed.DIMENSIONS} dimensions from a mixture of {speed.GROUPS} Gaussians; "
        f"{speed.QUERIES} queries, {speed.FEWER} among more than {speed.MANY:,}, one at a time; "
        "medians. Refold's index is a LanceDB table on "
        "disk, which it writes in the time to build, and a hit has an id and its metadata. The "
        "clock counts the waits for other programs of the machine, which was busy, too; the "
        "processor time is that of all threads of the process."
    )
    missing = [name for name in (*CHOOSE, *REPORT, *NUMBERS) if name not in cells]
    if "usearch, HNSW" not in cells.get(NUMBERS[-1], {}):
        missing.append(f"usearch among {int(NUMBERS[-1]):,} codes")
    if missing:
        parts.append(f"Not measured: {', '.join(missing)}.")
    return parts


def write() -> None:
    """Write the page of all records."""
    write_page(
        "search",
        "Search: sequences of the same class, and speed",
        page({one["name"]: one["found"] for one in read_records(PATH)}),
        packages=(*PACKAGES, *PEERS),
    )


def main() -> None:
    """Measure what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="data sets, or numbers of codes")
    parser.add_argument("--models", type=Path, help="folder of fitted models")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    records = {one["name"]: one for one in read_records(PATH)}
    with tempfile.TemporaryDirectory() as made:
        folder = given.models or Path(made)
        for name in given.names or [*CHOOSE, *REPORT, *NUMBERS]:
            if name in records and not given.names:
                continue
            measure = measure_speed if name in NUMBERS else measure_retrieval
            for found in measure(name, folder):
                about = {"name": name, "date": today(), "machine": machine()}
                versions = {one: version_of(one) for one in (*PACKAGES, *PEERS)}
                records = {one["name"]: one for one in read_records(PATH)}  # of another run, too
                records[name] = about | {"versions": versions, "found": found}
                write_records(PATH, records.values())
            print(name, found, file=sys.stderr, flush=True)
    write()


if __name__ == "__main__":
    main()
