"""An `Atlas` holds sequences, their codes and their places on a map, and answers requests.

The server sends the answers as JSON, whose keys the scripts in ``page/`` read.
"""

import inspect
from collections.abc import Mapping
from functools import partial
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
    compute_in_blocks,
    make_cluster_color_field,
    make_metadata_color_field,
)
from refold.explore._maps import (
    BackgroundTask,
    EffectWeightedCodes,
    NeighborMap,
    PcaMap,
    compute_umap_places,
    measure_dimension_effects,
)
from refold.model import (
    ModelLike,
    SequencesLike,
    adapt_to_data,
    compute_value_errors,
    mean_errors_by_sequence,
)
from refold.sequences import Sequences, as_sequences

# Largest number of steps of a neighbor in its small picture, which has no room for more.
_MAX_THUMBNAIL_STEPS = 160
# Number of neighbors of a sequence, as many as fit into the panel.
_NUM_NEIGHBORS = 6
# The ranges of the sliders are quantiles of a sample of at most this many codes, to save time.
_MAX_SLIDER_RANGE_SAMPLE = 50_000
# The range of an axis is from quantiles of a sample of about this many values, to save time.
_MAX_AXIS_RANGE_SAMPLE = 200_000
# Ranges are from the first to the second quantile, so that they have no outliers.
_RANGE_QUANTILES = (0.005, 0.995)
# With more sequences, the page gets no ids, which would be large, and shows row numbers instead.
_MAX_IDS_SENT_TO_PAGE = 20_000
# Weight of a length in distances on the map: one standard deviation of the length counts as this
# many standard deviations of the values.
_LENGTH_WEIGHT = 0.2
# Number of the largest errors of a sequence that the page names.
_MAX_LISTED_VALUE_ERRORS = 3
# Largest number of ids that a search suggests.
_MAX_SUGGESTED_IDS = 12
# No place or code of real data has a number larger than this, which could overflow in the decoder.
_MAX_REQUEST_COORDINATE = 1e6
MAP_NAMES = ("pca", "umap")


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
        Places on the map of principal components.
    projection : PcaMap
        The map of principal components, which turns codes into places, and places into codes.
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
        windows = model.windows(X)  # whole sequences, if the model has no `window`
        self.sequences = as_sequences(windows.sequences).convert_to_schema(model.schema)
        lengths = self.sequences.lengths
        num_sequences = len(lengths)
        check_not_empty(num_sequences, "sequence", "to show")
        self.codes = model.check_codes(model.encode(self.sequences) if codes is None else codes)
        check_counts_match(len(self.codes), "codes", num_sequences, "sequences")
        # Largest length of a decoded sequence: the longest one here or in training. A network of
        # Keras may have a smaller limit.
        longest = max(model.max_training_length, int(lengths.max()))
        self._max_steps = min(longest, model.network.max_decodable_steps or longest)
        weights = measure_dimension_effects(self.codes, lengths.mean(), self._measure_difference)
        self.projection = PcaMap(self.codes, weights)
        self.weighted_codes = EffectWeightedCodes(self.codes, self.projection.mean, weights)
        self.places = self.projection.vectors
        self._umap_task = BackgroundTask(
            "The UMAP map",
            lambda: NeighborMap(
                compute_umap_places(self.weighted_codes.vectors), self.codes, self.weighted_codes
            ),
        )
        # (n_sequences, 2): error of the reconstruction, and distance of the code to the training
        # data. Their sum is the anomaly score. They are 0 until `_compute_p_values` runs.
        self.score_components = np.zeros((num_sequences, 2), np.float32)
        fields = dict(fields or {})
        for name, values in fields.items():
            # `windows.lengths` has one length for each series
            noun = f"values of {name!r}"
            check_counts_match(len(values), noun, len(windows.lengths), "sequences")
            if model.window is not None:  # each window has the value of its series
                fields[name] = np.asarray(values)[windows.series]
        self.fields = self._make_color_fields(fields, num_clusters)

    def _make_color_fields(
        self, metadata: Mapping[str, Any], num_clusters: int | None
    ) -> list[ColorField]:
        """Return the fields to color by: metadata, lengths, errors, p-values and clusters."""
        lengths, fields = self.sequences.lengths, []
        for name, values in metadata.items():
            if (field := make_metadata_color_field(name, values)) is None:
                raise DataError(
                    f"{name!r} has too many different texts to color by. Leave it out, or group it."
                )
            fields.append(field)
        if len(np.unique(lengths)) > 1:
            fields.append(ColorField("length", lengths, description="steps of the sequence"))
        compute_errors = partial(compute_in_blocks, len(lengths), self._compute_errors)
        about = "mean squared error of the reconstruction, in standard deviations"
        fields.append(ColorField("error", compute_errors, is_log=True, description=about))
        if self.model.calibration is not None:
            compute = partial(compute_in_blocks, len(lengths), self._compute_p_values)
            about = (
                "share of normal sequences that are as anomalous, not adjusted for multiple tests"
            )
            fields.append(ColorField("anomaly p-value", compute, is_log=True, description=about))
        if "cluster" not in metadata:
            fields.append(self._make_cluster_color_field(num_clusters))
        return fields

    def _compute_errors(self, indices: np.ndarray) -> np.ndarray:
        """Return the mean error of the reconstruction of each sequence (n_indices,)."""
        sequences = self.sequences[indices]
        reconstructed = self.model.decode_to_sequences(self.codes[indices], sequences.lengths)
        value_errors = compute_value_errors(sequences, reconstructed, self.model.error_scaler)
        return mean_errors_by_sequence(value_errors, sequences)

    def _compute_p_values(self, indices: np.ndarray) -> np.ndarray:
        """Return the p-value of each sequence (n_indices,), and set its `score_components`."""
        aligned = self.model.convert_and_check(self.sequences[indices])
        _, self.score_components[indices], p_values = self.model.measure_anomalies(aligned)
        return p_values

    def _measure_difference(self, codes: np.ndarray, changed_codes: np.ndarray) -> np.ndarray:
        """Return the squared difference of the decoded sequences of each pair of codes (n,)."""
        model = self.model
        lengths = model.predict_lengths(codes).astype(float)
        changed_lengths = model.predict_lengths(changed_codes).astype(float)
        # at least one step, because all lengths may be equal
        length_std = max(1.0, float(self.sequences.lengths.std()))
        length_difference = (_LENGTH_WEIGHT * (changed_lengths - lengths) / length_std) ** 2
        # both are decoded at the same lengths, because values are compared step by step
        num_steps = np.clip(lengths.astype(int), 1, self._max_steps)
        decoded = model.decode_to_sequences(codes, num_steps)
        changed = model.decode_to_sequences(changed_codes, num_steps)
        value_errors = compute_value_errors(decoded, changed, model.error_scaler)
        return mean_errors_by_sequence(value_errors, decoded) + length_difference

    def describe(self) -> dict[str, Any]:
        """Return what the page needs to know before its first request."""
        schema, lengths, ids = self.sequences.schema, self.sequences.lengths, self.sequences.ids
        sample = self.codes[linspace_indices(len(self.codes), _MAX_SLIDER_RANGE_SAMPLE)]
        low, high = np.quantile(sample, _RANGE_QUANTILES, axis=0)
        return {
            "count": len(ids),
            "noun": "sequences" if self.model.window is None else "windows",
            "maps": MAP_NAMES,
            "columns": [
                {
                    "name": column.name,
                    "type": column.type,
                    "tokens": column.column_type.has_categories,
                    "range": _compute_axis_range(self.sequences, i),
                }
                for i, column in enumerate(schema.columns)
            ],
            "layout": schema.layout,
            "explained": self.projection.explained_shares,
            "fields": [field.describe() for field in self.fields],
            "dimensions": {
                "low": low,
                "high": high,
                "mean": self.projection.mean,
                # how much one standard deviation of each dimension changes the decoded sequence
                "effect": self.projection.weights * np.maximum(self.codes.std(axis=0), 1e-9),
            },
            # the axis of a picture has at least this many steps, so that pictures are comparable
            "usual_length": int(np.quantile(lengths, 0.95)),
            "ids": ids.tolist() if len(ids) <= _MAX_IDS_SENT_TO_PAGE else None,
            "calibrated": self.model.calibration is not None,
            # sequences with a p-value up to this are anomalous, by the default of `detect`
            "alpha": inspect.signature(self.model.detect).parameters["alpha"].default,
            "num_normal": self.model.num_calibrated,
        }

    def map(self, name: str, max_seconds: float | None = 0.0) -> PcaMap | NeighborMap | None:
        """Return a map, or None if it is not ready after ``max_seconds`` (None: no limit)."""
        check("map", name, one_of(*MAP_NAMES))
        return self.projection if name == "pca" else self._umap_task.result(max_seconds)

    def _require_map(self, name: str) -> PcaMap | NeighborMap:
        """Return a map, or raise an error if it is not ready."""
        if (code_map := self.map(name)) is None:
            raise ParameterError("The UMAP map is not ready yet. Use the map of PCA until then.")
        return code_map

    def describe_sequence(self, row: int) -> dict[str, Any]:
        """Return a sequence, its reconstruction, the error of each step, and its neighbors."""
        self.check_row(row)
        answer = self.describe_sequences(self.sequences[[row]], self.codes[[row]])[0]
        # One more than the page shows, because the nearest sequence is usually the sequence itself.
        # The hits are the indices and the distances of neighbors.
        hits = self.weighted_codes.find_nearest_codes(self.codes[[row]], _NUM_NEIGHBORS + 1)[0]
        neighbors = [
            {
                "row": neighbor_row,
                "id": self.sequences.ids[neighbor_row].item(),
                "distance": distance,
                "values": _to_value_lists(self.sequences[[neighbor_row]], _MAX_THUMBNAIL_STEPS),
            }
            for neighbor_row, distance in zip(*(array.tolist() for array in hits), strict=True)
            if neighbor_row != row
        ]
        fields = {field.name: field.get_value(row) for field in self.fields}
        return answer | {"row": row, "fields": fields, "neighbors": neighbors[:_NUM_NEIGHBORS]}

    def check_row(self, row: object) -> None:
        """Raise an error if a row from a request is not an index of a sequence."""
        num_sequences = len(self.codes)
        if type(row) is not int or not 0 <= row < num_sequences:
            raise ParameterError(
                f"There is no sequence {str(row)[:40]}. The map has those from 0 to "
                f"{num_sequences - 1}."
            )

    def find(self, prefix: str) -> list[dict[str, Any]]:
        """Return sequences whose ids begin with a prefix: an equal id first, then shorter ids."""
        start = prefix.lower()
        ids = enumerate(map(str, self.sequences.ids.tolist()))
        matches = [(row, id_text) for row, id_text in ids if id_text.lower().startswith(start)]
        matches.sort(key=lambda match: (match[1] != prefix, len(match[1])))
        return [{"row": row, "id": id_text} for row, id_text in matches[:_MAX_SUGGESTED_IDS]]

    def describe_sequences(
        self, sequences: Sequences, codes: np.ndarray, map_name: str = "pca"
    ) -> list[dict[str, Any]]:
        """Return an answer for each sequence: values, reconstruction, errors, place and so on."""
        reconstructed = self.model.decode_to_sequences(codes, sequences.lengths)
        # (n_steps, n_columns), of the steps of all sequences
        value_errors = compute_value_errors(sequences, reconstructed, self.model.error_scaler)
        sequence_errors = mean_errors_by_sequence(value_errors, sequences)
        num_observed = (~np.isnan(value_errors)).sum(axis=1)
        value_errors = np.nan_to_num(value_errors)  # a missing value has no error
        step_errors = value_errors.sum(axis=1) / np.maximum(num_observed, 1)
        predicted_lengths = self.model.predict_lengths(codes)
        places = self._require_map(map_name).project(codes)
        answers = []
        for i in range(len(sequences)):
            begin, end = sequences.offsets[i : i + 2]
            errors = value_errors[begin:end]  # (n_steps, n_columns)
            # the largest errors, as shares of the sum of all errors of the sequence
            largest = np.argsort(-errors, axis=None, kind="stable")[:_MAX_LISTED_VALUE_ERRORS]
            reasons = [
                {
                    "step": int(step),
                    "column": sequences.schema.names[column],
                    "share": float(errors[step, column] / errors.sum()),
                }
                for step, column in zip(*np.unravel_index(largest, errors.shape), strict=True)
                if errors[step, column] > 0
            ]
            answers.append(
                {
                    "reasons": reasons,
                    "id": sequences.ids[i].item(),
                    "code": codes[i],
                    "at": places[i],
                    "length": int(end - begin),
                    # the length that the code itself holds; "back" is decoded at the true length
                    "own_length": int(predicted_lengths[i]),
                    "values": _to_value_lists(sequences[[i]]),
                    "back": _to_value_lists(reconstructed[[i]]),
                    "errors": step_errors[begin:end].astype(np.float32),
                    "error": float(sequence_errors[i]),
                }
            )
        if self.model.calibration is not None:
            # "anomaly" has the two components of the anomaly score, as `score_components`
            aligned = self.model.convert_and_check(sequences)
            _, components, p_values = self.model.measure_anomalies(aligned)
            for answer, p_value, pair in zip(answers, p_values, components, strict=True):
                answer |= {"p_value": float(p_value), "anomaly": pair}
        return answers

    def decode_place_or_code(
        self,
        place: ArrayLike | None = None,
        code: ArrayLike | None = None,
        base_row: int | None = None,
        map_name: str = "pca",
    ) -> dict[str, Any]:
        """Decode a place on a map, or a code.

        Parameters
        ----------
        place : pair of float, optional
            Place on the map.
        code : array of shape (width of the code,), optional
            Code, instead of a place.
        base_row : int, optional
            Index of a sequence, for a place on the map of PCA. The place sets two principal
            components of the code. The other components are those of this sequence, or by default
            their means.
        map_name : {"pca", "umap"}
            Map of the place. A place on a UMAP map decodes to a mean of the codes near it.

        Returns
        -------
        dict
            Place, code, and decoded columns (``"back"``); whether the place is far from the data;
            and the nearest sequence.
        """
        check_exactly_one("a place as 'at', or a code", place, code)
        code_map = self._require_map(map_name)
        if place is not None:
            point = _parse_place_or_code(place, 2, "at")
            if base_row is not None:
                self.check_row(base_row)
            codes = code_map.code_at(point, base_row)[None]
            hits, far_threshold = code_map.find_nearest(point[None], 1)[0], code_map.far_threshold
        else:
            codes = _parse_place_or_code(code, self.codes.shape[1], "code")[None]
            point = code_map.project(codes)[0]
            hits = self.weighted_codes.find_nearest_codes(codes, 1)[0]
            far_threshold = self.weighted_codes.far_threshold
        codes = codes.astype(np.float32)
        lengths = np.minimum(self.model.predict_lengths(codes), self._max_steps)
        reconstructed = self.model.decode_to_sequences(codes, lengths)
        nearest_row = int(hits.indices[0])
        return {
            "at": point.astype(np.float32),
            "code": codes[0],
            "length": len(reconstructed.values),
            "back": _to_value_lists(reconstructed),
            "far": float(hits.distances[0]) > far_threshold,
            "nearest": nearest_row,
            "id": self.sequences.ids[nearest_row].item(),
        }

    def get_field(self, name: str) -> ColorField:
        """Return a field by its name."""
        fields = {field.name: field for field in self.fields}
        if name not in fields:
            names = ", ".join(fields)
            raise ParameterError(f"There is nothing named {name!r} to color by. There is {names}.")
        return fields[name]

    def cluster(self, num_clusters: int | None) -> ColorField:
        """Replace the clusters by those of k-means with this number, or of HDBSCAN for 0."""
        if self.get_field("cluster").cluster_choice is None:
            # the name belongs to a column of metadata
            raise ParameterError(
                "'cluster' is a column of labels here. Rename it to find clusters."
            )
        field = self._make_cluster_color_field(num_clusters)
        self.fields = [field if old.name == "cluster" else old for old in self.fields]
        return field

    def _make_cluster_color_field(self, num_clusters: int | None) -> ColorField:
        """Return the field of clusters, which are found when the page first needs the field."""
        weighted, codes = self.weighted_codes.vectors, self.codes
        return make_cluster_color_field(self.model, self.sequences, codes, weighted, num_clusters)


def _to_value_lists(sequences: Sequences, max_steps: int | None = None) -> list[list[Any]]:
    """Return the values of one sequence, a list for each column; categories as text."""
    columns: list[list[Any]] = []
    for i, column in enumerate(sequences.schema.columns):
        values = sequences.values[:max_steps, i]
        if column.column_type.has_categories:
            # an unknown category has the index after the last one
            texts = [*map(str, column.categories), "<unknown>"]
            columns.append([None if np.isnan(value) else texts[int(value)] for value in values])
        else:
            # JSON has no NaN, which is the only value that differs from itself
            columns.append([None if value != value else value for value in values.tolist()])
    return columns


def _compute_axis_range(sequences: Sequences, column_index: int) -> list[float] | None:
    """Return the range of the axis of a numeric column, without outliers; None for categories."""
    if sequences.schema.columns[column_index].column_type.has_categories:
        return None
    values = sequences.values[:, column_index]
    sample = values[:: max(1, len(values) // _MAX_AXIS_RANGE_SAMPLE)]
    sample = sample[~np.isnan(sample)]
    if not len(sample):  # no value is observed
        return [0.0, 1.0]
    low, high = np.quantile(sample, _RANGE_QUANTILES).tolist()
    return [low, high] if high > low else [low - 0.5, high + 0.5]


def _parse_place_or_code(place_or_code: ArrayLike | None, size: int, key: str) -> np.ndarray:
    """Return a place or a code from a request as an array (size,)."""
    try:
        array = np.asarray(place_or_code, dtype=float)
    except (TypeError, ValueError):
        array = np.zeros(0)  # refused below, because of its shape
    # the comparison is false for NaN
    if array.shape != (size,) or not (np.abs(array) <= _MAX_REQUEST_COORDINATE).all():
        raise ParameterError(f"{key!r} must be a list of {size} finite numbers.")
    return array
