"""Input corruption for denoising: Gaussian noise and time-step dropout."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from refold.arguments import Corruption
from refold.training.data._padded_batches import Batch, Layout


def corrupt(batch: Batch, key: Any, corruption: Corruption, layout: Layout) -> Batch:
    """Corrupt the input of a batch, and not its padding, lengths and targets; traced by JAX."""
    x, num_features = batch.x, batch.y.shape[-1]
    for_noise, for_steps = jax.random.split(key)
    if corruption.noise > 0:
        noise = corruption.noise * jax.random.normal(for_noise, batch.y.shape)
        # an unobserved target, padding included, has no input to add noise to
        known = jnp.asarray(layout.numeric) & ~jnp.isnan(batch.y)
        x = x.at[..., :num_features].add(jnp.where(known, noise, 0.0))
    if corruption.steps > 0:
        num_steps = batch.y.shape[1]
        real = jnp.arange(num_steps) < batch.lengths[:, None]
        # a dropped step looks like missing values, so the layout needs flags
        dropped = real & (jax.random.uniform(for_steps, real.shape) < corruption.steps)
        nothing = np.zeros(x.shape[-1], np.float32)
        nothing[:num_features] = np.nan_to_num(layout.unknown)
        x = jnp.where(dropped[..., None], nothing, x)
    return Batch(x, batch.y, batch.lengths, batch.valid)
