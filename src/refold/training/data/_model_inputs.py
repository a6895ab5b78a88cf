"""Inputs of the joint model: corrupted batches, and random draws for variational codes."""

import functools
from typing import Any

import jax

from refold.arguments import Corruption
from refold.network.keras.build import Network
from refold.training.data._corruption import corrupt
from refold.training.data._padded_batches import Batch, Layout


class Inputs:
    """Turn batches into inputs of the joint model; traced by JAX."""

    def __init__(self, network: Network, corruption: Corruption, seed: int) -> None:
        self._layout = Layout.of(network)
        self._corruption, self._seed = corruption, seed
        self._autoregressive = network.autoregressive
        self._latent_dim = network.specification.latent_dim
        self._variational = network.models.posterior is not None
        self.draws = bool(corruption or self._variational)

    def __call__(self, batch: Batch, *fold_in: Any) -> tuple[Any, Batch]:
        """Return the inputs of the joint model, and the batch with the matching targets."""
        if not self.draws:
            return batch.x, batch
        # the seed and `fold_in` determine all draws
        key = functools.reduce(jax.random.fold_in, fold_in, jax.random.PRNGKey(self._seed))
        for_corruption, for_draw = jax.random.split(key)
        inputs = [batch.x] if self._autoregressive and self._corruption else []
        if self._corruption:
            batch = corrupt(batch, for_corruption, self._corruption, self._layout)
        if self._variational:
            inputs.append(jax.random.normal(for_draw, (len(batch.x), self._latent_dim)))
        return ([batch.x, *inputs] if inputs else batch.x), batch
