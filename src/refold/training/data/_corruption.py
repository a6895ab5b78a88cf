"""Denoising: what is done to an input in training, while the target stays as it was.

Noise is added to numeric values that were observed; dropped steps become what missing values look
like. Padding, lengths and targets are left alone.
"""

from numbers import Real
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from refold.errors import ParameterError
from refold.training.data._padded_batches import Batch, Layout

__all__ = ["Corruption", "corrupt"]

_EXPECTED = (
    "denoise must be the deviation of the noise, a number of at least 0, or the share of steps to "
    "drop, as 'steps:0.2', below 1, or both, as '0.3,steps:0.2'. Got {!r}."
)


class Corruption(NamedTuple):
    """What is done to an input [1]_.

    Attributes
    ----------
    noise : float
        Deviation of the Gaussian noise that is added to numeric values, in scaled units.
    steps : float
        Share of the steps of which nothing is left.

    References
    ----------
    .. [1] P. Vincent et al., "Extracting and Composing Robust Features with Denoising
       Autoencoders", ICML 2008.

    Examples
    --------
    >>> Corruption.of("0.3,steps:0.2")
    Corruption(noise=0.3, steps=0.2)
    >>> bool(Corruption.of(0.0))
    False
    """

    noise: float = 0.0
    steps: float = 0.0

    def __bool__(self) -> bool:
        """Whether anything is done."""
        return self.noise > 0 or self.steps > 0

    @classmethod
    def of(cls, value: Any) -> "Corruption":
        """Read the argument ``denoise``.

        Parameters
        ----------
        value : float or str
            The noise; or ``"steps:0.2"``; or both, ``"0.3,steps:0.2"``.

        Returns
        -------
        Corruption

        Raises
        ------
        ParameterError
            If it is something else.
        """
        if isinstance(value, bool) or not isinstance(value, Real | str):
            raise ParameterError(_EXPECTED.format(value))
        found: dict[str, float] = {}
        for part in value.split(",") if isinstance(value, str) else [value]:
            name, number = "noise", part
            if isinstance(part, str) and part.strip().startswith("steps:"):
                name, number = "steps", part.strip().removeprefix("steps:")
            try:
                amount = float(number)
            except ValueError:
                raise ParameterError(_EXPECTED.format(value)) from None
            if name in found or not 0 <= amount < (1.0 if name == "steps" else float("inf")):
                raise ParameterError(_EXPECTED.format(value))
            found[name] = amount
        return cls(**found)


def corrupt(batch: Batch, key: Any, corruption: Corruption, layout: Layout) -> Batch:
    """Corrupt the input of a batch; traced by JAX.

    Parameters
    ----------
    batch : Batch
    key : array
        Of JAX's random numbers.
    corruption : Corruption
        If it drops steps, the layout has flags.
    layout : Layout

    Returns
    -------
    Batch
    """
    x, num_features = batch.x, batch.y.shape[-1]
    for_noise, for_steps = jax.random.split(key)
    if corruption.noise > 0:
        noise = corruption.noise * jax.random.normal(for_noise, batch.y.shape)
        # of a target that was not observed there is no input either, padding included
        known = jnp.asarray(layout.numeric) & ~jnp.isnan(batch.y)
        x = x.at[..., :num_features].add(jnp.where(known, noise, 0.0))
    if corruption.steps > 0:
        num_steps = batch.y.shape[1]
        real = jnp.arange(num_steps) < batch.lengths[:, None]
        dropped = real & (jax.random.uniform(for_steps, real.shape) < corruption.steps)
        nothing = jnp.asarray([*layout.fill, *([0.0] * (x.shape[-1] - num_features))], x.dtype)
        x = jnp.where(dropped[..., None], nothing, x)
    return batch._replace(x=x)
