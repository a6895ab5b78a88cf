"""Input corruption for denoising: Gaussian noise and time-step dropout."""

from numbers import Real
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from refold.errors import ParameterError, argument
from refold.training.data._padded_batches import Batch, Layout

_EXPECTED = (
    "{} must be the standard deviation of the noise (at least 0), the share of time steps to drop "
    "(as 'steps:0.2', below 1), or both (as '0.3,steps:0.2'). Got {!r}."
)


class Corruption(NamedTuple):
    """Corruption of the input of a denoising autoencoder."""

    # P. Vincent et al., "Extracting and Composing Robust Features with Denoising Autoencoders",
    # 2008
    noise: float = 0.0  # standard deviation on numeric values, in scaled units
    steps: float = 0.0  # share of the time steps that are dropped

    def __bool__(self) -> bool:
        """Return whether any corruption is applied."""
        return self.noise > 0 or self.steps > 0

    @classmethod
    def of(cls, value: Any) -> "Corruption":
        """Read the argument `denoise`: the noise, "steps:0.2", or both as in "0.3,steps:0.2"."""
        if isinstance(value, bool) or not isinstance(value, Real | str):
            raise ParameterError(_EXPECTED.format(argument("denoise"), value))
        amounts: dict[str, float] = {}
        for part in value.split(",") if isinstance(value, str) else [value]:
            name, number = "noise", part
            if isinstance(part, str) and part.strip().startswith("steps:"):
                name, number = "steps", part.strip().removeprefix("steps:")
            try:
                amount = float(number)
            except ValueError:
                raise ParameterError(_EXPECTED.format(argument("denoise"), value)) from None
            if name in amounts or not 0 <= amount < (1.0 if name == "steps" else float("inf")):
                raise ParameterError(_EXPECTED.format(argument("denoise"), value))
            amounts[name] = amount
        return cls(**amounts)


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
    return batch._replace(x=x)
