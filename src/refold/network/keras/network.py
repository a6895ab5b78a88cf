"""A network of Keras models, and its inference in padded batches if it has no packed rows."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from refold._support import compilation
from refold._support.progress_bars import progress_bar
from refold.network.keras.autoencoder import Models, iterate_layers
from refold.network.keras.encoder import PaddingMask
from refold.network.packed.encoder import RocketFeatures
from refold.network.packed.heads import Draw, PackedHead, round_lengths
from refold.network.specification import Specification
from refold.sequences import Sequences, check_codes_finite, pad

# Maximum number of steps in a batch, if a step has at most `_WIDTH` outputs.
_STEPS = 16384
# Number of outputs above which a batch has fewer steps.
_WIDTH = 256
# Maximum number of sequences in a batch.
_MOST_ROWS = 1024
# Sizes of smaller batches.
_SIZES = (8, 64, 512)
# Minimum padded length.
_SHORTEST = 8
# Minimum number of batches for a progress bar.
_MANY = 20


class Network:
    """The Keras models of a specification.

    Attributes
    ----------
    specification : Specification
        Sizes and options of the models.
    models : Models
        Encoder, decoder and autoencoder.
    length : keras.Model
        Codes to the location and log-scale of the length.
    forecaster : keras.Model, optional
        Codes and recent values to the steps after the sequences.

    Examples
    --------
    >>> from refold.models import Specification, build
    >>> columns = ["numeric"], [0]
    >>> build(Specification("default", *columns, False, latent_dim=3, max_steps=5)).fixed_steps
    """

    # It has the methods of `FittedNetwork`, for the networks that do not run on packed rows. These
    # are classic models, a user's own models and GRUs. Packed rows encode 1.2 to 1.5 times as many
    # sequences in a second, and start without Keras (benchmarks/results/inference.md).

    def __init__(
        self,
        specification: Specification,
        models: Models,
        length: keras.Model,
        forecaster: keras.Model | None = None,
    ) -> None:
        self.specification, self.models = specification, models
        self.length, self.forecaster = length, forecaster
        self.head = PackedHead(specification.column_types, specification.num_categories)

    @property
    def reads_padding(self) -> bool:
        """Whether the encoder masks padding (NaN); if not, its input has zeros for NaN."""
        return any(isinstance(layer, PaddingMask) for layer in iterate_layers(self.models.encoder))

    @property
    def fixed_steps(self) -> int | None:
        """Number of steps that the encoder reads, or None if it reads any number."""
        # an encoder that does not mask padding must always get the same number of steps
        steps = self.models.encoder.inputs[0].shape[1]
        return self.specification.max_steps if steps is None and not self.reads_padding else steps

    @property
    def most_steps(self) -> int | None:
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
        encoder, decoder, _, _, posterior = self.models
        for model in (encoder, decoder, self.length, posterior, self.forecaster):
            for variable in [] if model is None else model.variables:
                variables.setdefault(id(variable), variable)
        return list(variables.values())

    @property
    def weights(self) -> list[keras.Variable]:
        """All variables but the states of random generators."""
        return [v for v in self.variables if "seed_generator" not in v.path]

    @property
    def num_parameters(self) -> int:
        """Number of trainable parameters."""
        return int(sum(np.prod(v.shape) for v in self.variables if v.trainable))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all variables by number, for storage."""
        return {f"{i:04d}": np.asarray(v.value) for i, v in enumerate(self.variables)}

    def encode(self, scaled: Sequences, *, latent_steps: int = 0, verbose: int = 0) -> np.ndarray:
        """Encode scaled sequences to (n_sequences, latent_dim), without latent optimization."""
        # Files of earlier versions may ask for latent optimization of a GRU.
        del latent_steps
        flags, only = self.specification.observed_flags, self.fixed_steps
        codes = np.empty((len(scaled), self.specification.latent_dim), np.float32)
        for batch in self._batches(scaled.lengths, "encode", only=only, verbose=verbose):
            x, _ = pad(scaled, batch.rows, batch.num_steps, flags=flags)
            if not self.reads_padding:
                x = np.nan_to_num(x, nan=0.0)
            codes[batch.rows] = batch.predict(self.models.encoder, x)
        check_codes_finite(np.isfinite(codes), scaled.ids)
        return codes

    def rocket_features(self, scaled: Sequences) -> np.ndarray:
        """Compute the ROCKET features of scaled sequences, (n_sequences, n_features)."""
        return RocketFeatures(self.specification).of(scaled)

    def decode(
        self, codes: np.ndarray, offsets: np.ndarray, *, draw: Draw | None = None, verbose: int = 0
    ) -> np.ndarray:
        """Decode codes to the outputs (n_rows, outputs) of sequences with these offsets."""
        # An autoregressive decoder has LSTMs and runs on packed rows.
        unroll, head, lengths = self.models.unroll, self.head, np.diff(offsets)
        written = np.empty((offsets[-1], head.num_outputs), np.float32)
        noise = None if draw is None else head.noise(offsets, draw.seed, np.arange(len(codes)))
        for batch in self._batches(lengths, "decode", verbose=verbose):
            real = np.arange(batch.num_steps) < lengths[batch.rows][:, None]
            places = (offsets[:-1][batch.rows][:, None] + np.arange(batch.num_steps))[real]
            # steps after the length of a sequence are padding, which is not computed
            template = np.where(real, np.float32(0), np.float32(np.nan))[..., None]
            written[places] = batch.predict(unroll, codes[batch.rows], template)[real]
            if noise is not None and draw is not None:
                written[places] = head.sample(written[places], noise[places], draw.temperature)
        return written

    def forecast(self, codes: np.ndarray, recent: np.ndarray) -> np.ndarray:
        """Forecast the outputs (n_sequences * forecast_steps, outputs) after the sequences."""
        model: Any = self.forecaster
        inputs = [codes, recent][: len(model.inputs)]
        steps = self.specification.forecast_steps
        outputs = np.empty((len(codes), steps, self.head.num_outputs), np.float32)
        for batch in self._batches(np.full(len(codes), steps), "forecast"):
            outputs[batch.rows] = batch.predict(model, *(part[batch.rows] for part in inputs))
        return outputs.reshape(-1, self.head.num_outputs)

    def predict_lengths(self, codes: np.ndarray) -> np.ndarray:
        """Predict the lengths (n_sequences,) of codes, in whole steps."""
        location = np.empty(len(codes), np.float32)
        for batch in self._batches(np.ones(len(codes), np.int64), "lengths"):
            location[batch.rows] = batch.predict(self.length, codes[batch.rows])[:, 0]
        return round_lengths(location, self.most_steps or 2 * self.specification.max_steps)

    def _batches(
        self, lengths: np.ndarray, what: str, *, only: int | None = None, verbose: int = 0
    ) -> Iterator["_Batch"]:
        """Split sequences into batches of similar length, with few different shapes."""
        # The padded lengths are the longest training length multiplied by powers of two, and the
        # batch sizes are powers of 8, so that compiled code can be reused for all data. Sequences
        # that fit into one batch are padded to the longest of them, because padding costs less than
        # compiling another shape. Many categories make each step wide.
        most_steps = _STEPS * _WIDTH // max(_WIDTH, self.specification.num_outputs)
        by_length = np.argsort(lengths, kind="stable")
        steps = _padded_lengths(lengths[by_length], self.specification.max_steps, only)
        longest = int(steps.max(initial=1))
        if len(steps) <= _most_rows(longest, most_steps):
            steps = np.full_like(steps, longest)
        compilation.keep_compiled()
        batches = []
        for num_steps in np.unique(steps):
            rows = by_length[steps == num_steps]
            most = _most_rows(int(num_steps), most_steps)
            for start in range(0, len(rows), most):
                members = rows[start : start + most]
                size = next((n for n in _SIZES if len(members) <= n < most), most)
                batches.append(_Batch(members, int(num_steps), size))
        shown = verbose and len(batches) >= _MANY
        with progress_bar(disable=not shown) as bar:
            yield from bar.track(batches, description=what)


def predict(model: keras.Model, *inputs: Any) -> np.ndarray:
    """Run a model with one output on one batch."""
    # Threads may use the model at the same time, which ``model.predict`` does not allow on JAX.
    batch = inputs[0] if len(inputs) == 1 else list(inputs)
    if keras.backend.backend() != "jax":
        return np.asarray(model.predict_on_batch(batch))
    run = getattr(model, "_refold_compiled", None)
    if run is None:
        import jax

        run = model._refold_compiled = jax.jit(
            lambda trainable, others, batch: model.stateless_call(
                trainable, others, batch, training=False
            )[0]
        )
    # Not ``model.predict_on_batch``, which donates the weights to the compiled function: until it
    # returns them, another thread cannot read the weights.
    trainable = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]
    return np.asarray(run(trainable, others, batch))


class _Batch(NamedTuple):
    """Some of the sequences of a set."""

    rows: np.ndarray  # indices of the sequences
    num_steps: int  # padded length
    batch_size: int  # at least the number of sequences

    def predict(self, model: Any, *inputs: np.ndarray) -> np.ndarray:
        """Run a model on the inputs of the sequences."""
        return predict(model, *map(self.filled, inputs))[: len(self.rows)]

    def filled(self, array: np.ndarray) -> np.ndarray:
        """Repeat the last row up to the batch size."""
        more = self.batch_size - len(array)
        return np.concatenate([array, np.repeat(array[-1:], more, axis=0)]) if more else array


def _most_rows(num_steps: int, most_steps: int) -> int:
    return max(1, min(_MOST_ROWS, most_steps // num_steps))


def _padded_lengths(lengths: np.ndarray, longest: int, only: int | None) -> np.ndarray:
    if only is not None:
        return np.full(len(lengths), only)
    steps = np.maximum(lengths, min(_SHORTEST, longest))
    return np.ceil(longest * np.exp2(np.ceil(np.log2(steps / longest)))).astype(np.int64)
