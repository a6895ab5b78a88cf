"""Evidence lower bound (ELBO) of a variational network: KL divergence and its weight."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from refold.training.loop._schedule import Schedule

# A code is a normal distribution [1] with a KL divergence from N(0, 1). Errors here are means over
# values. For squared errors, the decoder's variance is estimated as the error of the batch [2].
# With a fixed variance, dimensions of a linear code, which training starts from, collapse wherever
# they explain less than it [3]. The negative ELBO of a sequence of N values is then N / 2
# log(error) + divergence. By its gradient, one nat of divergence has a weight of 2 error / N
# relative to the mean error of a value.
#
# For other errors, a nat has a weight of error / N by choice. At a fixed weight of 1, the code of
# tokens costs as many nats as it saves the decoder, and nothing is learned.
#
# Two measures prevent posterior collapse: the divergence has no weight at first [4], and its first
# half nat per dimension is free [5].
#
# [1] D. P. Kingma and M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014.
# [2] O. Rybkin, K. Daniilidis and S. Levine, "Simple and Effective VAE Training with Calibrated
#     Decoders", ICML 2021.
# [3] J. Lucas, G. Tucker, R. Grosse and M. Norouzi, "Don't Blame the ELBO! A Linear VAE Perspective
#     on Posterior Collapse", NeurIPS 2019.
# [4] S. R. Bowman et al., "Generating Sentences from a Continuous Space", CoNLL 2016.
# [5] D. P. Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow",
#     NeurIPS 2016.

# Free nats per latent dimension.
_FREE = 0.5
# Share of the steps over which the KL divergence rises to its full weight.
_WARMUP = 0.25
# Lower bound of a mean error.
_LEAST = 1e-4
# Upper bound of the exponent of a loss; no epoch with such a loss is kept.
_MOST = 50.0


def kl_divergence(
    mean: Any, log_variance: Any, valid: Any, *, reduce: Callable[[Any], Any] | None = None
) -> Any:
    """Return the sum of the KL divergences of a batch (batch_size, latent_dim) from N(0, 1)."""
    nats = 0.5 * (mean**2 + jnp.exp(log_variance) - 1.0 - log_variance)
    num_sequences = jnp.sum(valid)
    if reduce is not None:  # sums over processes that share the batch; this is the share of one
        num_sequences, count = reduce((num_sequences, jnp.ones(())))
        own = valid @ nats / jnp.maximum(1.0, num_sequences)
        is_free = reduce(jax.lax.stop_gradient(own)) <= _FREE
        return num_sequences * jnp.sum(jnp.where(is_free, _FREE / count, own))
    return num_sequences * jnp.sum(
        jnp.maximum(valid @ nats / jnp.maximum(1.0, num_sequences), _FREE)
    )


def kl_warmup(step: Any, schedule: Schedule) -> Any:
    """Return the factor of the KL divergence at a step, counted from 0."""
    length = jnp.maximum(1.0, _WARMUP * jnp.asarray(schedule.num_steps, jnp.float32))
    return jnp.minimum(1.0, (jnp.asarray(step, jnp.float32) + 1.0) / length)


def kl_weight(error: Any, factor: float) -> Any:
    """Return the weight of a nat relative to the sum of a batch's errors."""
    # the factor is 2 for squared errors, else 1
    return factor * jnp.maximum(jax.lax.stop_gradient(error), _LEAST)


def negative_elbo(error: float, kl_divergence: float, factor: float) -> float:
    """Return the negative ELBO on the scale of the error: equal to it at zero divergence."""
    return error + max(error, _LEAST) * math.expm1(min(factor * kl_divergence, _MOST))
