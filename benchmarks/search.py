"""Search: retrieval of sequences of the same class, and speed and recall among many codes.

``python -m benchmarks.search`` measures the results that are missing in ``results/search.json``,
and writes ``results/search.md``. With names of data sets, or numbers of codes, it measures only
these, even if they have results.

The codes of the second part are drawn from a Gaussian mixture. Their neighbors are harder to find
than those of real codes with few groups. Queries are measured one at a time.
"""

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import refold
from benchmarks._results import (
    FOLDER,
    PACKAGES,
    machine,
    read_records,
    replace,
    table,
    today,
    version_of,
    write_page,
)
from benchmarks._sets import SEARCH_CHOOSE, SEARCH_REPORT, Labelled, load_labelled
from benchmarks._vectors import aeon_features, pca_baseline
from refold.model import Model
from refold.search import Index, nearest
from refold.sequences import Scaler

PATH = FOLDER / "search.json"
PEERS = ("aeon", "tslearn", "faiss-cpu", "usearch")
# Retrieval: dimensions, the time limit of a fit, and its seeds.
SIZE, SECONDS, SEEDS = 16, 60.0, (0, 1)
# Width of the DTW band, as a share of the longest sequence, and steps of the longest sequence at
# most: DTW takes several minutes for the 537 queries of PLAID, which have up to 1344 steps.
BAND, STEPS = 0.1, 512
# Speed: numbers of codes, and what is drawn and measured.
NUMBERS = ("100000", "1000000")
DIMENSIONS, HITS, GROUPS = 32, 10, 1000
QUERIES = 50


class Vectors(NamedTuple):
    """Vectors of the indexed sequences, and of the queries."""

    train: Any
    test: Any


def reciprocal_rank(distances: np.ndarray, data: Labelled) -> float:
    """Return the mean reciprocal rank of the first training sequence of the same class.

    Training sequences are ranked by distance for each test sequence.
    """
    order = np.argsort(distances, axis=1, kind="stable")
    same = data.train_labels[order] == data.test_labels[:, None]
    first = np.where(same.any(axis=1), 1.0 / (1 + same.argmax(axis=1)), 0.0)
    return float(first.mean())


def by_distance(vectors: Vectors, data: Labelled) -> float:
    """Rank by Euclidean distance."""
    train, test = (np.asarray(one, float) for one in vectors)
    squares = (test**2).sum(1)[:, None] - 2 * test @ train.T + (train**2).sum(1)
    return reciprocal_rank(squares, data)


def standardized(vectors: Vectors) -> Vectors:
    """Standardize with the mean and standard deviation of the training sequences."""
    unit = vectors.train.std(axis=0)
    unit[unit < 1e-9] = np.inf
    center = vectors.train.mean(axis=0)
    return Vectors(*((one - center) / unit for one in vectors))


def reduced(vectors: Vectors) -> Vectors:
    """Reduce to principal components of the training sequences."""
    from sklearn.decomposition import PCA

    pca = PCA(min(SIZE, *vectors.train.shape), random_state=0).fit(vectors.train)
    return Vectors(*map(pca.transform, vectors))


def fitted(train: Any, seed: int) -> Model:
    """Return a model of the training sequences."""
    ae = refold.SequenceAutoencoder(SIZE, random_state=seed, time_budget=SECONDS)
    return ae.fit(train).model_


def by_index(model: Any, data: Labelled, codes: Vectors, kind: str) -> float:
    """Rank by the search of an index of sequences, or of codes if given."""
    given = [{"X": one} for one in (data.train, data.test)]
    given = [one if c is None else {"codes": c} for one, c in zip(given, codes, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        ids = np.arange(len(data.train))
        index = Index.create(f"{folder}/index", model, ids=ids, vector_kind=kind, **given[0])
        hits = index.search(**given[1], k=len(ids))
        ranks = np.empty((len(data.test), len(ids)))
        for i, row in enumerate(ranks):
            row[hits.ids(i)] = np.arange(len(row))
    return reciprocal_rank(ranks, data)


def refold_rows(data: Labelled) -> dict[str, float]:
    """Measure the vectors of indexes, as means over seeds."""
    found: dict[str, list[float]] = {}
    for seed in SEEDS:
        model = fitted(data.train, seed)
        codes = Vectors(model.encode(data.train), model.encode(data.test))
        rows = {
            f"**Refold, default: features, {SIZE}**": by_index(
                model, data, Vectors(None, None), "features"
            ),
            f"Refold, features, {SIZE}, codes as queries": by_index(
                model, data, Vectors(None, codes.test), "features"
            ),
            f"Refold, features of decoded codes, {SIZE}": by_index(model, data, codes, "features"),
            f"Refold, code, {SIZE}": by_index(model, data, codes, "code"),
        }
        for title, one in rows.items():
            found.setdefault(title, []).append(one)
    return {title: statistics.mean(each) for title, each in found.items()}


def peer_rows(data: Labelled) -> dict[str, float]:
    """Measure PCA codes, and aeon's Catch22 and MiniRocket features, of padded sequences."""
    pca = pca_baseline(data.train, SIZE)
    codes = Vectors(pca.transform(data.train), pca.transform(data.test))
    rows = {f"PCA codes, {SIZE}": by_distance(codes, data)}
    for kind in ("Catch22", "MiniRocket"):
        vectors = standardized(Vectors(*aeon_features(data.train, data.test, kind)))
        rows[f"{kind}, all"] = by_distance(vectors, data)
        rows[f"{kind}, {SIZE}"] = by_distance(reduced(vectors), data)
    return rows


def shortened(series: np.ndarray, factor: int) -> np.ndarray:
    """Replace each ``factor`` steps by their mean."""
    starts = np.arange(0, len(series), factor)
    counts = np.diff(np.append(starts, len(series)))
    return np.add.reduceat(series, starts, axis=0) / counts[:, None]


def dtw_rows(data: Labelled) -> dict[str, float]:
    """Measure dynamic time warping of the standardized sequences."""
    from tslearn.metrics import cdist_dtw
    from tslearn.utils import to_time_series_dataset

    scaler = Scaler.fit(data.train)
    factor = -(-int(data.train.lengths.max()) // STEPS)
    parts = [
        to_time_series_dataset(
            [shortened(np.nan_to_num(one), factor) for one in scaler.transform(part)]
        )
        for part in (data.test, data.train)
    ]
    radius = max(1, int(BAND * parts[1].shape[1]))
    given = {"global_constraint": "sakoe_chiba", "sakoe_chiba_radius": radius}
    return {"DTW of the sequences": reciprocal_rank(cdist_dtw(*parts, **given), data)}


def measure_retrieval(name: str) -> dict[str, float]:
    """Measure all kinds of vectors on one data set."""
    data = load_labelled(name)
    return refold_rows(data) | peer_rows(data) | dtw_rows(data)


class Speed(NamedTuple):
    """Seconds to build, milliseconds per query as wall and CPU time (medians), and recall."""

    build: float
    query: float
    cpu: float
    recall: float


def draw(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors to index, and queries."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(GROUPS, DIMENSIONS))
    total = number + QUERIES
    rows = centers[rng.integers(GROUPS, size=total)] + 0.5 * rng.normal(size=(total, DIMENSIONS))
    rows = rows.astype(np.float32)
    return rows[:number], rows[number:]


class CodesModel(Model):
    """A stand-in for a model whose codes are the drawn vectors."""

    code_size = DIMENSIONS


def refold_index(model: Model, rows: np.ndarray) -> Callable[[np.ndarray], list[int]]:
    """Write an index to disk, and search in it."""
    model = CodesModel(model.network, model.schema, model.scaler, model.error_scaler)
    folder = tempfile.TemporaryDirectory()
    index = Index.create(f"{folder.name}/index", model, codes=rows, vector_kind="code")

    def search(query: np.ndarray) -> list[int]:
        assert folder  # which is removed with this function
        return index.search(codes=query[None], k=HITS).ids()

    return search


def faiss_flat(rows: np.ndarray) -> Callable[[np.ndarray], list[int]]:
    """Compute every distance with faiss."""
    import faiss

    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(rows)
    return lambda query: index.search(query[None], HITS)[1][0].tolist()


def usearch_graph(rows: np.ndarray) -> Callable[[np.ndarray], list[int]]:
    """Build a graph (HNSW) with usearch and its default settings."""
    from usearch.index import Index

    index = Index(ndim=rows.shape[1], metric="l2sq", dtype="f32")
    index.add(np.arange(len(rows)), rows)
    return lambda query: index.search(query, HITS).keys.tolist()


def measure_method(
    build: Callable[[np.ndarray], Any], rows: np.ndarray, queries: np.ndarray, true: list[set[int]]
) -> Speed:
    """Build once and search one query at a time."""
    begin = time.perf_counter()
    search = build(rows)
    built = time.perf_counter() - begin
    search(queries[0])
    seconds, cpu_seconds, hits = [], [], 0
    for query, wanted in zip(queries, true, strict=True):
        begin, before = time.perf_counter(), time.process_time()
        found = search(query)
        seconds.append(time.perf_counter() - begin)
        cpu_seconds.append(time.process_time() - before)
        hits += len(wanted & {*found})
    query, cpu = (1e3 * statistics.median(one) for one in (seconds, cpu_seconds))
    return Speed(built, query, cpu, hits / (HITS * len(queries)))


def measure_speed(number: str) -> dict[str, Speed]:
    """Measure all methods among a number of codes; those that are not installed are left out."""
    rows, queries = draw(int(number))
    true = [set(hits.indices.tolist()) for hits in nearest(rows, queries, HITS)]  # exact
    model = fitted(load_labelled("GunPoint").train, 0)
    methods: dict[str, Callable[[np.ndarray], Any]] = {
        "**Refold (exact)**": partial(refold_index, model),
        "faiss, IndexFlatL2 (exact)": faiss_flat,
        "usearch, HNSW": usearch_graph,
    }
    results = {}
    for title, build in methods.items():
        try:
            results[title] = measure_method(build, rows, queries, true)
        except ModuleNotFoundError as error:
            print(f"{title} is left out: {error}", file=sys.stderr)
    return results


def page(cells: dict[str, Any]) -> list[str]:
    """Return the parts of the page."""
    parts = [
        "Retrieval: the test sequences of labelled data sets are queries, and the training "
        "sequences are ranked for each query. MRR (mean reciprocal rank) is the mean of 1 / rank "
        "of the first sequence of the same class. Refold is fitted to the training sequences "
        f"with default settings, {SIZE} latent dimensions and at most {SECONDS:.0f} s for a fit. "
        f"Its results are means of {len(SEEDS)} seeds. Its index compares features of the "
        "sequences (the default) or the codes. Codes can also be queries without their sequences, "
        "and an index can consist of codes alone: they are decoded. A number after a name is the "
        "number of dimensions. PCA is fitted to zero-padded series. "
        "Catch22 (24 features per channel) and MiniRocket (10,000 features) are those of aeon. "
        "Their features are standardized, and used directly or reduced to principal components. "
        "DTW compares the standardized series and may shift steps by "
        f"{100 * BAND:.0f} % of the longest length. Of sequences of more than "
        f"{STEPS} steps, it compares means of two or more steps each.",
    ]
    for title, names in (
        ("on which the default was chosen", [*SEARCH_CHOOSE]),
        ("on which results are only reported", [*SEARCH_REPORT]),
    ):
        measured = [name for name in names if name in cells]
        if measured:
            rows = []
            for vectors in cells[measured[0]]:
                values = [cells[name][vectors] for name in measured]
                mean = f"{statistics.mean(values):.3f}"
                rows.append([vectors, *(f"{value:.3f}" for value in values), mean])
            parts += [f"## MRR, data sets {title}", table(["vectors", *measured, "mean"], rows)]
    for number in NUMBERS:
        if number in cells:
            rows = [
                [title, f"{built:.2f} s", f"{query:.2f} ms", f"{cpu:.2f} ms", f"{recall:.3f}"]
                for title, (built, query, cpu, recall) in cells[number].items()
            ]
            parts += [
                f"## {int(number):,} codes",
                table(["method", "build", "query, wall", "query, CPU", "recall at 10"], rows),
            ]
    parts.append(
        f"The codes have {DIMENSIONS} dimensions and come from a mixture of {GROUPS} "
        f"Gaussians. Times are medians over {QUERIES} single queries. "
        "Refold's index is an Arrow file, whose rows are in "
        "memory for searches. The time to build includes writing it, and a hit has an id and "
        "metadata. Wall time includes waiting for other programs. CPU time is the sum over all "
        "threads of the process."
    )
    missing = [name for name in (*SEARCH_CHOOSE, *SEARCH_REPORT, *NUMBERS) if name not in cells]
    if missing:
        parts.append(f"Not measured: {', '.join(missing)}.")
    return parts


def main() -> None:
    """Measure the results that are missing, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("names", nargs="*", help="names of data sets, or numbers of codes")
    names = parser.parse_args().names
    warnings.simplefilter("ignore")
    if not names:
        stored = {record["name"] for record in read_records(PATH)}
        names = [n for n in (*SEARCH_CHOOSE, *SEARCH_REPORT, *NUMBERS) if n not in stored]
    for name in names:
        found = measure_speed(name) if name in NUMBERS else measure_retrieval(name)
        versions = {package: version_of(package) for package in (*PACKAGES, *PEERS)}
        about = {"name": name, "date": today(), "machine": machine(), "versions": versions}
        replace(PATH, {**about, "found": found}, same=("name",))
        print(name, found, file=sys.stderr, flush=True)
    write_page(
        "search",
        "Search: sequences of the same class, and speed",
        page({record["name"]: record["found"] for record in read_records(PATH)}),
        packages=(*PACKAGES, *PEERS),
    )


if __name__ == "__main__":
    main()
