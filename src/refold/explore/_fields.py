"""Values of all sequences to color by: metadata, labels, and what is computed on request."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

import refold.search
from refold._support.arrays import evenly_spaced
from refold._support.rules import check, or_none, whole
from refold.errors import ParameterError
from refold.explore._maps import BackgroundTask
from refold.model import Model
from refold.sequences import Sequences, fingerprints

# Numbers with at most this number of different values are categories.
_FEW = 12
# Most categories; text with more different values is no field to color by.
_MAX_CATEGORIES = 200
# Most codes that are clustered; the others join the cluster of their nearest one among these.
MAX_CLUSTERED = 5000
# Most characters of a name that the reader gives.
_MAX_NAME = 60
_UNLABELED = "(none)"
# Sequences that are computed at once where all are.
_BLOCK = 2048


class ColorField(BackgroundTask):
    """Values of all sequences, (n_sequences,), to color by: given, or computed on request."""

    def __init__(
        self,
        name: str,
        values: np.ndarray | None = None,
        *,
        categories: list[str] | None = None,
        blocks: Callable[[], Iterator[np.ndarray]] | None = None,
        count: int = 0,
        log: bool = False,
        about: str = "",
    ) -> None:
        super().__init__(f"The values of {name!r}", self._compute_blocks)
        self.name = name
        self.categories = categories  # `blocks` may set them before it yields indices of them
        self.note = ""  # what the reader should know about the values
        self.noise: int | None = None  # the category of what is in no category
        self.is_label = False  # whether the reader gave the values
        # "number" of k-means, or None for HDBSCAN, and "most", the largest number for k-means
        self.clusters: dict[str, Any] | None = None
        if values is not None:
            # numbers or indices of categories, NaN where missing
            self.done, self._result = 1.0, np.asarray(values, float)
        self._blocks = blocks
        self._count = count
        self._log = log  # whether colors follow the logarithm
        self._about = about

    def describe(self) -> dict[str, Any]:
        """Return what a page needs to know."""
        return {
            "name": self.name,
            "type": "number" if self.categories is None else "category",
            "categories": self.categories or None,  # those of clusters are not known before
            "log": self._log,
            "about": self._about,
            "note": self.note,
            "noise": self.noise,
            "centers": self.clusters is not None,  # of which the map shows the names
            "clusters": self.clusters,
            "given": self.is_label,
            "exact": self._blocks is None,
        }

    def values(self, wait: float = 0.0) -> np.ndarray | None:
        """Return the values, or None if they are still being computed; the first call starts it."""
        return self.result(wait)

    def _compute_blocks(self) -> np.ndarray:
        blocks, done = [np.zeros(0)], 0
        for block in self._blocks() if self._blocks else ():
            blocks.append(np.asarray(block, float))
            done += len(block)
            self.done = done / max(1, self._count)
        return np.concatenate(blocks)

    def text(self, row: int) -> Any:
        """Return the value of a sequence, if there is one already."""
        if self._result is None or np.isnan(self._result[row]):
            return None
        value = float(self._result[row])
        if self.categories is not None:
            return self.categories[int(value)]
        return int(value) if value.is_integer() else value


def blocks_of(count: int) -> Iterator[np.ndarray]:
    """Yield the rows of each block."""
    for begin in range(0, count, _BLOCK):
        yield np.arange(begin, min(count, begin + _BLOCK))


def metadata_field(name: str, values: ArrayLike) -> ColorField | None:
    """Return a field of metadata; None if it has too many different texts to be colored by."""
    array = np.asarray(values)
    if array.dtype.kind in "OUS":
        texts = np.array(["" if value is None else str(value) for value in array.tolist()])
        try:
            numbers = np.array([float(text) if text else np.nan for text in texts.tolist()])
        except ValueError:
            return _categories(name, texts)
    else:
        # the number that single precision stands for: 0.1, not 0.10000000149
        single = array.dtype.kind == "f" and array.dtype.itemsize < 8
        texts, numbers = None, array.astype(str if single else float).astype(float)
    different, index = np.unique(numbers, return_inverse=True)
    if len(different) - np.isnan(different).any() > _FEW:
        return ColorField(name, numbers)
    if texts is None:  # a text for each value, not for each sequence
        # repr is the shortest text that stands for exactly this number
        names = [repr(number).removesuffix(".0") for number in different.tolist()]
        texts = np.array(["" if text == "nan" else text for text in names])[index.reshape(-1)]
    return _categories(name, texts)


def _categories(name: str, texts: np.ndarray) -> ColorField | None:
    different, index = np.unique(texts, return_inverse=True)
    if len(different) > _MAX_CATEGORIES:
        return None

    def natural(i: int) -> tuple[bool, float, str]:
        """Sort numbers by their size, and before other texts."""
        try:
            return False, float(different[i]), different[i]
        except ValueError:
            return True, 0.0, different[i]

    order = sorted(range(len(different)), key=natural)
    place = np.empty(len(different))
    place[order] = np.arange(len(different))
    labels = [str(different[i]) or _UNLABELED for i in order]
    return ColorField(name, place[index.reshape(-1)], categories=labels)


def cluster_field(
    model: Model,
    sequences: Sequences,
    codes: np.ndarray,
    vectors: np.ndarray,
    num_clusters: int | None,
) -> ColorField:
    """Return the field of clusters, those of `refold.search.cluster`, found when asked for."""
    most = min(len(codes), MAX_CLUSTERED)
    check("num_clusters", num_clusters, or_none(whole(1, most)))

    def blocks() -> Iterator[np.ndarray]:
        rows = evenly_spaced(len(codes), MAX_CLUSTERED)
        clusters = refold.search.cluster(
            model, sequences[rows], codes=codes[rows], num_clusters=num_clusters
        )
        labels, count = clusters.labels.copy(), len(clusters)
        field.categories = [str(i) for i in range(count)]
        if (labels < 0).any():
            field.categories.append("noise")
            field.noise = count
            labels[labels < 0] = count
        method = "HDBSCAN" if num_clusters is None else "k-means"
        field.note = f"{method} found {count} cluster{'s' * (count != 1)}"
        if len(codes) > len(rows):
            field.note += (
                f" in a sample of {len(rows):,}, and the others joined the cluster of the nearest "
                "code. refold cluster uses all sequences, so its clusters may differ"
            )
        field.note += "."
        if not count:
            field.note += " k-means finds as many as you say, here or with --num-clusters N."
        labeled = np.full(len(codes), -1)
        labeled[rows] = labels
        clustered = np.ascontiguousarray(vectors[rows])
        norms = refold.search.squared_norms(clustered)
        for block in blocks_of(len(codes)):
            own = labeled[block]
            # the map's own distances, for those that are not clustered themselves
            others = np.flatnonzero(own < 0)
            if len(others):
                scores = norms - 2.0 * (vectors[block[others]] @ clustered.T)
                own[others] = labels[scores.argmin(axis=1)]
            yield own

    about = "sequences that decode to similar sequences"
    field = ColorField("cluster", blocks=blocks, count=len(codes), about=about, categories=[])
    field.clusters = {"number": num_clusters, "most": most}
    return field


def label_field(
    old: ColorField | None, name: object, value: object, rows: list[int], count: int
) -> ColorField:
    """Return a column, new or from ``old``, in which ``rows`` have a label of the reader."""
    for text, what in ((name, "column"), (value, "label")):
        text = text.strip() if isinstance(text, str) else ""
        if not 0 < len(text) <= _MAX_NAME or not text.isprintable() or text == _UNLABELED:
            raise ParameterError(
                f"The name of a {what} must have 1 to {_MAX_NAME} characters, and not be "
                f"{_UNLABELED}, which is for sequences without a label."
            )
    name, value = str(name).strip(), str(value).strip()
    labels = np.full(count, _UNLABELED, object) if old is None else _labels(old)
    labels[rows] = value
    texts = labels.tolist()
    names = sorted({*texts} - {_UNLABELED})
    categories = [*names, _UNLABELED] if _UNLABELED in texts else names
    place = {text: i for i, text in enumerate(categories)}
    values = np.array([place[text] for text in texts])
    field = ColorField(name, values, categories=categories, about="labels that you gave")
    field.is_label = True
    field.noise = place.get(_UNLABELED)
    return field


def _labels(field: ColorField) -> np.ndarray:
    return np.array(field.categories, object)[np.asarray(field.values(), int)]


def label_table(field: ColorField, sequences: Sequences) -> pa.Table:
    """Return the ids of all sequences and their labels, null for those without one."""
    labels = [None if label == _UNLABELED else label for label in _labels(field)]
    ids = pa.array(sequences.ids.tolist())
    return pa.table(
        {sequences.schema.id_name or "id": ids, field.name: pa.array(labels, pa.string())}
    )


def normal_field(model: Model, sequences: Sequences, rows: list[int]) -> ColorField:
    """Return the field of p-values of all sequences if those in ``rows`` are the normal ones."""
    normal = sequences[np.asarray(rows)]

    def blocks() -> Iterator[np.ndarray]:
        other = model.calibrated_with(normal)
        for block in blocks_of(len(sequences)):
            yield other.compared(other.align(sequences[block]))[2]

    about = f"share of the {len(rows)} sequences you selected that are as anomalous"
    name = f"p-value, {len(rows):,} normal"
    field = ColorField(name, blocks=blocks, count=len(sequences), log=True, about=about)
    trained = model.fingerprints.trained
    if trained is not None and np.isin(fingerprints(normal), trained).any():
        field.note = (
            "The model was trained on some of these normal sequences, so sequences that it was "
            "not trained on look more anomalous than they are."
        )
    return field
