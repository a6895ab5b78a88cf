"""Values of all sequences to color by: metadata, and what is computed on request."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import refold.search
from refold._support.arrays import evenly_spaced
from refold._support.rules import check, or_none, whole
from refold.explore._maps import BackgroundTask
from refold.model import Model
from refold.sequences import Sequences

# Numbers with at most this number of different values are categories.
_FEW = 12
# Most categories; text with more different values is no field to color by.
_MAX_CATEGORIES = 200
# Most codes that are clustered; the others join the cluster of their nearest one among these.
MAX_CLUSTERED = 5000
_UNLABELED = "(none)"
# Sequences that are computed at once where all are.
_BLOCK = 2048


class ColorField(BackgroundTask):
    """Values of all sequences, (n_sequences,), to color by: given, or computed on request."""

    def __init__(
        self,
        name: str,
        values: np.ndarray | Callable[[], np.ndarray],
        *,
        categories: list[str] | None = None,
        log: bool = False,
        about: str = "",
    ) -> None:
        # numbers or indices of categories, NaN where missing
        self._is_given = isinstance(values, np.ndarray)
        values = np.asarray(values, float) if isinstance(values, np.ndarray) else values
        super().__init__(f"The values of {name!r}", values)
        self.name = name
        self.categories = categories  # a function of values may set them
        self.note = ""  # what the reader should know about the values
        self.noise: int | None = None  # the category of what is in no category
        # "number" of k-means, None before it is chosen, 0 for HDBSCAN; "most", the largest number
        self.clusters: dict[str, Any] | None = None
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
            "clusters": self.clusters,
            "exact": self._is_given,
        }

    def text(self, row: int) -> Any:
        """Return the value of a sequence, if there is one already."""
        if not self.is_ready or np.isnan(self.result()[row]):
            return None
        value = float(self.result()[row])
        if self.categories is not None:
            return self.categories[int(value)]
        return int(value) if value.is_integer() else value


def in_blocks(count: int, compute: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return what a function gives for some rows at a time, for all of them."""
    starts = range(0, count, _BLOCK)
    blocks = [compute(np.arange(start, min(count, start + _BLOCK))) for start in starts]
    return np.concatenate(blocks, dtype=float)


def metadata_field(name: str, values: ArrayLike) -> ColorField | None:
    """Return a field of metadata; None if it has too many different texts to be colored by."""
    array, texts = np.asarray(values), None
    if array.dtype.kind in "OUS":
        texts = [_UNLABELED if value in (None, "") else str(value) for value in array.tolist()]
        try:
            numbers = np.array([np.nan if text == _UNLABELED else float(text) for text in texts])
        except ValueError:
            return None if len({*texts}) > _MAX_CATEGORIES else _text_field(name, texts)
    else:
        # the number that single precision stands for: 0.1, not 0.10000000149
        single = array.dtype.kind == "f" and array.dtype.itemsize < 8
        numbers = array.astype(str if single else float).astype(float)
    different, index = np.unique(numbers, return_inverse=True)
    if len(different) - np.isnan(different).any() > _FEW:
        return ColorField(name, numbers)
    if texts is None:
        # repr is the shortest text that stands for exactly this number
        names = [repr(number).removesuffix(".0") for number in different.tolist()]
        texts = [_UNLABELED if names[i] == "nan" else names[i] for i in index.tolist()]
    return _text_field(name, texts)


def _text_field(name: str, texts: list[str]) -> ColorField:
    """Return a field of text, with numbers first and missing values last."""

    def place(text: str) -> tuple[int, float, str]:
        try:
            return 0, float(text), text
        except ValueError:
            return 1 + (text == _UNLABELED), 0.0, text

    categories = sorted({*texts}, key=place)
    index = {text: i for i, text in enumerate(categories)}
    return ColorField(name, np.array([index[text] for text in texts]), categories=categories)


def cluster_field(
    model: Model,
    sequences: Sequences,
    codes: np.ndarray,
    vectors: np.ndarray,
    num_clusters: int | None,
) -> ColorField:
    """Return the field of clusters, those of `refold.search.cluster`, found when asked for."""
    most = min(len(codes), MAX_CLUSTERED)
    check("num_clusters", num_clusters, or_none(whole(0, most)))
    method = "hdbscan" if num_clusters == 0 else "k-means"

    def values() -> np.ndarray:
        rows = evenly_spaced(len(codes), MAX_CLUSTERED)
        clusters = refold.search.cluster(
            model,
            sequences[rows],
            codes=codes[rows],
            method=method,
            num_clusters=num_clusters or None,
        )
        labels, count = clusters.labels.copy(), len(clusters)
        field.categories = [str(i) for i in range(count)]
        if (labels < 0).any():
            field.categories.append("noise")
            field.noise = count
            labels[labels < 0] = count
        if method == "k-means":
            field.clusters = {"number": count, "most": most}
        name = "HDBSCAN" if method == "hdbscan" else method
        field.note = f"{name} found {count} cluster{'s' * (count != 1)}"
        if len(codes) > len(rows):
            field.note += (
                f" in a sample of {len(rows):,}, and the others joined the cluster of the nearest "
                "code. refold cluster uses all sequences, so its clusters may differ"
            )
        field.note += "."
        if not count:
            field.note += " k-means always finds some."
        labeled = np.full(len(codes), -1)
        labeled[rows] = labels
        clustered = np.ascontiguousarray(vectors[rows])
        norms = refold.search.squared_norms(clustered)

        def of_block(block: np.ndarray) -> np.ndarray:
            own = labeled[block]
            # the map's own distances, for those that are not clustered themselves
            others = np.flatnonzero(own < 0)
            if len(others):
                scores = norms - 2.0 * (vectors[block[others]] @ clustered.T)
                own[others] = labels[scores.argmin(axis=1)]
            return own

        return in_blocks(len(codes), of_block)

    about = "sequences that decode to similar sequences"
    field = ColorField("cluster", values, about=about, categories=[])
    field.clusters = {"number": num_clusters, "most": most}
    return field
