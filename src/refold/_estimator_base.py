"""`EstimatorBase`: the fitted state of the estimator, and sequences to codes and back."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from refold._support.argument_checks import check_whole
from refold._support.scikit_learn_protocol import ScikitLearnProtocol, check_fitted
from refold.errors import ParameterError
from refold.inference import (
    Draw,
    FittedNetwork,
    Meaning,
    check_codes,
    check_fits,
    check_lengths,
    count_far,
    decode,
    describe_far_codes,
    encode,
    lengths_to_write,
    open_source,
    predict_lengths,
    warn_of_far,
    warn_of_longer,
)
from refold.sequences import (
    Scaler,
    Scan,
    Schema,
    Sequences,
    as_sequences,
    check_model,
    pad,
    stored_model,
)
from refold.storage import Fitted, ReferenceStatistics, fingerprint


class EstimatorBase(ScikitLearnProtocol):
    """Fitted state of an estimator, and what the methods of all its mixins do with it."""

    verbose: int
    schema_: Schema
    scaler_: Scaler
    max_steps_: int
    _fitted: Fitted

    @property
    def latent_steps_(self) -> int:
        """Steps of latent optimization."""
        raise NotImplementedError

    @property
    def model_hash_(self) -> str:
        """Hash of all that codes depend on: columns, scaling and weights, not the calibration."""
        check_fitted(self)
        return fingerprint(self._fitted)

    def _known(self) -> ReferenceStatistics:
        """Return the reference statistics of the training data."""
        if self._fitted.known is None:
            raise ParameterError(
                "This needs codes of the training data, and the model was saved without them. Fit "
                "and save it again."
            )
        return self._fitted.known

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
        check_fitted(self)
        sequences = self._aligned(as_sequences(open_source(X)))
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

    def _opened(self, X: Any, meaning: Meaning) -> Sequences | Scan:
        """Read sequences or open files, and warn of those unlike the training data."""
        check_fitted(self)
        source = open_source(X)
        if isinstance(source, Scan):
            check_fits(source.lengths, self._network)
        else:
            source = self._aligned(source)
            warn_of_far([self._far(source)], self.schema_, stacklevel=4)
        most = self._network.most_steps
        warn_of_longer(source.lengths, self.max_steps_, meaning, most=most, stacklevel=4)
        return source

    def _in_memory(self, X: Any) -> Sequences:
        """Read sequences, and warn of values far outside of the training data."""
        sequences = self._aligned(as_sequences(X))
        warn_of_far([self._far(sequences)], self.schema_, stacklevel=4)
        return sequences

    def _aligned(self, source: Sequences) -> Sequences:
        """Convert sequences to the schema of the training data and check them."""
        sequences = source.align(self.schema_)
        self.scaler_.check(sequences)
        check_fits(sequences.lengths, self._network)
        _warn_missing(sequences, self._network)
        return sequences

    def _encoded(self, source: Sequences | Scan) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield codes and ids, block by block for files."""
        for block in self._blocks(source):
            yield self._codes_of(block, self.verbose), block.ids

    def _blocks(self, source: Sequences | Scan) -> Iterator[Sequences]:
        """Yield aligned sequences; for files block by block, with a warning after the last one."""
        if isinstance(source, Sequences):
            yield source
            return
        counts = []
        for block in map(self._aligned, source):
            counts.append(self._far(block))
            yield block
        warn_of_far(counts, self.schema_, stacklevel=4)

    def _far(self, aligned: Sequences) -> np.ndarray:
        return count_far(aligned.values, self._fitted.units)

    def _codes_of(self, block: Sequences, verbose: int) -> np.ndarray:
        """Encode aligned sequences.

        The statistics of the scale of each sequence are appended to its code.
        """
        scaled = self.scaler_.transform(block)
        codes = encode(scaled, self._network, latent_steps=self.latent_steps_, verbose=verbose)
        return np.concatenate([codes, self.scaler_.statistics(block)], axis=1)

    def _checked_codes(self, codes: Any) -> np.ndarray:
        """Check codes, also that a pandas frame of ``transform`` is one of this model."""
        if (stored := stored_model(codes)) is not None:
            check_model(stored, self, "The table")
        return check_codes(codes, self._n_features_out)

    def _decode(
        self,
        codes: Any,
        lengths: Any = None,
        *,
        known: np.ndarray | None = None,
        draw: Draw | None = None,
        clip: bool = False,
    ) -> list[Any]:
        """Decode as ``inverse_transform`` does.

        ``known`` lengths above the longest training length replace predicted ones. With ``draw``,
        tokens are drawn at random.
        """
        codes = self._checked_codes(codes)
        width = self._network.specification.latent_dim
        inner, statistics = codes[:, :width], codes[:, width:]
        if lengths is not None:
            lengths = check_lengths(lengths, len(codes), self._network)
            warn_of_longer(lengths, self.max_steps_, "lengths", stacklevel=4)
        else:
            lengths = predict_lengths(inner, self._network)
        if known is not None:
            most = self._network.most_steps
            lengths = lengths_to_write(known, lengths, self.max_steps_, most)
        scaled = decode(
            inner, lengths, self.schema_, self._network, draw=draw, verbose=self.verbose
        )
        statistics = statistics if self.scaler_.mode == "sequence" else None
        decoded = self.scaler_.inverse_transform(scaled, statistics)
        return (self.scaler_.clip(decoded) if clip else decoded).to_list()

    def _far_codes(self, codes: np.ndarray) -> str | None:
        """Describe checked codes that are very far from those of training, if these are known."""
        known, width = self._fitted.known, self._network.specification.latent_dim
        if known is None:
            return None
        # the statistics behind them may have any size: scale="sequence" is for that
        return describe_far_codes(codes[:, :width], known.center[:width], known.unit[:width])

    @property
    def _network(self) -> FittedNetwork:
        return self._fitted.network

    @property
    def _n_features_out(self) -> int:
        return self._network.specification.latent_dim + self.scaler_.num_statistics

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")


def _warn_missing(sequences: Sequences, network: FittedNetwork) -> None:
    """Warn of missing values if the model was fitted without any."""
    missing = int(np.isnan(sequences.values).sum())
    if missing and not network.specification.observed_flags:
        warnings.warn(
            f"{missing} value{' is' if missing == 1 else 's are'} missing, and the model was "
            "fitted on data without gaps: it reads them as the mean. Fit on data with gaps, so "
            "that the model tells gaps from values.",
            UserWarning,
            stacklevel=4,
        )
