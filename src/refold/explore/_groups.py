"""Groups of sequences to color by: clusters, labels that the reader gives, and a normal set."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

import refold.search
from refold._support.arrays import evenly_spaced
from refold.errors import ParameterError
from refold.explore._decoding import blocks
from refold.explore._fields import ColorField
from refold.model import Model
from refold.search import Clusters
from refold.sequences import Sequences, fingerprints

# Most codes that are clustered; the others join the cluster of their nearest one among these.
MOST_CLUSTERED = 5000
_LONGEST_NAME, _MOST_VALUES = 60, 100
UNLABELED = "(none)"


def cluster_field(
    model: Model,
    sequences: Sequences,
    codes: np.ndarray,
    vectors: np.ndarray,
    num_clusters: int | None,
) -> ColorField:
    """Return the field of clusters, those of `refold.search.cluster`, found when asked for."""

    def compute() -> Iterator[np.ndarray]:
        rows = evenly_spaced(len(codes), MOST_CLUSTERED)
        found = refold.search.cluster(
            model, sequences[rows], codes=codes[rows], num_clusters=num_clusters
        )
        labels = found.labels.copy()
        field.categories = [str(i) for i in range(len(found))]
        if (labels < 0).any():
            field.categories.append("noise")
            field.noise = len(found)
            labels[labels < 0] = len(found)
        field.note = _note(found, len(codes), "HDBSCAN" if num_clusters is None else "k-means")
        known = np.full(len(codes), -1)
        known[rows] = labels
        some = np.ascontiguousarray(vectors[rows])
        norms = refold.search.squared_norms(some)
        for chosen in blocks(len(codes)):
            block = known[chosen]
            # the map's own distances, for those that are not clustered themselves
            others = np.flatnonzero(block < 0)
            if len(others):
                scores = vectors[chosen[others]] @ some.T
                scores *= -2.0
                scores += norms
                block[others] = labels[scores.argmin(axis=1)]
            yield block

    about = "sequences that decode to similar sequences"
    field = ColorField("cluster", compute=compute, count=len(codes), about=about, is_category=True)
    field.centers = True
    field.clusters = {"number": num_clusters, "most": min(len(codes), MOST_CLUSTERED)}
    return field


def check_clusters(number: object, most: int) -> None:
    """Raise an error unless the number is None, for HDBSCAN, or from 1 to ``most``."""
    if number is not None and (type(number) is not int or not 1 <= number <= most):
        raise ParameterError(
            f"The number of clusters must be a whole number from 1 to {most}, or null for "
            f"HDBSCAN. Got {str(number)[:40]}."
        )


def _note(found: Clusters, count: int, method: str) -> str:
    clusters = f"{len(found)} cluster{'s' * (len(found) != 1)}"
    note = f"{method} found {clusters}"
    if count > len(found.ids):
        note += (
            f" in a sample of {len(found.ids):,}, and the others joined the cluster of the nearest "
            "code. refold cluster uses all sequences, so its clusters may differ"
        )
    if not len(found):
        return f"{note}. k-means finds as many as you say, here or with --num-clusters N."
    return note + "."


def label_field(
    old: ColorField | None, name: str, value: str, rows: list[int], count: int
) -> ColorField:
    """Return a column, new or from ``old``, in which ``rows`` have a label of the reader."""
    name, value = (_name(one, what) for one, what in ((name, "column"), (value, "label")))
    if value == UNLABELED:
        raise ParameterError(f"{UNLABELED!r} is for sequences without a label. Choose another.")
    known = [UNLABELED] if old is None else [*(old.categories or ())]
    found = np.zeros(count, int) if old is None else np.array(old.values(), int)
    known.append(value)
    found[rows] = len(known) - 1
    texts = np.array(known, object)
    used = {*texts[np.unique(found)].tolist()}
    names = sorted(used - {UNLABELED}) + [UNLABELED] * (UNLABELED in used)
    if len(names) > _MOST_VALUES:
        raise ParameterError(f"{name!r} has {_MOST_VALUES} labels already. Use another column.")
    place = {one: i for i, one in enumerate(names)}
    values = np.array([place.get(one, 0) for one in known])[found]
    field = ColorField(name, values, categories=names, about="labels that you gave")
    field.given = True
    field.noise = place.get(UNLABELED)
    return field


def label_table(field: ColorField, sequences: Sequences) -> pa.Table:
    """Return the ids of all sequences and their labels, null for those without one."""
    names = np.array([*(field.categories or ())], object)
    names[names == UNLABELED] = None
    labels = names[np.asarray(field.values(), int)]
    ids = sequences.ids.tolist()
    return pa.table(
        {
            sequences.schema.id_name or "id": pa.array(ids),
            field.name: pa.array(labels.tolist(), pa.string()),
        }
    )


def normal_field(model: Model, sequences: Sequences, rows: list[int]) -> ColorField:
    """Return the field of p-values of all sequences if those in ``rows`` are the normal ones."""

    def compute() -> Iterator[np.ndarray]:
        other = model.calibrated_with(sequences[np.asarray(rows)])
        for chosen in blocks(len(sequences)):
            yield other.compared(other.align(sequences[chosen]))[2]

    about = f"share of the {len(rows)} sequences you selected that are as anomalous"
    name = f"p-value, {len(rows):,} normal"
    field = ColorField(name, compute=compute, count=len(sequences), log=True, about=about)
    trained = model.fingerprints.trained
    if trained is not None and np.isin(fingerprints(sequences[np.asarray(rows)]), trained).any():
        field.note = (
            "The model was trained on some of these normal sequences, so sequences that it was "
            "not trained on look more anomalous than they are."
        )
    return field


def _name(given: object, what: str) -> str:
    text = given.strip() if isinstance(given, str) else ""
    if not text or len(text) > _LONGEST_NAME or not text.isprintable():
        raise ParameterError(f"The name of a {what} must have 1 to {_LONGEST_NAME} characters.")
    return text
