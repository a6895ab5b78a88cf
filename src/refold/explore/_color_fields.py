"""A `ColorField` has a value for each sequence, which colors its point on the map of codes.

`make_metadata_color_field` takes metadata, and `make_cluster_color_field` finds clusters.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import refold.search
from refold._support.arrays import linspace_indices
from refold._support.messages import pluralize
from refold._support.rules import check, integer_rule, or_none
from refold.explore._maps import BackgroundTask
from refold.model import Model
from refold.sequences import Sequences

# Numbers with at most this many different values are categories, with a color each.
_MAX_NUMERIC_CATEGORIES = 12
# Text with more different values gets no field, because its legend would be useless.
_MAX_TEXT_CATEGORIES = 200
# Clusters are found in a sample of at most this many codes, which bounds the time. The other codes
# join the cluster of the nearest code in the sample.
MAX_CLUSTERED_CODES = 5000
# Name of the category of missing values.
_MISSING_LABEL = "(none)"
# Number of sequences whose values are computed at once, which bounds the memory.
_SEQUENCES_PER_BLOCK = 2048


class ColorField(BackgroundTask):
    """Values of all sequences (n_sequences,), which may be computed when they are needed."""

    def __init__(
        self,
        name: str,
        values: np.ndarray | Callable[[], np.ndarray],
        *,
        categories: list[str] | None = None,
        is_log: bool = False,  # whether the color scale is logarithmic
        description: str = "",
    ) -> None:
        # `values` is an array, or a function that computes it. It has numbers or indices of
        # categories, and NaN where a value is missing. The page shows all digits of an array
        # (metadata), and rounds values that a function computes.
        self._is_exact = isinstance(values, np.ndarray)
        values = np.asarray(values, float) if isinstance(values, np.ndarray) else values
        super().__init__(f"The values of {name!r}", values)
        self.name = name
        self.categories = categories  # for clusters, empty until they are found
        self.note = ""  # a remark about the values, which the page shows below the legend
        self.noise_category: int | None = None  # index of the category of noise
        # For a field of clusters: "number" has the number of clusters of k-means, None before it is
        # chosen, or 0 for HDBSCAN. "most" has the largest number that can be chosen.
        self.cluster_choice: dict[str, Any] | None = None
        self._is_log, self._description = is_log, description

    def describe(self) -> dict[str, Any]:
        """Return what the page needs to know about the field, as JSON."""
        return {
            "name": self.name,
            "type": "number" if self.categories is None else "category",
            "categories": self.categories or None,
            "log": self._is_log,
            "about": self._description,
            "note": self.note,
            "noise": self.noise_category,
            "clusters": self.cluster_choice,
            "exact": self._is_exact,
        }

    def get_value(self, row: int) -> Any:
        """Return the category or the number of a sequence; None if missing or not computed yet."""
        if not self.is_ready or np.isnan(self.result()[row]):
            return None
        value = float(self.result()[row])
        if self.categories is not None:
            return self.categories[int(value)]
        return int(value) if value.is_integer() else value


def compute_in_blocks(count: int, compute_block: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Call a function for blocks of the indices below ``count``; return all results (count,)."""
    blocks = np.split(np.arange(count), range(_SEQUENCES_PER_BLOCK, count, _SEQUENCES_PER_BLOCK))
    return np.concatenate([compute_block(block) for block in blocks], dtype=float)


def make_metadata_color_field(name: str, values: ArrayLike) -> ColorField | None:
    """Return a field of metadata; None if it has too many different texts to color by."""
    array, texts = np.asarray(values), None
    if array.dtype.kind in "OUS":  # objects or texts, which may be numbers as text
        texts = [_MISSING_LABEL if value in (None, "") else str(value) for value in array.tolist()]
        try:
            numbers = np.array(
                [np.nan if text == _MISSING_LABEL else float(text) for text in texts]
            )
        except ValueError:  # not all texts are numbers
            has_few_texts = len({*texts}) <= _MAX_TEXT_CATEGORIES
            return _make_category_color_field(name, texts) if has_few_texts else None
    else:
        # numbers in single precision become text first, so that 0.1 does not become 0.10000000149
        is_single = array.dtype.kind == "f" and array.dtype.itemsize < 8
        numbers = array.astype(str if is_single else float).astype(float)
    distinct, distinct_indices = np.unique(numbers, return_inverse=True)
    # a missing value, NaN, is not one of the different numbers
    if len(distinct) - np.isnan(distinct).any() > _MAX_NUMERIC_CATEGORIES:
        return ColorField(name, numbers)
    if texts is None:
        # `repr` is the shortest text that is read as exactly this number
        names = [repr(value).removesuffix(".0") for value in distinct.tolist()]
        texts = [
            _MISSING_LABEL if names[i] == "nan" else names[i] for i in distinct_indices.tolist()
        ]
    return _make_category_color_field(name, texts)


def _make_category_color_field(name: str, texts: list[str]) -> ColorField:
    """Return a field of categories: first numbers, then texts, then the missing values."""

    def make_category_sort_key(category: str) -> tuple[int, float, str]:
        """Return a group (0: numbers, 1: texts, 2: missing), and the order inside the group."""
        try:
            return 0, float(category), category
        except ValueError:
            return 1 + (category == _MISSING_LABEL), 0.0, category

    categories = sorted({*texts}, key=make_category_sort_key)
    indices = {text: i for i, text in enumerate(categories)}
    return ColorField(name, np.array([indices[text] for text in texts]), categories=categories)


def make_cluster_color_field(
    model: Model,
    sequences: Sequences,
    codes: np.ndarray,  # (n_sequences, code_size)
    weighted_codes: np.ndarray,  # (n_sequences, code_size); the map is made of their distances
    num_clusters: int | None,  # of k-means, which chooses it if it is None; 0 for HDBSCAN
) -> ColorField:
    """Return the field of clusters, which `refold.search.cluster` finds when they are needed."""
    max_clusters = min(len(codes), MAX_CLUSTERED_CODES)
    check("num_clusters", num_clusters, or_none(integer_rule(0, max_clusters)))
    method = "hdbscan" if num_clusters == 0 else "k-means"

    def find_clusters() -> np.ndarray:
        """Find clusters in a sample, describe them in `field`, and return labels of all codes."""
        rows = linspace_indices(len(codes), MAX_CLUSTERED_CODES)
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
            field.noise_category = count
            labels[labels < 0] = count  # noise is the last category
        if method == "k-means":
            field.cluster_choice = {"number": count, "most": max_clusters}
        name = "HDBSCAN" if method == "hdbscan" else method
        field.note = f"{name} found {pluralize(count, 'cluster')}"
        if len(codes) > len(rows):
            field.note += (
                f" in a sample of {len(rows):,} sequences. Each other one is in the cluster of the "
                "nearest code. The command refold cluster uses all, so its clusters may differ"
            )
        field.note += "." if count else ". k-means always finds some."
        all_labels = np.full(len(codes), -1)  # -1 outside of the sample
        all_labels[rows] = labels
        sample = np.ascontiguousarray(weighted_codes[rows])
        sample_norms = refold.search.squared_norms(sample)

        def label_codes(indices: np.ndarray) -> np.ndarray:
            """Return labels of codes; outside of the sample, that of the nearest sampled code."""
            block_labels = all_labels[indices]
            outside = np.flatnonzero(block_labels < 0)
            if len(outside):
                # Squared distances to the sample are |x|^2 + |y|^2 - 2 x y. The term |x|^2 is left
                # out, because it is the same for all y.
                distances = sample_norms - 2.0 * (weighted_codes[indices[outside]] @ sample.T)
                block_labels[outside] = labels[distances.argmin(axis=1)]
            return block_labels

        return compute_in_blocks(len(codes), label_codes)

    description = "groups of sequences whose codes decode to similar sequences"
    field = ColorField("cluster", find_clusters, description=description, categories=[])
    field.cluster_choice = {"number": num_clusters, "most": max_clusters}
    return field
