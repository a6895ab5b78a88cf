"""Retrieval: how often the nearest sequences have the class of the query."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.search_peers.labelled import Labelled

SIZE, LARGER, SECONDS, SEEDS = 16, 32, 60.0, (0, 1)
# Width of the DTW band, as a share of the longest sequence, and steps of the longest sequence at
# most: DTW takes several minutes for the 537 queries of PLAID, which have up to 1344 steps.
BAND, STEPS = 0.1, 512


class Retrieval(NamedTuple):
    """Quality of a ranking: mean reciprocal rank, and precision at 3."""

    mrr: float
    precision: float


class Vectors(NamedTuple):
    """Vectors of the indexed sequences, and of the queries."""

    train: Any
    test: Any


def quality(distances: np.ndarray, data: Labelled) -> Retrieval:
    """Return the quality if training sequences are ranked by distance for each test sequence."""
    order = np.argsort(distances, axis=1, kind="stable")
    same = data.train_labels[order] == data.test_labels[:, None]
    first = np.where(same.any(axis=1), 1.0 / (1 + same.argmax(axis=1)), 0.0)
    return Retrieval(float(first.mean()), float(same[:, :3].mean()))


def by_distance(vectors: Vectors, data: Labelled) -> Retrieval:
    """Rank by Euclidean distance."""
    train, test = (np.asarray(one, float) for one in vectors)
    squares = (test**2).sum(1)[:, None] - 2 * test @ train.T + (train**2).sum(1)
    return quality(squares, data)


def standardized(vectors: Vectors) -> Vectors:
    """Standardize with the mean and standard deviation of the training sequences."""
    unit = vectors.train.std(axis=0)
    unit[unit < 1e-9] = np.inf
    center = vectors.train.mean(axis=0)
    return Vectors(*((one - center) / unit for one in vectors))


def reduced(vectors: Vectors, size: int) -> Vectors:
    """Reduce to principal components of the training sequences."""
    from sklearn.decomposition import PCA

    pca = PCA(min(size, *vectors.train.shape), random_state=0).fit(vectors.train)
    return Vectors(*map(pca.transform, vectors))


def fitted(name: str, data: Labelled, seed: int, folder: Path) -> Any:
    """Return a model of the training sequences, which is fitted once and kept in a folder."""
    import refold

    path = folder / f"{name}-{seed}.refold"
    if not path.exists():
        ae = refold.SequenceAutoencoder(SIZE, random_state=seed, time_budget=SECONDS)
        ae.fit(data.train).save(path)
    return refold.load(path)


def by_index(model: Any, data: Labelled, codes: Vectors, distance: str) -> Retrieval:
    """Rank by the search of an index of sequences, or of codes if given."""
    from refold.search import Index

    given = [{"X": one} for one in (data.train, data.test)]
    given = [one if c is None else {"codes": c} for one, c in zip(given, codes, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        ids = np.arange(len(data.train))
        index = Index.create(f"{folder}/index", model, ids=ids, distance=distance, **given[0])
        hits = index.search(**given[1], k=len(ids))
        ranks = np.empty((len(data.test), len(ids)))
        for i, row in enumerate(ranks):
            row[hits.ids(i)] = np.arange(len(row))
    return quality(ranks, data)


def refold_rows(name: str, data: Labelled, folder: Path) -> dict[str, Retrieval]:
    """Measure the vectors of indexes, as means over seeds."""
    found: dict[str, list[Retrieval]] = {}
    for seed in SEEDS:
        model = fitted(name, data, seed, folder)
        codes = Vectors(model.encode(data.train), model.encode(data.test))
        rows = {
            f"**Refold, default: features, {SIZE}**": by_index(
                model, data, Vectors(None, None), "features"
            ),
            f"Refold, features, {SIZE}, codes as queries": by_index(
                model, data, Vectors(None, codes.test), "features"
            ),
            f"Refold, features of decoded codes, {SIZE}": by_index(model, data, codes, "features"),
            "Refold, `ae.features`, 1026": by_distance(Vectors(*map(model.features, codes)), data),
            f"Refold, code, {SIZE}": by_index(model, data, codes, "code"),
        }
        for title, one in rows.items():
            found.setdefault(title, []).append(one)
    return {title: Retrieval(*np.mean(each, axis=0)) for title, each in found.items()}


def padded(data: Labelled) -> Vectors:
    """Return arrays of shape (n, features, steps): padded or cut to the longest sequence."""
    longest, arrays = int(data.train.lengths.max()), []
    for part in (data.train, data.test):
        full = np.nan_to_num(part.to_padded(0.0)[:, :longest])
        full = np.pad(full, ((0, 0), (0, longest - full.shape[1]), (0, 0)))
        arrays.append(np.ascontiguousarray(full.transpose(0, 2, 1), float))
    return Vectors(*arrays)


def pca_rows(data: Labelled) -> dict[str, Retrieval]:
    """Measure PCA codes of padded sequences."""
    from refold.evaluation import PCABaseline

    rows = {}
    for size in (LARGER, SIZE):
        entries = int(data.train.lengths.max()) * data.train.schema.num_columns
        pca = PCABaseline(min(size, len(data.train), entries)).fit(data.train)
        codes = Vectors(pca.transform(data.train), pca.transform(data.test))
        rows[f"PCA codes, {size}"] = by_distance(codes, data)
    return rows


def feature_rows(data: Labelled) -> dict[str, Retrieval]:
    """Measure aeon's Catch22 and MiniRocket features of padded sequences."""
    from aeon.transformations.collection.convolution_based import MiniRocket
    from aeon.transformations.collection.feature_based import Catch22

    arrays, rows = padded(data), {}
    makers = {
        "Catch22": Catch22(catch24=True, replace_nans=True),
        "MiniRocket": MiniRocket(random_state=0),
    }
    for title, maker in makers.items():
        given = arrays
        if title == "MiniRocket" and given.train.shape[2] < 9:  # the shortest length it accepts
            given = Vectors(*(np.pad(one, ((0, 0), (0, 0), (0, 1))) for one in arrays))
        made = maker.fit(given.train)
        vectors = standardized(Vectors(*(np.asarray(made.transform(one)) for one in given)))
        rows[f"{title}, all"] = by_distance(vectors, data)
        for size in (LARGER, SIZE):
            rows[f"{title}, {size}"] = by_distance(reduced(vectors, size), data)
    return rows


def shortened(series: np.ndarray, factor: int) -> np.ndarray:
    """Replace each ``factor`` steps by their mean."""
    starts = np.arange(0, len(series), factor)
    counts = np.diff(np.append(starts, len(series)))
    return np.add.reduceat(series, starts, axis=0) / counts[:, None]


def dtw_rows(data: Labelled) -> dict[str, Retrieval]:
    """Measure dynamic time warping of the standardized sequences."""
    from tslearn.metrics import cdist_dtw
    from tslearn.utils import to_time_series_dataset

    from refold.sequences import Scaler

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
    return {"DTW of the sequences": quality(cdist_dtw(*parts, **given), data)}


PEERS: dict[str, Callable[[Labelled], dict[str, Retrieval]]] = {
    "PCA": pca_rows,
    "Catch22, MiniRocket": feature_rows,
    "DTW": dtw_rows,
}


def measure(
    name: str, data: Labelled, folder: Path, known: dict[str, Any], method: str | None
) -> dict[str, Any]:
    """Measure all rows on one data set, or those with ``method`` in their names.

    The other rows are those that are known.
    """
    rows = dict(known)
    if method is None or method in "Refold":
        kept = {title: one for title, one in known.items() if "Refold" not in title}
        rows = refold_rows(name, data, folder) | kept
    for title, one in PEERS.items():
        if method is None or method in title:
            rows |= one(data)
    return rows
