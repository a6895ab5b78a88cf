"""JSON in both directions."""

from typing import Any

import numpy as np
import orjson

from refold._support.offsets import offsets_from_lengths
from refold.errors import RefoldError
from refold.sequences import Sequences
from refold.serve._computations import check_steps
from refold.serve._models import ServedModel
from refold.serve._service_errors import ServiceError, exceeded, invalid
from refold.serve._settings import ServeSettings

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the object that a body holds."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ServiceError(
            422, "invalid_json", f"The body is not JSON: {error.msg} at character {error.pos}."
        ) from None
    if not isinstance(found, dict):
        raise invalid("The body must be a JSON object.")
    return found


def to_json(content: Any) -> bytes:
    """Return content as JSON: floats in the shortest form that keeps all bits, NaN as null."""
    return orjson.dumps(content, default=_plain, option=_OPTIONS)


def sequences_from_json(value: Any, model: ServedModel, settings: ServeSettings) -> Sequences:
    """Convert a list of sequences, each a list of rows, a flat list or a string."""
    if not isinstance(value, list):
        raise invalid("'sequences' must be a list with one entry per sequence.")
    check_count(len(value), settings)
    check_steps(sum(len(one) for one in value if isinstance(one, list | str)), settings.max_steps)
    sequences = _plain_numbers(value, model) if model.plain else None
    if sequences is not None:
        return sequences
    schema = model.ae.schema_
    try:
        return Sequences.from_list(value, schema=schema)
    except (RefoldError, ServiceError):
        raise
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise invalid(
            "The sequences cannot be read. Expected lists of numbers, of tokens, or of rows of "
            "equal length."
        ) from error


def codes_from_json(value: Any, settings: ServeSettings) -> np.ndarray:
    """Convert a list of codes."""
    if not isinstance(value, list):
        raise invalid("'codes' must be a list with one code per sequence.")
    check_count(len(value), settings)
    numbers = _numbers(value)
    if numbers is None:
        raise invalid("'codes' must be lists of finite numbers, all of the same length.")
    return numbers


def sequences_to_json(sequences: Sequences) -> list[Any]:
    """Return sequences in the layout of the model."""
    return sequences.to_list()


def check_count(count: int, settings: ServeSettings) -> None:
    """Refuse a request with too many sequences or codes."""
    if count > settings.max_sequences:
        raise exceeded(
            "sequences",
            settings.max_sequences,
            f"The request has {count} sequences or codes, or asks for as many. The limit is "
            f"{settings.max_sequences}; send several requests.",
        )


def _plain_numbers(value: list[Any], model: ServedModel) -> Sequences | None:
    """Convert numbers in the form that a numeric model was fitted on; None for anything else."""
    width = model.ae.schema_.num_columns
    flat = model.ae.schema_.layout == "series"
    arrays = []
    for one in value:
        if not isinstance(one, list):
            return None
        array = _numbers(one) if one else np.zeros((0,) if flat else (0, width))
        if array is None or array.shape[1:] != (() if flat else (width,)):
            return None
        arrays.append(array)
    if not arrays:
        return None
    values = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    offsets = offsets_from_lengths([len(array) for array in arrays])
    return Sequences(values.reshape(-1, width), offsets, schema=model.ae.schema_)


def _numbers(value: list[Any]) -> np.ndarray | None:
    """Return lists of numbers as float64; None if they hold anything else, or differ in length."""
    try:
        array = np.array(value)
    except ValueError:
        return None
    return array.astype(np.float64) if array.dtype.kind in "iuf" else None


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError
