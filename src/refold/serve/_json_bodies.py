"""JSON in both directions."""

import array
import itertools
from typing import Any

import numpy as np
import orjson

from refold.errors import RefoldError
from refold.sequences import Sequences
from refold.serve._computations import check_steps
from refold.serve._models import ServedModel
from refold.serve._service_errors import ServiceError, exceeded, invalid
from refold.serve._settings import ServeSettings

_CHAIN = itertools.chain.from_iterable
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


def to_json(content: object) -> bytes:
    """Return content as JSON: floats in the shortest form that keeps all bits, NaN as null.

    Parameters
    ----------
    content : object
        What JSON can hold, and arrays and numbers of NumPy.

    Returns
    -------
    bytes

    Examples
    --------
    >>> to_json({"code": np.array([0.5, np.nan], np.float32), "length": np.int64(3)})
    b'{"code":[0.5,null],"length":3}'
    """
    return orjson.dumps(content, default=_plain, option=_OPTIONS)


def sequences_from_json(
    value: object, model: ServedModel, settings: ServeSettings, *, booleans: bool = True
) -> Sequences:
    """Convert a list of sequences, each a list of rows, a flat list or a string."""
    if not isinstance(value, list):
        raise invalid("'sequences' must be a list with one entry per sequence.")
    check_count(len(value), settings)
    lengths = [len(one) if isinstance(one, list | str) else 0 for one in value]
    check_steps(sum(lengths), settings.max_steps)
    # `booleans`: the body has the words true or false, which would be read as numbers
    if model.plain and value and not booleans:
        sequences = _plain_numbers(value, lengths, model)
        if sequences is not None:
            return sequences
    schema = model.fitted.schema
    try:
        return Sequences.from_list(value, schema=schema)
    except (RefoldError, ServiceError):
        raise
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise invalid(
            "The sequences cannot be read. Expected lists of numbers, of tokens, or of rows of "
            "equal length."
        ) from error


def codes_from_json(value: object, settings: ServeSettings) -> np.ndarray:
    """Convert a list of codes."""
    if not isinstance(value, list):
        raise invalid("'codes' must be a list with one code per sequence.")
    check_count(len(value), settings)
    numbers = _numbers(value)
    if numbers is None:
        raise invalid("'codes' must be lists of finite numbers, all of the same length.")
    return numbers


def check_count(count: int, settings: ServeSettings) -> None:
    """Refuse a request with too many sequences or codes."""
    if count > settings.max_sequences:
        raise exceeded(
            "sequences",
            settings.max_sequences,
            f"The request has {count} sequences or codes, or asks for as many. The limit is "
            f"{settings.max_sequences}; send several requests.",
        )


def _plain_numbers(value: list[Any], lengths: list[int], model: ServedModel) -> Sequences | None:
    """Convert numbers in the form that a numeric model was fitted on; None for anything else."""
    if set(map(type, value)) != {list}:
        return None
    width, steps = model.width, value[0] if len(value) == 1 else [*_CHAIN(value)]
    if not model.flat:
        if not (set(map(type, steps)) <= {list} and set(map(len, steps)) <= {width}):
            return None
        steps = [*_CHAIN(steps)]
    try:
        numbers = array.array("d", steps)
    except (TypeError, OverflowError):  # text, null, lists, or a whole number that is too large
        return None
    # JSON holds no infinity, and the parser refuses a number that would become one
    values = np.frombuffer(numbers).reshape(-1, width)
    return model.sequences(values, [0, *itertools.accumulate(lengths)])


def _numbers(value: list[Any]) -> np.ndarray | None:
    """Return lists of numbers as float64; None if they hold anything else, or differ in length."""
    try:
        found = np.array(value)
    except ValueError:
        return None
    return found.astype(np.float64) if found.dtype.kind in "iuf" else None


def _plain(value: object) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError
