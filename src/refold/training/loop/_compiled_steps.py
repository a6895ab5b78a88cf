"""Compiled training steps and compiled evaluation, as functions of a state."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from refold._support.compilation import compiled_by_size
from refold.models import Network, are_squared, length_loss, write_steps
from refold.sequences import BatchPlan
from refold.training.data._corruption import Corruption
from refold.training.data._model_inputs import Inputs
from refold.training.data._padded_batches import Batch, Data, Layout, take
from refold.training.loop._joined_weights import Weights
from refold.training.loop._joint_model import joint_model, numeric_outputs
from refold.training.loop._schedule import Schedule
from refold.training.loop._train_state import LossNormalizers, StepMetrics, TrainState
from refold.training.loop._variational_bound import (
    kl_divergence,
    kl_warmup,
    kl_weight,
    negative_elbo,
)

__all__ = ["Engine"]


class Engine:
    """Steps of one network under one optimizer, compiled once for each padded shape.

    The number of steps of a chunk is traced, not fixed, so that how an epoch is cut into chunks
    changes no bit of the result.

    Parameters
    ----------
    network : Network
    optimizer : keras.optimizers.Optimizer
    length_weight : float
        Weight of the length model's loss; with 0 the length model is left out, and as it is.
    scheduled : bool
        Whether the rate follows the ``Schedule`` that a run is given, or is the optimizer's own.
    corruption : Corruption
        What is done to the input of a step, and of an evaluation.
    kept : float
        Share of the targets that is left where sequences are cut.
    seed : int
        Of corruption and of a variational network's draws. They depend on it and on the step, and
        in an evaluation on the batch alone, so that evaluations can be compared.
    apart : tuple of str, optional
        Joins the weights to vectors, which compile faster; see `Weights`. For an optimizer that
        updates each number alone.
    """

    def __init__(
        self,
        network: Network,
        optimizer: keras.optimizers.Optimizer,
        *,
        length_weight: float,
        scheduled: bool = True,
        corruption: Corruption = Corruption(),  # noqa: B008
        kept: float = 1.0,
        seed: int = 0,
        apart: tuple[str, ...] | None = None,
    ) -> None:
        self.joint: Any = joint_model(
            network, with_length=length_weight > 0, corrupted=bool(corruption)
        )
        self._free = network.models.decoder if "code" in self.joint.output else None
        self._numeric = numeric_outputs(network)
        self.autoencoder = network.models.autoencoder
        self.optimizer: Any = optimizer
        self._weights = Weights(self.joint.trainable_variables, apart)
        self.optimizer.build(self._weights.variables)
        self.length_weight, self._kept = length_weight, kept
        self._variational = network.models.posterior is not None
        self._factor = 2.0 if are_squared(network.specification.column_types) else 1.0
        self._inputs = Inputs(network, corruption, seed)
        self.shapes: set[tuple[int, int]] = set()
        self._layout = Layout.of(network)
        self._rate = _index(optimizer, optimizer._learning_rate) if scheduled else None
        self._iterations = _index(optimizer, optimizer.iterations)
        self._train = compiled_by_size(self._run)
        self._check = compiled_by_size(self._evaluate)

    def train(
        self,
        state: TrainState,
        data: Data,
        run: BatchPlan,
        start: int,
        stop: int,
        *,
        norms: LossNormalizers,
        schedule: Schedule,
        num_epochs: int = 1,
    ) -> tuple[TrainState, Any]:
        """Train on the batches ``start`` to ``stop`` of a run.

        Where ``num_epochs`` is more than 1, those are the batches of one epoch, and the run goes on
        with as many for each of the next ones.

        Returns
        -------
        state : State
        numbers : array
            For `Seen`, a row an epoch; the steps are over when they are there.
        """
        bucket = run.bucket
        self.shapes.add(bucket)
        return self._train(bucket.num_steps * bucket.batch_size)(
            state,
            data,
            run.rows,
            start,
            stop,
            num_epochs,
            norms,
            schedule,
            num_steps=bucket.num_steps,
        )

    def evaluate(self, state: TrainState, data: Data, run: BatchPlan) -> StepMetrics:
        """Errors of all batches of a run, without training."""
        bucket = run.bucket
        totals = self._check(bucket.num_steps * bucket.batch_size)(
            self._weights.split_on_host(state.trainable),
            state.non_trainable,
            data,
            run.rows,
            run.num_batches,
            num_steps=bucket.num_steps,
        )
        return StepMetrics(*np.asarray(totals).tolist())

    def read_state(self, totals: StepMetrics | None = None) -> TrainState:
        """State of the Keras variables as they are now."""
        return TrainState(
            self._weights.of(self.joint.trainable_variables),
            [v.value for v in self.joint.non_trainable_variables],
            [v.value for v in self.optimizer.variables],
            StepMetrics.zero() if totals is None else totals,
        )

    def write_back(self, state: TrainState) -> None:
        """Put a state into the Keras variables."""
        for variables, values in (
            (self.joint.trainable_variables, self._weights.split_on_host(state.trainable)),
            (self.joint.non_trainable_variables, state.non_trainable),
            (self.optimizer.variables, state.optimizer),
        ):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def num_steps(self, state: TrainState) -> int:
        """Count the steps that led to a state."""
        return int(state.optimizer[self._iterations])

    def rate(self, state: TrainState) -> float:
        """Learning rate of the latest step."""
        return float(self._rate_of(state.optimizer))

    def loss(self, totals: StepMetrics) -> float:
        """Mean error of a target, of one that comes after, and weighted mean loss of a length."""
        error = totals.error / max(1.0, totals.num_observed)
        if self._variational:
            nats = totals.kl_divergence / max(1.0, totals.num_observed)
            error = negative_elbo(error, nats, self._factor)
        error += totals.future_error / max(1.0, totals.num_future)
        return error + self.length_weight * totals.length_error / max(1.0, totals.num_sequences)

    def _run(
        self,
        state: TrainState,
        data: Data,
        rows: Any,
        start: Any,
        stop: Any,
        num_epochs: Any,
        norms: LossNormalizers,
        schedule: Schedule,
        *,
        num_steps: int,
    ) -> tuple[TrainState, Any]:
        def step(i: Any, state: TrainState) -> TrainState:
            batch = take(data, rows[i], num_steps, self._layout)
            return self._train_step(state, batch, norms, schedule)

        def epoch(i: Any, so_far: tuple[TrainState, Any]) -> tuple[TrainState, Any]:
            state, numbers = so_far
            # the first epoch may have been begun by chunks before this one
            totals = StepMetrics(*(jnp.where(i == 0, total, 0.0) for total in state.totals))
            first = start + i * (stop - start)
            state = jax.lax.fori_loop(
                first, first + stop - start, step, state._replace(totals=totals)
            )
            finite = jnp.stack([jnp.isfinite(array).all() for array in state.trainable]).all()
            rate = self._rate_of(state.optimizer)
            row = [jnp.asarray(x, jnp.float32) for x in (*state.totals, rate, finite)]
            return state, numbers.at[i].set(jnp.stack(row))

        numbers = jnp.zeros((len(rows), len(StepMetrics._fields) + 2), jnp.float32)
        return jax.lax.fori_loop(0, num_epochs, epoch, (state, numbers))

    def _rate_of(self, optimizer: list[Any]) -> Any:
        rate = self.optimizer._learning_rate
        if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            return rate(jnp.maximum(0, optimizer[self._iterations] - 1))
        return optimizer[_index(self.optimizer, rate)]

    def _train_step(
        self, state: TrainState, batch: Batch, norms: LossNormalizers, schedule: Schedule
    ) -> TrainState:
        optimizer = list(state.optimizer)
        step = optimizer[self._iterations]
        inputs, batch = self._inputs(batch, step)
        objective = functools.partial(
            self._objective,
            norms=norms,
            share=kl_warmup(step, schedule) if self._variational else 1.0,
        )
        gradient = jax.value_and_grad(objective, has_aux=True)
        (_, (non_trainable, totals)), gradients = gradient(
            self._weights.split(state.trainable), state.non_trainable, inputs, batch
        )
        gradients = self._weights.join(gradients)
        if self._rate is not None:
            optimizer[self._rate] = schedule.rate(optimizer[self._iterations])
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, state.trainable)
        return TrainState(trainable, non_trainable, optimizer, state.totals.plus(totals))

    def _objective(
        self,
        trainable: Any,
        non_trainable: Any,
        inputs: Any,
        batch: Batch,
        *,
        norms: LossNormalizers,
        share: Any,
    ) -> tuple[Any, tuple[Any, StepMetrics]]:
        outputs, non_trainable, added = self.joint.stateless_call(
            trainable, non_trainable, inputs, training=True, return_losses=True
        )
        totals = self._totals(batch, outputs)
        num_observed = norms.num_observed * self._kept
        loss = totals.error / num_observed + sum(added)
        if self._variational:
            error = totals.error / jnp.maximum(1.0, totals.num_observed)
            price = share * kl_weight(error, self._factor)
            loss = loss + price * totals.kl_divergence / num_observed
        # how many targets come after is not known before, but that as many sequences weigh alike
        ahead = totals.future_error / jnp.maximum(1.0, totals.num_future) * totals.num_sequences
        by_sequence = self.length_weight * totals.length_error + ahead
        return loss + by_sequence / norms.num_sequences, (non_trainable, totals)

    def _totals(self, batch: Batch, outputs: dict[str, Any]) -> StepMetrics:
        error, num_observed = self._error(batch.y, outputs["y_pred"])
        length_error = nats = ahead = num_ahead = jnp.zeros(())
        if "length" in outputs:
            length_error = jnp.sum(length_loss(batch.lengths, outputs["length"]) * batch.valid)
        if self._variational:
            nats = kl_divergence(outputs["mean"], outputs["log_variance"], batch.valid)
        if "future" in outputs:
            ahead, num_ahead = self._error(batch.future, outputs["future"])
        num_sequences = jnp.sum(batch.valid)
        return StepMetrics(error, num_observed, length_error, num_sequences, nats, ahead, num_ahead)

    def _error(self, y: Any, y_pred: Any) -> tuple[Any, Any]:
        """Sum of the errors over observed targets, and their number."""
        num_observed = jnp.sum(~jnp.isnan(y), dtype=jnp.float32)
        return self.autoencoder.error(y, y_pred) * num_observed, num_observed

    def _evaluate(
        self,
        trainable: Any,
        non_trainable: Any,
        data: Data,
        rows: Any,
        num_batches: Any,
        *,
        num_steps: int,
    ) -> Any:
        def add_batch(i: Any, totals: StepMetrics) -> StepMetrics:
            batch = take(data, rows[i], num_steps, self._layout)
            inputs, batch = self._inputs(batch, num_steps, i)
            outputs, _ = self.joint.stateless_call(trainable, non_trainable, inputs, training=False)
            if self._free is not None:
                mapping = [
                    *zip(self.joint.trainable_variables, trainable, strict=True),
                    *zip(self.joint.non_trainable_variables, non_trainable, strict=True),
                ]
                free = write_steps(self._free, mapping, outputs["code"], num_steps)
                outputs["y_pred"] = jnp.where(self._numeric, free, outputs["y_pred"])
            return totals.plus(self._totals(batch, outputs))

        nothing = StepMetrics(*jnp.zeros(len(StepMetrics._fields)))
        return jnp.stack(jax.lax.fori_loop(0, num_batches, add_batch, nothing))


def _index(optimizer: Any, variable: Any) -> int:
    """Place of a variable among an optimizer's."""
    return next(i for i, own in enumerate(optimizer.variables) if own is variable)
