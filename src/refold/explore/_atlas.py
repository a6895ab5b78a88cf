"""Sequences, their codes and their places on a map, and what the page asks about them."""

import functools
import inspect
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from refold._support.argument_checks import check_one_each, check_some
from refold._support.arrays import evenly_spaced
from refold._support.rules import check_only_one
from refold.errors import ParameterError
from refold.explore._decoding import (
    CodeDecoder,
    blocks,
    usual_range,
    values_of,
    worst_values,
)
from refold.explore._fields import ColorField, fields_of
from refold.explore._groups import check_clusters, cluster_field, label_field, normal_field
from refold.explore._maps import (
    FlatMap,
    NeighborMap,
    PcaMap,
    WeightedCodes,
    effects,
)
from refold.explore._umap import UmapJob
from refold.model import ModelLike, SequencesLike, means_by_sequence, model_of
from refold.sequences import Sequences, as_sequences

# Steps of a neighbor that are sent for its small picture, and neighbors.
_SMALL_STEPS, _NEIGHBORS = 160, 6
# Codes of which the sliders have the range.
_RANGED = 50_000
# Most ids that the page holds, for its tooltips.
_MOST_IDS = 20_000
MAPS = ("pca", "umap")


class Atlas:
    """A map of codes, in which each place decodes to a sequence.

    Parameters
    ----------
    model : Model or SequenceAutoencoder
        A fitted model.
    X : Sequences, list of arrays, array or table
        Data with the columns of the training data.
    codes : array of shape (n_sequences, width of the code), optional
        Codes of the sequences, if you have them already.
    fields : mapping of str to array, optional
        Labels and metadata to color by, one value per sequence.
    num_clusters : int, optional
        Number of clusters to color by, for k-means. By default, HDBSCAN finds it.

    Attributes
    ----------
    codes : array of float32 of shape (n_sequences, width of the code)
        Codes of the sequences.
    places : array of float32 of shape (n_sequences, 2)
        Places on the map.
    projection : PcaMap
        The map: from codes to places and back.
    fields : list of ColorField
        What the map can be colored by.
    score_components : array of float32 of shape (n_sequences, 2)
        Error and distance, of which anomaly scores are the sum, as soon as p-values are computed;
        empty if the model is not calibrated.

    Raises
    ------
    DataError
        If there is no sequence, or the number of codes or values differs from theirs.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(
    ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
    ... ).fit(sines)
    >>> atlas = Atlas(ae, sines)
    >>> atlas.places.shape
    (40, 2)
    """

    def __init__(
        self,
        model: ModelLike,
        X: SequencesLike,
        *,
        codes: ArrayLike | None = None,
        fields: Mapping[str, Any] | None = None,
        num_clusters: int | None = None,
    ) -> None:
        self.model = model = model_of(model)
        self.sequences = as_sequences(X).align(model.schema)
        count = len(self.sequences)
        check_some(count, "sequence", "to show")
        self.codes = model.check_codes(model.encode(self.sequences) if codes is None else codes)
        check_one_each(len(self.codes), "codes", count, "sequences")
        self._decoding = CodeDecoder(model, self.sequences.lengths)
        weights = effects(self.codes, self.sequences.lengths, self._decoding.change)
        self.projection = PcaMap(self.codes, weights)
        self.similar = WeightedCodes(self.codes, self.projection.mean, weights)
        self._maps: dict[str, FlatMap] = {"pca": self.projection}
        self.places = self.projection.places
        self.umap = UmapJob(self.similar.vectors)
        self._lock = threading.Lock()
        calibrated = model.calibration is not None
        self.score_components = np.zeros((count if calibrated else 0, 2), np.float32)
        self.fields = self._all_fields(fields or {}, num_clusters)

    def describe(self) -> dict[str, Any]:
        """Return what the page needs to begin."""
        schema, lengths = self.sequences.schema, self.sequences.lengths
        some = self.codes[evenly_spaced(len(self.codes), _RANGED)]
        low, high = np.quantile(some, [0.005, 0.995], axis=0)
        ids = self.sequences.ids
        return {
            "count": len(ids),
            "maps": MAPS,
            "columns": [
                {
                    "name": column.name,
                    "type": column.type,
                    "tokens": column.column_type.has_categories,
                    "range": usual_range(self.sequences, i),
                }
                for i, column in enumerate(schema.columns)
            ],
            "layout": schema.layout,
            "explained": self.projection.explained,
            "fields": [field.describe() for field in self.fields],
            "dimensions": {
                "low": low,
                "high": high,
                "mean": self.projection.mean,
                "effect": self.projection.weights * np.maximum(self.codes.std(axis=0), 1e-9),
            },
            "usual_length": int(np.quantile(lengths, 0.95)),
            "ids": ids.tolist() if len(ids) <= _MOST_IDS else None,
            "calibrated": self.model.calibration is not None,
            # sequences with a p-value of at most this are anomalous, as in `detect`
            "alpha": inspect.signature(self.model.detect).parameters["alpha"].default,
            "num_normal": self.model.num_calibrated,
        }

    def map(self, name: str, wait: float = 0.0) -> FlatMap | None:
        """Return a map, or None while it is computed; wait some seconds for it."""
        if name not in MAPS:
            raise ParameterError(f"There is no map {str(name)[:40]!r}. There are pca and umap.")
        if name not in self._maps:
            places = self.umap.places(wait)
            if places is None:
                return None
            with self._lock:
                if name not in self._maps:
                    self._maps[name] = NeighborMap(places, self.codes, self.similar)
        return self._maps[name]

    def show(self, row: int) -> dict[str, Any]:
        """Return a sequence, its reconstruction, the error of each step, and its neighbors."""
        if not 0 <= row < len(self.codes):
            raise ParameterError(
                f"There is no sequence {row}. The map has those from 0 to {len(self.codes) - 1}."
            )
        shown = self.compare(self.sequences[[row]], self.codes[[row]])[0]
        hits = self.similar.nearest(self.codes[[row]], _NEIGHBORS + 1)[0]
        neighbors = [
            (other, float(distance))
            for other, distance in zip(hits.rows.tolist(), hits.distances, strict=True)
            if other != row
        ]
        shown["row"] = row
        shown["fields"] = {field.name: field.text(row) for field in self.fields}
        shown["neighbors"] = [
            {
                "row": other,
                "id": self.sequences.ids[other].item(),
                "distance": distance,
                "values": values_of(self.sequences[[other]], most=_SMALL_STEPS),
            }
            for other, distance in neighbors[:_NEIGHBORS]
        ]
        return shown

    def compare(
        self, sequences: Sequences, codes: np.ndarray, on: str = "pca"
    ) -> list[dict[str, Any]]:
        """Return sequences and their reconstructions from codes, at the true lengths."""
        back = self._decoding.decoded(codes, sequences.lengths)
        entries = self._decoding.entries(sequences, back)
        own = self.model.predict_lengths(codes)
        said = self._decoding.anomalies(sequences)
        places = self._ready(on).places_of(codes)
        observed = ~np.isnan(entries)
        by_step = np.where(observed, entries, 0.0).sum(axis=1) / np.maximum(observed.sum(axis=1), 1)
        totals = means_by_sequence(entries, sequences)
        shown = []
        for i in range(len(sequences)):
            begin, end = sequences.offsets[i : i + 2]
            shown.append(
                {
                    **(said[i] if said else {}),
                    "reasons": worst_values(entries[begin:end], self.sequences.schema.names),
                    "id": sequences.ids[i].item(),
                    "code": codes[i],
                    "at": places[i],
                    "length": int(end - begin),
                    "own_length": int(own[i]),
                    "values": values_of(sequences[[i]]),
                    "back": values_of(back[[i]]),
                    "errors": by_step[begin:end].astype(np.float32),
                    "error": float(totals[i]),
                }
            )
        return shown

    def unfold(
        self,
        at: ArrayLike | None = None,
        code: ArrayLike | None = None,
        row: int | None = None,
        on: str = "pca",
    ) -> dict[str, Any]:
        """Decode a place of the map, or a code.

        Parameters
        ----------
        at : pair of float, optional
            Place on the map.
        code : array of shape (width of the code,), optional
            Code, instead of a place.
        row : int, optional
            Sequence whose other components the code keeps. By default they are at their mean.
        on : {"pca", "umap"}
            Map of the place. A place of a UMAP map is a mean of the codes near it.

        Returns
        -------
        dict

        Examples
        --------
        >>> import refold
        >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
        >>> ae = refold.SequenceAutoencoder(
        ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
        ... ).fit(sines)
        >>> atlas = Atlas(ae, sines)
        >>> found = atlas.unfold(at=[0.1, 0.2])
        >>> len(found["back"][0]) == found["length"], found["far"]
        (True, False)
        """
        check_only_one("a place as 'at', or a code", at, code)
        flat = self._ready(on)
        if at is not None:
            place = _finite_numbers(at, 2, "at")
            if row is not None and not (type(row) is int and 0 <= row < len(self.codes)):
                raise ParameterError(f"There is no sequence {str(row)[:40]}.")
            codes = flat.code_at(place, row)[None]
            rows, distances = flat.nearest(place, 1)
            closest, far = int(rows[0]), float(distances[0]) > flat.reach
        else:
            codes = _finite_numbers(code, self.codes.shape[1], "code")[None]
            place = flat.places_of(codes)[0]
            found = self.similar.nearest(codes, 1)[0]
            closest, far = int(found.rows[0]), float(found.distances[0]) > self.similar.reach
        codes = codes.astype(np.float32)
        back = self._decoding.decoded(codes)
        return {
            "at": place.astype(np.float32),
            "code": codes[0],
            "length": len(back.values),
            "back": values_of(back),
            "far": far,
            "nearest": closest,
            "id": self.sequences.ids[closest].item(),
        }

    def field(self, name: str) -> ColorField:
        """Return a field by its name."""
        for field in self.fields:
            if field.name == name:
                return field
        names = ", ".join(field.name for field in self.fields)
        raise ParameterError(f"There is nothing named {name!r} to color by. There is {names}.")

    def label(self, name: str, value: str, rows: list[int]) -> ColorField:
        """Give sequences a label in a column of the reader, a new one or one made in this way."""
        with self._lock:
            old = next((field for field in self.fields if field.name == str(name).strip()), None)
            if old is not None and not old.given:
                raise ParameterError(f"{old.name!r} exists already. Choose another column.")
            return self._put(label_field(old, name, value, rows, len(self.codes)))

    def normal(self, rows: list[int]) -> ColorField:
        """Return p-values of all sequences, with some of them as the normal ones of `detect`."""
        with self._lock:
            return self._put(normal_field(self.model, self.sequences, rows))

    def cluster(self, num_clusters: int | None) -> ColorField:
        """Replace the clusters by those of k-means with this number, or of HDBSCAN for None."""
        old = self.field("cluster").clusters
        if old is None:
            raise ParameterError(
                "'cluster' is a column of labels here. Rename it to find clusters."
            )
        check_clusters(num_clusters, old["most"])
        with self._lock:
            return self._put(self._clusters(num_clusters))

    def _clusters(self, num_clusters: int | None) -> ColorField:
        vectors = self.similar.vectors
        return cluster_field(self.model, self.sequences, self.codes, vectors, num_clusters)

    def _put(self, field: ColorField) -> ColorField:
        """Add a field, or replace the one of the same name."""
        fields = {one.name: one for one in self.fields} | {field.name: field}
        self.fields = [*fields.values()]
        return field

    def _ready(self, name: str) -> FlatMap:
        flat = self.map(name)
        if flat is None:
            raise ParameterError("The UMAP map is not ready yet. Use the map of PCA until then.")
        return flat

    def _all_fields(self, given: Mapping[str, Any], num_clusters: int | None) -> list[ColorField]:
        count, lengths = len(self.codes), self.sequences.lengths
        fields = fields_of(given, count)
        if len(np.unique(lengths)) > 1:
            fields.append(ColorField("length", lengths, about="steps of the sequence"))
        about = "mean squared error of the reconstruction, in standard deviations"
        computed = functools.partial(ColorField, count=count, log=True)
        errors = functools.partial(self._decoding.errors, self.sequences, self.codes)
        fields.append(computed("error", compute=errors, about=about))
        if self.model.calibration is not None:
            about = (
                "share of normal sequences that are as anomalous, not adjusted for multiple tests"
            )
            fields.append(computed("anomaly p-value", compute=self._p_values, about=about))
        if "cluster" not in given:
            fields.append(self._clusters(num_clusters))
        return fields

    def _p_values(self) -> Iterator[np.ndarray]:
        for chosen in blocks(len(self.codes)):
            some = self.model.align(self.sequences[chosen])
            _, self.score_components[chosen], p_values = self.model.compared(some)
            yield p_values


def _finite_numbers(value: ArrayLike | None, size: int, name: str) -> np.ndarray:
    """Return a place or a code that a page sent as an array of shape (size,)."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.shape != (size,) or not np.isfinite(array).all() or np.abs(array).max() > 1e6:
        raise ParameterError(f"{name!r} must be a list of {size} finite numbers.")
    return array
