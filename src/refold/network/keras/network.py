"""`Network` has the Keras models of a network, and encodes and decodes in padded batches.

A default model with LSTMs encodes and decodes by `PackedNetwork`, which needs no padding. So only
other networks encode and decode here: classic models, a user's own models and GRUs.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from refold._support import compilation
from refold._support.progress_bars import progress_bar
from refold.network.keras.autoencoder import Models, iterate_layers
from refold.network.keras.encoder import PaddingMask
from refold.network.packed.encoder import RocketFeatures
from refold.network.packed.heads import CategorySampling, PackedHead, round_lengths
from refold.network.specification import Specification
from refold.sequences import Sequences, check_codes_finite, pad

# Maximum number of steps in a batch, to limit the memory.
_MAX_BATCH_STEPS = 16384
# Maximum number of outputs in a batch, for columns with many categories, to limit their memory.
_MAX_BATCH_OUTPUTS = 256 * _MAX_BATCH_STEPS
# Maximum number of sequences in a batch, because each has a code and states, even if it is short.
_MAX_BATCH_SEQUENCES = 1024
# Batch sizes below the maximum. Each batch is filled up to one of these sizes, or to the maximum.
# JAX compiles a model for each batch size, so the list must be short.
_BATCH_SIZES = (8, 64, 512)
# Minimum padded length, in steps, because shorter shapes would not pay for their compilation.
_MIN_PADDED_STEPS = 8
# Minimum number of batches for a progress bar; fewer are done before a bar would help.
_MIN_BATCHES_FOR_PROGRESS_BAR = 20


class Network:
    """The Keras models of a specification.

    Attributes
    ----------
    specification : Specification
        Sizes and options of the models.
    models : Models
        Encoder, decoder and autoencoder.
    length_predictor : keras.Model
        Model from codes to the location and the log-scale of the length.
    forecaster : keras.Model, optional
        Model from codes and recent values to the steps after the sequences.

    Examples
    --------
    >>> from refold.models import Specification, build
    >>> columns = ["numeric"], [0]
    >>> sizes = {"observed_flags": False, "latent_dim": 3, "max_steps": 5}
    >>> build(Specification("default", *columns, **sizes)).fixed_steps
    """

    # `Network` has the same methods as `PackedNetwork`, so that a model can have either.
    # `PackedNetwork` encodes 1.2 to 1.5 times as many sequences in a second, and starts without
    # Keras (benchmarks/results/inference.md).

    def __init__(
        self,
        specification: Specification,
        models: Models,
        length_predictor: keras.Model,
        forecaster: keras.Model | None = None,
    ) -> None:
        self.specification, self.models = specification, models
        self.length_predictor, self.forecaster = length_predictor, forecaster
        self.head = PackedHead(specification.column_types, specification.num_categories)

    @property
    def masks_padding(self) -> bool:
        """Whether the encoder masks padding (NaN); if not, its input has zeros for NaN."""
        return any(isinstance(layer, PaddingMask) for layer in iterate_layers(self.models.encoder))

    @property
    def fixed_steps(self) -> int | None:
        """Number of steps that the encoder reads, or None if it reads any number."""
        # Padding changes the codes of an encoder that does not mask it. So such an encoder needs
        # all sequences padded to the same number of steps, even if it could read any number.
        steps = self.models.encoder.inputs[0].shape[1]
        needs_padding = steps is None and not self.masks_padding
        return self.specification.max_steps if needs_padding else steps

    @property
    def max_decodable_steps(self) -> int | None:
        """Maximum number of steps to decode, or None for the default model, which has none."""
        if self.specification.architecture == "default":
            return None
        return self.models.decoder.output_shape[1]

    @property
    def autoregressive(self) -> bool:
        """Whether decoding is autoregressive."""
        return self.specification.decoder == "autoregressive"

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables once, in the order of their creation."""
        variables: dict[int, keras.Variable] = {}
        # the weights of the other two models are those of the encoder and the decoder
        encoder, decoder, _, _, posterior = self.models
        for model in (encoder, decoder, self.length_predictor, posterior, self.forecaster):
            for variable in [] if model is None else model.variables:
                variables.setdefault(id(variable), variable)
        return list(variables.values())

    @property
    def weight_variables(self) -> list[keras.Variable]:
        """All variables except the states of random generators."""
        return [v for v in self.variables if "seed_generator" not in v.path]

    @property
    def num_parameters(self) -> int:
        """Number of trainable parameters."""
        return int(sum(np.prod(v.shape) for v in self.variables if v.trainable))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all variables by their index, such as "0003", for storage."""
        return {f"{i:04d}": np.asarray(v.value) for i, v in enumerate(self.variables)}

    def encode(
        self, scaled_sequences: Sequences, *, latent_steps: int = 0, verbose: int = 0
    ) -> np.ndarray:
        """Encode scaled sequences to (n_sequences, latent_dim), without latent optimization."""
        # Keras models have no latent optimization. Only files of earlier versions ask for it.
        del latent_steps
        flags = self.specification.observed_flags
        codes = np.empty((len(scaled_sequences), self.specification.latent_dim), np.float32)
        options: Any = {"fixed_length": self.fixed_steps, "verbose": verbose}
        for batch in self._split_into_batches(scaled_sequences.lengths, "encode", **options):
            x, _ = pad(scaled_sequences, batch.indices, batch.num_steps, has_flags=flags)
            if not self.masks_padding:
                x = np.nan_to_num(x, nan=0.0)
            codes[batch.indices] = batch.predict(self.models.encoder, x)
        check_codes_finite(np.isfinite(codes), scaled_sequences.ids)
        return codes

    def compute_rocket_features(self, scaled_sequences: Sequences) -> np.ndarray:
        """Compute the ROCKET features of scaled sequences, (n_sequences, n_features)."""
        return RocketFeatures(self.specification).compute_in_batches(scaled_sequences)

    def decode(
        self,
        codes: np.ndarray,
        offsets: np.ndarray,
        *,
        sampling: CategorySampling | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Decode codes to the outputs (n_rows, outputs) of sequences with these offsets."""
        # The decoder is never autoregressive here. `PackedNetwork` runs all networks that are.
        unroll, head, lengths = self.models.unroll, self.head, np.diff(offsets)
        outputs = np.empty((offsets[-1], head.num_outputs), np.float32)
        for batch in self._split_into_batches(lengths, "decode", verbose=verbose):
            steps = np.arange(batch.num_steps)
            is_real = steps < lengths[batch.indices][:, None]  # (n, steps)
            # the row in ``outputs`` of each real step, in the order of ``is_real``
            output_rows = (offsets[:-1][batch.indices][:, None] + steps)[is_real]
            # the decoder skips padding, which is where the template is NaN
            template = np.where(is_real, np.float32(0), np.float32(np.nan))[..., None]
            outputs[output_rows] = batch.predict(unroll, codes[batch.indices], template)[is_real]
        if sampling is not None:
            noise = head.draw_noise(offsets, sampling.seed, np.arange(len(codes)))
            outputs = head.sample(outputs, noise, sampling.temperature)
        return outputs

    def forecast(self, codes: np.ndarray, recent_values: np.ndarray) -> np.ndarray:
        """Forecast the outputs (n_sequences * forecast_steps, outputs) after the sequences."""
        # ``recent_values`` (n_sequences, num_recent_values) are the last step, scaled, and then the
        # differences of earlier steps from it
        model: Any = self.forecaster
        inputs = [codes, recent_values][: len(model.inputs)]  # some models read the code alone
        num_steps = self.specification.forecast_steps
        outputs = np.empty((len(codes), num_steps, self.head.num_outputs), np.float32)
        for batch in self._split_into_batches(np.full(len(codes), num_steps), "forecast"):
            batch_inputs = (array[batch.indices] for array in inputs)
            outputs[batch.indices] = batch.predict(model, *batch_inputs)
        return outputs.reshape(-1, self.head.num_outputs)

    def predict_lengths(self, codes: np.ndarray) -> np.ndarray:
        """Predict the lengths (n_sequences,) of codes, in whole steps."""
        locations = np.empty(len(codes), np.float32)
        for batch in self._split_into_batches(np.ones(len(codes), np.int64), "lengths"):
            # the second output is a log-scale
            predicted = batch.predict(self.length_predictor, codes[batch.indices])
            locations[batch.indices] = predicted[:, 0]
        # the default model could decode any length, so the limit is twice the maximum in training
        max_length = self.max_decodable_steps or 2 * self.specification.max_steps
        return round_lengths(locations, max_length)

    def _split_into_batches(
        self,
        lengths: np.ndarray,
        description: str,
        *,
        fixed_length: int | None = None,
        verbose: int = 0,
    ) -> Iterator["_PlannedBatch"]:
        """Split sequences into batches of similar length, with few different shapes."""
        # JAX compiles the models for each shape of a batch, so there are few shapes. Padded lengths
        # are the longest training length multiplied by powers of two, and batch sizes are powers of
        # 8. If all sequences fit into one batch, they are padded to the longest of them. This costs
        # less than the compilation of another shape.
        max_steps = min(_MAX_BATCH_STEPS, _MAX_BATCH_OUTPUTS // self.specification.num_outputs)
        order = np.argsort(lengths, kind="stable")
        if fixed_length is not None:
            padded_lengths = np.full(len(order), fixed_length)
        else:
            # the shapes are multiples of the longest training length by powers of two
            max_training_length = self.specification.max_steps
            steps = np.maximum(lengths[order], min(_MIN_PADDED_STEPS, max_training_length))
            exponents = np.ceil(np.log2(steps / max_training_length))
            padded_lengths = np.ceil(max_training_length * np.exp2(exponents)).astype(np.int64)
        longest = int(padded_lengths.max(initial=1))
        if len(order) <= min(_MAX_BATCH_SEQUENCES, max_steps // longest):
            padded_lengths = np.full_like(padded_lengths, longest)
        compilation.enable_compilation_cache()
        batches = []
        for num_steps in np.unique(padded_lengths).tolist():
            indices = order[padded_lengths == num_steps]
            max_size = max(1, min(_MAX_BATCH_SEQUENCES, max_steps // num_steps))
            for start in range(0, len(indices), max_size):
                batch_indices = indices[start : start + max_size]
                sizes = (n for n in _BATCH_SIZES if len(batch_indices) <= n < max_size)
                batches.append(_PlannedBatch(batch_indices, num_steps, next(sizes, max_size)))
        has_bar = verbose and len(batches) >= _MIN_BATCHES_FOR_PROGRESS_BAR
        with progress_bar(disable=not has_bar) as bar:
            yield from bar.track(batches, description=description)


def predict(model: keras.Model, *inputs: Any) -> np.ndarray:
    """Return the output of a model for one batch."""
    # Threads may use the model at the same time, which ``model.predict`` does not allow on JAX.
    batch = inputs[0] if len(inputs) == 1 else list(inputs)
    if keras.backend.backend() != "jax":
        return np.asarray(model.predict_on_batch(batch))
    run = getattr(model, "refold_compiled", None)
    if run is None:
        import jax

        run = model.refold_compiled = jax.jit(
            lambda trainable, non_trainable, batch: model.stateless_call(
                trainable, non_trainable, batch, training=False
            )[0]
        )
    # ``model.predict_on_batch`` would donate the weights to the compiled function: other threads
    # could not read the weights until the function returns them.
    trainable = [variable.value for variable in model.trainable_variables]
    non_trainable = [variable.value for variable in model.non_trainable_variables]
    return np.asarray(run(trainable, non_trainable, batch))


class _PlannedBatch(NamedTuple):
    """Indices of sequences that are computed together, padded to the same length."""

    indices: np.ndarray  # indices of the sequences in a larger set
    num_steps: int  # padded length
    batch_size: int  # at least the number of sequences; the batch is filled up to it

    def predict(self, model: Any, *inputs: np.ndarray) -> np.ndarray:
        """Run a model on the inputs of the sequences, each (n_sequences, ...)."""
        # the last sequence is repeated up to the batch size; the copies are left out of the result
        rows = np.minimum(np.arange(self.batch_size), len(self.indices) - 1)
        return predict(model, *(array[rows] for array in inputs))[: len(self.indices)]
