"""Encoding and decoding of scaled sequences with a network."""

from typing import Any, Protocol

import numpy as np

from refold._support.offsets import offsets_from_lengths
from refold.network.packed.heads import ColumnHead, Draw
from refold.network.specification import Specification
from refold.sequences import Schema, Sequences, check_codes_finite, check_decoded


class FittedNetwork(Protocol):
    """What inference needs of a network: `PackedNetwork` or `refold.models.KerasNetwork`."""

    specification: Specification
    head: ColumnHead

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
        """Predict the lengths (n_sequences,) of codes, which are not rounded."""
        ...


def encode(
    scaled: Sequences, network: FittedNetwork, *, latent_steps: int = 0, verbose: int = 0
) -> np.ndarray:
    """Encode sequences to (n_sequences, latent_dim); a DataError if a code overflows."""
    with np.errstate(over="ignore", invalid="ignore"):  # checked below
        codes = network.encode(scaled, latent_steps=latent_steps, verbose=verbose)
    check_codes_finite(np.isfinite(codes), scaled.ids)
    return codes


def rocket_features(scaled: Sequences, network: FittedNetwork) -> np.ndarray:
    """Compute the ROCKET features of sequences, (n_sequences, n_features)."""
    return network.rocket_features(scaled)


def decode(
    codes: np.ndarray,
    lengths: np.ndarray,
    schema: Schema,
    network: FittedNetwork,
    *,
    draw: Draw | None = None,
    verbose: int = 0,
) -> Sequences:
    """Decode codes (n_sequences, latent_dim) to sequences; a DataError if a value overflows."""
    offsets = offsets_from_lengths(lengths)
    with np.errstate(over="ignore", invalid="ignore"):  # checked below
        outputs = network.decode(codes, offsets, draw=draw, verbose=verbose)
    check_decoded(np.isfinite(outputs).all(axis=1), offsets)
    return Sequences(network.head.values(outputs), offsets, schema=schema)


def forecast(
    codes: np.ndarray, recent: np.ndarray, schema: Schema, network: FittedNetwork
) -> Sequences:
    """Forecast the steps after the sequences of codes; a DataError if a value overflows."""
    offsets = np.arange(len(codes) + 1) * network.specification.forecast_steps
    with np.errstate(over="ignore", invalid="ignore"):  # checked below
        outputs = network.forecast(codes, recent)
    check_decoded(np.isfinite(outputs).all(axis=1), offsets)
    return Sequences(network.head.values(outputs), offsets, schema=schema)


def predict_lengths(codes: np.ndarray, network: FittedNetwork) -> np.ndarray:
    """Predict the length (n_sequences,) of each sequence; a DataError if one overflows."""
    # at most twice the longest training length, or what the network writes
    longest: Any = network.most_steps or 2 * network.specification.max_steps
    with np.errstate(over="ignore", invalid="ignore"):  # checked below
        rounded = np.rint(network.predict_lengths(codes))
    # an infinite length is clipped, and NaN is none
    check_codes_finite(~np.isnan(rounded)[:, None], np.arange(len(codes)))
    return np.clip(rounded, 0, longest).astype(np.int64)
