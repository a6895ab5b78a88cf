"""The operations on served models, and the classes of their requests.

The request classes check requests, and are also the OpenAPI description. Each operation takes
``CheckedRequest`` and returns an ``OperationResult``.
"""

import hashlib
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
from msgspec import Meta, Struct

import refold.search
from refold._support.arrays import offsets_from_lengths, to_integer_seed
from refold._support.messages import collect_warnings
from refold._support.rules import check_exactly_one
from refold.errors import DataError, ModelFileError, ParameterError
from refold.model import (
    Model,
    describe_excess_lengths,
    describe_unusual_data,
    resolve_file_and_dims,
)
from refold.network.packed.heads import CategorySampling
from refold.network.packed.network import PackedNetwork
from refold.sequences import (
    Sequences,
    Windows,
    codes_to_arrow,
    compute_window_positions,
    default_window_step,
    uncut_windows,
)
from refold.sequences.types import NUMERIC
from refold.serve._batches import MAX_BATCH_STEPS, Batcher
from refold.serve._settings import ServeSettings, ServiceError, check_limit, make_request_error

# Cost of one search query. The unit is the cost of encoding one step. The costs of the waiting
# requests decide when the next batch begins.
_QUERY_COST_IN_STEPS = 100
# Number of steps of the sequence in the examples of the page /docs.
_NUM_EXAMPLE_STEPS = 2
# Largest integer in a request: it fits in 32 bits, as in the network.
_MAX_REQUEST_INTEGER = 2**31 - 1
# A value of a step in JSON.
JsonCell: TypeAlias = float | int | str | bool | None
# A sequence of any model: a string, a flat list, or a list of rows.
JsonSequence: TypeAlias = str | list[JsonCell | list[JsonCell]]
# Type variables of a sequence and a code. For a model of numbers, they become narrower types: lists
# of numbers of the right length, which are faster to parse.
SequenceTypeVar = TypeVar("SequenceTypeVar", bound=JsonSequence)
CodeTypeVar = TypeVar("CodeTypeVar", bound=list[float])

SequencesField = Annotated[
    list[SequenceTypeVar],
    Meta(
        description="One entry per sequence: a list of rows, a flat list or a string, in the "
        "layout of the training data; null is a missing entry.",
        examples=[[[0.1, 0.9, 0.2, -0.7], [0.5, 0.4]]],
    ),
]
CodesField = Annotated[
    list[CodeTypeVar],
    Meta(
        description="One code per sequence, each with `code_size` numbers of the model.",
        examples=[[[0.12, -1.3]]],
    ),
]
SequenceLengthsField = Annotated[
    list[Annotated[int, Meta(ge=0, le=_MAX_REQUEST_INTEGER)]] | None,
    Meta(description="Length of each sequence. By default, it is decoded from the code."),
]
ClipField = Annotated[
    bool | Literal["positive"],
    Meta(
        description="Clip each numeric column to its range in the training data. With "
        '"positive", only raise negative values to 0, in columns that had none in training.'
    ),
]
FractionField = Annotated[float, Meta(gt=0, lt=1)]
NumStepsField = Annotated[int, Meta(ge=1, le=_MAX_REQUEST_INTEGER)]


# msgspec checks requests with these types, and makes the OpenAPI description from their docstrings.
# The base class has no fields. It refuses requests with fields that a request class does not have.
class BaseRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of all requests. In a table, sequences or codes are columns, and not fields."""


class EncodeRequest(BaseRequest, Generic[SequenceTypeVar]):
    """Encode sequences as codes."""

    sequences: SequencesField[SequenceTypeVar]


class DecodeRequest(BaseRequest, Generic[CodeTypeVar]):
    """Decode codes to sequences."""

    codes: CodesField[CodeTypeVar]
    lengths: SequenceLengthsField = None
    clip: ClipField = False


class ReconstructRequest(BaseRequest, Generic[SequenceTypeVar]):
    """Encode sequences and decode the codes."""

    sequences: SequencesField[SequenceTypeVar]
    clip: ClipField = False


class DetectRequest(BaseRequest, Generic[SequenceTypeVar]):
    """Find anomalous sequences."""

    sequences: SequencesField[SequenceTypeVar]
    alpha: Annotated[FractionField, Meta(description="False alarm rate.")] = 0.01
    by_step: Annotated[
        bool, Meta(description="Also give the results of each step. A table then has only these.")
    ] = False


class ForecastRequest(BaseRequest, Generic[SequenceTypeVar]):
    """Forecast the next steps of sequences."""

    sequences: SequencesField[SequenceTypeVar]
    steps: Annotated[
        NumStepsField | None,
        Meta(description="Steps to forecast, by default all that the model was fitted for."),
    ] = None
    alpha: Annotated[
        FractionField | None, Meta(description="Largest share of values outside the bounds.")
    ] = None
    clip: ClipField = False


class GenerateRequest(BaseRequest):
    """Generate sequences like those of the training data."""

    n: Annotated[int, Meta(ge=0, le=_MAX_REQUEST_INTEGER, description="Number of sequences.")] = 1
    lengths: SequenceLengthsField = None
    temperature: Annotated[
        float, Meta(ge=0, description="Temperature of categorical and binary columns.")
    ] = 0.0
    seed: Annotated[
        Annotated[int, Meta(ge=0, le=2**32 - 1)] | None,
        Meta(description="Seed of the draws. Without a seed, each answer is different."),
    ] = None
    clip: ClipField = True


class SearchRequest(BaseRequest, Generic[SequenceTypeVar, CodeTypeVar]):
    """Find the rows of an index that are nearest to sequences, codes or ids."""

    sequences: SequencesField[SequenceTypeVar] | None = None
    codes: CodesField[CodeTypeVar] | None = None
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
    """A loaded model, with its index and the properties that every request needs."""

    def __init__(self, name: str, path: Path, index_path: str | None = None) -> None:
        model = Model.load(path)
        # A pretrained model takes any number of columns. Here it is used for one column: a code of
        # `code_size` numbers is a code of one column.
        if model.any_columns:
            model = model.adapt_to_code_width(np.zeros((1, model.code_size)))
        if not isinstance(model.network, PackedNetwork):
            raise ModelFileError(
                f"{path} is not a default model with LSTMs. The service computes without Keras, so "
                "it serves no other."
            )
        with Path(resolve_file_and_dims(path).path).open("rb") as file:
            # this hash is of the whole file; `hash` covers only the parts on which codes depend
            self._file_hash = hashlib.file_digest(file, "sha256").hexdigest()
        self.name, self.fitted_model, self.hash = name, model, model.hash
        self.search_index: Any = None
        if index_path is not None:
            self.search_index = refold.search.Index.open(index_path, model)
        self.code_size = model.code_size
        schema = model.schema
        # whether the model takes the numbers of a request as they are: each column is numeric, and
        # no number, such as -99999, marks a missing value
        is_numeric = all(column.column_type is NUMERIC for column in schema.columns)
        self.takes_raw_numbers = is_numeric and not schema.missing
        self.column_names, self.num_columns = list(schema.names), schema.num_columns
        # whether a sequence in JSON is a list of numbers instead of a list of rows
        self.takes_flat_lists = schema.layout == "series"

    def has_hash(self, stored_hash: str) -> bool:
        """Return whether codes with this hash are codes of the model."""
        return stored_hash == self.hash or self.fitted_model.has_hash(stored_hash)

    def make_sequences_unchecked(self, step_values: np.ndarray, offsets: np.ndarray) -> Sequences:
        """Return finite values (num_steps, num_columns) as sequences; skip the checks of values."""
        offsets, ids = offsets.astype(np.int64), np.arange(len(offsets) - 1)
        return Sequences.from_checked(step_values, offsets, ids, self.fitted_model.schema)

    def describe(self) -> dict[str, Any]:
        """Return properties of the model that any client may see; they reveal no training data."""
        model = self.fitted_model
        return {
            "name": self.name,
            "sha256": self._file_hash,
            "model_hash": self.hash,
            "refold_version": model.version,
            "columns": [
                {"name": column.name, "type": column.type, "categories": len(column.categories)}
                for column in model.schema.columns
            ],
            "layout": model.schema.layout,
            "code_size": model.code_size,
            "latent_dim": model.specification.latent_dim,
            "latent_steps": model.latent_steps,
            "longest_training_sequence": model.max_training_length,
            "window": model.window,
            "step": model.step,
            "forecast_steps": model.specification.forecast_steps,
            "calibration_sequences": model.num_calibrated,
            "index_rows": None if self.search_index is None else len(self.search_index),
        }

    def make_example_fields(self) -> dict[str, Any]:
        """Return fields for example requests; their values are decoded from a code of zeros."""
        code = np.zeros((1, self.code_size), np.float32)
        sequences = self.fitted_model.decode_to_sequences(code, np.array([_NUM_EXAMPLE_STEPS]))
        values = np.round(8 * sequences.values) / 8  # multiples of 1/8 have at most three decimals
        return {"sequences": sequences.with_values(values).to_list(), "codes": code, "n": 1}


@dataclass(slots=True)
class CheckedRequest:
    """The checked content of a request, and the model that it is for."""

    served_model: ServedModel
    fields: Any  # a `BaseRequest` without its sequences and codes
    sequences: Any = None  # `Sequences` that are aligned with the model
    codes: Any = None  # (num_codes, code_size)
    ids: np.ndarray | None = None  # ids of an Arrow table; None for JSON
    # of the conversion to the columns of the model, and of a table that does not name the model of
    # its codes
    warnings: list[str] = field(default_factory=list)


class OperationResult(NamedTuple):
    """Functions that make a result as JSON content or as a table, whichever the client accepts."""

    make_answer_fields: Callable[[], dict[str, Any]]
    make_answer_table: Callable[[], pa.Table]
    warnings: list[str]


class CodesToDecode(NamedTuple):
    """Codes and the lengths of their sequences."""

    codes: np.ndarray  # (num_sequences, code_size)
    lengths: np.ndarray | None  # (num_sequences,); None to predict them from the codes


async def encode(request: CheckedRequest, batcher: Batcher) -> OperationResult:
    """Encode sequences, or windows of them."""
    served, windows = request.served_model, await _cut_windows(request, batcher)
    codes = await _encode_sequences(served, windows.sequences, batcher)
    # a table of windows names the series and the position of each window
    ids = request.ids if served.fitted_model.window is None else windows
    return OperationResult(
        lambda: {"codes": codes} | _make_window_answer_field(served, windows),
        lambda: codes_to_arrow(codes, ids, model=served),
        _describe_warnings(request, windows.sequences),
    )


async def decode(request: CheckedRequest, batcher: Batcher) -> OperationResult:
    """Decode codes."""
    model, settings = request.served_model.fitted_model, batcher.settings
    payload = _check_codes_to_decode(model, request.codes, request.fields.lengths)
    cost = _decoding_cost_in_steps(model, payload)

    def decode_batch(batch: list[CodesToDecode]) -> list[Sequences]:
        return _decode_batch(model, batch, settings, sampling=None)

    key = request.served_model, "decode"
    decoded = await batcher.compute_in_batch(key, payload, cost, decode_batch)
    lengths, noun = payload.lengths, "length"
    if lengths is None:
        lengths, noun = decoded.lengths, "predicted length"
    warning = describe_excess_lengths(lengths, model.max_training_length, noun)
    warnings = [*request.warnings, *([] if warning is None else [warning])]
    return _make_sequence_result(request, decoded, warnings)


async def reconstruct(request: CheckedRequest, batcher: Batcher) -> OperationResult:
    """Encode sequences and decode their codes; compute a large request in several batches."""
    model, settings = request.served_model.fitted_model, batcher.settings
    windows = await _cut_windows(request, batcher)

    def reconstruct_batch(batch: list[Sequences]) -> list[Any]:
        merged = _concatenate_sequences(batch)
        codes, lengths = model.encode_checked(merged), merged.lengths
        if model.window is None:  # windows keep their lengths, because they are joined to series
            lengths = model.reconstruction_lengths(codes, lengths)
        return _decode_to_lengths(model, codes, _split_like(lengths, batch), settings)

    decoded_chunks: list[Sequences] = []
    for chunk in _split_into_chunks(windows.sequences):
        # a batch has values of one dtype, because a concatenation of several dtypes converts values
        key = request.served_model, "reconstruct", chunk.dtype
        cost = 2 * _encoding_cost_in_steps(chunk)  # each step is encoded and decoded
        decoded_chunks.append(await batcher.compute_in_batch(key, chunk, cost, reconstruct_batch))
        check_limit("steps", sum(len(decoded.values) for decoded in decoded_chunks), settings)
    decoded = _concatenate_sequences(decoded_chunks)
    if model.window is not None:
        decoded = await batcher.run_in_background(lambda: windows.join(decoded))
    warnings = _describe_warnings(request, windows.sequences)
    return _make_sequence_result(request, decoded, warnings)


async def detect(request: CheckedRequest, batcher: Batcher) -> OperationResult:
    """Find anomalous sequences."""
    model, fields, series = request.served_model.fitted_model, request.fields, request.sequences
    sequences = (await _cut_windows(request, batcher)).sequences
    cost = 2 * _encoding_cost_in_steps(sequences)
    detection, warnings = await _compute_with_warnings(
        request, batcher, cost, lambda: model.detect(series, fields.alpha)
    )
    step_fields = {}
    if fields.by_step:
        step_fields["step_scores"] = detection.series_step_scores
        step_fields["step_p_values"] = detection.series_step_p_values

    def make_answer_fields() -> dict[str, Any]:
        # without windows, there is one row per sequence of the request, so ids are not needed
        drift, table = detection.drift, detection.to_table()
        return {
            "detections": (table if model.window else table.drop_columns(["id"])).to_pylist(),
            "alpha": fields.alpha,
            "drift_p_value": None if drift is None else drift.p_value,
        } | step_fields

    def make_answer_table() -> pa.Table:
        return detection.to_step_table() if step_fields else detection.to_table()

    return OperationResult(make_answer_fields, make_answer_table, warnings)


async def forecast(request: CheckedRequest, batcher: Batcher) -> OperationResult:
    """Forecast the next steps of sequences."""
    model, fields, sequences = request.served_model.fitted_model, request.fields, request.sequences
    forecasts, warnings = await _compute_with_warnings(
        request,
        batcher,
        _encoding_cost_in_steps(sequences),
        lambda: model.forecast(sequences, steps=fields.steps, alpha=fields.alpha, clip=fields.clip),
    )

    def make_answer_fields() -> dict[str, Any]:
        # in JSON, numbers that are not finite, such as open bounds, become null
        bounds = {"lower": forecasts.lower, "upper": forecasts.upper}
        return {"sequences": forecasts.sequences.to_list(), "alpha": forecasts.alpha} | bounds

    return OperationResult(make_answer_fields, forecasts.to_table, warnings)


async def generate(request: CheckedRequest, batcher: Batcher) -> OperationResult:
    """Decode codes that are drawn from a density, which was fitted to the training codes."""
    model, fields, settings = request.served_model.fitted_model, request.fields, batcher.settings
    check_limit("sequences", fields.n, settings)
    seed = to_integer_seed(fields.seed)
    # in the background, because the density is fitted first if an old model file lacks it
    codes = await batcher.run_in_background(lambda: model.draw_codes(fields.n, seed=seed))
    payload = _check_codes_to_decode(model, codes, fields.lengths)
    sampling = CategorySampling.from_temperature(fields.temperature, seed)
    generated = await batcher.compute_in_own_batch(
        _decoding_cost_in_steps(model, payload),
        lambda: _decode_batch(model, [payload], settings, sampling)[0],
    )
    warning = None
    if payload.lengths is not None:
        warning = describe_excess_lengths(payload.lengths, model.max_training_length, "length")
    return _make_sequence_result(request, generated, [] if warning is None else [warning])


async def search(request: CheckedRequest, batcher: Batcher) -> OperationResult:
    """Find the nearest rows of the model's index."""
    served, fields = request.served_model, request.fields
    sequences, codes, ids = request.sequences, request.codes, fields.ids
    if served.search_index is None:
        raise ServiceError(404, "no_index", "This model has no index to search in.")
    check_exactly_one("one of 'sequences', 'codes' and 'ids'", sequences, codes, ids)
    if ids is not None and len(set(map(type, ids))) != 1:  # empty, or of both types
        raise make_request_error("'ids' must be a list of texts, or of integers.")
    check_limit("sequences", len(ids or ()), batcher.settings)
    warnings, window_field = request.warnings, {}
    if sequences is not None:
        windows = await _cut_windows(request, batcher)
        sequences, window_field = windows.sequences, _make_window_answer_field(served, windows)
        codes = await _encode_sequences(served, sequences, batcher)
        warnings = _describe_warnings(request, sequences)
    elif codes is not None:
        codes = _check_codes_to_decode(served.fitted_model, codes, lengths=None).codes

    def query_index() -> Any:
        try:
            settings = {"k": fields.k, "where": fields.where}
            return served.search_index.search(sequences, codes=codes, ids=ids, **settings)
        except (DataError, ParameterError) as error:  # the message may hold the path of the index
            raise make_request_error(
                str(error).replace(served.search_index.path, served.name)
            ) from error

    num_queries = len(ids or ()) if codes is None else len(codes)
    hits = await batcher.compute_in_own_batch(_QUERY_COST_IN_STEPS * num_queries, query_index)

    def make_answer_fields() -> dict[str, Any]:
        rows = hits.table.drop_columns(["query", "rank"]).to_pylist()
        bounds = itertools.pairwise(hits.offsets.tolist())
        return {"hits": [rows[first:last] for first, last in bounds]} | window_field

    return OperationResult(make_answer_fields, lambda: hits.table, warnings)


class Operation(NamedTuple):
    """An operation of the service."""

    run: Callable[[CheckedRequest, Batcher], Awaitable[OperationResult]]
    request_type: type[BaseRequest]
    answer_description: str  # describes the fields of the answer in JSON


# Operations by name. The name is the last part of the path.
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


def _describe_warnings(request: CheckedRequest, aligned: Sequences) -> list[str]:
    """Return the warnings about aligned sequences, or windows of them, as `Model` words them."""
    model = request.served_model.fitted_model
    return [*request.warnings, *describe_unusual_data(model, aligned)]


async def _compute_with_warnings(
    request: CheckedRequest, batcher: Batcher, cost: int, computation: Callable[[], Any]
) -> tuple[Any, list[str]]:
    """Run a computation as a batch of its own; return its result, and the warnings of `Model`."""

    def compute() -> tuple[Any, list[str]]:
        with collect_warnings() as warnings:
            return computation(), warnings

    result, warnings = await batcher.compute_in_own_batch(cost, compute)
    return result, [*request.warnings, *warnings]


async def _cut_windows(request: CheckedRequest, batcher: Batcher) -> Windows:
    """Cut sequences into windows; if the model has no windows, each sequence is one window."""
    model, series = request.served_model.fitted_model, request.sequences
    if model.window is None:
        return uncut_windows(series)
    # The limits of the sequences were checked before. Overlapping windows have more steps.
    step = model.step or default_window_step(model.window)
    positions = compute_window_positions(series.lengths, model.window, step)
    check_limit("sequences", len(positions.starts), batcher.settings)
    check_limit("steps", int(positions.lengths.sum()), batcher.settings)
    return await batcher.run_in_background(lambda: model.windows(series))


def _make_window_answer_field(served: ServedModel, windows: Windows) -> dict[str, Any]:
    """Return a dict with the field ``windows`` of an answer; empty if the model has no windows."""
    return {} if served.fitted_model.window is None else {"windows": windows.to_table().to_pylist()}


async def _encode_sequences(
    served: ServedModel, sequences: Sequences, batcher: Batcher
) -> np.ndarray:
    """Return codes (num_sequences, code_size); other requests can run between two chunks."""

    def encode_batch(batch: list[Sequences]) -> list[np.ndarray]:
        return _split_like(served.fitted_model.encode_checked(_concatenate_sequences(batch)), batch)

    key = served, "encode", sequences.dtype
    code_chunks = [
        await batcher.compute_in_batch(key, chunk, _encoding_cost_in_steps(chunk), encode_batch)
        for chunk in _split_into_chunks(sequences)
    ]
    return code_chunks[0] if len(code_chunks) == 1 else np.concatenate(code_chunks)


def _decode_batch(
    model: Model,
    batch: list[CodesToDecode],
    limits: ServeSettings,
    sampling: CategorySampling | None,
) -> list[Sequences]:
    """Decode the codes of several requests together, and return the sequences of each request."""
    codes_by_request = [payload.codes for payload in batch]
    codes = np.concatenate(codes_by_request)
    predicted_lengths = _split_like(model.predict_lengths(codes), codes_by_request)
    lengths_by_request = [
        predicted if payload.lengths is None else payload.lengths
        for payload, predicted in zip(batch, predicted_lengths, strict=True)
    ]
    return _decode_to_lengths(model, codes, lengths_by_request, limits, sampling)


def _decode_to_lengths(
    model: Model,
    codes: np.ndarray,
    lengths_by_request: list[np.ndarray],
    limits: ServeSettings,
    sampling: CategorySampling | None = None,  # None: without random draws
) -> list[Sequences]:
    """Decode codes (num_sequences, code_size) of several requests to sequences of these lengths."""
    # if this check fails, the batcher computes each request singly, so it refuses only those
    # with too many steps
    max_request_steps = max(int(lengths.sum()) for lengths in lengths_by_request)  # of one request
    check_limit("steps", max_request_steps, limits)
    all_lengths = np.concatenate(lengths_by_request)
    decoded = model.decode_to_sequences(codes, all_lengths, sampling=sampling)
    return _split_like(decoded, lengths_by_request)


def _concatenate_sequences(chunks: list[Sequences]) -> Sequences:
    """Return several `Sequences` of the same schema as one, without ids."""
    if len(chunks) == 1:
        return chunks[0]
    values = np.concatenate([sequences.values for sequences in chunks])
    lengths = np.concatenate([sequences.lengths for sequences in chunks])
    return Sequences.from_checked(values, offsets_from_lengths(lengths), None, chunks[0].schema)


def _split_like(array: Any, chunks: list[Any]) -> list[Any]:
    """Cut an array, or sequences, into parts with the lengths of ``chunks``."""
    ends = itertools.accumulate(map(len, chunks), initial=0)
    return [array[first:last] for first, last in itertools.pairwise(ends)]


def _split_into_chunks(sequences: Sequences) -> list[Sequences]:
    """Cut a large set of sequences into chunks of about MAX_BATCH_STEPS steps."""
    if _encoding_cost_in_steps(sequences) <= MAX_BATCH_STEPS:
        return [sequences]
    # The cost of all sequences before each sequence. A new chunk begins where this cost passes a
    # multiple of MAX_BATCH_STEPS.
    costs = sequences.lengths + 1  # as in `_encoding_cost_in_steps`
    costs_before = np.cumsum(costs) - costs
    first_indices = np.flatnonzero(np.diff(costs_before // MAX_BATCH_STEPS)) + 1
    bounds = itertools.pairwise([0, *first_indices.tolist(), len(sequences)])
    return [sequences[first:last] for first, last in bounds]


def _encoding_cost_in_steps(sequences: Sequences) -> int:
    """Return the number of steps, plus one per sequence, because a sequence itself takes time."""
    return len(sequences.values) + len(sequences)


def _decoding_cost_in_steps(model: Model, codes_to_decode: CodesToDecode) -> int:
    """Return the number of steps to decode, plus one per sequence."""
    num_sequences = len(codes_to_decode.codes)
    if codes_to_decode.lengths is None:  # the lengths are not known yet, so the maximum counts
        return num_sequences * (model.max_training_length + 1)
    return int(codes_to_decode.lengths.sum()) + num_sequences


def _check_codes_to_decode(model: Model, codes: Any, lengths: list[int] | None) -> CodesToDecode:
    """Return the codes and lengths of a request, or raise an error if they are wrong."""
    codes = model.check_codes(codes)
    if outlier_text := model.describe_far_codes(codes):
        raise DataError(f"{outlier_text} Send codes as encode returns them.")
    return CodesToDecode(
        codes, None if lengths is None else model.check_lengths(lengths, len(codes))
    )


def _make_sequence_result(
    request: CheckedRequest, decoded: Sequences, warnings: list[str]
) -> OperationResult:
    """Return the result for decoded sequences: clipped, and with the ids of the request."""
    decoded = request.served_model.fitted_model.scaler.clip(decoded, clip=request.fields.clip)
    # without ids in the request, the decoded sequences are numbered
    ids = np.arange(len(decoded)) if request.ids is None or not len(decoded) else request.ids
    decoded = decoded.with_ids(ids)
    return OperationResult(lambda: {"sequences": decoded.to_list()}, decoded.to_arrow, warnings)
