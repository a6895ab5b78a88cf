"""Compiled training and evaluation of a network.

A `TrainingEngine` runs updates (training steps) in compiled code. It takes a `TrainState`, which
has all weights, and returns a new one. Variables of the Keras models only change in `write_back`.
"""

import contextlib
import functools
import itertools
import math
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
from keras import ops

from refold._support.arrays import concatenated_ranges, offsets_from_lengths
from refold._support.compilation import compile_two_batch_sizes
from refold.arguments import Corruption
from refold.network.keras.build import Network
from refold.network.keras.decoder import decode_in_trace
from refold.network.keras.encoder import NestedDropout
from refold.network.keras.heads import are_all_losses_squared, length_loss
from refold.network.keras.layer import seeded
from refold.network.packed.network import PackedNetwork
from refold.network.specification import is_default_lstm
from refold.sequences import BatchRun
from refold.sequences.types import make_quantity_mask
from refold.training._processes import Processes, sum_over_processes, wrap_global_batch_draws
from refold.training._shards import Batch, DeviceData, InputLayout, corrupt_batch, make_padded_batch

# Part of the KL divergence of each latent dimension, in nats, that adds nothing to the loss.
_FREE_NATS = 0.5
# Share of the updates over which the weight of the KL divergence rises from 0 to its full value.
_KL_WARMUP_SHARE = 0.25
# The weight of the KL divergence is proportional to the mean error. With this lower bound of the
# error, the weight is never 0.
_MIN_MEAN_ERROR = 1e-4
# Cap on the exponent in `negative_elbo`, so that the loss does not overflow. No epoch with such a
# large loss is kept.
_MAX_LOSS_EXPONENT = 50.0
# Cap on the updates in which the learning rate rises to its peak.
_MAX_WARMUP_UPDATES = 100


class MetricSums(NamedTuple):
    """Sums over the sequences of an epoch so far, as scalars on the device or the host."""

    error: Any = 0.0  # reconstruction errors of the observed values
    num_observed: Any = 0.0  # number of observed values
    length_error: Any = 0.0  # losses of the model that predicts lengths, in nats
    num_sequences: Any = 0.0
    kl_divergence: Any = 0.0  # of a variational network, in nats

    def plus(self, other_sums: "MetricSums") -> "MetricSums":
        """Return these sums plus other ones."""
        return MetricSums(*(a + b for a, b in zip(self, other_sums, strict=True)))


class TrainState(NamedTuple):
    """Everything that an update changes: weights, state of the optimizer and metrics."""

    trainable: list[Any]  # weights, joined as in `JoinedWeights`
    non_trainable: list[Any]
    optimizer: list[Any]  # variables of the optimizer
    totals: MetricSums  # of the epoch so far

    def with_zero_totals(self) -> "TrainState":
        """Return the state for the start of an epoch."""
        # of the same type as totals from compiled code: another type would compile it again
        return self._replace(totals=MetricSums(*np.zeros(len(self.totals), np.float32)))


class EpochMetrics(NamedTuple):
    """Metrics of the epoch so far on the host, after a call of `TrainingEngine.train_batches`."""

    totals: MetricSums
    learning_rate: float  # of the latest update
    is_finite: bool  # whether all weights are finite


class LossNormalizers(NamedTuple):
    """Divisors of the sums of a batch: numbers of values and sequences in an average batch."""

    # With the numbers of each batch, the weight of a value would depend on the lengths of the
    # sequences in its batch.
    num_observed: Any
    num_sequences: Any


class Schedule(NamedTuple):
    """Learning rate with a linear warm-up and a cosine decay to a hundredth of its peak."""

    peak_learning_rate: Any
    num_updates: Any  # length of the schedule

    def learning_rate(self, update_index: Any) -> Any:
        """Return the learning rate of an update, counted from 0."""
        update_index = jnp.asarray(update_index, jnp.float32)
        # number of updates in which the rate rises: a tenth of all, within limits
        warmup = jnp.clip(jnp.asarray(self.num_updates) // 10, 1, _MAX_WARMUP_UPDATES)
        # each factor is a share of the peak; the smaller of the two factors is used
        rise = (update_index + 1.0) / warmup
        decay_progress = (update_index - warmup) / jnp.maximum(1, self.num_updates - warmup)
        decay = 0.5 * (1.0 + jnp.cos(math.pi * jnp.clip(decay_progress, 0.0, 1.0)))
        return self.peak_learning_rate * jnp.minimum(rise, 0.01 + 0.99 * decay)


# Layers, models and optimizers are those of Keras. But `fit` of Keras returns to Python at each
# update. Here, a `fori_loop` over `stateless_call` and `stateless_apply` runs many updates in a
# single call, on data that lies on the device. On models as small as these, an update on JAX is
# several times as fast as on the other backends.
class TrainingEngine:
    """Train and evaluate a network, in code that is compiled once for each padded shape."""

    def __init__(
        self,
        network: Network,
        optimizer: keras.optimizers.Optimizer,
        *,
        length_weight: float,  # of the loss of predicted lengths; with 0, they are not trained
        sets_learning_rate: bool = True,  # by the schedule; else the optimizer has its own rate
        input_corruption: Corruption = Corruption(),  # noqa: B008
        seed: int = 0,  # of the corruption and of variational draws
        undecayed_name_parts: tuple[str, ...] | None = None,  # see `JoinedWeights`
        processes: Processes | None = None,
    ) -> None:
        specification, models = network.specification, network.models
        is_distributed = processes is not None and processes.process_count > 1
        self._processes = processes if is_distributed else None
        self._num_processes = processes.process_count if processes is not None else 1
        with seeded(seed):  # for the draws of nested dropout
            self.joint_model: Any = build_joint_model(
                network, with_length=length_weight > 0, is_input_corrupted=bool(input_corruption)
            )
        # to validate numeric columns without teacher forcing, see `build_joint_model`
        self._validation_decoder = models.decoder if "code" in self.joint_model.output else None
        self._is_numeric_output = numeric_output_mask(network)
        self.autoencoder = models.autoencoder
        self.optimizer: Any = optimizer
        variables = self.joint_model.trainable_variables
        self._joined_weights = JoinedWeights(variables, undecayed_name_parts)
        self.optimizer.build(self._joined_weights.variables)
        self.length_weight = length_weight
        self._is_variational = models.posterior is not None
        # for sequences of N values, a nat has the weight `_kl_factor * error / N` in the loss, see
        # "The evidence lower bound" below
        self._kl_factor = 2.0 if are_all_losses_squared(specification.column_types) else 1.0
        self._corruption, self._seed = input_corruption, seed
        self._draws_random_numbers = bool(input_corruption or self._is_variational)
        self.batch_shapes: set[tuple[int, int]] = set()  # of batches so far
        self._input_layout = InputLayout.of_network(network)
        # indices in the variables of the optimizer
        self._learning_rate_index = (
            _get_variable_index(optimizer, optimizer._learning_rate) if sets_learning_rate else None
        )
        self._iterations_index = _get_variable_index(optimizer, optimizer.iterations)
        self._autoregressive, self._latent_dim = network.autoregressive, specification.latent_dim
        # Without random numbers, the default network is evaluated by a `PackedNetwork`, which
        # computes on sequences without padding and needs no compilation.
        is_packed = is_default_lstm(specification) and not self._draws_random_numbers
        self._packed_network = PackedNetwork(specification, {}) if is_packed else None
        self._packed_network_weights: Any = None  # trainable weights that the packed network has
        # if there are several processes, each trains on its rows of a batch
        train_batches = self._train_batches
        if self._processes is not None:
            train_batches = self._processes.map_batch(train_batches)
        self._compiled_train = compile_two_batch_sizes(train_batches)
        self._compiled_evaluate = compile_two_batch_sizes(self._evaluate)

    def train_batches(
        self,
        state: TrainState,
        data: DeviceData,
        batch_run: BatchRun,
        first_batch_in_run: int,
        end_batch_in_run: int,
        *,
        normalizers: LossNormalizers,
        schedule: Schedule,
    ) -> tuple[TrainState, EpochMetrics]:
        """Train on the batches of a run from the first index to before the end index."""
        # A run may be trained in several calls. The bounds are arguments of the compiled code, so
        # all calls run the same code, and the division into calls does not change the results.
        # Each call waits for its metrics.
        bucket, positions = batch_run.bucket, batch_run.indices
        self.batch_shapes.add(bucket)
        if self._processes is not None:
            state, data, positions = self._processes.as_global_inputs(state, data, positions)
        run = self._compiled_train(bucket.num_steps * bucket.batch_size)
        inputs = state, data, positions, first_batch_in_run, end_batch_in_run, normalizers, schedule
        state, metrics = run(*inputs, padded_length=bucket.num_steps)
        *totals, learning_rate, is_finite = np.asarray(metrics).tolist()  # see `_train_batches`
        return state, EpochMetrics(MetricSums(*totals), learning_rate, bool(is_finite))

    def evaluate(self, state: TrainState, data: DeviceData, batch_run: BatchRun) -> MetricSums:
        """Return the metrics of all batches of a run, without training."""
        # if there are several processes, each evaluates all sequences, with the same random draws
        if self._packed_network is not None:
            # give the packed network the weights of the state, if it has other ones
            if state.trainable is not self._packed_network_weights:
                self._packed_network_weights = state.trainable
                joint_model = self.joint_model
                variables = [*joint_model.trainable_variables, *joint_model.non_trainable_variables]
                arrays = [*self._joined_weights.split(state.trainable), *state.non_trainable]
                pairs = zip(variables, arrays, strict=True)
                self._packed_network.set_weights_by_name({v.path: array for v, array in pairs})
            # without rows that only fill up a batch, whose position is -1
            positions = np.asarray(batch_run.indices[: batch_run.num_batches]).ravel()
            starts, lengths = (
                np.asarray(array)[positions[positions >= 0]].astype(np.int64)
                for array in (data.first_steps, data.lengths)
            )
            values = np.asarray(data.values)[concatenated_ranges(starts, lengths)]
            totals = self._packed_network.compute_total_errors(
                values, offsets_from_lengths(lengths), with_length=self.length_weight > 0
            )
            return MetricSums(*totals)  # without a KL divergence
        bucket = batch_run.bucket
        run = self._compiled_evaluate(bucket.num_steps * bucket.batch_size)
        weights = self._joined_weights.split(state.trainable), state.non_trainable
        inputs = *weights, data, batch_run.indices, batch_run.num_batches
        totals = run(*inputs, padded_length=bucket.num_steps)
        return MetricSums(*np.asarray(totals).tolist())

    def read_state_from_keras(self, kept_totals: MetricSums | None = None) -> TrainState:
        """Return the state that the Keras variables have; by default with totals of zero."""
        state = TrainState(
            self._joined_weights.join_variables(self.joint_model.trainable_variables),
            [v.value for v in self.joint_model.non_trainable_variables],
            [v.value for v in self.optimizer.variables],
            MetricSums() if kept_totals is None else kept_totals,
        )
        return state.with_zero_totals() if kept_totals is None else state

    def write_back(self, state: TrainState) -> None:
        """Write a state to the Keras variables."""
        if self._processes is not None:
            state = self._processes.to_host(state)
        for variables, values in (
            (self.joint_model.trainable_variables, self._joined_weights.split(state.trainable)),
            (self.joint_model.non_trainable_variables, state.non_trainable),
            (self.optimizer.variables, state.optimizer),
        ):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def num_updates(self, state: TrainState) -> int:
        """Return the number of updates that led to a state."""
        return int(state.optimizer[self._iterations_index])

    def compute_epoch_loss(self, totals: MetricSums) -> float:
        """Return the loss of an epoch: the mean reconstruction error plus the length loss."""
        # a variational network has another loss in place of the error, see `negative_elbo`
        error = totals.error / max(1.0, totals.num_observed)
        if self._is_variational:
            nats_per_value = totals.kl_divergence / max(1.0, totals.num_observed)
            error = negative_elbo(error, nats_per_value, self._kl_factor)
        return error + self.length_weight * totals.length_error / max(1.0, totals.num_sequences)

    # Functions that JAX compiles

    def _train_batches(
        self,
        state: TrainState,
        data: DeviceData,
        positions: Any,  # (num_batches, batch_size), of the sequences of each batch in the data
        first_batch_in_run: Any,
        end_batch_in_run: Any,
        normalizers: LossNormalizers,
        schedule: Schedule,
        *,
        padded_length: int,
    ) -> tuple[TrainState, Any]:
        """Run an update on each batch of a run from the first index to before the end index."""

        def train_batch(batch_row: Any, state: TrainState) -> TrainState:
            batch = make_padded_batch(data, positions[batch_row], padded_length, self._input_layout)
            return self._update(state, batch, normalizers, schedule)

        state = jax.lax.fori_loop(first_batch_in_run, end_batch_in_run, train_batch, state)
        is_finite = jnp.stack([jnp.isfinite(array).all() for array in state.trainable]).all()
        learning_rate = self.latest_learning_rate(state)
        # All that Python needs after a call is in one small array, which is copied from the device
        # at once.
        metrics = [jnp.asarray(x, jnp.float32) for x in (*state.totals, learning_rate, is_finite)]
        return state, jnp.stack(metrics)

    def latest_learning_rate(self, state: TrainState) -> Any:
        """Return the learning rate of the latest update."""
        learning_rate = self.optimizer._learning_rate
        if isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
            # the iterations are the number of updates so far, and a schedule takes the index of one
            return learning_rate(jnp.maximum(0, state.optimizer[self._iterations_index] - 1))
        return state.optimizer[_get_variable_index(self.optimizer, learning_rate)]

    def _update(
        self, state: TrainState, batch: Batch, normalizers: LossNormalizers, schedule: Schedule
    ) -> TrainState:
        """Update the weights once, by the gradient of the loss of a batch."""
        optimizer = list(state.optimizer)
        iteration = optimizer[self._iterations_index]
        make_inputs = self._make_inputs
        if self._processes is not None and self._draws_random_numbers:
            make_inputs = wrap_global_batch_draws(make_inputs, self._num_processes)
        inputs, batch = make_inputs(batch, iteration)
        warmup = kl_warmup(iteration, schedule.num_updates) if self._is_variational else 1.0
        objective = functools.partial(self._batch_loss, normalizers=normalizers, warmup=warmup)
        differentiate = jax.value_and_grad(objective, has_aux=True)
        weights = self._joined_weights.split(state.trainable, on_host=False)
        with self._let_layers_draw_for_global_batch():
            loss_and_others, gradients = differentiate(weights, state.non_trainable, inputs, batch)
        _, (non_trainable, totals) = loss_and_others
        gradients = self._joined_weights.join(gradients)
        if self._processes is not None:
            gradients, totals = sum_over_processes((gradients, totals))
        if self._learning_rate_index is not None:
            optimizer[self._learning_rate_index] = schedule.learning_rate(iteration)
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, state.trainable)
        return TrainState(trainable, non_trainable, optimizer, state.totals.plus(totals))

    def _make_inputs(self, batch: Batch, *draw_ids: Any) -> tuple[Any, Batch]:
        """Return the inputs of the joint model, and the batch after any corruption."""
        if not self._draws_random_numbers:
            return batch.x, batch
        # The seed and `draw_ids` determine all draws. In training, the id is the index of the
        # update. In validation, the ids identify the batch, so that each epoch has the same input.
        key = functools.reduce(jax.random.fold_in, draw_ids, jax.random.PRNGKey(self._seed))
        corruption_key, draw_key = jax.random.split(key)
        # the inputs after the first, in the order of `build_joint_model`; a decoder with teacher
        # forcing reads the steps before the corruption
        more_inputs = [batch.x] if self._autoregressive and self._corruption else []
        if self._corruption:
            batch = corrupt_batch(batch, corruption_key, self._corruption, self._input_layout)
        if self._is_variational:
            more_inputs.append(jax.random.normal(draw_key, (len(batch.x), self._latent_dim)))
        return ([batch.x, *more_inputs] if more_inputs else batch.x), batch

    @contextlib.contextmanager
    def _let_layers_draw_for_global_batch(self) -> Generator[None]:
        """Within the context, let layers draw random numbers for the batch of all processes."""
        layers = [
            layer
            for layer in (self.joint_model._flatten_layers() if self._processes is not None else ())
            # recurrent layers have a generator, too, but no dropout
            if hasattr(layer, "seed_generator") and not hasattr(layer, "recurrent_dropout")
        ]
        for layer in layers:  # an attribute of the instance hides the method
            layer.call = wrap_global_batch_draws(layer.call, self._num_processes)
        try:
            yield
        finally:
            for layer in layers:
                del layer.call

    def _batch_loss(
        self,
        trainable: Any,
        non_trainable: Any,
        inputs: Any,
        batch: Batch,
        *,
        normalizers: LossNormalizers,
        warmup: Any,  # factor, up to 1, of the weight of the KL divergence
    ) -> tuple[Any, tuple[Any, MetricSums]]:
        """Return the loss of a batch; and non-trainable weights and metrics, without gradients."""
        outputs, non_trainable, penalties = self.joint_model.stateless_call(
            trainable, non_trainable, inputs, training=True, return_losses=True
        )
        totals = global_totals = self._compute_metric_sums(batch, outputs)
        if self._processes is not None and self._is_variational:
            # the weight of the KL divergence, which has no gradient, depends on the global batch
            global_totals = sum_over_processes(jax.lax.stop_gradient(totals))
        # gradients are summed over processes, so each process adds its share of the penalties
        loss = totals.error / normalizers.num_observed + sum(penalties) / self._num_processes
        if self._is_variational:
            error = global_totals.error / jnp.maximum(1.0, global_totals.num_observed)
            # the weight of a nat, see "The evidence lower bound" below; it has no gradient
            weight = jnp.maximum(jax.lax.stop_gradient(error), _MIN_MEAN_ERROR)
            weight = warmup * (self._kl_factor * weight)
            loss = loss + weight * totals.kl_divergence / normalizers.num_observed
        loss = loss + self.length_weight * totals.length_error / normalizers.num_sequences
        return loss, (non_trainable, totals)

    def _compute_metric_sums(
        self,
        batch: Batch,
        outputs: dict[str, Any],
        *,
        is_batch_shared: bool = True,  # if so, processes share the batch; else each has all of it
    ) -> MetricSums:
        """Return the metrics of a batch, from the outputs of the joint model."""
        num_observed = jnp.sum(~jnp.isnan(batch.y), dtype=jnp.float32)
        error = self.autoencoder.error(batch.y, outputs["y_pred"]) * num_observed
        length_error = nats = jnp.zeros(())
        if "length" in outputs:
            losses = length_loss(batch.lengths, outputs["length"])
            length_error = jnp.sum(losses * batch.is_sequence)
        if self._is_variational:
            is_shared = self._processes is not None and is_batch_shared
            posterior = outputs["mean"], outputs["log_variance"]
            sum_arrays = sum_over_processes if is_shared else None
            nats = kl_divergence(*posterior, batch.is_sequence, sum_arrays=sum_arrays)
        return MetricSums(error, num_observed, length_error, jnp.sum(batch.is_sequence), nats)

    def _evaluate(
        self,
        trainable: Any,
        non_trainable: Any,
        data: DeviceData,
        positions: Any,  # as in `_train_batches`
        num_batches: Any,  # all later rows of the positions are padding
        *,
        padded_length: int,
    ) -> Any:
        """Return the metrics of the first batches, as one array in the order of `MetricSums`."""

        def add_batch(batch_row: Any, totals: MetricSums) -> MetricSums:
            batch = make_padded_batch(data, positions[batch_row], padded_length, self._input_layout)
            inputs, batch = self._make_inputs(batch, padded_length, batch_row)
            outputs, _ = self.joint_model.stateless_call(
                trainable, non_trainable, inputs, training=False
            )
            if (decoder := self._validation_decoder) is not None:  # without teacher forcing
                mapping = [
                    *zip(self.joint_model.trainable_variables, trainable, strict=True),
                    *zip(self.joint_model.non_trainable_variables, non_trainable, strict=True),
                ]
                decoded = decode_in_trace(decoder, mapping, outputs["code"], padded_length)
                outputs["y_pred"] = jnp.where(self._is_numeric_output, decoded, outputs["y_pred"])
            return totals.plus(self._compute_metric_sums(batch, outputs, is_batch_shared=False))

        zero = jax.tree.map(jnp.float32, MetricSums())
        return jnp.stack(jax.lax.fori_loop(0, num_batches, add_batch, zero))


def _get_variable_index(optimizer: Any, variable: Any) -> int:
    """Return the index of a variable in the variables of an optimizer."""
    return next(i for i, candidate in enumerate(optimizer.variables) if candidate is variable)


def build_joint_model(
    network: Network, *, with_length: bool, is_input_corrupted: bool = False
) -> keras.Model:
    """Join encoder, decoder and length model to one model, which maps sequences to a dict."""
    models = network.models
    shape = models.encoder.inputs[0].shape[1:]
    x: Any = keras.Input(shape, name="sequence")
    inputs, outputs, truth = [x], {}, x
    if is_input_corrupted and network.autoregressive:
        # the encoder reads the corrupted steps, and the decoder the true previous steps
        truth = keras.Input(shape, name="truth")
        inputs.append(truth)
    if models.posterior is None:
        code: Any = models.encoder(x)
    else:
        draw: Any = keras.Input(models.encoder.output_shape[1:], name="draw")
        mean, log_variance = models.posterior(x)
        code = mean + ops.exp(0.5 * log_variance) * draw
        inputs.append(draw)
        outputs = {"mean": mean, "log_variance": log_variance}
    if network.specification.nested:
        code = NestedDropout(network.specification.learned_dim, name="nested")(code)
    outputs["y_pred"] = models.unroll([code, truth])
    if with_length:
        outputs["length"] = network.length_predictor(code)
    # Validation decodes numeric columns from the code without teacher forcing, as users do. With
    # teacher forcing, their error would be too small. Categorical columns are validated with
    # teacher forcing: without it, cross-entropy mostly measures what follows the first mistake. On
    # 1000 words, the likelihood with teacher forcing and the share of exact reconstructions
    # improved until the end, and the cross-entropy without it was best at epoch 20 of 120.
    if network.autoregressive and numeric_output_mask(network).any():
        outputs["code"] = code
    return keras.Model(inputs if len(inputs) > 1 else x, outputs, name="joint")


def numeric_output_mask(network: Network) -> np.ndarray:
    """Return whether each output of a step is a numeric column, bool (n_outputs,)."""
    specification = network.specification
    widths = [num_categories or 1 for num_categories in specification.num_categories]
    return np.repeat(make_quantity_mask(specification.column_types), widths)


class JoinedWeights:
    """Trainable weights that are joined to one or two long vectors for the optimizer."""

    # This changes nothing for an optimizer that treats a vector as separate numbers, as AdamW does.
    #
    # XLA compiles several operations for each variable that an optimizer updates. With two vectors
    # in place of some thirty variables, a training step compiles in half the time. A tiny fit took
    # 2.1 s of processor time instead of 3.6 s.

    def __init__(
        self,
        variables: Sequence[Any],
        # Variables with one of these words in their names form a vector of their own, which the
        # optimizer can exclude from weight decay. None joins no variables.
        undecayed_name_parts: Sequence[str] | None = None,
    ) -> None:
        # what the optimizer is built on; for joined weights, only shapes and names matter
        self.variables = list(variables)
        self._weight_groups: list[list[int]] = []  # indices of the weights in each vector
        self._weight_shapes = [tuple(variable.shape) for variable in variables]
        self._weight_sizes = [int(np.prod(shape)) for shape in self._weight_shapes]
        if undecayed_name_parts is None or len({variable.dtype for variable in variables}) != 1:
            return
        # for each variable, whether it belongs to the second vector
        is_undecayed = [any(part in v.name for part in undecayed_name_parts) for v in variables]
        self.variables, dtype = [], variables[0].dtype
        # the optimizer finds the second vector by the words in its name
        for name, undecayed in (("weights", False), ("_".join(undecayed_name_parts), True)):
            group = [i for i, flag in enumerate(is_undecayed) if flag is undecayed]
            if group:
                zeros = np.zeros(sum(self._weight_sizes[i] for i in group), dtype)
                self.variables.append(keras.Variable(zeros, name=name, dtype=dtype))
                self._weight_groups.append(group)

    def join(self, arrays: Sequence[Any], array_module: Any = jnp) -> list[Any]:
        """Join arrays, one for each weight, to vectors, with the module `jax.numpy` or `numpy`."""
        if not self._weight_groups:
            return list(arrays)
        flat = [array.reshape(-1) for array in arrays]
        return [array_module.concatenate([flat[i] for i in group]) for group in self._weight_groups]

    def join_variables(self, variables: Sequence[Any]) -> list[Any]:
        """Return the joined values of Keras variables, on the device."""
        if not self._weight_groups:
            return [variable.value for variable in variables]
        values = [np.asarray(variable.value) for variable in variables]
        return [jnp.asarray(vector, vector.dtype) for vector in self.join(values, np)]

    def split(self, vectors: Sequence[Any], *, on_host: bool = True) -> list[Any]:
        """Undo ``join``; outside of compiled code on the host, or JAX would compile the slices."""
        if not self._weight_groups:  # the arrays can stay on the device
            return list(vectors)
        if on_host:
            vectors = [np.asarray(vector) for vector in vectors]
        arrays: list[Any] = [None] * len(self._weight_shapes)
        for group, vector in zip(self._weight_groups, vectors, strict=True):
            ends = list(itertools.accumulate(self._weight_sizes[i] for i in group))
            # not strict, because the last end is no start
            for i, start, end in zip(group, [0, *ends], ends, strict=False):
                arrays[i] = vector[start:end].reshape(self._weight_shapes[i])
        return arrays


class AdamW(keras.optimizers.AdamW):
    """``keras.optimizers.AdamW`` whose variables are set to zero without compiling a program."""

    def add_variable(self, shape: Any, *args: Any, **kwargs: Any) -> Any:
        """Create a variable of zeros."""

        def zeros(shape: Any, dtype: Any) -> Any:
            # if JAX is not told the dtype, it compiles a copy
            return ops.convert_to_tensor(np.zeros(shape, dtype), dtype=dtype)

        return super().add_variable(shape, *args, **kwargs | {"initializer": zeros})


# The evidence lower bound (ELBO) of a variational network
#
# The encoder maps a sequence to a normal distribution of codes [1], and the loss includes the KL
# divergence of this distribution from N(0, 1). Errors here are means over values.
#
# For squared errors, the variance of the decoder is estimated as the error of the batch [2]. With a
# fixed variance, a dimension of a linear code, from which training starts, would collapse if it
# explained less than this variance [3]. With the estimate, the negative ELBO of a sequence of N
# values is N / 2 log(error) + divergence. By its gradient, one nat of divergence has a weight of
# 2 error / N relative to the mean error of a value.
#
# For errors that are not squared, a nat has the weight error / N, too. With a fixed weight of 1, a
# code of tokens would cost as many nats as it saves the decoder, and nothing would be learned.
#
# In posterior collapse, the code of every sequence becomes N(0, 1). Two measures prevent it: the
# divergence has no weight at first [4], and its first half nat per dimension is free [5].
#
# [1] D. P. Kingma and M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014.
# [2] O. Rybkin, K. Daniilidis and S. Levine, "Simple and Effective VAE Training with Calibrated
#     Decoders", ICML 2021.
# [3] J. Lucas, G. Tucker, R. Grosse and M. Norouzi, "Don't Blame the ELBO! A Linear VAE Perspective
#     on Posterior Collapse", NeurIPS 2019.
# [4] S. R. Bowman et al., "Generating Sentences from a Continuous Space", CoNLL 2016.
# [5] D. P. Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow",
#     NeurIPS 2016.


def kl_divergence(
    mean: Any,  # (batch_size, latent_dim)
    log_variance: Any,  # (batch_size, latent_dim)
    is_sequence: Any,  # (batch_size,), 1, or 0 for a row that only fills up the batch
    *,
    # Sums arrays over the processes, if they share a batch. Then the returned sum is the part that
    # this process adds to the sum of all.
    sum_arrays: Callable[[Any], Any] | None = None,
) -> Any:
    """Return the sum of the KL divergences of a batch from N(0, 1), with free nats."""
    # of each sequence and dimension (batch_size, latent_dim)
    nats = 0.5 * (mean**2 + jnp.exp(log_variance) - 1.0 - log_variance)
    num_sequences = jnp.sum(is_sequence)
    if sum_arrays is not None:
        # the number of processes is a sum of ones
        num_sequences, num_processes = sum_arrays((num_sequences, jnp.ones(())))
        # what the sequences of this process add to the mean of all sequences, (latent_dim,)
        local_mean = is_sequence @ nats / jnp.maximum(1.0, num_sequences)
        # as below, but whether a dimension is free depends on the mean over all processes
        is_free = sum_arrays(jax.lax.stop_gradient(local_mean)) <= _FREE_NATS
        free_share = _FREE_NATS / num_processes
        return num_sequences * jnp.sum(jnp.where(is_free, free_share, local_mean))
    mean_nats = is_sequence @ nats / jnp.maximum(1.0, num_sequences)
    return num_sequences * jnp.sum(jnp.maximum(mean_nats, _FREE_NATS))


def kl_warmup(update_index: Any, num_scheduled_updates: Any) -> Any:
    """Return the factor, up to 1, of the KL divergence in an update, counted from 0."""
    warmup = jnp.maximum(1.0, _KL_WARMUP_SHARE * jnp.asarray(num_scheduled_updates, jnp.float32))
    return jnp.minimum(1.0, (jnp.asarray(update_index, jnp.float32) + 1.0) / warmup)


def negative_elbo(mean_error: float, kl_per_value: float, kl_factor: float) -> float:
    """Return a loss that rises with the negative ELBO, and is the error at zero divergence."""
    # The loss is error * exp(kl_factor * kl_per_value). For squared errors, the negative ELBO is
    # N / 2 times the logarithm of this product. It is written as error + error * (exp(...) - 1),
    # and the second error has a lower bound. So the divergence counts even if the error is 0.
    return mean_error + max(mean_error, _MIN_MEAN_ERROR) * math.expm1(
        min(kl_factor * kl_per_value, _MAX_LOSS_EXPONENT)
    )
