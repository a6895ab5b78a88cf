"""The PCA baseline: principal components of zero-padded sequences, given the true lengths.

The channels of a step are numbers: the value of each numeric column, and the one-hot vector of each
categorical column. A row of the padded matrix has the channels of all steps of a sequence.
"""

import copy

import numpy as np

from refold._support.native_libraries import one_blas_thread
from refold._support.optional_imports import check_training_packages
from refold._support.rules import check_integer, check_not_empty
from refold.errors import DataError, NotFittedError, SchemaError
from refold.sequences import Scaler, Sequences, as_sequences, sequence_and_step_indices


# PCA is hard to beat on smooth series, so the errors of a model are shown next to those of PCA.
class PCABaseline:
    """Principal component analysis of standardized, zero-padded sequences.

    It is the baseline for a model of the same code size. Numeric columns are standardized on the
    training split, categorical columns are one-hot encoded, missing entries and padding are zero.
    The code does not store the length: reconstructions are cut to the true lengths.

    Parameters
    ----------
    latent_dim : int, default=16
        Number of components, at most the number of sequences and of padded values.

    Attributes
    ----------
    pca_ : sklearn.decomposition.PCA
        The fitted components.
    scaler_ : Scaler
        Scaler of the training split.
    max_steps_ : int
        Longest training sequence. Later steps are reconstructed as the training mean.

    Examples
    --------
    >>> from refold.evaluation import nmse
    >>> waves = [np.sin(np.linspace(0, 6, 30) + shift) for shift in range(12)]
    >>> sequences = Sequences.from_list(waves)
    >>> baseline = PCABaseline(latent_dim=2).fit(sequences)
    >>> nmse(sequences, baseline.reconstruct(sequences), baseline.scaler_) < 1e-6
    True
    """

    def __init__(self, latent_dim: int = 16) -> None:
        self.latent_dim = latent_dim

    def fit(self, sequences: Sequences, scaler: Scaler | None = None) -> "PCABaseline":
        """Fit the components on the training split.

        Parameters
        ----------
        sequences : Sequences of shape (n_sequences,)
            The training split.
        scaler : Scaler, optional
            With ``mode="features"``; by default fitted on ``sequences``.
        """
        check_training_packages("PCA")
        # not at the top, because a small installation has no scikit-learn
        from sklearn.decomposition import PCA

        check_integer("latent_dim", self.latent_dim)
        sequences = as_sequences(sequences)
        self.schema_ = sequences.schema
        self.max_steps_ = int(sequences.lengths.max(initial=0))
        check_not_empty(self.max_steps_, "step", "to fit PCA on")
        self.scaler_ = Scaler.fit(sequences, mode="features") if scaler is None else scaler
        matrix = self._make_padded_matrix(sequences)
        if self.latent_dim > min(matrix.shape):
            raise DataError(
                f"PCA of {matrix.shape[0]} sequences with {matrix.shape[1]} padded values has at "
                f"most {min(matrix.shape)} components. Got latent_dim={self.latent_dim}; lower it."
            )
        # without any variance, scikit-learn divides 0 by 0, for a result that is not used here
        with np.errstate(invalid="ignore"), one_blas_thread(*matrix.shape):
            self.pca_ = PCA(self.latent_dim, random_state=0).fit(matrix)
        return self

    def transform(self, sequences: Sequences) -> np.ndarray:
        """Encode sequences into an array of shape (n_sequences, latent_dim)."""
        if not hasattr(self, "pca_"):
            raise NotFittedError("This PCABaseline is not fitted yet. Call fit first.")
        return self.pca_.transform(self._make_padded_matrix(as_sequences(sequences)))

    def reconstruct(self, sequences: Sequences) -> Sequences:
        """Encode and decode, given the true lengths; the ids and the schema stay the same."""
        sequences = as_sequences(sequences)
        codes = self.transform(sequences)
        decoded = self.pca_.inverse_transform(codes).reshape(len(sequences), self.max_steps_, -1)
        sequence_indices, step_indices = sequence_and_step_indices(sequences)  # of each step
        # steps after the longest training length stay 0, which is the training mean
        exists = step_indices < self.max_steps_
        channels = np.zeros((len(step_indices), decoded.shape[-1]))
        channels[exists] = decoded[sequence_indices[exists], step_indices[exists]]
        # the decoded category of a step is the index of the largest channel of its column
        columns, start = [], 0
        for column in self.schema_.columns:
            block = channels[:, start : start + column.output_width]
            start += column.output_width
            has_categories = column.column_type.has_categories
            columns.append(block.argmax(axis=1) if has_categories else block[:, 0])
        # `_make_padded_matrix` subtracted this mean
        values = np.stack(columns, axis=1).astype(float) + self._compute_scaled_mean()
        return self.scaler_.inverse_transform(sequences.with_values(values))

    def first(self, latent_dim: int) -> "PCABaseline":
        """Return a copy with the first ``latent_dim`` components, or all if there are fewer."""
        smaller = copy.copy(self)
        smaller.latent_dim, smaller.pca_ = latent_dim, copy.copy(self.pca_)
        # what encoding and decoding read of each component
        for name in ("components_", "explained_variance_"):
            setattr(smaller.pca_, name, getattr(self.pca_, name)[:latent_dim])
        return smaller

    def _make_padded_matrix(self, sequences: Sequences) -> np.ndarray:
        """Return standardized, zero-padded channels, (n_sequences, max_steps * n_channels)."""
        if sequences.schema.columns != self.schema_.columns:
            raise SchemaError(
                f"PCA was fitted on columns {list(self.schema_.names)}. Got "
                f"{list(sequences.schema.names)} (types and categories count, too). Bring the data "
                "to the schema of the training split: `sequences.convert_to_schema(train.schema)`."
            )
        # the mean becomes 0 in all columns, because 0 stands for padding and missing entries
        values = self.scaler_.transform(sequences).values - self._compute_scaled_mean()
        blocks = []
        for i, column in enumerate(sequences.schema.columns):
            if column.column_type.has_categories:  # one-hot vectors
                categories = np.arange(len(column.categories))
                blocks.append((values[:, i : i + 1] == categories).astype(float))
            else:
                blocks.append(np.nan_to_num(values[:, i : i + 1].astype(float)))
        channels = np.concatenate(blocks, axis=1)
        sequence_indices, step_indices = sequence_and_step_indices(sequences)  # of each step
        # steps after the longest training length are dropped
        exists = step_indices < self.max_steps_
        padded = np.zeros((len(sequences), self.max_steps_, channels.shape[1]))
        padded[sequence_indices[exists], step_indices[exists]] = channels[exists]
        return padded.reshape(len(sequences), -1)

    def _compute_scaled_mean(self) -> np.ndarray:
        """Return the scaled training mean (n_columns,), 0 for columns that the scaler centers."""
        return (self.scaler_.mean_ - self.scaler_.shift(self.schema_)) / self.scaler_.scale_


def cross_validated_pca(
    sequences: Sequences,
    latent_dim: int,
    scaler: Scaler,
    is_training: np.ndarray,  # bool (n_sequences,), whether PCA may be fitted on a sequence
    *,
    folds: int,
    seed: int,
) -> Sequences:
    """Reconstruct each sequence, at its length, by PCA that was fitted on the other folds."""
    # At least three sequences must be allowed for fits, and two of these must have steps, so that
    # every fold leaves a sequence with steps to fit on.
    order = np.random.default_rng(seed).permutation(len(sequences))
    # Sequences go to the folds in turn, in this order. Sequences to fit on come last, next to each
    # other, so that no fold gets all of them.
    order = order[np.argsort((sequences.lengths > 0)[order] & is_training[order], kind="stable")]
    fold_indices = np.empty(len(order), int)  # of each sequence
    fold_indices[order] = np.arange(len(order)) % folds
    sequence_indices, _ = sequence_and_step_indices(sequences)  # of each step
    values = np.empty(sequences.values.shape)
    for fold in np.unique(fold_indices):
        training = sequences[(fold_indices != fold) & is_training]
        num_padded_values = int(training.lengths.max()) * sequences.schema.output_width
        num_components = min(latent_dim, len(training), num_padded_values)
        baseline = PCABaseline(num_components).fit(training, scaler)
        reconstructed = baseline.reconstruct(sequences[fold_indices == fold])
        values[fold_indices[sequence_indices] == fold] = reconstructed.values
    return sequences.with_values(values)
