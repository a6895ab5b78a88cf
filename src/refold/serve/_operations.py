"""What the service does with sequences and codes: one function for each operation."""

import itertools
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from refold._support.argument_checks import draw_seed
from refold._support.arrays import offsets_from_lengths
from refold.errors import DataError, ParameterError
from refold.model import Model
from refold.network.packed.heads import Draw
from refold.sequences import Sequences, codes_to_arrow
from refold.serve import _messages as messages
from refold.serve._arrow_bodies import id_name
from refold.serve._batches import Batcher, Compute, Work
from refold.serve._inputs import RequestInputs, check_count, check_steps
from refold.serve._models import ServedModel
from refold.serve._service_errors import ServiceError, invalid
from refold.serve._settings import ServeSettings

# Steps that a search counts as, for each query.
_SEARCH_COST = 100


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is to be computed."""

    model: ServedModel
    inputs: RequestInputs
    settings: ServeSettings
    batches: Batcher

    @property
    def sequences(self) -> Sequences:
        """Sequences of the request, whose values float32 can hold."""
        sequences = self.inputs.sequences
        if sequences is None:
            raise TypeError
        self.model.fitted.scaler.check(sequences)  # before others are computed with them
        return sequences

    @property
    def sequences_with_ids(self) -> Sequences:
        """Sequences with the ids of the request."""
        sequences, ids = self.sequences, self.inputs.ids
        return sequences if ids is None else sequences.with_ids(ids)

    async def together(self, kind: Hashable, payload: object, steps: int, compute: Compute) -> Any:
        """Compute a payload together with others of the same kind and model."""
        return await self.batches.compute(Work((self.model, kind), payload, steps, compute))

    async def alone(self, steps: int, compute: Callable[[], Any]) -> Any:
        """Compute something whose options may differ from those of other requests."""
        # an object is no other request's key
        return await self.batches.compute(Work(object(), None, steps, lambda _: [compute()]))


class OperationResult(NamedTuple):
    """A result that is turned into JSON or a table, whichever the client wants."""

    content: Callable[[], messages.Answer]
    table: Callable[[], pa.Table]
    warnings: list[str]


class CodesToDecode(NamedTuple):
    """Codes and the lengths of their sequences."""

    codes: np.ndarray  # (n_sequences, code_size)
    lengths: np.ndarray | None  # (n_sequences,); by default those that the codes have


async def encode(call: Call) -> OperationResult:
    """Encode sequences."""
    sequences = call.sequences
    codes = await _codes_of(call, sequences)
    return OperationResult(
        lambda: messages.CodesAnswer(codes=codes.tolist()),
        lambda: codes_to_arrow(codes, call.inputs.ids, model=call.model),
        call.model.warnings(sequences, "codes"),
    )


async def decode(call: Call) -> OperationResult:
    """Decode codes."""
    model, settings = call.model.fitted, call.settings
    payload = _checked_codes(model, call.inputs.codes, call.inputs.fields.lengths)
    if payload.lengths is not None:
        check_steps(int(payload.lengths.sum()), settings)
    decoded = await call.together(
        "decode",
        payload,
        _decoding_cost(model, payload),
        lambda several: _decoded(model, several, settings),
    )
    doubt = call.inputs.doubt
    return _sequences_result(call, decoded, [] if doubt is None else [doubt])


async def reconstruct(call: Call) -> OperationResult:
    """Encode sequences and decode their codes, in parts if they are many."""
    model, settings, sequences = call.model.fitted, call.settings, call.sequences
    parts: list[Sequences] = []
    for part in _parts(sequences, settings.batch_steps):
        reconstructed = await call.together(
            ("reconstruct", part.dtype),
            part,
            2 * _cost(part),
            lambda several: _reconstructed(model, several, settings),
        )
        parts.append(reconstructed)
        check_steps(sum(len(part.values) for part in parts), settings)
    warnings = call.model.warnings(sequences, "reconstructions")
    return _sequences_result(call, _joined(parts), warnings)


async def detect(call: Call) -> OperationResult:
    """Find anomalous sequences."""
    model, fields, sequences = call.model.fitted, call.inputs.fields, call.sequences_with_ids
    detection = await call.alone(
        2 * _cost(sequences), lambda: model.detect(sequences, fields.alpha)
    )

    def table() -> pa.Table:
        rows = detection.to_table(id_name(()))
        if fields.steps:
            for name in ("step_scores", "step_p_values"):
                column = pa.array([one.tolist() for one in getattr(detection, name)])
                rows = rows.append_column(name, column)
        return rows

    def content() -> messages.Answer:
        drift = detection.drift
        return messages.DetectionsAnswer(
            detections=table().drop_columns(["id"]).to_pylist(),
            alpha=fields.alpha,
            drift_p_value=None if drift is None else drift.p_value,
        )

    return OperationResult(content, table, call.model.warnings(sequences, "detection"))


async def forecast(call: Call) -> OperationResult:
    """Forecast the next steps of sequences."""
    model, fields, sequences = call.model.fitted, call.inputs.fields, call.sequences_with_ids
    forecasts = await call.alone(
        _cost(sequences),
        lambda: model.forecast(
            sequences,
            steps=fields.steps,
            alpha=fields.alpha,
            context=fields.context,
            clip=fields.clip,
        ),
    )
    return OperationResult(
        lambda: messages.ForecastAnswer(
            sequences=forecasts.sequences.to_list(),
            alpha=forecasts.alpha,
            lower=_finite(forecasts.lower),
            upper=_finite(forecasts.upper),
        ),
        lambda: forecasts.to_table(id_name(forecasts.sequences.schema.names)),
        call.model.warnings(sequences, None),
    )


async def generate(call: Call) -> OperationResult:
    """Decode codes drawn from a density of the codes of the training data."""
    model, fields, settings = call.model.fitted, call.inputs.fields, call.settings
    check_count(fields.n, settings)
    seed = draw_seed(fields.seed)
    # apart, because the fit of another density takes longer than a batch
    codes = await call.batches.compute_apart(
        lambda: model.draw_codes(fields.n, fields.components, seed=seed)
    )
    payload = _checked_codes(model, codes, fields.lengths)
    draw = Draw.at(fields.temperature, seed)
    generated = await call.alone(
        _decoding_cost(model, payload), lambda: _decoded(model, [payload], settings, draw)[0]
    )
    return _sequences_result(call, generated, [])


async def search(call: Call) -> OperationResult:
    """Find the nearest rows of the model's index."""
    model, fields = call.model, call.inputs.fields
    sequences, codes, ids = call.inputs.sequences, call.inputs.codes, fields.ids
    if model.index is None:
        raise ServiceError(404, "no_index", "This model has no index to search in.")
    if sum(queries is not None for queries in (sequences, codes, ids)) != 1:
        raise invalid("Give one of 'sequences', 'codes' and 'ids'.")
    if ids is not None and len(set(map(type, ids))) != 1:
        raise invalid("'ids' must be a list of texts, or of integers.")
    check_count(len(ids or ()), call.settings)
    warnings = [] if call.inputs.doubt is None else [call.inputs.doubt]
    if sequences is not None:
        codes = await _codes_of(call, call.sequences)
        warnings = call.model.warnings(sequences, "codes")
    elif codes is not None:
        codes = _checked_codes(model.fitted, codes, None).codes

    def nearest() -> Any:
        try:
            return model.index.search(
                sequences, codes=codes, ids=ids, k=fields.k, where=fields.where
            )
        except (DataError, ParameterError) as error:  # whose message may name the folder
            raise invalid(str(error).replace(model.index.path, model.name)) from error

    num_queries = len(ids or ()) if codes is None else len(codes)
    hits = await call.alone(_SEARCH_COST * num_queries, nearest)

    def content() -> messages.Answer:
        rows = hits.table.drop_columns(["query", "rank"]).to_pylist()
        bounds = itertools.pairwise(hits.offsets.tolist())
        return messages.HitsAnswer(hits=[rows[first:last] for first, last in bounds])

    return OperationResult(content, lambda: hits.table, warnings)


class Operation(NamedTuple):
    """An operation of the interface."""

    run: Callable[[Call], Awaitable[OperationResult]]
    request: type[messages.AnyRequest]
    answer: type[messages.Answer]
    example: dict[str, Any]  # fields of a request


_WAVES = [[0.1, 0.9, 0.2, -0.7], [0.5, 0.4]]
OPERATIONS = {
    "encode": Operation(
        encode, messages.EncodeRequest, messages.CodesAnswer, {"sequences": _WAVES}
    ),
    "decode": Operation(
        decode,
        messages.DecodeRequest,
        messages.SequencesAnswer,
        {"codes": [[0.12, -1.3]], "lengths": [4]},
    ),
    "reconstruct": Operation(
        reconstruct, messages.ReconstructRequest, messages.SequencesAnswer, {"sequences": _WAVES}
    ),
    "detect": Operation(
        detect,
        messages.DetectRequest,
        messages.DetectionsAnswer,
        {"sequences": [[0.1, 9.0, 0.2]], "alpha": 0.05},
    ),
    "forecast": Operation(
        forecast,
        messages.ForecastRequest,
        messages.ForecastAnswer,
        {"sequences": [[0.1, 0.9, 0.2]], "steps": 2},
    ),
    "generate": Operation(
        generate, messages.GenerateRequest, messages.SequencesAnswer, {"n": 1, "seed": 0}
    ),
    "search": Operation(
        search,
        messages.SearchRequest,
        messages.HitsAnswer,
        {"sequences": [[0.1, 0.9, 0.2]], "k": 1, "where": "site = 'north'"},
    ),
}


async def _codes_of(call: Call, sequences: Sequences) -> np.ndarray:
    """Encode sequences, in parts if they are many, so that others are computed in between."""
    model = call.model.fitted
    parts = [
        await call.together(
            ("encode", part.dtype), part, _cost(part), lambda several: _encoded(model, several)
        )
        for part in _parts(sequences, call.settings.batch_steps)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


# Of several requests together, each as if alone. If one fails, `Batcher` computes them one by one.


def _encoded(model: Model, several: list[Sequences]) -> list[np.ndarray]:
    """Encode several sets of aligned sequences."""
    return _split(model.codes_of(_joined(several)), several)


def _decoded(
    model: Model, several: list[CodesToDecode], settings: ServeSettings, draw: Draw | None = None
) -> list[Sequences]:
    """Decode several sets of codes, each to at most the limit of steps."""
    codes = np.concatenate([one.codes for one in several])
    predicted = _split(model.predict_lengths(codes), [one.codes for one in several])
    lengths = [
        own if one.lengths is None else one.lengths
        for one, own in zip(several, predicted, strict=True)
    ]
    return _within_limit(model, codes, lengths, settings, draw)


def _reconstructed(
    model: Model, several: list[Sequences], settings: ServeSettings
) -> list[Sequences]:
    """Encode and decode several sets of aligned sequences."""
    merged = _joined(several)
    codes = model.codes_of(merged)
    lengths = model.lengths_to_write(codes, merged.lengths)
    return _within_limit(model, codes, _split(lengths, several), settings)


def _within_limit(
    model: Model,
    codes: np.ndarray,
    lengths: list[np.ndarray],
    settings: ServeSettings,
    draw: Draw | None = None,
) -> list[Sequences]:
    """Decode codes to sets of sequences with these lengths, each with few enough steps."""
    for own in lengths:
        check_steps(int(own.sum()), settings)
    return _split(model.to_sequences(codes, np.concatenate(lengths), draw=draw), lengths)


def _joined(several: list[Sequences]) -> Sequences:
    """Return sets of aligned sequences as one; their ids do not matter."""
    if len(several) == 1:
        return several[0]
    values = np.concatenate([one.values for one in several])
    lengths = np.concatenate([one.lengths for one in several])
    return Sequences.trusted(values, offsets_from_lengths(lengths), None, several[0].schema)


def _split(rows: Any, several: list[Any]) -> list[Any]:
    """Cut rows into parts that are as long as several things."""
    ends = itertools.accumulate(map(len, several), initial=0)
    return [rows[first:last] for first, last in itertools.pairwise(ends)]


def _parts(sequences: Sequences, batch_steps: int) -> list[Sequences]:
    """Cut a large request into parts."""
    if _cost(sequences) <= batch_steps:
        return [sequences]
    ends = np.cumsum(sequences.lengths + 1)
    parts, first = [], 0
    while first < len(sequences):
        before = int(ends[first - 1]) if first else 0
        last = int(np.searchsorted(ends, before + batch_steps, side="right"))
        last = max(first + 1, last)
        parts.append(sequences[first:last])
        first = last
    return parts


def _cost(sequences: Sequences) -> int:
    """Return the steps of sequences; each costs something by itself."""
    return len(sequences.values) + len(sequences)


def _decoding_cost(model: Model, payload: CodesToDecode) -> int:
    """Return the steps of decoding codes, at most if their lengths are not known yet."""
    if payload.lengths is not None:
        return int(payload.lengths.sum()) + len(payload.codes)
    return len(payload.codes) * (1 + model.max_steps)


def _checked_codes(model: Model, codes: Any, lengths: list[int] | None) -> CodesToDecode:
    """Check codes and lengths of a request."""
    checked = model.check_codes(codes)
    if (line := model.describe_far(checked)) is not None:
        raise DataError(f"{line} Send codes as encode returns them.")
    if lengths is None:
        return CodesToDecode(checked, None)
    return CodesToDecode(checked, model.check_lengths(lengths, len(checked)))


def _sequences_result(call: Call, decoded: Sequences, warnings: list[str]) -> OperationResult:
    """Return decoded sequences with the ids of the request."""
    if call.inputs.fields.clip:
        decoded = call.model.fitted.scaler.clip(decoded)
    ids = call.inputs.ids
    decoded = decoded.with_ids(np.arange(len(decoded)) if ids is None or not len(decoded) else ids)
    return OperationResult(
        lambda: messages.SequencesAnswer(sequences=decoded.to_list()),
        lambda: decoded.to_arrow(id_name(decoded.schema.names)),
        warnings,
    )


def _finite(bounds: np.ndarray | None) -> list[Any] | None:
    """Return bounds with NaN, which is null in JSON, where they are infinite."""
    return None if bounds is None else np.where(np.isfinite(bounds), bounds, np.nan).tolist()
