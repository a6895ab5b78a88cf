"""Sequences, their codes and their places on a map, and what the page asks about them."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from refold._support.sampling import evenly_spaced
from refold.errors import DataError, ParameterError
from refold.explore._fields import Field, field_of
from refold.explore._projection import Projection, effects
from refold.inference import check_codes, decode, predict_lengths
from refold.search import nearest, squared_norms
from refold.sequences import Sequences, as_sequences, sums_by_sequence

# Sequences that are decoded at once where all are.
_BLOCK = 2048
# Steps of a neighbor that are sent for its small picture, and neighbors.
_SMALL_STEPS, _NEIGHBORS = 160, 6
# What one standard deviation of the length counts beside one of the values, on the map.
_LENGTH_SHARE = 0.2
# Most ids that the page holds, for its tooltips.
_MOST_IDS = 20_000
# Sequences whose distances to their neighbors say what is near.
_SAMPLE, _SAMPLE_ENTRIES = 512, 30_000_000


class Atlas:
    """A map of codes, in which each place decodes to a sequence.

    Parameters
    ----------
    ae : SequenceAutoencoder
        A fitted default model with LSTMs.
    X : Sequences, list of arrays, array or table
        Data with the columns of the training data.
    codes : array of shape (n_sequences, width of the code), optional
        Codes of the sequences, if you have them already.
    fields : mapping of str to array, optional
        Labels and metadata to color by, one value per sequence.

    Attributes
    ----------
    codes : array of float32 of shape (n_sequences, width of the code)
        Codes of the sequences.
    places : array of float32 of shape (n_sequences, 2)
        Places on the map.
    projection : Projection
        The map: from codes to places and back.
    fields : list of Field
        What the map can be colored by.

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
        self, ae: Any, X: Any, *, codes: Any = None, fields: Mapping[str, Any] | None = None
    ) -> None:
        self.ae = ae
        self.sequences = as_sequences(X).align(ae.schema_)
        count = len(self.sequences)
        if not count:
            raise DataError("There is no sequence to show. Give at least one.")
        width = ae._n_features_out
        self.codes = check_codes(ae.transform(self.sequences) if codes is None else codes, width)
        if len(self.codes) != count:
            raise DataError(
                f"Got {len(self.codes)} codes for {count} sequences. Encode these sequences again."
            )
        network = ae._fitted.network
        longest = max(ae.max_steps_, int(self.sequences.lengths.max()))
        self._most_steps = min(longest, network.most_steps or longest)
        weights = effects(self.codes, self.sequences.lengths, self._change)
        self.projection = Projection.fit(self.codes, weights)
        self.places = self.projection.places(self.codes)
        self._place_norms = squared_norms(self.places)
        self._weighted = np.ascontiguousarray(
            (self.codes - self.projection.mean) * weights, np.float32
        )
        self._norms = squared_norms(self._weighted)
        self._near = self._usual_distances()
        self.fields = self._all_fields(fields or {})

    def describe(self) -> dict[str, Any]:
        """Return what the page needs to begin."""
        schema, lengths = self.sequences.schema, self.sequences.lengths
        low, high = np.quantile(self.codes, [0.005, 0.995], axis=0)
        ids = self.sequences.ids
        return {
            "count": len(ids),
            "columns": [
                {"name": column.name, "type": column.type, "range": self._range(i)}
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
            "calibrated": self.ae._fitted.calibration is not None,
        }

    def show(self, row: int) -> dict[str, Any]:
        """Return a sequence, its reconstruction, the error of each step, and its neighbors."""
        if not 0 <= row < len(self.codes):
            raise ParameterError(
                f"There is no sequence {row}. The map has those from 0 to {len(self.codes) - 1}."
            )
        one = self.sequences[[row]]
        shown = self.compare(one, self.codes[[row]])[0]
        found = nearest(self._weighted, self._weighted[[row]], _NEIGHBORS + 1, self._norms)[0]
        neighbors = [
            (other, float(distance))
            for other, distance in zip(found.rows.tolist(), found.distances, strict=True)
            if other != row
        ][:_NEIGHBORS]
        shown["row"] = row
        shown["fields"] = {field.name: field.text(row) for field in self.fields}
        shown["neighbors"] = [
            {
                "row": other,
                "id": self.sequences.ids[other].item(),
                "distance": distance,
                "values": values_of(self.sequences[[other]], most=_SMALL_STEPS),
            }
            for other, distance in neighbors
        ]
        if self.ae._fitted.calibration is not None:
            detection = self.ae.detect(one, alpha=0.5)
            shown["p_value"] = float(detection.p_values[0])
            shown["reasons"] = [reason._asdict() for reason in detection.explain(0)]
        return shown

    def compare(self, sequences: Sequences, codes: np.ndarray) -> list[dict[str, Any]]:
        """Return sequences and their reconstructions from codes, at the true lengths."""
        back = self._decoded(codes, sequences.lengths)
        entries = self._entries(sequences, back)
        own = predict_lengths(self._inner(codes), self.ae._fitted.network)
        places = self.projection.places(codes)
        found = []
        for i in range(len(sequences)):
            begin, end = sequences.offsets[i : i + 2]
            errors = entries[begin:end]
            observed = ~np.isnan(errors)
            steps = np.where(observed, errors, 0.0).sum(axis=1) / np.maximum(observed.sum(1), 1)
            total = float(np.where(observed, errors, 0.0).sum() / max(1, observed.sum()))
            found.append(
                {
                    "id": sequences.ids[i].item(),
                    "code": codes[i],
                    "at": places[i],
                    "length": int(end - begin),
                    "own_length": int(own[i]),
                    "values": values_of(sequences[[i]]),
                    "back": values_of(back[[i]]),
                    "errors": steps.astype(np.float32),
                    "error": total,
                }
            )
        return found

    def unfold(self, at: Any = None, code: Any = None, row: int | None = None) -> dict[str, Any]:
        """Decode a place of the map, or a code.

        Parameters
        ----------
        at : pair of float, optional
            Place on the map.
        code : array of shape (width of the code,), optional
            Code, instead of a place.
        row : int, optional
            Sequence whose other components the code keeps. By default they are at their mean.

        Returns
        -------
        dict

        Raises
        ------
        ParameterError
            If there is not exactly one of a place and a code, or it is not finite.

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
        if (at is None) == (code is None):
            raise ParameterError("Send a place as 'at', or a code, and only one of them.")
        if at is not None:
            place = _numbers(at, 2, "at")
            codes = self.projection.codes(place[None])
            if row is not None:
                self._check_row(row)
                codes += self.codes[[row]] - self.projection.codes(self.places[[row]])
            scores = self.places @ (-2.0 * place).astype(np.float32)
            scores += self._place_norms  # squared distances, less a constant
            closest = int(scores.argmin())
            far = float(((self.places[closest] - place) ** 2).sum()) > self._near[0]
        else:
            codes = _numbers(code, self.codes.shape[1], "code")[None]
            place = self.projection.places(codes)[0]
            query = (codes - self.projection.mean) * self.projection.weights
            found = nearest(self._weighted, query.astype(np.float32), 1, self._norms)[0]
            closest = int(found.rows[0])
            far = float(found.distances[0]) > self._near[1]
        codes = codes.astype(np.float32)
        back = self._decoded(codes)
        return {
            "at": place.astype(np.float32),
            "code": codes[0],
            "length": len(back.values),
            "back": values_of(back),
            "far": far,
            "nearest": closest,
            "id": self.sequences.ids[closest].item(),
        }

    def field(self, name: str) -> Field:
        """Return a field by its name."""
        for field in self.fields:
            if field.name == name:
                return field
        names = ", ".join(field.name for field in self.fields)
        raise ParameterError(f"There is nothing named {name!r} to color by. There is {names}.")

    def _check_row(self, row: Any) -> None:
        whole = isinstance(row, int) and not isinstance(row, bool)
        if not whole or not 0 <= row < len(self.codes):
            raise ParameterError(f"There is no sequence {str(row)[:40]}.")

    def _all_fields(self, given: Mapping[str, Any]) -> list[Field]:
        count, fields = len(self.codes), []
        for name, values in given.items():
            if len(values) != count:
                raise DataError(f"{name!r} has {len(values)} values for {count} sequences.")
            if (field := field_of(name, values)) is None:
                raise DataError(
                    f"{name!r} has too many different texts to color by. Leave it out, or group it."
                )
            fields.append(field)
        lengths = self.sequences.lengths
        if len(np.unique(lengths)) > 1:
            fields.append(Field("length", lengths, about="steps of the sequence"))
        about = "mean squared error of the reconstruction, in standard deviations"
        fields.append(Field("error", compute=self._errors, count=count, log=True, about=about))
        if self.ae._fitted.calibration is not None:
            about = "share of normal sequences that are as anomalous"
            more = {"compute": self._p_values, "count": count, "log": True, "about": about}
            fields.append(Field("anomaly p-value", **more))
        return fields

    def _errors(self) -> Iterator[np.ndarray]:
        for chosen in _blocks(len(self.codes)):
            some = self.sequences[chosen]
            back = self._decoded(self.codes[chosen], some.lengths)
            yield _means(self._entries(some, back), some)

    def _p_values(self) -> Iterator[np.ndarray]:
        for chosen in _blocks(len(self.codes)):
            yield self.ae.detect(self.sequences[chosen], alpha=0.5).p_values

    def _change(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return the mean squared difference of decoded sequences, and of their lengths."""
        network = self.ae._fitted.network
        before = np.asarray(predict_lengths(self._inner(one), network), float)
        after = np.asarray(predict_lengths(self._inner(other), network), float)
        spread = max(1.0, float(self.sequences.lengths.std()))
        lengths = np.clip(before.round().astype(int), 1, self._most_steps)
        first, second = self._decoded(one, lengths), self._decoded(other, lengths)
        longer = (_LENGTH_SHARE * (after - before) / spread) ** 2
        return _means(self._entries(first, second), first) + longer

    def _inner(self, codes: np.ndarray) -> np.ndarray:
        return codes[:, : self.ae._fitted.network.specification.latent_dim]

    def _decoded(self, codes: np.ndarray, lengths: np.ndarray | None = None) -> Sequences:
        fitted, inner = self.ae._fitted, self._inner(codes)
        if lengths is None:
            lengths = np.minimum(predict_lengths(inner, fitted.network), self._most_steps)
        scaled = decode(inner, lengths, fitted.schema, fitted.network)
        own = codes[:, inner.shape[1] :] if fitted.scaler.mode == "sequence" else None
        return fitted.scaler.inverse_transform(scaled, own)

    def _entries(self, given: Sequences, written: Sequences) -> np.ndarray:
        """Return the squared error of each value in standard deviations, or 1 for a wrong one."""
        fitted, schema = self.ae._fitted, given.schema
        a = fitted.units.transform(given).values.astype(float)
        b = fitted.units.transform(written).values.astype(float)
        wrong = a != b
        wrong[:, schema.binary] = (a[:, schema.binary] >= 0.5) != (b[:, schema.binary] >= 0.5)
        return np.where(np.isnan(a), np.nan, np.where(schema.numeric, (a - b) ** 2, wrong))

    def _range(self, column: int) -> list[float] | None:
        """Return the range of a column that a picture shows."""
        if self.sequences.schema.columns[column].type == "categorical":
            return None
        values = self.sequences.values[:, column]
        some = values[:: max(1, len(values) // 200_000)]
        some = some[~np.isnan(some)]
        if not len(some):
            return [0.0, 1.0]
        low, high = np.quantile(some, [0.005, 0.995]).tolist()
        return [low, high] if high > low else [low - 0.5, high + 0.5]

    def _usual_distances(self) -> tuple[float, float]:
        """Return how far a place (squared) and a code may be from the data without a hint."""
        count = len(self.codes)
        if count < 3:
            return np.inf, np.inf
        rows = evenly_spaced(count, min(_SAMPLE, max(32, _SAMPLE_ENTRIES // count)))
        whole = _to_others(self._weighted, self._norms, rows)
        flat = _to_others(self.places, self._place_norms, rows)
        least = 0.05 * float(np.sqrt(self._norms.mean()))
        return max(1.5 * flat, 0.04) ** 2, max(1.5 * whole, least)


def _to_others(vectors: np.ndarray, norms: np.ndarray, rows: np.ndarray) -> float:
    """Return the distance within which almost all of some rows have another one."""
    found = []
    for row in rows:
        squared = norms - 2.0 * (vectors @ vectors[row]) + norms[row]
        squared[row] = np.inf
        found.append(max(float(squared.min()), 0.0) ** 0.5)
    return float(np.quantile(found, 0.99))


def values_of(sequences: Sequences, most: int | None = None) -> list[list[Any]]:
    """Return the values of one sequence, a list for each column; categories as text.

    Examples
    --------
    >>> values_of(as_sequences([[1.0, 2.5]]))
    [[1.0, 2.5]]
    >>> values_of(as_sequences(["ab"]))
    [['a', 'b']]
    """
    found: list[list[Any]] = []
    for i, column in enumerate(sequences.schema.columns):
        values = sequences.values[:most, i]
        if column.type == "categorical":
            index = np.where(np.isnan(values), len(column.categories) + 1, values).astype(int)
            table = [*map(str, column.categories), "<unknown>", None]
            found.append([table[one] for one in index.tolist()])
        else:
            found.append([None if one != one else one for one in values.tolist()])
    return found


def _blocks(count: int) -> Iterator[np.ndarray]:
    for begin in range(0, count, _BLOCK):
        yield np.arange(begin, min(count, begin + _BLOCK))


def _means(entries: np.ndarray, sequences: Sequences) -> np.ndarray:
    observed = ~np.isnan(entries)
    sums = sums_by_sequence(np.where(observed, entries, 0.0), sequences).sum(axis=1)
    return sums / np.maximum(sums_by_sequence(observed.astype(float), sequences).sum(axis=1), 1)


def _numbers(value: Any, size: int, name: str) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.shape != (size,) or not np.isfinite(array).all() or np.abs(array).max() > 1e6:
        raise ParameterError(f"{name!r} must be a list of {size} finite numbers.")
    return array
