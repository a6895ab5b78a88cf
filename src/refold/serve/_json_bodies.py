"""JSON in both directions."""

import array
import contextlib
import functools
import itertools
from typing import Annotated, Any

import msgspec
import numpy as np

from refold.errors import RefoldError
from refold.sequences import Sequences
from refold.serve._inputs import RequestInputs, check_count, check_steps
from refold.serve._messages import AnyRequest, AnySequence, CodeT, SequenceT
from refold.serve._models import ServedModel
from refold.serve._service_errors import ServiceError, invalid
from refold.serve._settings import ServeSettings

_CHAIN = itertools.chain.from_iterable


def read_json(
    body: bytes, kind: type[AnyRequest], model: ServedModel, settings: ServeSettings
) -> RequestInputs:
    """Read a request, with numbers without a detour if the model is numeric."""
    fields, sequences, codes = None, None, None
    if model.reads_numbers:
        with contextlib.suppress(ValueError):  # of which the general decoder tells the reason
            fields = _decoder(kind, model.code_size, model.width, flat=model.flat).decode(body)
    numbers_only = fields is not None
    if fields is None:
        fields = _general(body, kind, model)
    if (entries := getattr(fields, "sequences", None)) is not None:
        check_count(len(entries), settings)
        check_steps(sum(map(len, entries)), settings)
        convert = _from_numbers if numbers_only and entries else _from_lists
        sequences = convert(entries, model)
        fields.sequences = []  # lists take much more memory than arrays
    if (entries := getattr(fields, "codes", None)) is not None:
        check_count(len(entries), settings)
        codes = np.array(entries)
        fields.codes = []
    return RequestInputs(fields, sequences, codes)


def refused(error: msgspec.ValidationError, kind: type[AnyRequest]) -> ServiceError:
    """Return the answer to a request with a wrong field, which names the place of the value."""
    names = ", ".join(kind.__struct_fields__)
    reason = str(error).replace(" - at ", " at ")
    return invalid(f"{reason}. The fields of this request are {names}.")


def to_json(content: object) -> bytes:
    """Return content as JSON, with NaN as null.

    Parameters
    ----------
    content : object
        What JSON can hold, structs of msgspec, and arrays and numbers of NumPy.

    Returns
    -------
    bytes

    Examples
    --------
    >>> to_json({"code": np.array([0.5, np.nan], np.float32), "length": np.int64(3)})
    b'{"code":[0.5,null],"length":3}'
    """
    return msgspec.json.encode(content, enc_hook=_plain)


@functools.cache
def _decoder(
    kind: type[AnyRequest], code_size: int, width: int = 0, *, flat: bool = False
) -> msgspec.json.Decoder[Any]:
    """Return a decoder of requests with rows of ``width`` numbers, or any sequences if it is 0."""
    numbers = list[float] if flat else list[_numbers(width)]
    types = {SequenceT: numbers if width else AnySequence, CodeT: _numbers(code_size)}
    parameters = getattr(kind, "__parameters__", ())
    if parameters:
        kind = kind[tuple(types[one] for one in parameters)]  # type: ignore[index]
    return msgspec.json.Decoder(kind)


def _numbers(count: int) -> Any:
    """Return the type of a list of so many numbers."""
    return Annotated[list[float], msgspec.Meta(min_length=count, max_length=count)]


def _general(body: bytes, kind: type[AnyRequest], model: ServedModel) -> Any:
    """Read a request for any model, or say what is wrong with it."""
    try:
        return _decoder(kind, model.code_size).decode(body)
    except msgspec.ValidationError as error:
        raise refused(error, kind) from None
    except (ValueError, RecursionError) as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        message = f"The body is not JSON: {reason}."
        raise ServiceError(422, "invalid_json", message) from None


def _from_numbers(entries: list[Any], model: ServedModel) -> Sequences:
    """Convert lists of numbers, or of rows of numbers, which need no other check."""
    offsets = np.array([0, *itertools.accumulate(map(len, entries))])
    steps = entries[0] if len(entries) == 1 else [*_CHAIN(entries)]
    numbers = array.array("d", steps if model.flat else [*_CHAIN(steps)])
    return model.sequences(np.frombuffer(numbers).reshape(-1, model.width), offsets)


def _from_lists(entries: list[Any], model: ServedModel) -> Sequences:
    """Convert sequences that are lists of rows, flat lists or strings."""
    try:
        return Sequences.from_list(entries, schema=model.fitted.schema)
    except RefoldError:
        raise
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise invalid(
            "The sequences cannot be read. Expected lists of numbers, of tokens, or of rows of "
            "equal length."
        ) from error


def _plain(value: object) -> Any:
    """Convert arrays and numbers of NumPy, and the text of warnings, whose class is its own."""
    if isinstance(value, str):
        return str(value)
    if not isinstance(value, np.ndarray | np.generic):
        raise TypeError
    return value.tolist()
