"""Latent optimization with Keras models; see `refold.inference` for the default model."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from refold.errors import argument
from refold.inference import minimize_rows
from refold.models._losses import column_errors, observed_mask
from refold.models._network import Network

# Standard deviation of the prior around the encoder's code.
_AROUND = 1.0
# Cost of the error of a predicted length; see `cost_of_length` of `refold.inference`.
_MARGIN, _BEND, _JUMP, _WIDTH = 0.3, 0.2, 0.5, 0.1


def optimize_latents(
    network: Network, codes: Any, x: Any, y: Any, lengths: Any, num_steps: int
) -> np.ndarray:
    """Optimize each code so that it decodes to its sequence more accurately.

    An encoder finds a good code in one pass, but not the best one, especially for sequences that it
    was not trained on [1]_.  Latent optimization minimizes the negative log-likelihood of each
    sequence: squared errors divided by the residual variance of the linear initialization,
    cross-entropies, and a cost of steps that a wrong predicted length would add or lose.  The prior
    is a normal distribution around the encoder's code, so that a few observed values do not
    determine the whole code.  The ROCKET features of a code do not change.

    Parameters
    ----------
    network : Network
        A network of the default architecture.
    codes : array of shape (batch, latent_dim)
        The encoder's codes.
    x : array of shape (batch, steps, channels)
        Input of the encoder, and teacher-forcing input of an autoregressive decoder.
    y : array of shape (batch, steps, features)
        Targets in scaled units, NaN where padded or not observed.
    lengths : array of shape (batch,)
        True lengths in steps.
    num_steps : int
        Number of steps; each costs about as much as a training step of the decoder.

    Returns
    -------
    array of float32 of shape (batch, latent_dim)

    Warns
    -----
    UserWarning
        If Keras does not run on JAX; the codes are then returned unchanged.

    References
    ----------
    .. [1] C. Cremer, X. Li, D. Duvenaud, "Inference Suboptimality in Variational Autoencoders",
       ICML 2018; Y. Kim et al., "Semi-Amortized Variational Autoencoders", ICML 2018.

    Examples
    --------
    >>> from refold.models import Specification, build
    >>> sizes = {"latent_dim": 2, "max_steps": 5, "units": 8, "depth": 1, "dropout": 0.0}
    >>> network = build(
    ...     Specification("default", ["numeric"], [0], False, **sizes, length_mean=5.0,
    ...                   length_deviation=0.0)
    ... )
    >>> y = np.ones((3, 5, 1), "float32")
    >>> optimize_latents(network, np.zeros((3, 2), "float32"), y, y, np.full(3, 5), 4).shape
    (3, 2)
    """
    if keras.backend.backend() != "jax":
        warnings.warn(
            "Latent optimization needs Keras on JAX, so the codes are those of the encoder. Set "
            f"KERAS_BACKEND=jax before keras is imported, or fit with {argument(latent_steps=0)}.",
            UserWarning,
            stacklevel=4,
        )
        return np.asarray(codes, np.float32)
    decoder: Any = network.models.unroll
    run = getattr(decoder, "_refold_objective", None)
    if run is None:
        run = decoder._refold_objective = jax.jit(_make_objective(network))
    weights = [
        [variable.value for variable in variables]
        for model in (decoder, network.length)
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    first = np.asarray(codes, np.float32)
    given = [jnp.asarray(array, jnp.float32) for array in (first, x, y, lengths)]

    def objective(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        losses, gradient = run(weights, z, *given)
        return np.asarray(losses), np.asarray(gradient)

    return minimize_rows(objective, first, num_steps)


def _make_objective(network: Network) -> Any:
    """Return the losses and their gradients, as a function of weights, codes and data."""
    unroll: Any = network.models.unroll
    head = unroll.get_layer("head")
    column_types, num_categories = head.column_types, head.num_categories
    numeric = np.array([column_type == "numeric" for column_type in column_types])
    specification = network.specification
    optimized = np.arange(specification.latent_dim) < specification.learned_dim
    places = np.cumsum([0, *head.widths])[:-1][numeric]
    scale = None
    if numeric.any() and hasattr(head, "scale"):
        scale = next(i for i, v in enumerate(unroll.non_trainable_variables) if v is head.scale)

    def objective(weights: Any, given: Any, codes: Any, x: Any, y: Any, lengths: Any) -> Any:
        decoder, decoder_fixed, length, length_fixed = weights
        weight = jnp.ones(len(column_types))
        if scale is not None:
            # one variance for all columns, as in the training loss
            variance = jnp.mean(decoder_fixed[scale][places] ** 2)
            weight = jnp.where(numeric, 0.5 / jnp.maximum(variance, 1e-12), 1.0)
        values, observed = observed_mask(y)
        weight = weight * observed

        def loss(z: Any) -> Any:
            z = jnp.where(optimized, z, codes)
            decoded, _ = unroll.stateless_call(decoder, decoder_fixed, [z, x], training=False)
            predicted, _ = network.length.stateless_call(length, length_fixed, z, training=False)
            errors = column_errors(values, decoded, column_types, num_categories) * weight
            off = jnp.maximum(jnp.abs(predicted[:, 0] - lengths) - _MARGIN, 0.0)
            cost = off**2 / (_BEND + off) + _JUMP * off**2 / (_WIDTH + off**2)
            # a missing step costs about as much as predicting the mean of every column
            missed = cost * jnp.sum(weight, axis=(1, 2)) / jnp.maximum(lengths, 1.0)
            moved = jnp.sum((z - codes) ** 2, axis=1) / (2.0 * _AROUND**2)
            return jnp.sum(errors, axis=(1, 2)) + missed + moved

        losses, back = jax.vjp(loss, given)
        return losses, back(jnp.ones_like(losses))[0]

    return objective
