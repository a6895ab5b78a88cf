"""Autoregressive decoding: the decoder reads the steps that it wrote before."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from refold.errors import ParameterError
from refold.network.keras.decoder import AutoregressiveDecoder
from refold.network.keras.tensors import Tensor
from refold.sequences.types import outputs_of


def decode_autoregressively(
    decoder: keras.Model,
    codes: Tensor,
    num_steps: int,
    *,
    stop: int | None = None,
    noise: Tensor = None,
    temperature: float = 1.0,
) -> np.ndarray:
    """Decode codes step by step; each step is the input of the next one.

    The next step gets the likeliest category of a categorical column, the likelier of 0 and 1 of a
    binary column, and the mean of a numeric column.  Therefore the sequence depends on its code
    alone, and teacher forcing with that sequence gives the same outputs.  All steps run in one
    compiled loop.

    Parameters
    ----------
    decoder : keras.Model
        The decoder of `default` with ``decoder="autoregressive"``.
    codes : array of shape (batch, latent_dim)
        Codes to decode.
    num_steps : int
        Number of steps of the result; the loop is compiled once for each number.
    stop : int, optional
        Number of steps to write; later steps are zero.
    noise : array of shape (batch, num_steps, outputs), optional
        Random numbers to sample categories and binary values with: from the standard Gumbel
        distribution for categorical columns, and from the standard logistic one for binary columns.
        Those of numeric columns are not used.
    temperature : float
        A category is sampled with a probability proportional to ``p ** (1 / temperature)``.

    Returns
    -------
    array of shape (batch, num_steps, outputs)
        Means, probabilities and softmax blocks, as the decoder writes them.  With ``noise``, scores
        replace the probabilities: the sampled category has the highest score, and that of a binary
        column is above 0.5 if the sample is 1.

    Examples
    --------
    >>> from refold.models import default
    >>> options = {"latent_dim": 3, "max_steps": 4, "units": 8, "decoder": "autoregressive"}
    >>> models = default(["categorical"], num_categories=[5], **options)
    >>> y = decode_autoregressively(models.decoder, np.zeros((2, 3)), num_steps=4)
    >>> y.shape
    (2, 4, 5)
    >>> steps = y.argmax(axis=-1)[..., None].astype("float32")
    >>> forced = models.decoder.predict([np.zeros((2, 3)), steps], verbose=0)
    >>> bool(np.allclose(forced, y, atol=1e-5))
    True
    """
    if not any(layer.name == "teacher_forcing" for layer in decoder.layers):
        raise ParameterError(
            "decode_autoregressively needs an autoregressive decoder, and this one is parallel. "
            "Call the decoder itself, or build it with decoder='autoregressive'."
        )
    codes = np.asarray(codes, "float32")
    stop = num_steps if stop is None else min(stop, num_steps)
    if keras.backend.backend() != "jax":
        written = _write(decoder, codes, stop, num_steps, noise, temperature)
        return np.asarray(ops.convert_to_numpy(written))
    run: Any = getattr(decoder, "_refold_autoregressive", None)
    if run is None:
        run = decoder._refold_autoregressive = _compile(decoder)
    values = [v.value for v in decoder.variables]
    return np.asarray(run(values, codes, stop, num_steps, noise, temperature))


def write_steps(
    decoder: keras.Model,
    mapping: list[tuple[keras.Variable, Any]],
    codes: Tensor,
    num_steps: int,
    stop: Any = None,
) -> Any:
    """Decode codes to (batch, num_steps, outputs) inside a computation that JAX traces."""
    with keras.StatelessScope(state_mapping=mapping):
        return _write(decoder, codes, num_steps if stop is None else stop, num_steps)


def _compile(decoder: keras.Model) -> Any:
    import jax

    def run(
        values: Tensor, codes: Tensor, stop: Any, num_steps: int, noise: Tensor, temperature: Any
    ) -> Any:
        mapping = list(zip(decoder.variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return _write(decoder, codes, stop, num_steps, noise, temperature)

    return jax.jit(run, static_argnums=3)


def _write(
    decoder: keras.Model,
    codes: Tensor,
    stop: Any,
    num_steps: int,
    noise: Tensor = None,
    temperature: Any = 1.0,
) -> Any:
    layers = AutoregressiveDecoder.of(decoder)
    head = layers.head
    codes = ops.convert_to_tensor(codes)
    num_sequences = ops.shape(codes)[0]
    template = ops.zeros((num_sequences, num_steps, 1))
    given = layers.repeat(codes, like=template)
    beside = None if layers.linear is None else layers.linear(codes, like=template)
    states = layers.initial_states(codes)
    columns = len(head.column_types)
    written = ops.zeros((num_sequences, num_steps, sum(head.widths)))

    def at(i: Any, array: Any) -> Any:
        return ops.slice(array, (0, i, 0), (num_sequences, 1, array.shape[-1]))

    def step(i: Any, so_far: Any) -> Any:
        last, states, written = so_far
        linear = None if beside is None else at(i, beside)
        outputs, states = layers.step(at(i, given), last, states, linear)
        if noise is not None:
            outputs = gumbel_max(
                outputs, at(i, noise), temperature, head.column_types, head.num_categories
            )
        written = ops.slice_update(written, (0, i, 0), outputs)
        return head.likeliest(outputs), states, written

    nothing = ops.full((num_sequences, 1, columns), np.nan, dtype="float32")
    return ops.fori_loop(0, stop, step, (nothing, states, written))[2]


def gumbel_max(
    outputs: Tensor,
    noise: Tensor,
    temperature: Any,
    column_types: Sequence[str],
    num_categories: Sequence[int],
) -> Any:
    """Turn probabilities (batch, steps, outputs) into scores whose argmax is a sample."""
    blocks = [
        one.type.draw(outputs[..., one.block], noise[..., one.block], temperature, ops)
        for one in outputs_of(column_types, num_categories)
    ]
    return ops.concatenate(blocks, axis=-1)
