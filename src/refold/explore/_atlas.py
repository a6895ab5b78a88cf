"""Sequences, their codes and their places on a map, and what the page asks about them."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from refold._support.arrays import evenly_spaced
from refold._support.rules import check, check_one_each, check_only_one, check_some, one_of
from refold.errors import DataError, ParameterError
from refold.explore._fields import (
    ColorField,
    cluster_field,
    in_blocks,
    metadata_field,
)
from refold.explore._maps import (
    BackgroundTask,
    NeighborMap,
    PcaMap,
    WeightedCodes,
    effects,
    umap_places,
)
from refold.model import ModelLike, SequencesLike, adapted, entries_between, means_by_sequence
from refold.sequences import Sequences, as_sequences

# Steps of a neighbor that are sent for its small picture, and neighbors.
_SMALL_STEPS, _NEIGHBORS = 160, 6
# Codes of which the sliders have the range.
_RANGED = 50_000
# Most ids that the page holds, for its tooltips.
_MAX_IDS = 20_000
# What one standard deviation of the length counts beside one of the values, on the map.
_LENGTH_SHARE = 0.2
# Values with large errors that are named.
_REASONS = 3
# Ids that a search suggests.
_MATCHES = 12
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
        Number of clusters of k-means to color by, as for `refold.search.cluster`; 0 for HDBSCAN.

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

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(4, units=8, latent_steps=0, max_epochs=2, random_state=0)
    >>> atlas = Atlas(ae.fit(sines), sines)
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
        self.model, X = adapted(model, X)
        model = self.model
        windows = model.windows(X)
        self.sequences = as_sequences(windows.sequences).align(model.schema)
        lengths = self.sequences.lengths
        count = len(lengths)
        check_some(count, "sequence", "to show")
        self.codes = model.check_codes(model.encode(self.sequences) if codes is None else codes)
        check_one_each(len(self.codes), "codes", count, "sequences")
        longest = max(model.max_steps, int(lengths.max()))
        self._max_steps = min(longest, model.network.most_steps or longest)
        weights = effects(self.codes, lengths, self._change)
        self.projection = PcaMap(self.codes, weights)
        self.similar = WeightedCodes(self.codes, self.projection.mean, weights)
        self.places = self.projection.vectors
        self._umap = BackgroundTask("The UMAP map", self._umap_map)
        # error and distance, of which anomaly scores are the sum; computed with the p-values
        self.score_components = np.zeros((count, 2), np.float32)
        fields = dict(fields or {})
        for name, values in fields.items():
            check_one_each(len(values), f"values of {name!r}", len(windows.lengths), "sequences")
            if model.window is not None:
                fields[name] = np.asarray(values)[windows.series]
        self.fields = self._all_fields(fields, num_clusters)

    def _all_fields(
        self, metadata: Mapping[str, Any], num_clusters: int | None
    ) -> list[ColorField]:
        lengths, fields = self.sequences.lengths, []
        for name, values in metadata.items():
            if (field := metadata_field(name, values)) is None:
                raise DataError(
                    f"{name!r} has too many different texts to color by. Leave it out, or group it."
                )
            fields.append(field)
        if len(np.unique(lengths)) > 1:
            fields.append(ColorField("length", lengths, about="steps of the sequence"))
        about = "mean squared error of the reconstruction, in standard deviations"
        fields.append(ColorField("error", self._errors, log=True, about=about))
        if self.model.calibration is not None:
            about = (
                "share of normal sequences that are as anomalous, not adjusted for multiple tests"
            )
            fields.append(ColorField("anomaly p-value", self._p_values, log=True, about=about))
        if "cluster" not in metadata:
            fields.append(self._clusters(num_clusters))
        return fields

    def _errors(self) -> np.ndarray:
        def errors(rows: np.ndarray) -> np.ndarray:
            sequences = self.sequences[rows]
            back = self.model.to_sequences(self.codes[rows], sequences.lengths)
            return means_by_sequence(self._entries(sequences, back), sequences)

        return in_blocks(len(self.codes), errors)

    def _p_values(self) -> np.ndarray:
        def p_values(rows: np.ndarray) -> np.ndarray:
            aligned = self.model.align(self.sequences[rows])
            _, self.score_components[rows], values = self.model.compared(aligned)
            return values

        return in_blocks(len(self.codes), p_values)

    def _entries(self, sequences: Sequences, back: Sequences) -> np.ndarray:
        """Return the squared error of each value in standard deviations, or 1 for a wrong one."""
        return entries_between(sequences, back, self.model.error_scaler)

    def _change(self, codes: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return the mean squared difference of decoded sequences, and of their lengths."""
        before, after = (self.model.predict_lengths(c).astype(float) for c in (codes, others))
        lengths = np.clip(before.astype(int), 1, self._max_steps)
        first, second = (self.model.to_sequences(c, lengths) for c in (codes, others))
        spread = max(1.0, float(self.sequences.lengths.std()))
        longer = (_LENGTH_SHARE * (after - before) / spread) ** 2
        return means_by_sequence(self._entries(first, second), first) + longer

    def describe(self) -> dict[str, Any]:
        """Return what the page needs to begin."""
        schema, lengths = self.sequences.schema, self.sequences.lengths
        some = self.codes[evenly_spaced(len(self.codes), _RANGED)]
        low, high = np.quantile(some, [0.005, 0.995], axis=0)
        ids = self.sequences.ids
        return {
            "count": len(ids),
            "noun": "sequences" if self.model.window is None else "windows",
            "maps": MAPS,
            "columns": [
                {
                    "name": column.name,
                    "type": column.type,
                    "tokens": column.column_type.has_categories,
                    "range": _usual_range(self.sequences, i),
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
            "ids": ids.tolist() if len(ids) <= _MAX_IDS else None,
            "calibrated": self.model.calibration is not None,
            # sequences with a p-value of at most this are anomalous, as in `detect`
            "alpha": inspect.signature(self.model.detect).parameters["alpha"].default,
            "num_normal": self.model.num_calibrated,
        }

    def map(self, name: str, wait: float | None = 0.0) -> PcaMap | NeighborMap | None:
        """Return a map, or None while it is computed; wait some seconds, or all with None."""
        check("map", name, one_of(*MAPS))
        return self.projection if name == "pca" else self._umap.result(wait)

    def _umap_map(self) -> NeighborMap:
        return NeighborMap(umap_places(self.similar.vectors), self.codes, self.similar)

    def _ready(self, name: str) -> PcaMap | NeighborMap:
        flat = self.map(name)
        if flat is None:
            raise ParameterError("The UMAP map is not ready yet. Use the map of PCA until then.")
        return flat

    def show(self, row: int) -> dict[str, Any]:
        """Return a sequence, its reconstruction, the error of each step, and its neighbors."""
        self.check_row(row)
        shown = self.compare(self.sequences[[row]], self.codes[[row]])[0]
        hits = self.similar.to(self.codes[[row]], _NEIGHBORS + 1)[0]
        pairs = zip(hits.rows.tolist(), hits.distances.tolist(), strict=True)
        neighbors = [(other, distance) for other, distance in pairs if other != row]
        shown["row"] = row
        shown["fields"] = {field.name: field.text(row) for field in self.fields}
        shown["neighbors"] = [
            {
                "row": other,
                "id": self.sequences.ids[other].item(),
                "distance": distance,
                "values": _values_of(self.sequences[[other]], most=_SMALL_STEPS),
            }
            for other, distance in neighbors[:_NEIGHBORS]
        ]
        return shown

    def check_row(self, row: object) -> None:
        """Refuse a row that the map has not."""
        count = len(self.codes)
        if type(row) is not int or not 0 <= row < count:
            raise ParameterError(
                f"There is no sequence {str(row)[:40]}. The map has those from 0 to {count - 1}."
            )

    def find(self, text: str) -> list[dict[str, Any]]:
        """Return rows whose ids begin with a text; that of the text itself comes first."""
        start = text.lower()
        ids = enumerate(map(str, self.sequences.ids.tolist()))
        matches = [(row, own) for row, own in ids if own.lower().startswith(start)]
        matches.sort(key=lambda match: (match[1] != text, len(match[1])))
        return [{"row": row, "id": own} for row, own in matches[:_MATCHES]]

    def compare(
        self, sequences: Sequences, codes: np.ndarray, on: str = "pca"
    ) -> list[dict[str, Any]]:
        """Return sequences and their reconstructions from codes, at the true lengths."""
        back = self.model.to_sequences(codes, sequences.lengths)
        entries = self._entries(sequences, back)
        own = self.model.predict_lengths(codes)
        places = self._ready(on).places_of(codes)
        observed = ~np.isnan(entries)
        by_step = np.where(observed, entries, 0.0).sum(axis=1) / np.maximum(observed.sum(axis=1), 1)
        totals = means_by_sequence(entries, sequences)
        shown = []
        for i in range(len(sequences)):
            begin, end = sequences.offsets[i : i + 2]
            shown.append(
                {
                    "reasons": self._largest(entries[begin:end]),
                    "id": sequences.ids[i].item(),
                    "code": codes[i],
                    "at": places[i],
                    "length": int(end - begin),
                    "own_length": int(own[i]),
                    "values": _values_of(sequences[[i]]),
                    "back": _values_of(back[[i]]),
                    "errors": by_step[begin:end].astype(np.float32),
                    "error": float(totals[i]),
                }
            )
        if self.model.calibration is not None:
            # scores are the sum of the error and the distance
            _, components, p_values = self.model.compared(self.model.align(sequences))
            for row, p_value, parts in zip(shown, p_values, components, strict=True):
                row |= {"p_value": float(p_value), "anomaly": parts}
        return shown

    def _largest(self, errors: np.ndarray) -> list[dict[str, Any]]:
        """Return the largest errors of (steps, columns), and their shares of the sum."""
        errors, names = np.nan_to_num(errors), self.sequences.schema.names
        order = np.argsort(-errors, axis=None, kind="stable")[:_REASONS]
        places = zip(*np.unravel_index(order, errors.shape), strict=True)
        return [
            {"step": int(i), "column": names[k], "share": float(errors[i, k] / errors.sum())}
            for i, k in places
            if errors[i, k] > 0
        ]

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
            Place, code, and decoded columns (``"back"``); whether the place is far from the data,
            and the nearest sequence.
        """
        check_only_one("a place as 'at', or a code", at, code)
        flat = self._ready(on)
        if at is not None:
            place = _finite_numbers(at, 2, "at")
            if row is not None:
                self.check_row(row)
            codes = flat.code_at(place, row)[None]
            hits, reach = flat.nearest(place[None], 1)[0], flat.reach
        else:
            codes = _finite_numbers(code, self.codes.shape[1], "code")[None]
            place = flat.places_of(codes)[0]
            hits, reach = self.similar.to(codes, 1)[0], self.similar.reach
        codes = codes.astype(np.float32)
        lengths = np.minimum(self.model.predict_lengths(codes), self._max_steps)
        back = self.model.to_sequences(codes, lengths)
        closest = int(hits.rows[0])
        return {
            "at": place.astype(np.float32),
            "code": codes[0],
            "length": len(back.values),
            "back": _values_of(back),
            "far": float(hits.distances[0]) > reach,
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

    def cluster(self, num_clusters: int | None) -> ColorField:
        """Replace the clusters by those of k-means with this number, or of HDBSCAN for 0."""
        if self.field("cluster").clusters is None:
            raise ParameterError(
                "'cluster' is a column of labels here. Rename it to find clusters."
            )
        field = self._clusters(num_clusters)
        self.fields = [field if other.name == "cluster" else other for other in self.fields]
        return field

    def _clusters(self, num_clusters: int | None) -> ColorField:
        vectors = self.similar.vectors
        return cluster_field(self.model, self.sequences, self.codes, vectors, num_clusters)


def _values_of(sequences: Sequences, most: int | None = None) -> list[list[Any]]:
    """Return the values of one sequence, a list for each column; categories as text."""
    columns: list[list[Any]] = []
    for i, column in enumerate(sequences.schema.columns):
        values = sequences.values[:most, i]
        if column.column_type.has_categories:
            index = np.where(np.isnan(values), len(column.categories) + 1, values).astype(int)
            table = [*map(str, column.categories), "<unknown>", None]
            columns.append([table[category] for category in index.tolist()])
        else:
            columns.append([None if value != value else value for value in values.tolist()])
    return columns


def _usual_range(sequences: Sequences, column: int) -> list[float] | None:
    """Return the range of a column that a picture shows."""
    if sequences.schema.columns[column].column_type.has_categories:
        return None
    values = sequences.values[:, column]
    some = values[:: max(1, len(values) // 200_000)]
    some = some[~np.isnan(some)]
    if not len(some):
        return [0.0, 1.0]
    low, high = np.quantile(some, [0.005, 0.995]).tolist()
    return [low, high] if high > low else [low - 0.5, high + 0.5]


def _finite_numbers(value: ArrayLike | None, size: int, name: str) -> np.ndarray:
    """Return a place or a code that a page sent as an array of shape (size,)."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.shape != (size,) or not np.isfinite(array).all() or np.abs(array).max() > 1e6:
        raise ParameterError(f"{name!r} must be a list of {size} finite numbers.")
    return array
