"""Models, and the operations on them: fields of requests and answers, and what they compute.

Types of fields check a request and describe the interface.
"""

import hashlib
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
from msgspec import Meta, Struct

import refold.search
from refold._support.arrays import draw_seed, offsets_from_lengths
from refold._support.rules import check_only_one
from refold.errors import DataError, ModelFileError, ParameterError
from refold.model import (
    Model,
    count_far,
    describe_far,
    describe_longer,
    describe_trained,
    far_limits,
    named,
)
from refold.network.packed.heads import Draw
from refold.network.packed.network import PackedNetwork
from refold.sequences import (
    Sequences,
    Windows,
    codes_to_arrow,
    default_step,
    whole_windows,
    window_places,
)
from refold.sequences.types import NUMERIC
from refold.serve._batches import BATCH_STEPS, Batcher
from refold.serve._settings import ServeSettings, ServiceError, check_limit, invalid

# Steps that a search counts as, for each query.
_SEARCH_COST = 100
# Steps of a sequence in the examples of the page for readers.
_EXAMPLE_STEPS = 2
_MANY = 2**31 - 1
Cell: TypeAlias = float | int | str | bool | None
# A sequence of any model: a string, a flat list, or a list of rows.
AnySequence: TypeAlias = str | list[Cell | list[Cell]]
# A model whose columns are all numeric has a narrower type, which is faster to read.
SequenceT = TypeVar("SequenceT", bound=AnySequence)
CodeT = TypeVar("CodeT", bound=list[float])

SequenceList = Annotated[
    list[SequenceT],
    Meta(
        description="One entry per sequence: a list of rows, a flat list or a string, in the "
        "layout of the training data; null is a missing entry.",
        examples=[[[0.1, 0.9, 0.2, -0.7], [0.5, 0.4]]],
    ),
]
CodeList = Annotated[
    list[CodeT],
    Meta(
        description="One code per sequence, each with `code_size` numbers of the model.",
        examples=[[[0.12, -1.3]]],
    ),
]
Lengths = Annotated[
    list[Annotated[int, Meta(ge=0, le=_MANY)]] | None,
    Meta(description="Length of each sequence, by default that which its code has."),
]
Clip = Annotated[
    bool | Literal["positive"],
    Meta(
        description="Clip each numeric column to its range in the training data, or with "
        '"positive" those that were never negative there at 0.'
    ),
]
Rate = Annotated[float, Meta(gt=0, lt=1)]
NumSteps = Annotated[int, Meta(ge=1, le=_MANY)]


# These types are read by msgspec, which checks requests, and are the OpenAPI description, too.
class AnyRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """Fields of any request; a table has its sequences or codes in columns."""


class EncodeRequest(AnyRequest, Generic[SequenceT]):
    """Encode sequences as codes."""

    sequences: SequenceList[SequenceT]


class DecodeRequest(AnyRequest, Generic[CodeT]):
    """Decode codes to sequences."""

    codes: CodeList[CodeT]
    lengths: Lengths = None
    clip: Clip = False


class ReconstructRequest(AnyRequest, Generic[SequenceT]):
    """Encode sequences and decode the codes."""

    sequences: SequenceList[SequenceT]
    clip: Clip = False


class DetectRequest(AnyRequest, Generic[SequenceT]):
    """Find anomalous sequences."""

    sequences: SequenceList[SequenceT]
    alpha: Annotated[Rate, Meta(description="False alarm rate.")] = 0.01
    by_step: Annotated[
        bool,
        Meta(description="Also give the results for each step; a table has these alone."),
    ] = False


class ForecastRequest(AnyRequest, Generic[SequenceT]):
    """Forecast the next steps of sequences."""

    sequences: SequenceList[SequenceT]
    steps: Annotated[
        NumSteps | None,
        Meta(description="Steps to forecast, by default all that the model was fitted for."),
    ] = None
    alpha: Annotated[
        Rate | None, Meta(description="Largest share of values outside the bounds.")
    ] = None
    clip: Clip = False


class GenerateRequest(AnyRequest):
    """Generate sequences like those of the training data."""

    n: Annotated[int, Meta(ge=0, le=_MANY, description="Number of sequences.")] = 1
    lengths: Lengths = None
    temperature: Annotated[
        float, Meta(ge=0, description="Temperature of categorical and binary columns.")
    ] = 0.0
    seed: Annotated[
        Annotated[int, Meta(ge=0, le=2**32 - 1)] | None,
        Meta(description="Seed of the draws; each answer is another one without it."),
    ] = None
    clip: Clip = True


class SearchRequest(AnyRequest, Generic[SequenceT, CodeT]):
    """Find the nearest rows of an index to one of sequences, codes and ids."""

    sequences: SequenceList[SequenceT] | None = None
    codes: CodeList[CodeT] | None = None
    ids: Annotated[
        list[str | int] | None, Meta(description="Ids of rows of the index to search for.")
    ] = None
    k: Annotated[int, Meta(ge=1, le=1000, description="Number of hits per query.")] = 10
    where: Annotated[
        Annotated[str, Meta(max_length=1000)] | None,
        Meta(
            description="Condition on ids and metadata, as in SQL, without functions.",
            examples=["site = 'north'"],
        ),
    ] = None


class ServedModel:
    """A loaded model and what requests ask about it."""

    def __init__(self, name: str, path: Path, index: str | None = None) -> None:
        self.name = name
        self.fitted = Model.load(path)
        if self.fitted.any_columns:  # a request has one column
            self.fitted = self.fitted.with_columns_of(np.zeros((1, self.fitted.code_size)))
        if not isinstance(self.fitted.network, PackedNetwork):
            raise ModelFileError(
                f"{path} is not a default model with LSTMs. The service computes without Keras, so "
                "it serves no other."
            )
        with Path(named(path).path).open("rb") as file:
            # of the model file; `hash` is that of what codes depend on
            self._digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.hash = self.fitted.hash
        self.index: Any = None if index is None else refold.search.Index.open(index, self.fitted)
        self._low, self._high = far_limits(self.fitted.error_scaler)
        schema = self.fitted.schema
        self.code_size = self.fitted.code_size
        # whether numbers of a request are the model's values as they are
        self.reads_numbers = not schema.missing and all(
            column.column_type is NUMERIC for column in schema.columns
        )
        self.names = list(schema.names)
        self.width = schema.num_columns
        # in JSON, a sequence is a list of numbers, without rows
        self.flat = schema.layout == "series"

    def is_hash(self, stored: str) -> bool:
        """Return whether codes with this hash are codes of the model."""
        return stored == self.hash or self.fitted.is_hash(stored)

    def sequences(self, values: np.ndarray, offsets: np.ndarray) -> Sequences:
        """Return finite numbers of a numeric model as sequences, without the checks of others."""
        offsets = offsets.astype(np.int64)
        return Sequences.trusted(values, offsets, np.arange(len(offsets) - 1), self.fitted.schema)

    def describe(self) -> dict[str, Any]:
        """Return what a client needs to know, and no training data."""
        fitted = self.fitted
        return {
            "name": self.name,
            "sha256": self._digest,
            "model_hash": self.hash,
            "refold_version": fitted.version,
            "columns": [
                {"name": c.name, "type": c.type, "categories": len(c.categories)}
                for c in fitted.schema.columns
            ],
            "layout": fitted.schema.layout,
            "code_size": fitted.code_size,
            "latent_dim": fitted.specification.latent_dim,
            "latent_steps": fitted.latent_steps,
            "longest_training_sequence": fitted.max_steps,
            "window": fitted.window,
            "step": fitted.step,
            "forecast_steps": fitted.specification.forecast_steps,
            "calibration_sequences": fitted.num_calibrated,
            "index_rows": None if self.index is None else len(self.index),
        }

    def examples(self) -> dict[str, Any]:
        """Return values of fields for a request to copy: what the model decodes, and no data."""
        code = np.zeros((1, self.code_size), np.float32)
        sequences = self.fitted.to_sequences(code, np.array([_EXAMPLE_STEPS]))
        values = np.round(8 * sequences.values) / 8  # short as decimals in any precision
        return {"sequences": sequences.with_values(values).to_list(), "codes": code, "n": 1}

    def warnings(self, sequences: Sequences, meaning: str | None) -> list[str]:
        """Return a line for each way in which sequences differ from those of the training."""
        # `meaning` is the use of the sequences; None if longer ones do not matter
        fitted, values, lines = self.fitted, sequences.values, []
        if meaning is not None and len(values) > fitted.max_steps:  # in all sequences
            lines.append(describe_longer(sequences.lengths, fitted.max_steps))
        missing = int(np.isnan(values).sum())
        if missing and not fitted.specification.observed_flags:
            lines.append(
                f"{missing} values are missing, and the model was fitted on data without gaps: it "
                "reads them as the mean."
            )
        for i in sequences.schema.categorical:
            column = sequences.schema.columns[i]
            unknown = int((values[:, i] == len(column.categories)).sum())
            if unknown:
                lines.append(
                    f"{unknown} entries of column {column.name!r} are no category of the model and "
                    "are read as unknown."
                )
        if meaning == "detection":
            lines.append(describe_trained(sequences, fitted.fingerprints.trained))
        if ((values < self._low) | (values > self._high)).any():
            lines.append(describe_far([count_far(values, fitted.error_scaler)], fitted.schema))
        return [line for line in lines if line is not None]


@dataclass(slots=True)
class RequestInputs:
    """The content of a request, which is checked."""

    model: ServedModel
    fields: Any  # an `AnyRequest` without its sequences and codes
    sequences: Any = None  # `Sequences` that are aligned with the model
    codes: Any = None  # (n_codes, code_size)
    ids: np.ndarray | None = None  # of a table; None for JSON
    doubts: tuple[str, ...] = ()  # warnings that the codes may be those of another model


class OperationResult(NamedTuple):
    """A result that is turned into JSON or a table, whichever the client wants."""

    content: Callable[[], dict[str, Any]]
    table: Callable[[], pa.Table]
    warnings: list[str]


class CodesToDecode(NamedTuple):
    """Codes and the lengths of their sequences."""

    codes: np.ndarray  # (n_sequences, code_size)
    lengths: np.ndarray | None  # (n_sequences,); by default those that the codes have


async def encode(inputs: RequestInputs, batches: Batcher) -> OperationResult:
    """Encode sequences, or windows of them."""
    model, windows = inputs.model, await _windows(inputs, batches)
    codes = await _codes_of(model, windows.sequences, batches)
    ids = inputs.ids if model.fitted.window is None else windows
    return OperationResult(
        lambda: {"codes": codes} | _places(model, windows),
        lambda: codes_to_arrow(codes, ids, model=model),
        model.warnings(windows.sequences, "codes"),
    )


async def decode(inputs: RequestInputs, batches: Batcher) -> OperationResult:
    """Decode codes."""
    model, settings = inputs.model.fitted, batches.settings
    payload = _checked_codes(model, inputs.codes, inputs.fields.lengths)
    decoded = await batches.compute(
        (inputs.model, "decode"),
        payload,
        _decoding_cost(model, payload),
        lambda several: _decoded(model, several, settings),
    )
    return _sequences_result(inputs, decoded, [*inputs.doubts])


async def reconstruct(inputs: RequestInputs, batches: Batcher) -> OperationResult:
    """Encode sequences and decode their codes, in parts if they are many."""
    model, settings = inputs.model.fitted, batches.settings
    windows = await _windows(inputs, batches)

    def compute(several: list[Sequences]) -> list[Any]:
        merged = _joined(several)
        codes, lengths = model.codes_of(merged), merged.lengths
        if model.window is None:
            lengths = model.lengths_to_write(codes, lengths)
        return _decoded_to(model, codes, _split(lengths, several), settings)

    parts: list[Sequences] = []
    for part in _parts(windows.sequences):
        key = inputs.model, "reconstruct", part.dtype
        parts.append(await batches.compute(key, part, 2 * _cost(part), compute))
        check_limit("steps", sum(len(part.values) for part in parts), settings)
    decoded = _joined(parts)
    if model.window is not None:
        decoded = await batches.compute_apart(lambda: windows.join(decoded))
    warnings = inputs.model.warnings(windows.sequences, "reconstructions")
    return _sequences_result(inputs, decoded, warnings)


async def detect(inputs: RequestInputs, batches: Batcher) -> OperationResult:
    """Find anomalous sequences."""
    model, fields, series = inputs.model.fitted, inputs.fields, inputs.sequences
    sequences = (await _windows(inputs, batches)).sequences
    detection = await batches.compute_alone(
        2 * _cost(sequences), lambda: model.detect(series, fields.alpha)
    )
    by_step = {}
    if fields.by_step:
        by_step["step_scores"] = detection.series_scores
        by_step["step_p_values"] = detection.series_p_values

    def content() -> dict[str, Any]:
        drift, table = detection.drift, detection.to_table()
        return {
            "detections": (table if model.window else table.drop_columns(["id"])).to_pylist(),
            "alpha": fields.alpha,
            "drift_p_value": None if drift is None else drift.p_value,
        } | by_step

    def table() -> pa.Table:
        return detection.steps() if by_step else detection.to_table()

    warnings = inputs.model.warnings(sequences, "detection")
    return OperationResult(content, table, warnings)


async def forecast(inputs: RequestInputs, batches: Batcher) -> OperationResult:
    """Forecast the next steps of sequences."""
    model, fields, sequences = inputs.model.fitted, inputs.fields, inputs.sequences
    forecasts = await batches.compute_alone(
        _cost(sequences),
        lambda: model.forecast(
            sequences,
            steps=fields.steps,
            alpha=fields.alpha,
            clip=fields.clip,
        ),
    )

    def content() -> dict[str, Any]:
        # in JSON, numbers that are not finite are null, such as those of open bounds
        sequences = forecasts.sequences.to_list()
        bounds = {"lower": forecasts.lower, "upper": forecasts.upper}
        return {"sequences": sequences, "alpha": forecasts.alpha} | bounds

    return OperationResult(content, forecasts.to_table, inputs.model.warnings(sequences, None))


async def generate(inputs: RequestInputs, batches: Batcher) -> OperationResult:
    """Decode codes drawn from a density of the codes of the training data."""
    model, fields, settings = inputs.model.fitted, inputs.fields, batches.settings
    check_limit("sequences", fields.n, settings)
    seed = draw_seed(fields.seed)
    # apart, because an early model has no density, and its fit takes longer than a batch
    codes = await batches.compute_apart(lambda: model.draw_codes(fields.n, seed=seed))
    payload = _checked_codes(model, codes, fields.lengths)
    draw = Draw.at(fields.temperature, seed)
    generated = await batches.compute_alone(
        _decoding_cost(model, payload), lambda: _decoded(model, [payload], settings, draw)[0]
    )
    return _sequences_result(inputs, generated, [])


async def search(inputs: RequestInputs, batches: Batcher) -> OperationResult:
    """Find the nearest rows of the model's index."""
    model, fields = inputs.model, inputs.fields
    sequences, codes, ids = inputs.sequences, inputs.codes, fields.ids
    if model.index is None:
        raise ServiceError(404, "no_index", "This model has no index to search in.")
    check_only_one("one of 'sequences', 'codes' and 'ids'", sequences, codes, ids)
    if ids is not None and len(set(map(type, ids))) != 1:
        raise invalid("'ids' must be a list of texts, or of integers.")
    check_limit("sequences", len(ids or ()), batches.settings)
    warnings, places = [*inputs.doubts], {}
    if sequences is not None:
        windows = await _windows(inputs, batches)
        sequences, places = windows.sequences, _places(model, windows)
        codes = await _codes_of(model, sequences, batches)
        warnings = model.warnings(sequences, "codes")
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
    hits = await batches.compute_alone(_SEARCH_COST * num_queries, nearest)

    def content() -> dict[str, Any]:
        rows = hits.table.drop_columns(["query", "rank"]).to_pylist()
        bounds = itertools.pairwise(hits.offsets.tolist())
        return {"hits": [rows[first:last] for first, last in bounds]} | places

    return OperationResult(content, lambda: hits.table, warnings)


class Operation(NamedTuple):
    """An operation of the interface."""

    run: Callable[[RequestInputs, Batcher], Awaitable[OperationResult]]
    request: type[AnyRequest]
    answer: str  # fields of its JSON


OPERATIONS = {
    "encode": Operation(encode, EncodeRequest, "`codes` of the sequences, or of their `windows`."),
    "decode": Operation(decode, DecodeRequest, "`sequences` of the codes."),
    "reconstruct": Operation(reconstruct, ReconstructRequest, "Reconstructed `sequences`."),
    "detect": Operation(
        detect,
        DetectRequest,
        "`detections` with scores and p-values, `alpha`, `drift_p_value`; by step, `step_scores` "
        "and `step_p_values`.",
    ),
    "forecast": Operation(
        forecast, ForecastRequest, "Next steps as `sequences`, their `lower` and `upper` bounds."
    ),
    "generate": Operation(generate, GenerateRequest, "New `sequences`."),
    "search": Operation(search, SearchRequest, "`hits` of each query: id, distance, metadata."),
}


async def _windows(inputs: RequestInputs, batches: Batcher) -> Windows:
    """Cut sequences into the windows of the model; without these, each sequence is one."""
    model, series = inputs.model.fitted, inputs.sequences
    if model.window is None:
        return whole_windows(series)
    # windows overlap, so they have more steps than the body
    step = model.step or default_step(model.window)
    places = window_places(series.lengths, model.window, step)
    check_limit("sequences", len(places.starts), batches.settings)
    check_limit("steps", int(places.lengths.sum()), batches.settings)
    return await batches.compute_apart(lambda: model.windows(series))


def _places(model: ServedModel, windows: Windows) -> dict[str, Any]:
    """Return where windows are, as a field of an answer; nothing for a model without windows."""
    return {} if model.fitted.window is None else {"windows": windows.to_table().to_pylist()}


async def _codes_of(model: ServedModel, sequences: Sequences, batches: Batcher) -> np.ndarray:
    """Encode sequences, in parts if they are many, so that others are computed in between."""

    def compute(several: list[Sequences]) -> list[np.ndarray]:
        return _split(model.fitted.codes_of(_joined(several)), several)

    parts = [
        await batches.compute((model, "encode", part.dtype), part, _cost(part), compute)
        for part in _parts(sequences)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _decoded(
    model: Model, several: list[CodesToDecode], settings: ServeSettings, draw: Draw | None = None
) -> list[Sequences]:
    """Decode several sets of codes together."""
    parts = [payload.codes for payload in several]
    codes = np.concatenate(parts)
    predicted = _split(model.predict_lengths(codes), parts)
    lengths = [
        own if payload.lengths is None else payload.lengths
        for payload, own in zip(several, predicted, strict=True)
    ]
    return _decoded_to(model, codes, lengths, settings, draw)


def _decoded_to(
    model: Model,
    codes: np.ndarray,
    lengths: list[np.ndarray],
    settings: ServeSettings,
    draw: Draw | None = None,
) -> list[Sequences]:
    """Decode codes to sets of sequences with these lengths."""
    # if a set is too long, the batcher computes each by itself, and only that one fails
    check_limit("steps", max(int(own.sum()) for own in lengths), settings)
    return _split(model.to_sequences(codes, np.concatenate(lengths), draw=draw), lengths)


def _joined(several: list[Sequences]) -> Sequences:
    """Return sets of aligned sequences as one; their ids do not matter."""
    if len(several) == 1:
        return several[0]
    values = np.concatenate([sequences.values for sequences in several])
    lengths = np.concatenate([sequences.lengths for sequences in several])
    return Sequences.trusted(values, offsets_from_lengths(lengths), None, several[0].schema)


def _split(rows: Any, several: list[Any]) -> list[Any]:
    """Cut rows into parts that are as long as several things."""
    ends = itertools.accumulate(map(len, several), initial=0)
    return [rows[first:last] for first, last in itertools.pairwise(ends)]


def _parts(sequences: Sequences) -> list[Sequences]:
    """Cut a large request into parts of about the steps of a batch."""
    if _cost(sequences) <= BATCH_STEPS:
        return [sequences]
    starts = np.cumsum(sequences.lengths + 1) - (sequences.lengths + 1)
    ends = np.flatnonzero(np.diff(starts // BATCH_STEPS)) + 1
    bounds = itertools.pairwise([0, *ends.tolist(), len(sequences)])
    return [sequences[first:last] for first, last in bounds]


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


def _sequences_result(
    inputs: RequestInputs, decoded: Sequences, warnings: list[str]
) -> OperationResult:
    """Return decoded sequences with the ids of the request."""
    decoded = inputs.model.fitted.scaler.clip(decoded, clip=inputs.fields.clip)
    ids = inputs.ids
    decoded = decoded.with_ids(np.arange(len(decoded)) if ids is None or not len(decoded) else ids)
    return OperationResult(
        lambda: {"sequences": decoded.to_list()},
        decoded.to_arrow,
        warnings,
    )
