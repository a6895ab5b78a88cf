"""`Atlas`: sequences, their codes and their places on a map, and the answers to the page.

The results of its methods are sent to the page as JSON, so their keys are known there.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from refold._support.arrays import linspace_indices
from refold._support.rules import (
    check,
    check_counts_match,
    check_exactly_one,
    check_not_empty,
    one_of,
)
from refold.errors import DataError, ParameterError
from refold.explore._color_fields import (
    ColorField,
    cluster_field,
    compute_in_blocks,
    metadata_field,
)
from refold.explore._maps import (
    BackgroundTask,
    NeighborMap,
    PcaMap,
    WeightedCodes,
    compute_umap_places,
    measure_effects,
)
from refold.model import (
    ModelLike,
    SequencesLike,
    adapt_to_data,
    compute_value_errors,
    mean_errors_by_sequence,
)
from refold.sequences import Sequences, as_sequences

# Steps of a neighbor in its small picture, which has no room for more.
_MAX_THUMBNAIL_STEPS = 160
# Neighbors of a sequence, as many as fit into the panel.
_NUM_NEIGHBORS = 6
# The ranges of the sliders are quantiles of this many codes, which are fast to compute.
_MAX_RANGE_CODES = 50_000
# With more sequences, the page gets no ids, which would be large, and shows row numbers instead.
_MAX_IDS = 20_000
# Weight of a length in distances on the map: one standard deviation of the length counts as this
# many standard deviations of the values.
_LENGTH_WEIGHT = 0.2
# Largest errors of a sequence that the page names.
_MAX_LISTED_ERRORS = 3
# Ids that a search suggests.
_MAX_SUGGESTED_IDS = 12
# Names of the maps.
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
        self.model, X = adapt_to_data(model, X)
        model = self.model
        windows = model.windows(X)
        self.sequences = as_sequences(windows.sequences).align(model.schema)
        lengths = self.sequences.lengths
        num_sequences = len(lengths)
        check_not_empty(num_sequences, "sequence", "to show")
        self.codes = model.check_codes(model.encode(self.sequences) if codes is None else codes)
        check_counts_match(len(self.codes), "codes", num_sequences, "sequences")
        longest = max(model.max_steps, int(lengths.max()))
        self._max_steps = min(longest, model.network.most_steps or longest)
        weights = measure_effects(self.codes, lengths, self._decoded_difference)
        self.projection = PcaMap(self.codes, weights)
        self.similar = WeightedCodes(self.codes, self.projection.mean, weights)
        self.places = self.projection.vectors
        self._umap = BackgroundTask("The UMAP map", self._make_umap_map)
        # The sum of error and distance is the anomaly score. They are computed with the p-values.
        self.score_components = np.zeros((num_sequences, 2), np.float32)
        fields = dict(fields or {})
        for name, values in fields.items():
            check_counts_match(
                len(values), f"values of {name!r}", len(windows.lengths), "sequences"
            )
            if model.window is not None:
                fields[name] = np.asarray(values)[windows.series]
        self.fields = self._make_fields(fields, num_clusters)

    def _make_fields(
        self, metadata: Mapping[str, Any], num_clusters: int | None
    ) -> list[ColorField]:
        """Return the fields to color by: metadata, lengths, errors, p-values and clusters."""
        lengths, fields = self.sequences.lengths, []
        for name, values in metadata.items():
            if (field := metadata_field(name, values)) is None:
                raise DataError(
                    f"{name!r} has too many different texts to color by. Leave it out, or group it."
                )
            fields.append(field)
        if len(np.unique(lengths)) > 1:
            fields.append(ColorField("length", lengths, description="steps of the sequence"))
        description = "mean squared error of the reconstruction, in standard deviations"
        fields.append(ColorField("error", self._compute_errors, log=True, description=description))
        if self.model.calibration is not None:
            about = (
                "share of normal sequences that are as anomalous, not adjusted for multiple tests"
            )
            values = self._compute_p_values
            fields.append(ColorField("anomaly p-value", values, log=True, description=about))
        if "cluster" not in metadata:
            fields.append(self._make_cluster_field(num_clusters))
        return fields

    def _compute_errors(self) -> np.ndarray:
        """Return the error of each reconstruction (n_sequences,)."""

        def errors_of_rows(rows: np.ndarray) -> np.ndarray:
            sequences = self.sequences[rows]
            reconstructed = self.model.decode_to_sequences(self.codes[rows], sequences.lengths)
            squared_errors = self._squared_errors(sequences, reconstructed)
            return mean_errors_by_sequence(squared_errors, sequences)

        return compute_in_blocks(len(self.codes), errors_of_rows)

    def _compute_p_values(self) -> np.ndarray:
        """Return the p-value of each sequence (n_sequences,), and set the `score_components`."""

        def p_values_of_rows(rows: np.ndarray) -> np.ndarray:
            aligned = self.model.align(self.sequences[rows])
            _, self.score_components[rows], values = self.model.measure_anomalies(aligned)
            return values

        return compute_in_blocks(len(self.codes), p_values_of_rows)

    def _squared_errors(self, sequences: Sequences, reconstructed: Sequences) -> np.ndarray:
        """Return the squared error of each value in standard deviations; 1 for a wrong category."""
        return compute_value_errors(sequences, reconstructed, self.model.error_scaler)

    def _decoded_difference(self, codes: np.ndarray, changed_codes: np.ndarray) -> np.ndarray:
        """Return how much decoded sequences differ: their values, and their lengths (n_codes,)."""
        pair = codes, changed_codes
        before, after = (self.model.predict_lengths(c).astype(float) for c in pair)
        lengths = np.clip(before.astype(int), 1, self._max_steps)
        first, second = (self.model.decode_to_sequences(c, lengths) for c in pair)
        length_std = max(1.0, float(self.sequences.lengths.std()))
        length_difference = (_LENGTH_WEIGHT * (after - before) / length_std) ** 2
        value_difference = mean_errors_by_sequence(self._squared_errors(first, second), first)
        return value_difference + length_difference

    def describe(self) -> dict[str, Any]:
        """Return what the page needs to know before its first request."""
        schema, lengths = self.sequences.schema, self.sequences.lengths
        sample = self.codes[linspace_indices(len(self.codes), _MAX_RANGE_CODES)]
        low, high = np.quantile(sample, [0.005, 0.995], axis=0)  # without outliers
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
                    "range": _typical_range(self.sequences, i),
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
            # sequences with a p-value up to this are anomalous, by the default of `detect`
            "alpha": inspect.signature(self.model.detect).parameters["alpha"].default,
            "num_normal": self.model.num_calibrated,
        }

    def map(self, name: str, max_seconds: float | None = 0.0) -> PcaMap | NeighborMap | None:
        """Return a map, or None if it is not ready after ``max_seconds``; None has no limit."""
        check("map", name, one_of(*MAPS))
        return self.projection if name == "pca" else self._umap.result(max_seconds)

    def _make_umap_map(self) -> NeighborMap:
        """Compute the UMAP map, which takes seconds to minutes."""
        return NeighborMap(compute_umap_places(self.similar.vectors), self.codes, self.similar)

    def _require_map(self, name: str) -> PcaMap | NeighborMap:
        """Return a map, or raise an error if it is not ready."""
        code_map = self.map(name)
        if code_map is None:
            raise ParameterError("The UMAP map is not ready yet. Use the map of PCA until then.")
        return code_map

    def show(self, row: int) -> dict[str, Any]:
        """Return a sequence, its reconstruction, the error of each step, and its neighbors."""
        self.check_row(row)
        answer = self.compare(self.sequences[[row]], self.codes[[row]])[0]
        # one more, because the nearest sequence is usually the sequence itself
        hits = self.similar.nearest_to(self.codes[[row]], _NUM_NEIGHBORS + 1)[0]
        pairs = zip(hits.rows.tolist(), hits.distances.tolist(), strict=True)
        neighbors = [(other_row, distance) for other_row, distance in pairs if other_row != row]
        answer["row"] = row
        answer["fields"] = {field.name: field.text(row) for field in self.fields}
        answer["neighbors"] = [
            {
                "row": neighbor,
                "id": self.sequences.ids[neighbor].item(),
                "distance": distance,
                "values": _values_by_column(self.sequences[[neighbor]], _MAX_THUMBNAIL_STEPS),
            }
            for neighbor, distance in neighbors[:_NUM_NEIGHBORS]
        ]
        return answer

    def check_row(self, row: object) -> None:
        """Raise an error if a row from a request is not an index of a sequence."""
        num_sequences = len(self.codes)
        if type(row) is not int or not 0 <= row < num_sequences:
            raise ParameterError(
                f"There is no sequence {str(row)[:40]}. The map has those from 0 to "
                f"{num_sequences - 1}."
            )

    def find(self, prefix: str) -> list[dict[str, Any]]:
        """Return the sequences whose ids begin with a prefix; an id that is equal comes first."""
        start = prefix.lower()
        ids = enumerate(map(str, self.sequences.ids.tolist()))
        matches = [(row, id_text) for row, id_text in ids if id_text.lower().startswith(start)]
        matches.sort(key=lambda match: (match[1] != prefix, len(match[1])))
        return [{"row": row, "id": id_text} for row, id_text in matches[:_MAX_SUGGESTED_IDS]]

    def compare(
        self, sequences: Sequences, codes: np.ndarray, on: str = "pca"
    ) -> list[dict[str, Any]]:
        """Return sequences and their reconstructions from codes, at the true lengths."""
        reconstructed = self.model.decode_to_sequences(codes, sequences.lengths)
        value_errors = self._squared_errors(sequences, reconstructed)
        own_lengths = self.model.predict_lengths(codes)
        places = self._require_map(on).project(codes)
        observed = ~np.isnan(value_errors)
        # means over the observed values of each step, and of each sequence
        step_errors = np.where(observed, value_errors, 0.0).sum(axis=1)
        step_errors /= np.maximum(observed.sum(axis=1), 1)
        sequence_errors = mean_errors_by_sequence(value_errors, sequences)
        answers = []
        for i in range(len(sequences)):
            begin, end = sequences.offsets[i : i + 2]
            answers.append(
                {
                    "reasons": self._largest_errors(value_errors[begin:end]),
                    "id": sequences.ids[i].item(),
                    "code": codes[i],
                    "at": places[i],
                    "length": int(end - begin),
                    "own_length": int(own_lengths[i]),
                    "values": _values_by_column(sequences[[i]]),
                    "back": _values_by_column(reconstructed[[i]]),
                    "errors": step_errors[begin:end].astype(np.float32),
                    "error": float(sequence_errors[i]),
                }
            )
        if self.model.calibration is not None:
            # the two components of a score are its error and its distance
            _, components, p_values = self.model.measure_anomalies(self.model.align(sequences))
            for answer, p_value, score in zip(answers, p_values, components, strict=True):
                answer |= {"p_value": float(p_value), "anomaly": score}
        return answers

    def _largest_errors(self, errors: np.ndarray) -> list[dict[str, Any]]:
        """Return step, column and share of the largest errors (n_steps, n_columns)."""
        errors, names = np.nan_to_num(errors), self.sequences.schema.names
        order = np.argsort(-errors, axis=None, kind="stable")[:_MAX_LISTED_ERRORS]
        positions = zip(*np.unravel_index(order, errors.shape), strict=True)
        return [
            {"step": int(i), "column": names[k], "share": float(errors[i, k] / errors.sum())}
            for i, k in positions
            if errors[i, k] > 0
        ]

    def unfold(
        self,
        at: ArrayLike | None = None,
        code: ArrayLike | None = None,
        row: int | None = None,
        on: str = "pca",
    ) -> dict[str, Any]:
        """Decode a place on a map, or a code.

        Parameters
        ----------
        at : pair of float, optional
            Place on the map.
        code : array of shape (width of the code,), optional
            Code, instead of a place.
        row : int, optional
            Sequence whose other principal components the code has. By default they are at their
            mean.
        on : {"pca", "umap"}
            Map of the place. A place on a UMAP map decodes to a mean of the codes near it.

        Returns
        -------
        dict
            Place, code, and decoded columns (``"back"``); whether the place is far from the data;
            and the nearest sequence.
        """
        check_exactly_one("a place as 'at', or a code", at, code)
        code_map = self._require_map(on)
        if at is not None:
            place = _check_finite_numbers(at, 2, "at")
            if row is not None:
                self.check_row(row)
            codes = code_map.code_at(place, row)[None]
            hits, limit = code_map.nearest(place[None], 1)[0], code_map.far_distance
        else:
            codes = _check_finite_numbers(code, self.codes.shape[1], "code")[None]
            place = code_map.project(codes)[0]
            hits, limit = self.similar.nearest_to(codes, 1)[0], self.similar.far_distance
        codes = codes.astype(np.float32)
        lengths = np.minimum(self.model.predict_lengths(codes), self._max_steps)
        reconstructed = self.model.decode_to_sequences(codes, lengths)
        closest = int(hits.rows[0])
        return {
            "at": place.astype(np.float32),
            "code": codes[0],
            "length": len(reconstructed.values),
            "back": _values_by_column(reconstructed),
            "far": float(hits.distances[0]) > limit,
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
            # a column of metadata has taken the name
            raise ParameterError(
                "'cluster' is a column of labels here. Rename it to find clusters."
            )
        field = self._make_cluster_field(num_clusters)
        self.fields = [field if old.name == "cluster" else old for old in self.fields]
        return field

    def _make_cluster_field(self, num_clusters: int | None) -> ColorField:
        """Return the field of clusters, which are found when it is needed."""
        vectors = self.similar.vectors
        return cluster_field(self.model, self.sequences, self.codes, vectors, num_clusters)


def _values_by_column(sequences: Sequences, max_steps: int | None = None) -> list[list[Any]]:
    """Return the values of one sequence, a list for each column; categories as text."""
    columns: list[list[Any]] = []
    for i, column in enumerate(sequences.schema.columns):
        values = sequences.values[:max_steps, i]
        if column.column_type.has_categories:
            # the index after the last category is an unknown one, and the next is a missing value
            category_ids = np.where(np.isnan(values), len(column.categories) + 1, values).astype(
                int
            )
            texts = [*map(str, column.categories), "<unknown>", None]
            columns.append([texts[category] for category in category_ids.tolist()])
        else:
            # JSON has no NaN, which is the only value that differs from itself
            columns.append([None if value != value else value for value in values.tolist()])
    return columns


def _typical_range(sequences: Sequences, column_index: int) -> list[float] | None:
    """Return the range of the axis of a numeric column, without outliers; None for categories."""
    if sequences.schema.columns[column_index].column_type.has_categories:
        return None
    values = sequences.values[:, column_index]
    sample = values[:: max(1, len(values) // 200_000)]  # enough for quantiles
    sample = sample[~np.isnan(sample)]
    if not len(sample):
        return [0.0, 1.0]
    low, high = np.quantile(sample, [0.005, 0.995]).tolist()
    return [low, high] if high > low else [low - 0.5, high + 0.5]


def _check_finite_numbers(value: ArrayLike | None, count: int, name: str) -> np.ndarray:
    """Return a place or a code from a request as an array (width,)."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.shape != (count,) or not np.isfinite(array).all() or np.abs(array).max() > 1e6:
        raise ParameterError(f"{name!r} must be a list of {count} finite numbers.")
    return array
