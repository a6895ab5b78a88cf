"""Links in Keras: from the outputs of the last layer to means and probabilities, and to values."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from keras import ops

from refold.sequences.types import MAX_EXPONENT, Outputs


class KerasLink(NamedTuple):
    """A link of column types."""

    activate: Callable[[Any], Any]  # from (..., width) to means or probabilities
    likeliest: Callable[[Any], Any]  # from these to values (..., 1)
    is_elementwise: bool = True


def _is_likely(probability: Any) -> Any:
    return ops.cast(probability > 0.5, probability.dtype)


def _index(probabilities: Any) -> Any:
    return ops.cast(ops.argmax(probabilities, axis=-1, keepdims=True), probabilities.dtype)


LINKS = {
    "identity": KerasLink(lambda mean: mean, lambda mean: mean),
    "sigmoid": KerasLink(ops.sigmoid, _is_likely),
    "exponential": KerasLink(
        lambda logarithm: ops.exp(ops.minimum(logarithm, MAX_EXPONENT)), lambda mean: mean
    ),
    "softmax": KerasLink(lambda logits: ops.softmax(logits, axis=-1), _index, is_elementwise=False),
}


def activate(logits: Any, outputs: Iterable[Outputs]) -> Any:
    """Turn outputs (..., outputs) of the last layer into means and probabilities."""
    outputs = list(outputs)
    links = list(dict.fromkeys(one.type.link for one in outputs))
    if len(links) == 1 and LINKS[links[0]].is_elementwise:
        return LINKS[links[0]].activate(logits)
    if all(LINKS[link].is_elementwise for link in links):
        # an operation for all columns is faster than one for each
        written = logits
        for link in links:
            if link != "identity":
                here = ops.convert_to_tensor([one.type.link == link for one in outputs])
                written = ops.where(here, LINKS[link].activate(logits), written)
        return written
    blocks = [LINKS[one.type.link].activate(logits[..., one.block]) for one in outputs]
    return ops.concatenate(blocks, axis=-1)


def likeliest(written: Any, outputs: Iterable[Outputs]) -> Any:
    """Return the likeliest values (..., columns): means, 0 or 1, and indices of categories."""
    values = [LINKS[one.type.link].likeliest(written[..., one.block]) for one in outputs]
    return ops.concatenate(values, axis=-1)
