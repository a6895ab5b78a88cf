"""Values of the sequences that a map is colored by; some are computed when they are asked for."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from refold.errors import DataError, RefoldError

logger = logging.getLogger("refold.explore")
# Numbers with at most this number of different values are categories.
_FEW = 12
# Most categories; text with more different values is no field to color by.
_MANY = 200


class ColorField:
    """Values of all sequences, (n_sequences,), to color by: given, or computed on request."""

    def __init__(
        self,
        name: str,
        values: np.ndarray | None = None,
        *,
        categories: list[str] | None = None,
        compute: Callable[[], Iterator[np.ndarray]] | None = None,
        count: int = 0,
        log: bool = False,
        about: str = "",
        is_category: bool = False,
    ) -> None:
        self.name = name
        self.categories = categories
        self.note = ""  # what the reader should know about the values
        self.failure = ""  # why they could not be computed
        self.noise: int | None = None  # the category of what is in no category
        self.centers = False  # whether the map names the categories at their centers
        self.given = False  # whether the reader gave the values
        # "number" of k-means, or None for HDBSCAN, and "most", the largest number for k-means
        self.clusters: dict[str, Any] | None = None
        # `compute` sets the categories before it yields indices of them
        self._is_category = is_category or categories is not None
        self.done = 0.0 if values is None else 1.0
        # numbers or indices of categories, NaN where missing
        self._values = None if values is None else np.asarray(values, float)
        self._compute = compute
        self._count = count
        self._log = log  # whether colors follow the logarithm
        self._about = about
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def describe(self) -> dict[str, Any]:
        """Return what a page needs to know."""
        return {
            "name": self.name,
            "type": "category" if self._is_category else "number",
            "categories": self.categories,
            "log": self._log,
            "about": self._about,
            "note": self.note,
            "noise": self.noise,
            "centers": self.centers,
            "clusters": self.clusters,
            "given": self.given,
            "exact": self._compute is None,
        }

    def values(self, wait: float = 0.0) -> np.ndarray | None:
        """Return the values, or None if they are still being computed; the first call starts it."""
        with self._lock:
            if self._values is None and self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
        if self._values is None and self._thread is not None:
            self._thread.join(wait)
        return self._values

    def text(self, row: int) -> Any:
        """Return the value of a sequence, if there is one already."""
        if self._values is None or np.isnan(self._values[row]):
            return None
        value = float(self._values[row])
        if self.categories is not None:
            return self.categories[int(value)]
        return int(value) if value.is_integer() else value

    def _run(self) -> None:
        blocks, done = [], 0
        try:
            for block in self._compute() if self._compute else ():
                blocks.append(np.asarray(block, float))
                done += len(block)
                self.done = done / max(1, self._count)
            self._values = np.concatenate(blocks) if blocks else np.zeros(0)
        except RefoldError as error:
            self.failure = str(error)
        except Exception:
            logger.exception("The values of %s could not be computed", self.name)
            self.failure = (
                f"The values of {self.name!r} could not be computed. The log of the server says "
                "why; choose another color."
            )


def fields_of(given: Mapping[str, Any], count: int) -> list[ColorField]:
    """Return a field for each column of metadata, which must have ``count`` values."""
    fields = []
    for name, values in given.items():
        if len(values) != count:
            raise DataError(f"{name!r} has {len(values)} values for {count} sequences.")
        if (field := field_of(name, values)) is None:
            raise DataError(
                f"{name!r} has too many different texts to color by. Leave it out, or group it."
            )
        fields.append(field)
    return fields


def field_of(name: str, values: ArrayLike) -> ColorField | None:
    """Return a field of metadata; None if it has too many different texts to be colored by."""
    array = np.asarray(values)
    if array.dtype.kind in "OUS":
        texts = np.array(["" if one is None else str(one) for one in array.tolist()])
        try:
            numbers = np.array([float(one) if one else np.nan for one in texts.tolist()])
        except ValueError:
            return _categories(name, texts)
    else:
        # the number that single precision stands for: 0.1, not 0.10000000149
        single = array.dtype.kind == "f" and array.dtype.itemsize < 8
        texts, numbers = None, array.astype(str if single else float).astype(float)
    known, index = np.unique(numbers, return_inverse=True)
    if len(known) - np.isnan(known).any() > _FEW:
        return ColorField(name, numbers)
    if texts is None:  # a text for each value, not for each sequence
        # repr is the shortest text that stands for exactly this number
        shown = [repr(one).removesuffix(".0") for one in known.tolist()]
        names = np.array(["" if text == "nan" else text for text in shown])
        return _categories(name, names[index.reshape(-1)])
    return _categories(name, texts)


def _categories(name: str, texts: np.ndarray) -> ColorField | None:
    found, index = np.unique(texts, return_inverse=True)
    if len(found) > _MANY:
        return None
    order = sorted(range(len(found)), key=lambda i: _natural(str(found[i])))
    place = np.empty(len(found))
    place[order] = np.arange(len(found))
    labels = [str(found[i]) or "(none)" for i in order]
    return ColorField(name, place[index.reshape(-1)], categories=labels)


def _natural(text: str) -> tuple[bool, float, str]:
    try:
        return False, float(text), text
    except ValueError:
        return True, 0.0, text
