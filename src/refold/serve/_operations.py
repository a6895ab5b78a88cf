"""What the service does with sequences and codes: one function and a list of fields for each."""

import itertools
from collections.abc import Callable, Generator, Hashable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from refold._support.argument_checks import draw_seed
from refold._support.rules import check, number
from refold.errors import DataError, ParameterError
from refold.network.packed.heads import Draw
from refold.sequences import Sequences, codes_to_arrow
from refold.serve import _fields
from refold.serve._arrow_bodies import id_name
from refold.serve._batches import Compute, Work
from refold.serve._computations import (
    DecodingTask,
    check_steps,
    checked_decoding,
    decoded,
    each,
    encoded,
    joined,
    reconstructed,
    sampled,
)
from refold.serve._fields import RequestField
from refold.serve._json_bodies import check_count
from refold.serve._models import ServedModel
from refold.serve._service_errors import ServiceError, invalid
from refold.serve._settings import ServeSettings

# Steps that a search counts as, for each query.
_SEARCH_COST = 100


class Asked(NamedTuple):
    """A request whose fields are checked."""

    model: ServedModel
    settings: ServeSettings
    sequences: Sequences | None  # aligned with the model
    codes: np.ndarray | None
    ids: np.ndarray | None  # of a table; None for JSON
    options: dict[str, Any]  # values of the other fields
    doubt: str | None = None  # warning that the codes may be those of another model

    def work(self, kind: Hashable, payload: object, steps: int, function: Compute) -> Work:
        """Return work that is computed together with other work of the same kind and model."""
        return Work((self.model, kind), payload, steps, function)


class Answer(NamedTuple):
    """A result that is turned into JSON or a table, whichever the client wants."""

    content: Callable[[], dict[str, Any]]
    table: Callable[[], pa.Table]
    warnings: list[str]


class Apart(NamedTuple):
    """A function that takes long, for another thread than that of the batches."""

    function: Callable[[], Any]


# How an operation runs: a generator that yields work for the thread that computes, and gets its
# results. So the same function runs inside a task, or without one, which costs less.
Run = Generator[Work | Apart, Any, Answer]


class Operation(NamedTuple):
    """An operation of the interface."""

    summary: str
    fields: tuple[RequestField, ...]
    run: Callable[[Asked], Run]
    apart: bool = False  # whether it has parts for another thread


def encode(asked: Asked) -> Run:
    """Encode sequences."""
    model, sequences = asked.model.fitted, _given(asked)
    parts = []
    for part in _parts(sequences, asked.settings.batch_steps):
        kind = ("encode", part.dtype)
        work = asked.work(kind, part, _cost(part), lambda several: encoded(model, several))
        parts.append((yield work))
    codes = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return Answer(
        lambda: {"codes": codes},
        lambda: codes_to_arrow(codes, asked.ids, model=asked.model),
        asked.model.warnings(sequences, "codes"),
    )


def decode(asked: Asked) -> Run:
    """Decode codes."""
    model, most = asked.model.fitted, asked.settings.max_steps
    one = checked_decoding(model, asked.codes, asked.options["lengths"])
    if one.lengths is not None:
        check_steps(int(one.lengths.sum()), most)
    back = yield asked.work(
        "decode", one, _decoding_cost(asked, one), lambda several: decoded(model, several, most)
    )
    return _sequences_answer(asked, back, [asked.doubt] if asked.doubt else [])


def reconstruct(asked: Asked) -> Run:
    """Encode sequences and decode their codes."""
    model, most, sequences = asked.model.fitted, asked.settings.max_steps, _given(asked)
    parts = []
    for part in _parts(sequences, asked.settings.batch_steps):
        kind = ("reconstruct", part.dtype)
        work = asked.work(
            kind, part, 2 * _cost(part), lambda several: reconstructed(model, several, most)
        )
        parts.append((yield work))
        check_steps(sum(len(done.values) for done in parts), most)
    return _sequences_answer(
        asked, joined(parts), asked.model.warnings(sequences, "reconstructions")
    )


def detect(asked: Asked) -> Run:
    """Find anomalous sequences."""
    model, alpha, sequences = asked.model.fitted, asked.options["alpha"], _given(asked)
    found = yield asked.work(
        "detect",
        sequences,
        2 * _cost(sequences),
        each(lambda one: model.detect(_with_ids(one, asked.ids), alpha)),
    )

    def table() -> pa.Table:
        whole = found.to_table(id_name(()))
        if asked.options["steps"]:
            for name in ("step_scores", "step_p_values"):
                column = pa.array([one.tolist() for one in getattr(found, name)])
                whole = whole.append_column(name, column)
        return whole

    def content() -> dict[str, Any]:
        rows = table().drop_columns(["id"]).to_pylist()
        drift = found.drift
        p_value = None if drift is None else drift.p_value
        return {"detections": rows, "alpha": alpha, "drift_p_value": p_value}

    return Answer(content, table, asked.model.warnings(sequences, "detection"))


def forecast(asked: Asked) -> Run:
    """Forecast the next steps of sequences."""
    model, sequences = asked.model.fitted, _given(asked)
    options = {name: asked.options[name] for name in ("steps", "alpha", "context", "clip")}
    ahead = yield asked.work(
        "forecast",
        sequences,
        _cost(sequences),
        each(lambda one: model.forecast(_with_ids(one, asked.ids), **options)),
    )
    return Answer(
        lambda: {
            "sequences": ahead.sequences.to_list(),
            "alpha": ahead.alpha,
            "lower": _finite(ahead.lower),
            "upper": _finite(ahead.upper),
        },
        lambda: ahead.to_table(id_name(ahead.sequences.schema.names)),
        asked.model.warnings(sequences, None),
    )


def generate(asked: Asked) -> Run:
    """Decode codes drawn from a density of the codes of the training data."""
    model, options, most = asked.model.fitted, asked.options, asked.settings.max_steps
    n, lengths = options["n"], options["lengths"]
    check_count(n, asked.settings)
    check("temperature", options["temperature"], number(least=0))
    seed = draw_seed(options["seed"])
    # apart, because the fit of another density takes longer than a batch
    codes = yield Apart(lambda: model.draw_codes(n, options["components"], seed=seed))
    one = checked_decoding(model, codes, lengths)
    draw = Draw.at(options["temperature"], seed)
    back = yield asked.work(
        "generate",
        one,
        _decoding_cost(asked, one),
        each(lambda given: sampled(model, given, draw, most)),
    )
    return _sequences_answer(asked, back, [])


def search(asked: Asked) -> Run:
    """Find the nearest rows of the model's index."""
    model, options = asked.model, asked.options
    if model.index is None:
        raise ServiceError(404, "no_index", "This model has no index to search in.")
    codes, ids, warnings = asked.codes, options["ids"], list[str]()
    if (asked.sequences is not None) + (codes is not None) + (ids is not None) != 1:
        raise invalid("Give one of 'sequences', 'codes' and 'ids'.")
    check_count(len(ids or ()), asked.settings)
    if asked.sequences is not None:
        encoded = yield from encode(asked)
        codes, warnings = encoded.content()["codes"], encoded.warnings
    elif codes is not None:
        codes = checked_decoding(model.fitted, codes, None).codes
        warnings = [asked.doubt] if asked.doubt else []

    def nearest(_: object) -> Any:
        try:
            given = {"codes": codes, "ids": ids, "k": options["k"], "where": options["where"]}
            return model.index.search(asked.sequences, **given)
        except (DataError, ParameterError) as error:  # whose message may name the folder
            raise invalid(str(error).replace(model.index.path, model.name)) from error

    steps = _SEARCH_COST * len(codes if codes is not None else ids)
    hits = yield asked.work("search", None, steps, each(nearest))

    def content() -> dict[str, Any]:
        rows = hits.table.drop_columns(["query", "rank"]).to_pylist()
        bounds = itertools.pairwise(hits.offsets.tolist())
        return {"hits": [rows[first:last] for first, last in bounds]}

    return Answer(content, lambda: hits.table, warnings)


OPERATIONS = {
    "encode": Operation("Encode sequences as codes.", (_fields.SEQUENCES,), encode),
    "decode": Operation(
        "Decode codes to sequences.", (_fields.CODES, _fields.LENGTHS, _fields.CLIP), decode
    ),
    "reconstruct": Operation(
        "Encode sequences and decode the codes.", (_fields.SEQUENCES, _fields.CLIP), reconstruct
    ),
    "detect": Operation(
        "Find anomalous sequences.",
        (_fields.SEQUENCES, _fields.ALPHA, _fields.STEP_ERRORS),
        detect,
    ),
    "forecast": Operation(
        "Forecast the next steps of sequences.",
        (
            _fields.SEQUENCES,
            _fields.FORECAST_STEPS,
            _fields.FORECAST_ALPHA,
            _fields.CONTEXT,
            _fields.CLIP,
        ),
        forecast,
    ),
    "generate": Operation(
        "Generate sequences like those of the training data.",
        (
            _fields.COUNT,
            _fields.LENGTHS,
            _fields.TEMPERATURE,
            _fields.COMPONENTS,
            _fields.SEED,
            _fields.CLIP_GENERATED,
        ),
        generate,
        apart=True,
    ),
    "search": Operation(
        "Find the nearest rows of an index.",
        (_fields.SEQUENCES_OR, _fields.CODES_OR, _fields.IDS, _fields.HITS, _fields.WHERE),
        search,
    ),
}


def _given(asked: Asked) -> Sequences:
    """Return the sequences of a request, whose values float32 can hold."""
    if asked.sequences is None:
        raise TypeError
    asked.model.fitted.scaler.check(asked.sequences)  # before others are computed with them
    return asked.sequences


def _cost(sequences: Sequences) -> int:
    """Return the steps of sequences; each costs something by itself."""
    return len(sequences.values) + len(sequences)


def _decoding_cost(asked: Asked, one: DecodingTask) -> int:
    if one.lengths is not None:
        return int(one.lengths.sum()) + len(one.codes)
    return len(one.codes) * (1 + asked.model.fitted.max_steps)


def _parts(sequences: Sequences, most_steps: int) -> list[Sequences]:
    """Cut a large request into parts, so that others are computed in between."""
    if _cost(sequences) <= most_steps:
        return [sequences]
    ends = np.cumsum(sequences.lengths + 1)
    parts, first = [], 0
    while first < len(sequences):
        before = int(ends[first - 1]) if first else 0
        last = int(np.searchsorted(ends, before + most_steps, side="right"))
        last = max(first + 1, last)
        parts.append(sequences[first:last])
        first = last
    return parts


def _with_ids(sequences: Sequences, ids: np.ndarray | None) -> Sequences:
    return sequences if ids is None else sequences.with_ids(ids)


def _sequences_answer(asked: Asked, back: Sequences, warnings: list[str]) -> Answer:
    if asked.options["clip"]:
        back = asked.model.fitted.scaler.clip(back)
    if not len(back) or asked.ids is None:
        back = back.with_ids(np.arange(len(back)))
    else:
        back = back.with_ids(asked.ids)
    return Answer(
        lambda: {"sequences": back.to_list()},
        lambda: back.to_arrow(id_name(back.schema.names)),
        warnings,
    )


def _finite(bounds: np.ndarray | None) -> list[Any] | None:
    """Return bounds with NaN, which is null in JSON, where they are infinite."""
    return None if bounds is None else np.where(np.isfinite(bounds), bounds, np.nan).tolist()
