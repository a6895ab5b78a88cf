"""Input arrays of the fitted Keras models, for use in other Keras models."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from refold._support.argument_checks import check_whole
from refold.errors import ParameterError
from refold.inference._open_source import open_source
from refold.models import Network
from refold.sequences import Sequences, as_sequences, pad

__all__ = ["InputsMixin"]


class InputsMixin:
    """The ``encoder_inputs`` method of the estimator."""

    _network: Network
    scaler_: Any
    _aligned: Any

    def encoder_inputs(self, X: Any, num_steps: int | None = None) -> np.ndarray:
        """Return the scaled and padded array that ``encoder_`` and ``autoencoder_`` read.

        Parameters
        ----------
        X : Sequences, list of arrays, array, table or path
            Data with the columns of the training data.
        num_steps : int, optional
            Number of steps to pad to; by default the length of the longest of these sequences, or
            the number of steps that the encoder needs. Codes do not depend on it.

        Returns
        -------
        array of float32 of shape (n_sequences, num_steps, features)
            Padded steps are NaN. If the training data had missing values, an observed-flag channel
            for each feature follows. For a classic architecture, padding is zeros.

        Raises
        ------
        SchemaError
            If the columns are not those of the training data.
        DataError
            If the sequences cannot be used, or may be larger than memory.
        ParameterError
            If a sequence has more than ``num_steps`` steps, or the encoder needs another number.

        Examples
        --------
        >>> import refold
        >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
        >>> ae = refold.SequenceAutoencoder(
        ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
        ... )
        >>> x = ae.fit(sines).encoder_inputs(sines)
        >>> x.shape == (40, sines.lengths.max(), 1)
        True
        >>> ae.encoder_.predict(x, verbose=0).shape
        (40, 4)
        """
        check_is_fitted(self)
        sequences: Sequences = self._aligned(as_sequences(open_source(X)))
        network = self._network
        only = network.fixed_steps
        if num_steps is None:
            num_steps = only or max(1, int(sequences.lengths.max(initial=0)))
        elif only is not None and check_whole("num_steps", num_steps) != only:
            raise ParameterError(
                f"num_steps is {num_steps}, but this encoder reads {only} steps. Leave it out."
            )
        x, _ = pad(
            self.scaler_.transform(sequences),
            np.arange(len(sequences)),
            check_whole("num_steps", num_steps),
            flags=network.specification.observed_flags,
        )
        return x if network.reads_padding else np.nan_to_num(x, nan=0.0)
