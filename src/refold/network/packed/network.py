"""The default model on packed rows, and the type of the network of any `refold.Model`."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Union

import numpy as np

from refold.kernels import log_slow, why_not
from refold.network.packed.decoder import PackedDecoder
from refold.network.packed.encoder import PackedEncoder
from refold.network.packed.heads import (
    Draw,
    LengthDimension,
    LengthModel,
    PackedHead,
    length_model,
    whole_lengths,
)
from refold.network.packed.losses import LatentObjective, minimize_rows
from refold.network.packed.rows import block_of, blocks, input_and_target, running
from refold.network.specification import Specification, weights_of
from refold.sequences import Sequences, check_codes_finite

if TYPE_CHECKING:
    from refold.network.keras.network import Network

# Both have the same methods. `encode` and `predict_lengths` raise a DataError if a result overflows
# float32. The other methods return numbers that are not finite.
FittedNetwork = Union["PackedNetwork", "Network"]
"""A network of a `refold.Model`."""


class ErrorTotals(NamedTuple):
    """Sums over sequences."""

    error: float  # of all observed values, with the loss of their column types
    num_observed: int
    length_error: float  # negative log-likelihoods of the lengths, in nats
    num_sequences: int


class PackedNetwork:
    """A fitted default model with LSTMs that computes on packed rows."""

    # It computes on the rows of `Sequences` as they are: no padding, no shapes, no compilation.
    # Each output is one chain of multiply-adds in a fixed order, so a code has the same bits
    # whatever other sequences are encoded with it. Keras models of the same weights are built on
    # first access.
    reads_padding: bool = True
    # it reads and writes any number of steps
    fixed_steps: int | None = None
    most_steps: int | None = None

    def __init__(self, specification: Specification, weights: Mapping[str, np.ndarray]) -> None:
        if (reason := why_not()) is not None:
            what = "Encoding and decoding run on NumPy, which is slower than the compiled kernel"
            log_slow(what, reason)
        self.specification = specification
        self.head = PackedHead(specification.column_types, specification.num_categories)
        self._weights = dict(weights)
        self._parts: dict[str, Any] = {}
        # the `refold.models.Network` with these weights, if it was built
        self.keras: Any = None
        self._variables: list[Any] = []
        self._values: list[Any] = []

    def follow(self, keras: Any) -> None:
        """Use the current weights of a `refold.models.Network` from now on, also if they change."""
        self.keras, self._variables = keras, keras.weights

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """Current weights by name."""
        if self.keras is not None:
            values = [variable.value for variable in self._variables]
            # JAX arrays do not change, so the same array has the same values
            same = len(values) == len(self._values) and all(
                new is old and type(new).__module__.startswith("jax")
                for new, old in zip(values, self._values, strict=True)
            )
            if not same:
                # by name, because Keras sorts the layers of deep models in another order
                self._weights = {
                    variable.path: np.asarray(value, np.float32, order="C")
                    for variable, value in zip(self._variables, values, strict=True)
                }
                self._values, self._parts = values, {}
        return self._weights

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Replace the weights, given as arrays by name; other names are left out."""
        self._weights = {
            weight.name: np.asarray(weights[weight.name], np.float32, order="C")
            for weight in weights_of(self.specification)
            if weight.name in weights
        }
        self._parts = {}

    @property
    def autoregressive(self) -> bool:
        """Whether decoding is autoregressive."""
        return self.specification.decoder == "autoregressive"

    @property
    def num_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(math.prod(w.shape) for w in weights_of(self.specification) if w.is_trained)

    @property
    def encoder(self) -> PackedEncoder:
        """Encoder with the current weights."""
        return self._part("encoder", PackedEncoder)

    @property
    def decoder(self) -> PackedDecoder:
        """Decoder with the current weights."""
        return self._part("decoder", PackedDecoder, head=self.head)

    @property
    def length(self) -> LengthModel | LengthDimension:
        """What reads lengths from codes, with the current weights."""
        return self._part("length", length_model)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all weights by name, for storage."""
        return self.weights

    def encode(self, scaled: Sequences, *, latent_steps: int = 0, verbose: int = 0) -> np.ndarray:
        """Encode scaled sequences to (n_sequences, latent_dim)."""
        codes = np.empty((len(scaled), self.specification.latent_dim), np.float32)
        encoder, parts = self.encoder, (self.decoder, self.length) if latent_steps else None
        learned = self.specification.learned_dim

        def encode_block(indices: np.ndarray) -> None:
            block = block_of(indices, scaled.offsets)
            x, targets = input_and_target(self.specification, scaled.values, block)
            encoded = encoder(x, block.offsets)
            if parts is not None:
                objective = LatentObjective(
                    *parts, x, targets, block.offsets, encoded, learned_dim=learned
                )
                encoded = minimize_rows(objective, encoded, latent_steps)
            codes[indices] = encoded

        where = self.specification, scaled.offsets
        with running(encode_block, *where, "encode", verbose=verbose) as done:
            for _ in done:
                pass
        check_codes_finite(np.isfinite(codes), scaled.ids)
        return codes

    def rocket_features(self, scaled: Sequences) -> np.ndarray:
        """Compute the ROCKET features of scaled sequences, (n_sequences, n_features)."""
        return self.encoder.rocket_features.of(scaled)

    def decode(
        self, codes: np.ndarray, offsets: np.ndarray, *, draw: Draw | None = None, verbose: int = 0
    ) -> np.ndarray:
        """Decode codes to the outputs (n_rows, outputs) of sequences with these offsets."""
        codes = np.ascontiguousarray(codes, np.float32)
        outputs, decoder = np.empty((offsets[-1], self.head.num_outputs), np.float32), self.decoder

        def decode_block(indices: np.ndarray) -> None:
            block = block_of(indices, offsets)
            layout, noise = decoder.layout(block.offsets), None
            if draw is not None:
                noise = self.head.noise(block.offsets, draw.seed, indices)
            if self.autoregressive:
                temperature = 1.0 if draw is None else draw.temperature
                written = decoder.decode_autoregressively(
                    codes[indices], layout, noise, temperature
                )
            else:
                whole, _ = decoder(codes[indices], layout)
                written = whole[layout.rows]
                if noise is not None and draw is not None:
                    written = self.head.sample(written, noise, draw.temperature)
            outputs[block.rows] = written

        with running(decode_block, self.specification, offsets, "decode", verbose=verbose) as done:
            for _ in done:
                pass
        return outputs

    def reconstruction_error(
        self, values: np.ndarray, offsets: np.ndarray, *, with_length: bool = True
    ) -> ErrorTotals:
        """Encode and decode scaled values (n_rows, columns), and sum the errors."""
        error = length_error = 0.0
        num_observed = 0
        for block in blocks(self.specification, offsets):
            x, targets = input_and_target(self.specification, values, block)
            codes = self.encoder(x, block.offsets)
            layout = self.decoder.layout(block.offsets, x)
            whole, _ = self.decoder(codes, layout)
            outputs = whole[layout.rows]
            # Numeric columns are decoded from the decoder's own output, as in use, because teacher
            # forcing looks better than it is. The others are measured with teacher forcing: without
            # it, cross-entropy mostly measures what follows the first mistake.
            if self.autoregressive and self.head.numeric.any():
                numeric = np.repeat(self.head.numeric, self.head.widths)
                written = self.decoder.decode_autoregressively(codes, layout)
                outputs = np.where(numeric, written, outputs)
            observed = ~np.isnan(targets)
            values_or_zero = np.where(observed, targets, np.float32(0))
            errors, _ = self.head.errors(outputs, values_or_zero, observed)
            error += float(errors.sum(dtype=float))
            num_observed += int(np.count_nonzero(observed))
            if with_length and isinstance(self.length, LengthModel):
                length_error += float(
                    self.length.losses(codes, np.diff(block.offsets)).sum(dtype=float)
                )
        return ErrorTotals(error, num_observed, length_error, len(offsets) - 1)

    def forecast(self, codes: np.ndarray, recent: np.ndarray) -> np.ndarray:
        """Forecast the outputs (n_sequences * forecast_steps, outputs) after the sequences."""
        decoder = self._part("forecaster", PackedDecoder, head=self.head, ahead=True)
        offsets = np.arange(len(codes) + 1) * self.specification.forecast_steps
        outputs = np.empty((offsets[-1], self.head.num_outputs), np.float32)
        codes = np.concatenate([codes, recent], axis=1, dtype=np.float32)

        def forecast_block(indices: np.ndarray) -> None:
            block = block_of(indices, offsets)
            outputs[block.rows], _ = decoder(codes[indices], decoder.layout(block.offsets))

        with running(forecast_block, self.specification, offsets) as done:
            for _ in done:
                pass
        return outputs

    def predict_lengths(self, codes: np.ndarray) -> np.ndarray:
        """Predict the lengths (n_sequences,) of codes, in whole steps."""
        with np.errstate(over="ignore", invalid="ignore"):  # checked below
            predicted = self.length(np.ascontiguousarray(codes, np.float32))
            return whole_lengths(predicted, 2 * self.specification.max_steps)

    def _part(self, name: str, make: Any, **options: Any) -> Any:
        """Return a part of the model, made from the current weights."""
        weights = self.weights
        if name not in self._parts:
            self._parts[name] = make(self.specification, weights, **options)
        return self._parts[name]
