"""Fields of requests and answers: their types check a request and describe the interface."""

from typing import Annotated, Any, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

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
        "layout of the training data; null is a missing entry."
    ),
]
CodeList = Annotated[
    list[CodeT],
    Meta(description="One code per sequence, each with `code_size` numbers of the model."),
]
Lengths = Annotated[
    list[Annotated[int, Meta(ge=0, le=_MANY)]] | None,
    Meta(description="Length of each sequence, by default that which its code has."),
]
Clip = Annotated[
    bool, Meta(description="Clip each numeric column to its range in the training data.")
]
Rate = Annotated[float, Meta(gt=0, lt=1)]


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
    steps: Annotated[
        bool, Meta(description="Also return the error and the p-value of each step.")
    ] = False


class ForecastRequest(AnyRequest, Generic[SequenceT]):
    """Forecast the next steps of sequences."""

    sequences: SequenceList[SequenceT]
    steps: Annotated[
        Annotated[int, Meta(ge=1, le=_MANY)] | None,
        Meta(description="Steps to forecast, by default all that the model was fitted for."),
    ] = None
    alpha: Annotated[
        Rate | None, Meta(description="Largest share of values outside the bounds.")
    ] = None
    context: Annotated[
        Annotated[int, Meta(ge=1, le=_MANY)] | None, Meta(description="Most last steps to read.")
    ] = None
    clip: Clip = False


class GenerateRequest(AnyRequest):
    """Generate sequences like those of the training data."""

    n: Annotated[int, Meta(ge=0, le=_MANY, description="Number of sequences.")] = 1
    lengths: Lengths = None
    temperature: Annotated[
        float, Meta(ge=0, description="Temperature of categorical and binary columns.")
    ] = 0.0
    components: Annotated[
        Annotated[int, Meta(ge=1, le=64)] | None,
        Meta(description="Components of the mixture that codes are drawn from."),
    ] = None
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
        Meta(description="Condition on ids and metadata, as in SQL, without functions."),
    ] = None


class Answer(Struct, kw_only=True, omit_defaults=True):
    """Fields of any answer."""

    warnings: list[str] = []


class CodesAnswer(Answer):
    """Codes of sequences."""

    codes: list[list[float]]


class SequencesAnswer(Answer):
    """Sequences in the layout of the training data."""

    sequences: list[Any]


class DetectionRow(Struct):
    """Whether a sequence is anomalous."""

    score: float
    error: float
    distance: float
    p_value: float
    adjusted_p_value: float
    anomalous: bool
    step: int | None
    column: str | None
    step_scores: list[float] | msgspec.UnsetType = msgspec.UNSET
    step_p_values: list[float] | msgspec.UnsetType = msgspec.UNSET


class DetectionsAnswer(Answer):
    """Anomaly scores and p-values."""

    detections: list[DetectionRow]
    alpha: float
    drift_p_value: float | None


class ForecastAnswer(Answer):
    """Next steps, and their bounds."""

    sequences: list[Any]
    alpha: float | None
    lower: list[Any] | None
    upper: list[Any] | None


class HitsAnswer(Answer):
    """The nearest rows for each query: id, distance and metadata."""

    hits: list[list[dict[str, Any]]]


class ModelColumn(Struct):
    """A column of the training data."""

    name: str
    type: str
    categories: int


class ModelAnswer(Struct):
    """What a client needs to know about a model."""

    name: str
    sha256: str
    model_hash: str
    columns: list[ModelColumn]
    layout: str
    code_size: int
    latent_dim: int
    latent_steps: int
    longest_training_sequence: int
    forecast_steps: int
    calibration_sequences: int
    index_rows: int | None


class ModelsAnswer(Struct):
    """All models."""

    models: list[ModelAnswer]


class Problem(Struct, omit_defaults=True):
    """Why a request was refused."""

    code: str
    message: str
    limit: Annotated[str, Meta(description="Name of the limit.")] = ""
    maximum: Annotated[float, Meta(description="Value of the limit.")] = 0


class ErrorAnswer(Struct):
    """An error."""

    error: Problem
