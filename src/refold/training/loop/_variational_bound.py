"""The variational bound: a divergence beside the error, and what it weighs.

A code is a normal distribution [1]_, and its divergence from N(0, 1) is the price of what it tells.
Errors here are means over values; where these are squared, the decoder's deviation is taken for
what the error of the batch says it is [2]_.  With a fixed one, the codes of a linear model, which
is where training starts, go unused wherever they explain less than that [3]_.  The negative bound
of a sequence of N values is then N / 2 log(error) + divergence, and by its gradient an error of a
value weighs as much as 2 error / N by nat of divergence.

Where errors are no squared ones a nat weighs error / N, by choice.  At a fixed weight of one nat a
nat, symbols cost the code what they spare the decoder, and nothing is learned.

Two things keep the code in use: the divergence weighs nothing at first [4]_, and its first half of
a nat by dimension is free [5]_.

.. [1] D. P. Kingma and M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014.
.. [2] O. Rybkin, K. Daniilidis and S. Levine, "Simple and Effective VAE Training with Calibrated
   Decoders", ICML 2021.
.. [3] J. Lucas, G. Tucker, R. Grosse and M. Norouzi, "Don't Blame the ELBO! A Linear VAE
   Perspective on Posterior Collapse", NeurIPS 2019.
.. [4] S. R. Bowman et al., "Generating Sentences from a Continuous Space", CoNLL 2016.
.. [5] D. P. Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow",
   NeurIPS 2016.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from refold.training.loop._schedule import Schedule

__all__ = ["kl_divergence", "kl_warmup", "kl_weight", "negative_elbo"]

# Nats by dimension that cost nothing.
_FREE = 0.5
# Share of the steps over which the divergence comes to its full weight.
_WARMUP = 0.25
# A mean error is never taken for less than this.
_LEAST = 1e-4
# Where the exponent of a loss is cut: no such epoch is kept.
_MOST = 50.0


def kl_divergence(mean: Any, log_variance: Any, valid: Any) -> Any:
    """Return the sum of a batch's divergences from N(0, 1), in nats.

    The mean of each dimension counts for half a nat at least.

    Parameters
    ----------
    mean, log_variance : arrays of shape (batch_size, latent_dim)
    valid : array of shape (batch_size,)
        0 for rows that fill up the batch, else 1.

    Returns
    -------
    scalar

    Examples
    --------
    >>> mean, valid = jnp.array([[2.0, 0.0], [9.0, 9.0]]), jnp.array([1.0, 0.0])
    >>> float(kl_divergence(mean, jnp.zeros((2, 2)), valid))
    2.5
    """
    nats = 0.5 * (mean**2 + jnp.exp(log_variance) - 1.0 - log_variance)
    num_sequences = jnp.sum(valid)
    return num_sequences * jnp.sum(
        jnp.maximum(valid @ nats / jnp.maximum(1.0, num_sequences), _FREE)
    )


def kl_warmup(step: Any, schedule: Schedule) -> Any:
    """Return the share of the divergence's weight at a step, counted from 0.

    Examples
    --------
    >>> [round(float(kl_warmup(step, Schedule(1e-3, 400))), 6) for step in (0, 49, 99, 300)]
    [0.01, 0.5, 1.0, 1.0]
    """
    length = jnp.maximum(1.0, _WARMUP * jnp.asarray(schedule.num_steps, jnp.float32))
    return jnp.minimum(1.0, (jnp.asarray(step, jnp.float32) + 1.0) / length)


def kl_weight(error: Any, factor: float) -> Any:
    """Return what a nat weighs beside the sum of a batch's errors.

    Parameters
    ----------
    error : scalar
        Mean of the batch's errors.
    factor : float
        2 for squared errors, else 1.

    Returns
    -------
    scalar

    Examples
    --------
    >>> float(kl_weight(0.5, 2.0))
    1.0
    """
    return factor * jnp.maximum(jax.lax.stop_gradient(error), _LEAST)


def negative_elbo(error: float, kl_divergence: float, factor: float) -> float:
    """Return the bound as an error: of the same order, and the error where nothing diverges.

    Parameters
    ----------
    error, divergence : float
        Mean error of a value, and divergence by value.
    factor : float
        As in `weight`.

    Examples
    --------
    >>> negative_elbo(0.5, 0.0, 2.0), round(negative_elbo(0.5, 0.5, 2.0), 3)
    (0.5, 1.359)
    """
    return error + max(error, _LEAST) * math.expm1(min(factor * kl_divergence, _MOST))
