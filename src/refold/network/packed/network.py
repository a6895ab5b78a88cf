"""`PackedNetwork` is the default model on packed rows; `FittedNetwork` is any network.

The packed rows of a batch are the steps of its sequences, one after the other, without padding.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Union

import numpy as np

from refold.kernels import log_slow_fallback, why_not
from refold.network.packed.batches import (
    concurrent_batches,
    get_input_and_targets,
    iterate_batches,
    locate_batch,
)
from refold.network.packed.decoder import PackedDecoder
from refold.network.packed.encoder import PackedEncoder
from refold.network.packed.heads import (
    CategorySampling,
    LengthPredictor,
    PackedHead,
    decode_unrounded_lengths,
    round_lengths,
)
from refold.network.packed.latent_optimization import CodeRefinementLoss, minimize_rows
from refold.network.specification import Specification, list_weights
from refold.sequences import Sequences, check_codes_finite

if TYPE_CHECKING:
    from refold.network.keras.network import Network

# `PackedNetwork` and `Network`, which is in Keras, encode, decode, forecast and predict lengths by
# the same methods. If a result overflows float32, `encode` and `predict_lengths` raise a DataError,
# and the other methods return numbers that are not finite.
FittedNetwork = Union["PackedNetwork", "Network"]
"""A network of a `refold.Model`."""


class TotalReconstructionErrors(NamedTuple):
    """Sums of errors over sequences; divided by the counts, they are mean errors."""

    error: float  # sum of the losses of all observed values, by the type of their column
    num_observed: int  # number of observed values
    length_error: float  # sum of the negative log-likelihoods of the lengths, in nats
    num_sequences: int


class PackedNetwork:
    """A fitted default model with LSTMs that computes on packed rows."""

    # JAX must compile Keras models for each shape of a padded batch. Nothing is compiled here. Each
    # output is a sum in a fixed order. So a code has the same bits whatever other sequences are
    # encoded in the same call. `to_keras_network` builds the Keras models of the same weights when
    # they are needed.
    masks_padding: bool = True  # its Keras models recognize padding, which is NaN
    # None, because the network reads and writes any number of steps
    fixed_steps: int | None = None
    max_decodable_steps: int | None = None

    def __init__(self, specification: Specification, weights: Mapping[str, np.ndarray]) -> None:
        # the reason why the compiled kernel cannot be used; None if it can
        if (reason := why_not()) is not None:
            log_slow_fallback(
                "Encoding and decoding run on NumPy, which is slower than the compiled kernel",
                reason,
            )
        self.specification = specification
        self.head = PackedHead(specification.column_types, specification.num_categories)
        self._weights = dict(weights)
        # the encoder, decoders and length predictor by name; emptied when the weights change
        self._cached_parts: dict[str, Any] = {}
        # the `refold.models.Network` with which this network shares weights, if there is one
        self.keras_network: Any = None
        # variables of that network, and their values when ``_weights`` was last made from them
        self._keras_variables: list[Any] = []
        self._keras_values: list[Any] = []

    def share_keras_weights(self, keras_network: Any) -> None:
        """Use the current weights of a `refold.models.Network` from now on, also if they change."""
        self.keras_network, self._keras_variables = keras_network, keras_network.weight_variables

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """Current weights by name."""
        if self.keras_network is not None:
            values = [variable.value for variable in self._keras_variables]
            # JAX never changes an array, so the same array has the same values. Other backends
            # change arrays, so their values are always copied.
            is_unchanged = len(values) == len(self._keras_values) and all(
                new is old and type(new).__module__.startswith("jax")
                for new, old in zip(values, self._keras_values, strict=True)
            )
            if not is_unchanged:
                # by name, because Keras sorts the layers of deep models in another order
                self._weights = {
                    variable.path: np.asarray(value, np.float32, order="C")
                    for variable, value in zip(self._keras_variables, values, strict=True)
                }
                self._keras_values, self._cached_parts = values, {}
        return self._weights

    def set_weights_by_name(self, weights: Mapping[str, Any]) -> None:
        """Replace the weights by the arrays of the same names; ignore other names."""
        self._weights = {
            weight.name: np.asarray(weights[weight.name], np.float32, order="C")
            for weight in list_weights(self.specification)
            if weight.name in weights
        }
        self._cached_parts = {}

    @property
    def autoregressive(self) -> bool:
        """Whether the decoder reads, at each step, the step that it decoded before."""
        return self.specification.decoder == "autoregressive"

    @property
    def num_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(math.prod(w.shape) for w in list_weights(self.specification) if w.is_trained)

    @property
    def encoder(self) -> PackedEncoder:
        """Encoder with the current weights."""
        return self._cache_part("encoder", PackedEncoder)

    @property
    def decoder(self) -> PackedDecoder:
        """Decoder with the current weights."""
        return self._cache_part("decoder", PackedDecoder, head=self.head)

    @property
    def length_predictor(self) -> LengthPredictor | None:
        """Predictor with the current weights; None if a latent dimension holds the length."""
        has_length_dim = self.specification.length_dim > 0
        return None if has_length_dim else self._cache_part("length_predictor", LengthPredictor)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all weights by name, for storage."""
        return self.weights

    def encode(
        self, scaled_sequences: Sequences, *, latent_steps: int = 0, verbose: int = 0
    ) -> np.ndarray:
        """Encode sequences to codes (n_sequences, latent_dim); ``latent_steps`` refine them."""
        codes = np.empty((len(scaled_sequences), self.specification.latent_dim), np.float32)
        encoder = self.encoder
        # only latent optimization needs decoders; they are made once for all batches
        decoders = (self.decoder, self.length_predictor) if latent_steps else None
        learned_dim = self.specification.learned_dim

        def encode_batch(indices: np.ndarray) -> None:
            batch = locate_batch(indices, scaled_sequences.offsets)
            x, targets = get_input_and_targets(self.specification, scaled_sequences.values, batch)
            batch_codes = encoder(x, batch.offsets)
            if decoders is not None:
                data = x, targets, batch.offsets, batch_codes
                objective = CodeRefinementLoss(*decoders, *data, learned_dim=learned_dim)
                batch_codes = minimize_rows(objective, batch_codes, latent_steps)
            codes[indices] = batch_codes

        with concurrent_batches(
            encode_batch, self.specification, scaled_sequences.offsets, "encode", verbose=verbose
        ) as batches:
            # each step of this loop calls `encode_batch`
            for _ in batches:
                pass
        check_codes_finite(np.isfinite(codes), scaled_sequences.ids)
        return codes

    def compute_rocket_features(self, scaled_sequences: Sequences) -> np.ndarray:
        """Compute the ROCKET features of scaled sequences, (n_sequences, n_features)."""
        return self.encoder.rocket_features.compute_in_batches(scaled_sequences)

    def decode(
        self,
        codes: np.ndarray,
        offsets: np.ndarray,
        *,
        sampling: CategorySampling | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Decode codes to the outputs (n_rows, outputs) of sequences with these offsets."""
        codes = np.ascontiguousarray(codes, np.float32)
        outputs, decoder = np.empty((offsets[-1], self.head.num_outputs), np.float32), self.decoder

        def decode_batch(indices: np.ndarray) -> None:
            batch, batch_codes = locate_batch(indices, offsets), codes[indices]
            layout, noise, temperature = decoder.make_layout(batch.offsets), None, 1.0
            if sampling is not None:
                noise = self.head.draw_noise(batch.offsets, sampling.seed, indices)
                temperature = sampling.temperature
            if self.autoregressive:
                decoded = decoder.decode_autoregressively(batch_codes, layout, noise, temperature)
            else:
                # the decoder writes complete patches, which may end after the end of a sequence
                patch_outputs, _ = decoder(batch_codes, layout)
                decoded = patch_outputs[layout.unpadded_rows]
                if noise is not None:
                    decoded = self.head.sample(decoded, noise, temperature)
            outputs[batch.rows] = decoded

        with concurrent_batches(
            decode_batch, self.specification, offsets, "decode", verbose=verbose
        ) as batches:
            for _ in batches:
                pass
        return outputs

    def compute_total_errors(
        self, scaled_values: np.ndarray, offsets: np.ndarray, *, with_length: bool = True
    ) -> TotalReconstructionErrors:
        """Encode and decode scaled values (n_rows, columns), and sum the errors."""
        error = length_error = 0.0
        num_observed = 0
        for batch in iterate_batches(self.specification, offsets):
            x, targets = get_input_and_targets(self.specification, scaled_values, batch)
            codes = self.encoder(x, batch.offsets)
            # with x, an autoregressive decoder reads the true previous steps (teacher forcing)
            layout = self.decoder.make_layout(batch.offsets, x)
            patch_outputs, _ = self.decoder(codes, layout)
            outputs = patch_outputs[layout.unpadded_rows]
            # Numeric columns are measured without teacher forcing, which would make their error too
            # low: users decode without it. Other columns are measured with teacher forcing. Without
            # it, their cross-entropy would mostly measure what follows the first wrong step.
            if self.autoregressive and self.head.numeric_mask.any():
                is_numeric = np.repeat(self.head.numeric_mask, self.head.widths)
                decoded = self.decoder.decode_autoregressively(codes, layout)
                outputs = np.where(is_numeric, decoded, outputs)
            is_observed = ~np.isnan(targets)
            finite_targets = np.where(is_observed, targets, np.float32(0))
            errors, _ = self.head.errors(outputs, finite_targets, is_observed)
            error += float(errors.sum(dtype=float))
            num_observed += int(np.count_nonzero(is_observed))
            if with_length and (predictor := self.length_predictor) is not None:
                losses = predictor.losses(codes, np.diff(batch.offsets))
                length_error += float(losses.sum(dtype=float))
        return TotalReconstructionErrors(error, num_observed, length_error, len(offsets) - 1)

    def forecast(self, codes: np.ndarray, recent_values: np.ndarray) -> np.ndarray:
        """Forecast the outputs (n_sequences * forecast_steps, outputs) after the sequences."""
        # ``recent_values`` (n_sequences, num_recent_values) are the last step, scaled, and then the
        # differences of earlier steps from it; without recent steps, the array has no columns.
        decoder = self._cache_part("forecaster", PackedDecoder, head=self.head, is_forecast=True)
        offsets = np.arange(len(codes) + 1) * self.specification.forecast_steps
        outputs = np.empty((offsets[-1], self.head.num_outputs), np.float32)
        codes = np.concatenate([codes, recent_values], axis=1, dtype=np.float32)

        def forecast_batch(indices: np.ndarray) -> None:
            batch = locate_batch(indices, offsets)
            outputs[batch.rows], _ = decoder(codes[indices], decoder.make_layout(batch.offsets))

        with concurrent_batches(forecast_batch, self.specification, offsets) as batches:
            for _ in batches:
                pass
        return outputs

    def predict_lengths(self, codes: np.ndarray) -> np.ndarray:
        """Predict the lengths (n_sequences,) of codes, in whole steps."""
        # no warnings about overflow, because `round_lengths` checks the result
        with np.errstate(over="ignore", invalid="ignore"):
            codes = np.ascontiguousarray(codes, np.float32)
            if (predictor := self.length_predictor) is not None:
                lengths = predictor(codes)
            else:
                lengths = decode_unrounded_lengths(codes, self.specification)
            # a length far beyond the training lengths is not plausible
            return round_lengths(lengths, 2 * self.specification.max_steps)

    def _cache_part(self, part_name: str, part_class: Any, **init_options: Any) -> Any:
        """Return a ``part_class`` with the current weights; make it anew only after they change."""
        weights = self.weights  # empties the cache if Keras changed the weights
        if part_name not in self._cached_parts:
            self._cached_parts[part_name] = part_class(self.specification, weights, **init_options)
        return self._cached_parts[part_name]
