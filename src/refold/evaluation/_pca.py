"""The yardstick: principal components of the zero-padded series, told the lengths."""

import copy
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_is_fitted

from refold._support.blas_threads import one_blas_thread
from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences import Scaler, Schema, Sequences, positions

__all__ = ["PCABaseline"]


class PCABaseline(BaseEstimator):
    """Principal component analysis of standardised, zero-padded sequences.

    What a model of the same code size has to beat.  Numeric columns are standardised on the
    training split, categorical ones become one-hot blocks, missing entries and padding are zero.
    The lengths are not part of the code: a reconstruction is cut to the true ones.

    Parameters
    ----------
    latent_dim : int, default=16
        Number of components, at most as many as there are sequences and padded values.

    Attributes
    ----------
    pca_ : sklearn.decomposition.PCA
        The fitted components.
    scaler_ : Scaler
        Units of the training split.
    max_steps_ : int
        Longest training sequence.  Later steps of other sequences come back as the mean.

    Examples
    --------
    >>> import numpy as np
    >>> from refold.evaluation import nmse
    >>> from refold.sequences import Sequences
    >>> waves = [np.sin(np.linspace(0, 6, 30) + shift) for shift in range(12)]
    >>> sequences = Sequences.from_list(waves)
    >>> baseline = PCABaseline(latent_dim=2).fit(sequences)
    >>> nmse(sequences, baseline.reconstruct(sequences), baseline.scaler_) < 1e-6
    True
    """

    def __init__(self, latent_dim: int = 16) -> None:
        self.latent_dim = latent_dim

    def fit(self, sequences: Sequences, scaler: Scaler | None = None) -> "PCABaseline":
        """Find the components of the training split.

        Parameters
        ----------
        sequences : Sequences of shape (n_sequences,)
            The training split.
        scaler : Scaler, optional
            Its units, with ``mode="features"``; by default those of ``sequences``.

        Raises
        ------
        ParameterError
            If ``latent_dim`` is not a positive integer.
        DataError
            If there are fewer sequences than ``latent_dim``, or all of them are empty.
        """
        number = isinstance(self.latent_dim, Integral) and not isinstance(self.latent_dim, bool)
        if not number or self.latent_dim < 1:
            raise ParameterError(f"latent_dim must be a positive integer. Got {self.latent_dim!r}.")
        self.schema_ = sequences.schema
        self.max_steps_ = int(sequences.lengths.max(initial=0))
        if self.max_steps_ == 0:
            raise DataError("PCA needs at least one sequence with a step. Got none.")
        self.scaler_ = Scaler.fit(sequences, mode="features") if scaler is None else scaler
        matrix = self._matrix(sequences)
        if self.latent_dim > min(matrix.shape):
            raise DataError(
                f"PCA of {matrix.shape[0]} sequences with {matrix.shape[1]} padded values has at "
                f"most {min(matrix.shape)} components. Got latent_dim={self.latent_dim}; lower it."
            )
        # shares of no variance are invalid, and nobody reads them
        with np.errstate(invalid="ignore"), one_blas_thread(*matrix.shape):
            self.pca_ = PCA(self.latent_dim, random_state=0).fit(matrix)
        return self

    def transform(self, sequences: Sequences) -> np.ndarray:
        """Encode sequences into an array of shape (n_sequences, latent_dim).

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If called before `fit`.
        SchemaError
            If the columns are not those of the training split.
        """
        check_is_fitted(self, "pca_")
        return self.pca_.transform(self._matrix(sequences))

    def reconstruct(self, sequences: Sequences) -> Sequences:
        """Encode and decode, told the true lengths.

        Parameters
        ----------
        sequences : Sequences of shape (n_sequences,)
            With the columns of the training split.

        Returns
        -------
        Sequences of shape (n_sequences,)
            Of the same lengths, ids and schema.

        Raises
        ------
        SchemaError
            If the columns are not those of the training split.
        """
        codes = self.transform(sequences)
        decoded = self.pca_.inverse_transform(codes).reshape(len(sequences), self.max_steps_, -1)
        row, step = positions(sequences)
        known = step < self.max_steps_
        channels = np.zeros((len(row), decoded.shape[-1]))
        channels[known] = decoded[row[known], step[known]]
        scaled = sequences.with_values(_from_channels(channels, self.schema_))
        return self.scaler_.inverse_transform(scaled)

    def first(self, latent_dim: int) -> "PCABaseline":
        """Return what is left with the first components only.

        Parameters
        ----------
        latent_dim : int
            Number of components to keep, at most as many as were fitted.

        Returns
        -------
        PCABaseline
            Fitted; this one stays as it is.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If called before `fit`.
        """
        check_is_fitted(self, "pca_")
        kept = copy.copy(self)
        kept.latent_dim, kept.pca_ = latent_dim, copy.copy(self.pca_)
        for name in ("components_", "explained_variance_"):
            setattr(kept.pca_, name, getattr(self.pca_, name)[:latent_dim])
        return kept

    def _matrix(self, sequences: Sequences) -> np.ndarray:
        """Standardised, zero-padded channels of shape (n_sequences, max_steps * n_channels)."""
        if sequences.schema.columns != self.schema_.columns:
            raise SchemaError(
                f"PCA was fitted on columns {list(self.schema_.names)}, got "
                f"{list(sequences.schema.names)} (kinds and labels count too). Bring the data "
                "under the schema of the training split with `sequences.align(train.schema)`."
            )
        channels = _to_channels(self.scaler_.transform(sequences))
        row, step = positions(sequences)
        known = step < self.max_steps_
        padded = np.zeros((len(sequences), self.max_steps_, channels.shape[1]))
        padded[row[known], step[known]] = channels[known]
        return padded.reshape(len(sequences), -1)


def _to_channels(sequences: Sequences) -> np.ndarray:
    """One-hot blocks for categorical columns, zeros for what is missing."""
    blocks = []
    for i, column in enumerate(sequences.schema.columns):
        values = sequences.values[:, i : i + 1]
        if column.type == "categorical":
            blocks.append((values == np.arange(len(column.categories))).astype(float))
        else:
            blocks.append(np.nan_to_num(values.astype(float)))
    return np.concatenate(blocks, axis=1)


def _from_channels(channels: np.ndarray, schema: Schema) -> np.ndarray:
    """Values of shape (n_steps, n_features): the largest channel of a categorical block."""
    columns, start = [], 0
    for column in schema.columns:
        width = len(column.categories) if column.type == "categorical" else 1
        block = channels[:, start : start + width]
        is_label = column.type == "categorical"
        columns.append(block.argmax(axis=1) if is_label else block[:, 0])
        start += width
    return np.stack(columns, axis=1).astype(float)
