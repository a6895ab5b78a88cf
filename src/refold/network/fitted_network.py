"""What a fitted network does, whether it runs on packed rows or in Keras."""

from typing import Protocol

import numpy as np

from refold.network.packed.heads import Draw, PackedHead
from refold.network.specification import Specification
from refold.sequences import Sequences


class FittedNetwork(Protocol):
    """What a `refold.Model` needs of a network: `PackedNetwork` or `KerasNetwork`."""

    # `encode` and `predict_lengths` raise a DataError if a result overflows float32. The other
    # methods return numbers that are not finite.

    specification: Specification
    head: PackedHead

    @property
    def reads_padding(self) -> bool:
        """Whether padding of the encoder's input is NaN; if not, it is zero."""
        ...

    @property
    def fixed_steps(self) -> int | None:
        """Number of steps that the encoder reads, or None if it reads any number."""
        ...

    @property
    def most_steps(self) -> int | None:
        """Maximum number of steps to decode, or None if there is none."""
        ...

    @property
    def autoregressive(self) -> bool:
        """Whether decoding is autoregressive."""
        ...

    @property
    def num_parameters(self) -> int:
        """Number of trainable parameters."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all weights by name, for storage."""
        ...

    def encode(self, scaled: Sequences, *, latent_steps: int = 0, verbose: int = 0) -> np.ndarray:
        """Encode scaled sequences to (n_sequences, latent_dim)."""
        ...

    def rocket_features(self, scaled: Sequences) -> np.ndarray:
        """Compute the ROCKET features of scaled sequences, (n_sequences, n_features)."""
        ...

    def decode(
        self, codes: np.ndarray, offsets: np.ndarray, *, draw: Draw | None = None, verbose: int = 0
    ) -> np.ndarray:
        """Decode codes to the outputs (n_rows, outputs) of sequences with these offsets."""
        ...

    def forecast(self, codes: np.ndarray, recent: np.ndarray) -> np.ndarray:
        """Forecast outputs (n_sequences * forecast_steps, outputs); see `recent_values`."""
        ...

    def predict_lengths(self, codes: np.ndarray) -> np.ndarray:
        """Predict the lengths (n_sequences,) of codes, in whole steps."""
        ...
