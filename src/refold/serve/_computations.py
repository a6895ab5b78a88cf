"""What the thread of the service computes: several requests together, each as if alone."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from refold._support.offsets import offsets_from_lengths
from refold.errors import DataError, RefoldError
from refold.model import Model
from refold.network.packed.heads import Draw
from refold.sequences import Sequences
from refold.serve._service_errors import ServiceError, exceeded


class DecodingTask(NamedTuple):
    """Codes to decode."""

    codes: np.ndarray  # (n_sequences, width of the code)
    lengths: np.ndarray | None  # (n_sequences,); by default those that the codes have


def encoded(model: Model, several: list[Sequences]) -> list[np.ndarray]:
    """Encode several sets of aligned sequences."""
    codes = model.codes_of(joined(several))
    ends = itertools.accumulate((len(one) for one in several), initial=0)
    return [codes[first:last] for first, last in itertools.pairwise(ends)]


def decoded(model: Model, several: list[DecodingTask], most_steps: int) -> list[Any]:
    """Decode several sets of codes, each to at most a number of steps."""
    codes = np.concatenate([one.codes for one in several])
    bounds = np.cumsum([len(one.codes) for one in several])[:-1]
    predicted = np.split(model.predict_lengths(codes), bounds)
    lengths = [
        own if one.lengths is None else one.lengths
        for one, own in zip(several, predicted, strict=True)
    ]
    return _within(model, [one.codes for one in several], lengths, most_steps)


def reconstructed(model: Model, several: list[Sequences], most_steps: int) -> list[Any]:
    """Encode and decode several sets of aligned sequences."""
    merged = joined(several)
    codes = model.codes_of(merged)
    lengths = model.lengths_to_write(codes, merged.lengths)
    bounds = np.cumsum([len(one) for one in several])[:-1]
    return _within(model, np.split(codes, bounds), np.split(lengths, bounds), most_steps)


def sampled(model: Model, one: DecodingTask, draw: Draw | None, most_steps: int) -> Sequences:
    """Decode generated codes; the draws depend on all of them."""
    lengths = one.lengths
    if lengths is None:
        lengths = model.predict_lengths(one.codes)
    check_steps(int(lengths.sum()), most_steps)
    return model.to_sequences(one.codes, lengths, draw=draw)


def each(function: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    """Return a function of several payloads that computes one after the other."""

    def several(payloads: list[Any]) -> list[Any]:
        return [_result_or_error(function, payload) for payload in payloads]

    return several


def checked_decoding(model: Model, codes: Any, lengths: ArrayLike | None) -> DecodingTask:
    """Check codes and lengths of a request."""
    checked = model.check_codes(codes)
    if (line := model.describe_far(checked)) is not None:
        raise DataError(f"{line} Send codes as encode returns them.")
    if lengths is not None:
        lengths = model.check_lengths(lengths, len(checked))
    return DecodingTask(checked, lengths)


def check_steps(steps: int, most_steps: int) -> None:
    """Refuse a request with too many steps, in it or in its response."""
    if steps > most_steps:
        raise exceeded(
            "steps",
            most_steps,
            f"The request has {steps} steps, or asks for as many. The limit is {most_steps}; "
            "send several requests.",
        )


def _result_or_error(function: Callable[[Any], Any], payload: Any) -> Any:
    try:
        return function(payload)
    except (RefoldError, ServiceError) as error:
        return error


def _within(
    model: Model, codes: list[np.ndarray], lengths: list[np.ndarray], most_steps: int
) -> list[Any]:
    """Decode those sets that have few enough steps together, and return errors for the others."""
    results: list[Any] = []
    for own in lengths:
        try:
            check_steps(int(own.sum()), most_steps)
            results.append(None)
        except ServiceError as error:
            results.append(error)
    fine = [i for i, result in enumerate(results) if result is None]
    if not fine:
        return results
    both = model.to_sequences(
        np.concatenate([codes[i] for i in fine]), np.concatenate([lengths[i] for i in fine])
    )
    ends = np.cumsum([0, *(len(codes[i]) for i in fine)])
    for i, (first, last) in zip(fine, itertools.pairwise(ends), strict=True):
        results[i] = both[int(first) : int(last)]
    return results


def joined(several: list[Sequences]) -> Sequences:
    """Return sets of aligned sequences as one; their ids do not matter."""
    if len(several) == 1:
        return several[0]
    values = np.concatenate([one.values for one in several])
    lengths = np.concatenate([one.lengths for one in several])
    return Sequences(values, offsets_from_lengths(lengths), schema=several[0].schema)
