"""Compiled training steps and compiled evaluation, as functions of a state."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras

from refold.models import Models, length_loss
from refold.training._batches import Padded

__all__ = ["Engine", "State", "Totals"]


class Totals(NamedTuple):
    """Sums over the sequences seen: scalars on the device.

    Attributes
    ----------
    error : sum of the errors over observed targets
    num_observed : number of observed targets
    length_error : sum of the length model's losses, in nats
    num_sequences : number of sequences
    """

    error: Any
    num_observed: Any
    length_error: Any
    num_sequences: Any

    @staticmethod
    def zero() -> "Totals":
        """Nothing seen yet."""
        return Totals(*(jnp.zeros((), jnp.float32) for _ in range(4)))


class State(NamedTuple):
    """All that a step changes."""

    trainable: list[Any]
    non_trainable: list[Any]
    optimizer: list[Any]
    totals: Totals


class Engine:
    """Steps of one model under one optimizer, compiled once for each shape of data.

    The number of steps of a chunk is traced, not fixed, so that how an epoch is cut into chunks
    changes no bit of the result.

    Parameters
    ----------
    models : Models
    length : keras.Model
        From codes to the location and log-scale of the length.
    optimizer : keras.optimizers.Optimizer
    expected : float
        Number of observed targets of an average batch; a batch's loss is its sum of errors over
        this, so that long and short sequences weigh alike by step.
    length_weight : float
        Weight of the length model's loss.
    """

    def __init__(
        self,
        models: Models,
        length: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        expected: float,
        length_weight: float,
    ) -> None:
        x = keras.Input(models.encoder.inputs[0].shape[1:], name="sequence")
        code = models.encoder(x)
        self.joint: Any = keras.Model(x, [models.unroll([code, x]), length(code)], name="joint")
        self.autoencoder = models.autoencoder
        self.optimizer = optimizer
        self.optimizer.build(self.joint.trainable_variables)
        self.expected = max(1.0, expected)
        self.length_weight = length_weight
        self.run = jax.jit(self._run)
        self.evaluate = jax.jit(self._evaluate)

    def initial_state(self) -> State:
        """State of the Keras variables as they are now."""
        return State(
            [v.value for v in self.joint.trainable_variables],
            [v.value for v in self.joint.non_trainable_variables],
            [v.value for v in self.optimizer.variables],
            Totals.zero(),
        )

    def write_back(self, state: State) -> None:
        """Put a state into the Keras variables."""
        for variables, values in (
            (self.joint.trainable_variables, state.trainable),
            (self.joint.non_trainable_variables, state.non_trainable),
            (self.optimizer.variables, state.optimizer),
        ):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    @staticmethod
    def is_finite(state: State) -> bool:
        """Whether every weight is a finite number."""
        return all(bool(jnp.isfinite(values).all()) for values in state.trainable)

    def loss(self, totals: Totals) -> float:
        """Mean error of a target plus the weighted mean loss of a length."""
        error = float(totals.error) / max(1.0, float(totals.num_observed))
        length_error = float(totals.length_error) / max(1.0, float(totals.num_sequences))
        return error + self.length_weight * length_error

    def _run(self, state: State, data: Padded, order: Any, start: Any, stop: Any) -> State:
        """Train on the batches ``order[start:stop]``."""
        return jax.lax.fori_loop(start, stop, partial(self._train_step, data, order), state)

    def _train_step(self, data: Padded, order: Any, step: Any, state: State) -> State:
        batch, valid = _take(data, order[step])
        gradient = jax.value_and_grad(self._objective, has_aux=True)
        (_, (non_trainable, totals)), gradients = gradient(
            state.trainable, state.non_trainable, batch, valid
        )
        trainable, optimizer = self.optimizer.stateless_apply(
            state.optimizer, gradients, state.trainable
        )
        return State(trainable, non_trainable, optimizer, _add(state.totals, totals))

    def _objective(
        self, trainable: Any, non_trainable: Any, batch: Padded, valid: Any
    ) -> tuple[Any, tuple[Any, Totals]]:
        (y_pred, predicted), non_trainable, added = self.joint.stateless_call(
            trainable, non_trainable, batch.x, training=True, return_losses=True
        )
        totals = self._totals(batch, valid, y_pred, predicted)
        loss = totals.error / self.expected + sum(added)
        loss = loss + self.length_weight * totals.length_error / batch.x.shape[0]
        return loss, (non_trainable, totals)

    def _totals(self, batch: Padded, valid: Any, y_pred: Any, predicted: Any) -> Totals:
        num_observed = jnp.sum(~jnp.isnan(batch.y), dtype=jnp.float32)
        mean = self.autoencoder.error(batch.y, y_pred)
        return Totals(
            mean * num_observed,
            num_observed,
            jnp.sum(length_loss(batch.lengths, predicted) * valid),
            jnp.sum(valid),
        )

    def _evaluate(self, trainable: Any, non_trainable: Any, data: Padded, order: Any) -> Totals:
        """Errors of all batches of ``order``, without training."""

        def add_batch(step: Any, totals: Totals) -> Totals:
            batch, valid = _take(data, order[step])
            (y_pred, predicted), _ = self.joint.stateless_call(
                trainable, non_trainable, batch.x, training=False
            )
            return _add(totals, self._totals(batch, valid, y_pred, predicted))

        return jax.lax.fori_loop(0, order.shape[0], add_batch, Totals.zero())


def _take(data: Padded, indices: Any) -> tuple[Padded, Any]:
    """Pick rows; an index of -1 gives a row in which nothing was observed."""
    valid = indices >= 0
    rows = jnp.maximum(indices, 0)
    y = jnp.where(valid[:, None, None], data.y[rows], jnp.nan)
    return Padded(data.x[rows], y, data.lengths[rows]), valid.astype(jnp.float32)


def _add(a: Totals, b: Totals) -> Totals:
    return Totals(*(x + y for x, y in zip(a, b, strict=True)))
