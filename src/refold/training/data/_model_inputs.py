"""What the joint model is given of a batch: cut, corrupted, beside what is drawn for its codes."""

import functools
from typing import Any

import jax

from refold.models import Network
from refold.training.data._corruption import Corruption, corrupt
from refold.training.data._forecast_targets import cut_batch
from refold.training.data._padded_batches import Batch, Layout

__all__ = ["Inputs"]


class Inputs:
    """Makes inputs of batches; traced by JAX.

    Parameters
    ----------
    network : Network
    corruption : Corruption
    seed : int
        With what a call is given beside the batch it fixes all that is drawn.
    """

    def __init__(self, network: Network, corruption: Corruption, seed: int) -> None:
        self._layout = Layout.of(network)
        self._corruption, self._seed = corruption, seed
        self._told = network.autoregressive
        self._latent_dim = network.specification.latent_dim
        self._variational = network.models.posterior is not None
        self._forecast_steps = network.specification.forecast_steps

    def __call__(self, batch: Batch, *of_key: Any) -> tuple[Any, Batch]:
        """Return what the joint model is given, and the batch with the targets for that."""
        if not self._corruption and not self._variational and not self._forecast_steps:
            return batch.x, batch
        key = functools.reduce(jax.random.fold_in, of_key, jax.random.PRNGKey(self._seed))
        for_corruption, for_draw = jax.random.split(key)
        if self._forecast_steps:
            batch = cut_batch(batch, jax.random.fold_in(key, 2), self._forecast_steps)
        inputs = [batch.x] if self._told and self._corruption else []
        if self._corruption:
            batch = corrupt(batch, for_corruption, self._corruption, self._layout)
        if self._variational:
            inputs.append(jax.random.normal(for_draw, (len(batch.x), self._latent_dim)))
        return ([batch.x, *inputs] if inputs else batch.x), batch
