"""The default model on NumPy and the compiled kernel, without Keras and without compilation."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from refold._support.progress_bars import progress_bar
from refold.inference._column_head import ColumnHead, Draw
from refold.inference._decoder import Decoder
from refold.inference._encoder import Encoder
from refold.inference._latent_optimization import LatentObjective, optimize_latents
from refold.inference._length_model import LengthModel
from refold.inference._packed_rows import packed_input
from refold.inference._specification import Specification
from refold.inference._weights import trainable, weight_names
from refold.sequences import Sequences

__all__ = ["PackedNetwork"]

# Maximum number of steps in a block, if a step has at most `_WIDTH` values.
_STEPS = 16384
_WIDTH = 256
# Maximum number of sequences in a block.
_MOST_ROWS = 4096
# Minimum number of blocks for a progress bar.
_MANY = 20


class PackedNetwork:
    """A fitted default model that computes on packed rows.

    A code does not depend on other sequences, on their order, or on the number of threads.

    Parameters
    ----------
    specification : Specification
        Of the default architecture with LSTMs.
    weights : mapping from names to arrays of float32
        With the names of `weight_names`.

    Attributes
    ----------
    specification : Specification
    fixed_steps, most_steps : None
        The encoder reads, and the decoder writes, any number of steps.
    keras : refold.models.Network or None
        The Keras models with these weights, if they were built.

    Examples
    --------
    >>> specification = Specification(
    ...     "default", ["numeric"], [0], False, 3, 5, 8, 1, 0.0, 4.0, 1.0
    ... )
    >>> PackedNetwork(specification, {}).autoregressive
    False
    """

    reads_padding: bool = True
    fixed_steps: int | None = None
    most_steps: int | None = None

    def __init__(self, specification: Specification, weights: Mapping[str, np.ndarray]) -> None:
        self.specification = specification
        self.head = ColumnHead(specification.column_types, specification.num_categories)
        self._weights = dict(weights)
        self._parts: dict[str, Any] = {}
        self.keras: Any = None
        self._values: list[Any] = []

    def follow(self, keras: Any) -> None:
        """Use the current weights of Keras models from now on, also if they change.

        Parameters
        ----------
        keras : refold.models.Network
            Its ``weights`` have the order of `weight_names`.
        """
        self.keras = keras

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """Current weights by name."""
        if self.keras is not None:
            values = [variable.value for variable in self.keras.weights]
            # JAX arrays do not change, so the same array has the same values
            same = len(values) == len(self._values) and all(
                new is old and type(new).__module__.startswith("jax")
                for new, old in zip(values, self._values, strict=True)
            )
            if not same:
                names = weight_names(self.specification)
                arrays = (np.asarray(value, np.float32, order="C") for value in values)
                self._weights = dict(zip(names, arrays, strict=True))
                self._values, self._parts = values, {}
        return self._weights

    @property
    def autoregressive(self) -> bool:
        """Whether decoding is autoregressive."""
        return self.specification.decoder == "autoregressive"

    @property
    def num_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(array.size for name, array in self.weights.items() if trainable(name))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all weights by name, for storage."""
        return self.weights

    def encode(self, scaled: Sequences, *, latent_steps: int = 0, verbose: int = 0) -> np.ndarray:
        """Encode scaled sequences; see `refold.inference.encode`."""
        encoder, specification = self._part("encoder", Encoder), self.specification
        codes = np.empty((len(scaled), specification.latent_dim), np.float32)
        for block in self._blocks(scaled.offsets, "encode", verbose=verbose):
            x, targets, offsets = packed_input(scaled, block, flags=specification.observed_flags)
            encoded = encoder(x, offsets)
            if latent_steps:
                objective = LatentObjective(
                    self._part("decoder", Decoder),
                    self._part("length", LengthModel),
                    x,
                    targets,
                    offsets,
                    encoded,
                    rocket_dim=specification.rocket_dim,
                )
                encoded = optimize_latents(objective, encoded, latent_steps)
            codes[block] = encoded
        return codes

    def rocket_features(self, scaled: Sequences) -> np.ndarray:
        """Compute the ROCKET features of scaled sequences, (n_sequences, n_features)."""
        encoder, flags = self._part("encoder", Encoder), self.specification.observed_flags
        features = [np.empty((0, encoder.num_rocket_features), np.float32)]
        for block in self._blocks(scaled.offsets, "features"):
            x, _, offsets = packed_input(scaled, block, flags=flags)
            features.append(encoder.rocket_features(x, offsets))
        return np.concatenate(features)

    def decode(
        self, codes: np.ndarray, offsets: np.ndarray, *, draw: Draw | None = None, verbose: int = 0
    ) -> np.ndarray:
        """Decode codes to the outputs (n_rows, outputs) of sequences with these offsets."""
        decoder = self._part("decoder", Decoder)
        codes = np.ascontiguousarray(codes, np.float32)
        outputs = np.empty((offsets[-1], self.head.num_outputs), np.float32)
        for block in self._blocks(offsets, "decode", verbose=verbose):
            rows = slice(offsets[block.start], offsets[block.stop])
            own = offsets[block.start : block.stop + 1] - offsets[block.start]
            if self.autoregressive:
                outputs[rows] = decoder.decode_autoregressively(
                    codes[block], own, draw, first=block.start
                )
                continue
            outputs[rows], _ = decoder(codes[block], own)
            if draw is not None:
                noise = self.head.noise(own, draw.seed, block.start)
                outputs[rows] = self.head.sample(outputs[rows], noise, draw.temperature)
        return outputs

    def forecast(self, codes: np.ndarray) -> np.ndarray:
        """Forecast the outputs (n_sequences * forecast_steps, outputs) after the sequences."""
        decoder = self._part("forecaster", Decoder, ahead=True)
        offsets = np.arange(len(codes) + 1) * self.specification.forecast_steps
        outputs = np.empty((offsets[-1], self.head.num_outputs), np.float32)
        codes = np.ascontiguousarray(codes, np.float32)
        for block in self._blocks(offsets, "forecast"):
            own = offsets[block.start : block.stop + 1] - offsets[block.start]
            outputs[offsets[block.start] : offsets[block.stop]], _ = decoder(codes[block], own)
        return outputs

    def predict_lengths(self, codes: np.ndarray) -> np.ndarray:
        """Predict the lengths (n_sequences,) of codes, which are not rounded."""
        return self._part("length", LengthModel)(np.ascontiguousarray(codes, np.float32))

    def _part(self, name: str, make: Any, **options: Any) -> Any:
        """Return a part of the model, made from the current weights."""
        weights = self.weights
        if name not in self._parts:
            self._parts[name] = make(self.specification, weights, **options)
        return self._parts[name]

    def _blocks(self, offsets: np.ndarray, what: str, *, verbose: int = 0) -> Iterator[slice]:
        """Split sequences into blocks of about equally many steps, to limit the memory."""
        width = max(self.specification.num_outputs, self.specification.num_channels)
        most = _STEPS * _WIDTH // max(_WIDTH, width)
        blocks, begin, count = [], 0, len(offsets) - 1
        while begin < count:
            end = int(np.searchsorted(offsets, offsets[begin] + most, side="right")) - 1
            end = min(max(end, begin + 1), begin + _MOST_ROWS)
            blocks.append(slice(begin, end))
            begin = end
        shown = bool(verbose) and len(blocks) >= _MANY
        if not shown:
            yield from blocks
            return
        with progress_bar(disable=False) as bar:
            yield from bar.track(blocks, description=what)
