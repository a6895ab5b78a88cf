"""An autoregressive decoder in use: each step is written from those that it wrote before."""

from typing import Any

import keras
import numpy as np
from keras import ops

from refold.errors import ParameterError
from refold.models._gumbel_sampling import gumbel_max
from refold.models.decoders import AutoregressiveDecoder

__all__ = ["decode_autoregressively", "write_steps"]


def decode_autoregressively(
    decoder: keras.Model,
    codes: Any,
    num_steps: int,
    *,
    stop: int | None = None,
    noise: Any = None,
    temperature: float = 1.0,
) -> np.ndarray:
    """Decode codes step by step; what a step was is what the next one is given.

    Of a label the likeliest counts, of a binary column the likelier of 0 and 1, of a numeric one
    the mean.  So a sequence follows from its code alone, and is what the decoder itself says when
    it is given that sequence.  All steps run in one compiled loop.

    Parameters
    ----------
    decoder : keras.Model
        Of `default` with ``decoder="autoregressive"``.
    codes : array of shape (batch, latent_dim)
    num_steps : int
        Steps to make room for; the loop is compiled for each such number.
    stop : int, optional
        Steps to write; those after it are zero.
    noise : array of shape (batch, num_steps, outputs), optional
        As `gumbel_noise` gives it: labels and binary values are drawn, not the likeliest taken.
    temperature : float
        Of what is drawn.

    Returns
    -------
    array of shape (batch, num_steps, outputs)
        Means, probabilities and softmax blocks, as the decoder writes them; with ``noise`` the
        scores of `perturb` in place of probabilities.

    Raises
    ------
    ParameterError
        If the decoder writes all steps from the code alone.

    Examples
    --------
    >>> from refold.models import default
    >>> options = {"latent_dim": 3, "max_steps": 4, "units": 8, "decoder": "autoregressive"}
    >>> models = default(["categorical"], num_categories=[5], **options)
    >>> y = decode_autoregressively(models.decoder, np.zeros((2, 3)), num_steps=4)
    >>> y.shape
    (2, 4, 5)
    >>> steps = y.argmax(axis=-1)[..., None].astype("float32")
    >>> told = models.decoder.predict([np.zeros((2, 3)), steps], verbose=0)
    >>> bool(np.allclose(told, y, atol=1e-5))
    True
    """
    if not any(layer.name == "teacher_forcing" for layer in decoder.layers):
        raise ParameterError(
            "decode_autoregressively needs a decoder that reads previous steps, and this one "
            "writes all of them from the code. Call it, or build it with decoder='autoregressive'."
        )
    codes = np.asarray(codes, "float32")
    stop = num_steps if stop is None else min(stop, num_steps)
    if keras.backend.backend() != "jax":
        written = _write(decoder, codes, stop, num_steps, noise, temperature)
        return np.asarray(ops.convert_to_numpy(written))
    run: Any = getattr(decoder, "_refold_free_run", None)
    if run is None:
        run = decoder._refold_free_run = _compile(decoder)
    values = [v.value for v in decoder.variables]
    return np.asarray(run(values, codes, stop, num_steps, noise, temperature))


def write_steps(
    decoder: keras.Model,
    mapping: list[tuple[keras.Variable, Any]],
    codes: Any,
    num_steps: int,
    stop: Any = None,
) -> Any:
    """Do as `decode_autoregressively` within a computation that JAX traces.

    Parameters
    ----------
    decoder : keras.Model
    mapping : list of (variable, array)
        Values to take for the decoder's variables; there may be others.
    codes : array of shape (batch, latent_dim)
    num_steps, stop : int
        As there; ``stop`` may be traced.

    Returns
    -------
    array of shape (batch, num_steps, outputs)

    Examples
    --------
    >>> from refold.models import default
    >>> options = {"latent_dim": 3, "max_steps": 4, "units": 8, "decoder": "autoregressive"}
    >>> decoder = default(["numeric"], **options).decoder
    >>> write_steps(decoder, [(v, v.value) for v in decoder.variables], np.zeros((2, 3)), 4).shape
    (2, 4, 1)
    """
    with keras.StatelessScope(state_mapping=mapping):
        return _write(decoder, codes, num_steps if stop is None else stop, num_steps)


def _compile(decoder: keras.Model) -> Any:
    import jax

    def run(
        values: Any, codes: Any, stop: Any, num_steps: int, noise: Any, temperature: Any
    ) -> Any:
        mapping = list(zip(decoder.variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return _write(decoder, codes, stop, num_steps, noise, temperature)

    return jax.jit(run, static_argnums=3)


def _write(
    decoder: keras.Model,
    codes: Any,
    stop: Any,
    num_steps: int,
    noise: Any = None,
    temperature: Any = 1.0,
) -> Any:
    layers = AutoregressiveDecoder.of(decoder)
    head = layers.head
    codes = ops.convert_to_tensor(codes)
    num_sequences = ops.shape(codes)[0]
    room = ops.zeros((num_sequences, num_steps, 1))
    given = layers.repeat(codes, like=room)
    beside = None if layers.linear is None else layers.linear(codes, like=room)
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
