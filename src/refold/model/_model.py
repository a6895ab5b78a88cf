"""`Model`: what a fit returns and what a file holds.

The other files of this folder do most of the work. `PretrainedModel` is a model that adapts to data
first, and `load` reads either from a file.
"""

import functools
import inspect
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, Self, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike

from refold._support.arrays import SeedLike, linspace_indices, offsets_from_lengths, to_integer_seed
from refold._support.messages import describe_columns, html_table, pluralize, warn, warn_of_each
from refold._support.rules import (
    check,
    check_counts_match,
    check_fraction,
    check_integer,
    check_not_empty,
    number_rule,
)
from refold.errors import DataError, ParameterError, argument, python_or_cli
from refold.evaluation import ForecastErrors, exact, explained_variance, min_calibration_sequences
from refold.model._anomalies import (
    MAX_STORED_HELD_OUT_ERRORS,
    Detection,
    Drift,
    ErrorsAndFeatures,
    anomaly_p_values,
    build_calibration,
    compute_score_components,
    compute_step_scores,
    measure_drift,
    measure_errors_and_features,
    with_reference_statistics,
)
from refold.model._features import DecodedFeatureExtractor, pool_series_convolutions
from refold.model._file import (
    dumps,
    hash_model,
    matches_hash,
    read_container,
    restore_model_fields,
    unpack_container,
    write_container,
)
from refold.model._forecasts import (
    Forecast,
    compute_forecast_residuals,
    forecast,
    measure_forecast_errors,
)
from refold.model._inputs import (
    SequencesLike,
    check_encodable_lengths,
    check_latent_steps,
    cut_into_windows,
    read_user_data,
)
from refold.model._pretrained import (
    join_column_codes,
    keep_first_dims,
    repeat_model_for_columns,
    resolve_file_and_dims,
    without_calibration,
)
from refold.model._stream import Stream
from refold.model._training_statistics import (
    Calibration,
    Fingerprints,
    History,
    ReferenceStatistics,
    fit_mixture,
)
from refold.model._warnings import (
    DataWarnings,
    check_not_trained_on,
    describe_excess_lengths,
    describe_overlap_with_training,
    describe_unusual_data,
)
from refold.network.packed.heads import CategorySampling
from refold.network.packed.network import FittedNetwork
from refold.network.packed.resampling import interpolate_missing_values
from refold.network.specification import Specification
from refold.sequences import (
    CLIP_RULE,
    Column,
    Scaler,
    Schema,
    Sequences,
    Windows,
    array_like,
    as_sequences,
    check_decoded_finite,
    check_model_hash,
    default_names,
    default_window_step,
    fingerprints,
    is_table,
    stored_model_hash,
    subtract_sequences,
    table_like,
)
from refold.sequences.types import NUMERIC

# Minimum number of steps of a window that `Model.adapt` chooses. With smaller windows, a series
# would have many more codes, which take time and memory.
_MIN_CHOSEN_WINDOW = 8
# A warning says if a dimension of a code is farther from the mean of the training codes than this
# number of standard deviations. No sequence has such a code, so the user has made a mistake.
_WARNING_CODE_STD_FROM_MEAN = 1000.0


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A fitted model, which encodes and decodes sequences.

    `refold.load` reads one from a file, and ``SequenceAutoencoder.fit`` stores one as ``model_``. A
    model does not change: `calibrate` and `with_latent_steps` return a new one.

    These arguments mean the same in all methods:

    - ``X``, the sequences: a `Sequences`, a list of arrays, an array, a table or a path, with the
      columns of the training data. A model with a ``window`` cuts them into windows. Its results
      have an entry for each window, in the order of `windows`, and a file, a table or an array of
      one or two axes is one series for it if there are no ids. A UserWarning says if sequences
      are longer than the longest in training, or if many values are far outside of the training
      data, such as values in other units.
    - ``codes``, an array of shape (n_sequences, code_size) as `encode` returns it.
    - ``lengths``, an integer for each sequence to decode; by default predicted from the code.
    - ``n``, the number of new sequences, and ``random_state``, the seed of their draws.
    - ``clip=True`` clips each numeric column to its range in the training data, and
      ``clip="positive"`` raises negative values to 0 in columns that had none in training.
    - ``verbose=1`` shows a progress bar on standard error if a call takes long.

    Methods that need reference statistics raise a ParameterError if the file was saved without
    them.

    Attributes
    ----------
    schema : Schema
        Columns, column types, categories and layout of the training data.
    scaler : Scaler
        Scaling of the numeric columns.
    error_scaler : Scaler
        Standardizes by column, whatever ``scaler`` does. Errors are measured in these units.
    latent_steps : int
        Steps of latent optimization in `encode`. `with_latent_steps` changes it.
    active_dimensions : int or None
        Number of active latent dimensions of a variational model.
    version : str or None
        Version of Refold that wrote the file of the model; None if there is no file.
    window, step : int or None
        Number of steps of a window, and from the start of one to the next; None without windows.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(4, units=8, latent_steps=0, max_epochs=2, random_state=0)
    >>> model = ae.fit(sines).model_
    >>> codes = model.encode(sines)
    >>> codes.shape, model.features(codes).shape, len(model.decode(codes))
    ((40, 4), (40, 1026), 40)
    >>> [len(new) for new in model.generate(2, lengths=[20, 5], random_state=0)]
    [20, 5]
    """

    # Everything that does not train works with this class: commands, the service, the explorer,
    # search, export, streams and the workers of a cluster. So none of them needs scikit-learn, and
    # they need Keras only if the network does.

    # whether the model takes any numeric columns, as a `PretrainedModel` does
    any_columns: ClassVar[bool] = False

    network: FittedNetwork  # from scaled values to codes, and back
    schema: Schema
    scaler: Scaler
    error_scaler: Scaler
    history: History = field(default_factory=History)  # losses, and the epoch of the weights
    latent_steps: int = 0
    default_latent_steps: int = 0  # what "auto" means: the choice of ``fit`` for the data
    reference: ReferenceStatistics | None = None  # None in a file that was saved without them
    calibration: Calibration | None = None  # for `detect` and the bounds of `forecast`
    # float32 (n_sequences,), in increasing order: reconstruction errors of sequences that the model
    # was not trained on
    held_out_errors: np.ndarray | None = None
    # hashes of the sequences that ``fit`` received
    fingerprints: Fingerprints = field(default_factory=Fingerprints)
    active_dimensions: int | None = None
    window: int | None = None
    step: int | None = None
    # A code may lose this share of the variance of a series; a series that loses more is cut into
    # windows. None cuts all series that are longer than a window.
    max_lost_variance: float | None = None
    # arguments of the estimator, as JSON values
    arguments: dict[str, Any] = field(default_factory=dict)
    # version of Refold that wrote the file; None without a file, or if an early version wrote it
    version: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # a pickle holds the bytes of a model file, because a network may hold Keras models, which
        # cannot be pickled
        return _unpickled, (dumps(self),)

    def __repr__(self) -> str:
        columns = pluralize(self.schema.num_columns, "column")
        windows = "" if self.window is None else f"windows of {self.window} steps"
        training = f"trained on {windows or f'up to {self.max_training_length} steps'}"
        if self.is_pretrained:
            training = f"pretrained, for {windows}" if windows else "pretrained"
        return f"Model({columns}, codes of {self.code_size} dimensions, {training})"

    def _repr_html_(self) -> str:
        patch = self.specification.patch
        best_epoch, best_loss = self.history.best_epoch_and_loss or (None, None)
        patches = f", read in patches of {patch}" if patch > 1 else ""
        columns = "any that are numeric" if self.any_columns else describe_columns(self.schema)
        rows = [
            ("columns", columns),
            ("longest sequence", f"{self.max_training_length} steps{patches}"),
            ("code", f"{self.code_size} latent dimensions"),
            ("parameters", f"{self.network.num_parameters:,}"),
            ("best epoch", "" if best_epoch is None else str(best_epoch)),
            ("held-out loss", "" if best_loss is None else f"{best_loss:.4g}"),
        ]
        return html_table("Model", rows)

    @property
    def specification(self) -> Specification:
        """Sizes and options that the network was built from."""
        return self.network.specification

    @property
    def is_pretrained(self) -> bool:
        """Whether this is the pretrained model, also after `adapt`, and not one that was fitted."""
        # only the pretrained model reads curves: columns resampled to a fixed number of points
        return self.network.specification.is_curve_network

    @property
    def code_size(self) -> int:
        """Number of dimensions of a code, including those for the scale of a sequence."""
        return self.specification.latent_dim + self.scaler.num_statistics

    @property
    def max_training_length(self) -> int:
        """Longest training length."""
        return self.specification.max_steps

    @property
    def num_calibrated(self) -> int:
        """Number of normal sequences that calibrate `detect`."""
        return 0 if self.calibration is None else len(self.calibration.scores)

    @property
    def hash(self) -> str:
        """Hash of all that codes depend on: columns, scaling and weights, not the calibration."""
        return hash_model(self)

    def has_hash(self, stored: str) -> bool:
        """Return whether codes with this hash are codes of this model.

        The names of columns do not change the codes of a pretrained model. So they are compared
        only if both the codes and the model have names.
        """
        return matches_hash(self, stored)

    # The data and the codes that a model takes

    def adapt(
        self, X: SequencesLike, *, window: int | None = None, max_lost_variance: float | None = None
    ) -> "Model":
        """Return a pretrained model with the columns of your data, and with errors in their units.

        All methods do this by themselves. A model of your columns can be saved, for the service
        and for other programs. A model that was fitted is returned as it is.

        Parameters
        ----------
        window : int, optional
            Cut longer series into windows of this number of steps, instead of resampling them. Each
            window starts a quarter of its length after the one before.
        max_lost_variance : float, optional
            Cut a series only if a single code would lose more than this share of the variance of
            the series. Without ``window``, windows have as many steps as a code has learned
            dimensions, and at least 8.

        Notes
        -----
        `errors`, `score`, a part of `features` and `generate` depend on the data that a model was
        adapted to. Adapt once if you compare their results between calls.
        """
        if not self.is_pretrained:
            if window is not None or max_lost_variance is not None:
                raise ParameterError("A fitted model has the windows of its fit. Fit another one.")
            return self
        model = self
        if max_lost_variance is not None:
            check_fraction("max_lost_variance", max_lost_variance, "share of the variance")
            if window is None:
                window = max(_MIN_CHOSEN_WINDOW, self.specification.num_dims_per_curve)
        if window is not None:
            step = default_window_step(check_integer("window", window))
            # a calibration is dropped, because its scores are those of windows of another length
            model = without_calibration(self)
            model = replace(model, window=window, step=step, max_lost_variance=max_lost_variance)
        if not model.any_columns:  # it has columns already, so the data are not needed
            return model
        series = read_user_data(X, as_sequence=model.window is not None)
        return repeat_model_for_columns(model, series.schema, series)

    def adapt_to_code_width(self, codes: ArrayLike) -> "Model":
        """Return a pretrained model with the number of columns that codes have: x0, x1, ..."""
        if not self.any_columns:
            return self
        try:
            _, code_width = np.shape(codes)
        except ValueError:  # codes that have not two axes are refused later, so any width will do
            code_width = self.code_size
        num_columns, remainder = divmod(code_width, self.code_size)
        if remainder or not num_columns:
            raise DataError(
                f"A code of this model has {self.code_size} numbers for each column. Got codes of "
                f"{code_width} numbers."
            )
        # a cache, because a new model prepares its `features` again, which takes time
        models = self._models_by_num_columns
        if num_columns not in models:
            layout = "series" if num_columns == 1 else "array"
            columns = tuple(Column(name, NUMERIC.name) for name in default_names(num_columns))
            models[num_columns] = repeat_model_for_columns(self, Schema(columns, layout))
        return models[num_columns]

    def with_dims(self, dims: int) -> "Model":
        """Return a model with shorter codes: only the first learned dimensions are kept.

        The model must be fitted with ``nested=True``, as ``"series"`` is. The length, ROCKET
        features and the scale of a sequence, which come after the learned dimensions, stay. The
        dimensions keep their values, except with latent optimization, which ``"series"`` does not
        use. To detect anomalies, calibrate the new model.

        Parameters
        ----------
        dims : int
            Number of learned dimensions, for each column if each has a code of its own.
        """
        return keep_first_dims(self, check_integer("dims", dims))

    # Encoding and decoding

    def windows(self, X: SequencesLike) -> Windows:
        """Cut series into the windows that all methods work on, with their places in the series.

        If the model has no ``window``, each sequence is one window. Windows that are cut again stay
        as they are, so all methods also take ``windows(X).sequences``.
        """
        series = read_user_data(X, self.schema, as_sequence=self.window is not None)
        if not series.is_mapped:
            series = series.convert_to_schema(self.schema)
        dims = self.specification.num_dims_per_curve
        return cut_into_windows(
            series, self.window, self.step, max_lost_variance=self.max_lost_variance, curve_dim=dims
        )

    def encode(self, X: SequencesLike, *, verbose: int = 0) -> np.ndarray:
        """Encode sequences.

        Returns
        -------
        array of float32 of shape (n_sequences, code_size)
            One code per sequence, or per window. With ``scale="sequence"`` the mean and the log
            standard deviation of each numeric feature are appended.

        Notes
        -----
        A code of the default model with LSTMs has the same bits whatever other sequences are
        encoded with it, in whatever order. With GRUs or another architecture, it changes by at
        most 1e-5 of its standard deviation if ``latent_steps`` is 0.
        """
        return np.concatenate([codes for codes, _ in self.encode_blocks(X, verbose=verbose)])

    def encode_blocks(
        self, X: SequencesLike, *, verbose: int = 0
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the codes and the ids of each block, for data or codes larger than memory.

        The codes (n, code_size) are those of `encode`. The ids (n,) are those of the sequences, or
        of the windows, such as ``a[0:100]``. Sequences in memory are one block.
        """
        blocks = self.convert_and_check_blocks(self.open_data_for_blocks(X))
        return ((self.encode_checked(block, verbose), block.ids) for block in blocks)

    def pooled(self, X: SequencesLike, *, verbose: int = 0) -> np.ndarray:
        """Describe each series by one vector: statistics of its windows' codes, and convolutions.

        It suits classification, clustering and comparison of long signals, whose patterns may
        occur anywhere.

        Returns
        -------
        array of float32 of shape (n_series, n_values)
            Means over the windows, standard deviations, minima and maxima, in this order, of each
            dimension of the codes; then 1024 convolutions of the whole series, and 1024 of the
            series with each column standardized. Standardize these values for a linear classifier.
        """
        if self.window is None:
            raise ParameterError(
                f"pooled needs a model of windows. Fit one with {argument(window=100)}, adapt the "
                "pretrained one with it, or use features(encode(X))."
            )
        series = read_user_data(X, self.schema, as_sequence=True)
        windows = self.windows(series)
        # `encode` does not cut windows again
        codes = self.encode(windows.sequences, verbose=verbose).astype(float)
        # for each series, the index of its first window and the number of its windows
        firsts = np.flatnonzero(np.diff(windows.series, prepend=-1))
        num_windows = np.diff(firsts, append=len(codes))[:, None]
        means = np.add.reduceat(codes, firsts) / num_windows
        squared_deviations = (codes - np.repeat(means, num_windows[:, 0], axis=0)) ** 2
        stds = np.sqrt(np.add.reduceat(squared_deviations, firsts) / num_windows)
        minima, maxima = np.minimum.reduceat(codes, firsts), np.maximum.reduceat(codes, firsts)
        convolutions = []
        for block in series.blocks() if series.is_mapped else [series]:
            scaled = self.scaler.transform(block.convert_to_schema(self.schema))
            convolutions.append(pool_series_convolutions(scaled, self.specification, self.window))
        vectors = [means, stds, minima, maxima, np.concatenate(convolutions)]
        return np.concatenate(vectors, axis=1).astype(np.float32)

    def decode(
        self,
        codes: ArrayLike,
        lengths: ArrayLike | None = None,
        *,
        clip: bool | str = False,
        verbose: int = 0,
    ) -> list[Any]:
        """Decode codes; a UserWarning says if they are very far from those of training.

        Returns
        -------
        list
            One sequence per code, in the layout and units of the training data: arrays of shape
            (length, features) or (length,), lists of tokens, or strings.
        """
        codes = self.check_codes(codes)
        decoded = self._decode_and_clip(codes, lengths, clip=clip, verbose=verbose)
        if (warning := self.describe_far_codes(codes)) is not None:
            warn(f"{warning} What they decode to may be far off.")
        if lengths is None:
            max_length = self.max_training_length
            warn(describe_excess_lengths(decoded.lengths, max_length, "predicted length"))
        return decoded.to_list()

    def reconstruct(
        self,
        X: SequencesLike,
        *,
        codes: ArrayLike | None = None,
        clip: bool | str = False,
        as_table: bool | None = None,
        verbose: int = 0,
    ) -> Any:
        """Encode sequences and decode the codes to a list or a table, as `decode` does.

        The length of a reconstruction is predicted from the code. Sequences longer than the longest
        in training keep their own length, because the model never saw such a length. Windows keep
        their own length, too, and are joined to one reconstruction of each series. Numbers are
        averaged where windows overlap. Give ``codes`` if you have them already.

        Parameters
        ----------
        as_table : bool, optional
            Return a table instead of a list; by default, if ``X`` is a table. The result is ``X``
            with reconstructed features: it has the library, the rows, the index and the columns of
            ``X``, and columns that the model does not read stay as they are. If a row is a step,
            each sequence keeps its own length. For other ``X``, the result is a `pyarrow.Table`
            with one row per step.
        """
        model, series = self._adapt_and_read(X)
        as_table = is_table(X) if as_table is None else as_table
        has_row_per_step = as_table and (series.row_steps is not None or not is_table(X))
        decoded = model.reconstruct_to_sequences(
            series, codes=codes, clip=clip, keeps_lengths=has_row_per_step, verbose=verbose
        )
        if not as_table:
            return decoded.to_list()
        if has_row_per_step:
            decoded.times = series.times
        return table_like(decoded, X, series.row_steps)

    def residuals(self, X: SequencesLike, *, as_table: bool | None = None, verbose: int = 0) -> Any:
        """Subtract the reconstruction of each sequence from the sequence, value by value.

        Each reconstruction has the length of its original. Numbers and counts are subtracted in the
        units of the data. In binary and categorical columns, a residual is 1 where the
        reconstruction is wrong, and else 0. A missing value has a missing residual.

        Parameters
        ----------
        as_table : bool, optional
            Return a table, as in `reconstruct`; by default, if ``X`` is a table.

        Returns
        -------
        list, array or table
            An array of the shape of ``X`` if ``X`` is an array of numbers, a table as in
            `reconstruct` if ``X`` is a table, else a list with an array of shape (length, features)
            or (length,) for each sequence.
        """
        model, series = self._adapt_and_read(X)
        residuals = model.residual_sequences(series, verbose=verbose)
        if is_table(X) if as_table is None else as_table:
            return table_like(residuals, X, series.row_steps)
        return array_like(residuals, X) if isinstance(X, np.ndarray) else residuals.to_list()

    def residual_sequences(self, series: Sequences, *, verbose: int = 0) -> Sequences:
        """Return the residuals of sequences as `Sequences` of numeric columns."""
        decoded = self.reconstruct_to_sequences(series, keeps_lengths=True, verbose=verbose)
        return subtract_sequences(as_sequences(series, schema=self.schema), decoded)

    def reconstruct_to_sequences(
        self,
        series: Sequences,
        *,
        codes: ArrayLike | None = None,
        clip: bool | str = False,
        keeps_lengths: bool = False,
        verbose: int = 0,
    ) -> Sequences:
        """Return reconstructions as `Sequences`, of predicted lengths or of those of the data."""
        check("clip", clip, CLIP_RULE)
        windows = self.windows(series)
        sequences = self.open_data_for_blocks(windows.sequences)  # does not cut windows again
        if codes is None:
            blocks = self.convert_and_check_blocks(sequences)
            codes = np.concatenate([self.encode_checked(block, verbose) for block in blocks])
        codes = self.check_codes(codes)
        noun = "windows" if self.window else "sequences"
        check_counts_match(len(codes), "codes", len(sequences), noun)
        if self.window is not None:
            decoded = self.decode_to_sequences(codes, sequences.lengths, verbose=verbose)
            decoded = windows.join(decoded)
        else:
            lengths = sequences.lengths
            if keeps_lengths:
                lengths = self.check_lengths(lengths, len(codes))
            else:
                lengths = self.reconstruction_lengths(codes, lengths)
            decoded = self.decode_to_sequences(codes, lengths, verbose=verbose)
        return self.scaler.clip(decoded, clip=clip).with_ids(windows.ids)

    # Errors and anomalies

    def score(self, X: SequencesLike, *, verbose: int = 0) -> float:
        """Return the explained variance of the reconstructions: 1 - NMSE of the numeric columns.

        If no column is numeric, return the share of sequences that are reconstructed exactly,
        length included. 1 is perfect. The reconstructions are those of `reconstruct`: a missing
        step counts as zero in standardized units, and an extra step is ignored. The score is
        relative to the size of the values, so it can be high for values in wrong units, too.
        `refold.evaluation.fidelity` measures numeric and other columns side by side.
        """
        series = read_user_data(X, self.schema, as_sequence=self.window is not None)
        sequences = as_sequences(series, schema=self.schema)
        reconstructed = self.reconstruct(sequences, verbose=verbose)
        if not self.schema.numeric.any():
            return exact(sequences, reconstructed)
        return explained_variance(sequences, reconstructed, self.error_scaler)

    def errors(self, X: SequencesLike) -> np.ndarray:
        """Return the reconstruction error (n_sequences,) of each sequence, at its own length.

        It is the mean error of the observed values. The error of a number is squared, in
        standardized units. The error of a value of another column is 1 if it is wrong, and else 0.
        Codes are those of the encoder, without latent optimization.
        """
        return measure_errors_and_features(self, self.read_aligned(X)).sequence_errors

    def anomaly_scores(self, X: SequencesLike) -> np.ndarray:
        """Return the anomaly score of each sequence, (n_sequences,), from which `detect` decides.

        It is the reconstruction error plus the distance of the code to those of training, each
        divided by its mean over training sequences. So it is 2 on average in training. It needs no
        calibration.
        """
        _, components, _ = self.measure_anomalies(self.read_aligned(X))
        return components.sum(axis=1)  # the error and the distance

    def calibrate(self, normal: SequencesLike) -> "Model":
        """Return a model whose `detect` and bounds of `forecast` are calibrated.

        ``fit`` does this if ``calibration_fraction`` sets sequences aside.

        Parameters
        ----------
        normal : Sequences, list of arrays, array or table
            Sequences without anomalies. The model must not have been trained on them: it
            reconstructs training sequences better than new ones, which would all look anomalous. A
            false alarm rate ``alpha``, or a share ``alpha`` of values outside the bounds of a
            forecast, needs at least ``1 / alpha - 1`` sequences. A pretrained model learns from
            half of the sequences what is normal, so it needs twice as many.
        """
        windows, model = self.windows(normal), self
        sequences = self.read_aligned(windows.sequences)  # does not cut windows again
        check_not_trained_on(sequences, self.fingerprints.training_hashes)
        if self.require_reference().precision is None:
            # Only a pretrained model that was not calibrated has no precision (the inverse
            # covariance of normal codes and features). It learns what is normal from half of the
            # sequences. All windows of a series are in the same half, because windows overlap.
            is_for_learning = windows.series % 2 == 0
            if windows.series.max(initial=0) == 0:  # a single series: half of its windows
                is_for_learning = np.arange(len(sequences)) < len(sequences) // 2
            smaller_half = int(min(is_for_learning.sum(), (~is_for_learning).sum()))
            check_not_empty(smaller_half, "sequence", "in each half")
            model = with_reference_statistics(self, sequences[is_for_learning], mixture_seed=0)
            sequences = sequences[~is_for_learning]
        return model.calibrate_aligned(sequences)

    def detect(self, X: SequencesLike, alpha: float = 0.01) -> Detection:
        """Find anomalous sequences.

        A sequence has a high anomaly score if its reconstruction error is large, or if its code and
        its ROCKET features (pooled random convolutions) are far from those of the training data.
        The threshold comes from normal sequences that the model was not trained on, by
        split-conformal calibration: at most a share ``alpha`` of normal sequences from the same
        distribution is marked as anomalous, on average over the draw of the calibration sequences.
        A UserWarning says if the model was trained on some of the sequences.

        Parameters
        ----------
        alpha : float, default=0.01
            False alarm rate, above 0 and below 1.
        """
        alpha = check_fraction("alpha", alpha, "rate of false alarms")
        min_calibrated = min_calibration_sequences(alpha)
        if self.calibration is None or self.num_calibrated < min_calibrated:
            more = python_or_cli("give more to calibrate()", "give more with --normal DATA")
            remedy = f"Fit with {argument(calibration_fraction=0.2)}, or {more}."
            if self.is_pretrained:
                series = f"{2 * min_calibrated} normal series"
                in_python, in_shell = f"calibrate() {series}", f"{series} with --normal DATA"
                remedy = f"Give {python_or_cli(in_python, in_shell)}"
                remedy += ": half of them teach what is normal."
            elif self.num_calibrated:
                # The smallest p-value of n sequences is 1 / (n + 1). It is rounded up to three
                # decimals, so that the rate is possible and easy to read.
                min_alpha = math.ceil(1000 / (self.num_calibrated + 1)) / 1000
                remedy = f"Ask for a rate of at least {argument(alpha=min_alpha)}, or {more}."
            raise ParameterError(
                f"{argument(alpha=alpha)} needs at least {min_calibrated} calibration sequences, "
                f"which are normal and not trained on. Got {self.num_calibrated}. {remedy}"
            )
        series = read_user_data(X, self.schema, as_sequence=self.window is not None)
        windows = self.windows(series)
        sequences = self.read_aligned(windows.sequences)
        warn(describe_overlap_with_training(sequences, self.fingerprints.training_hashes))
        measured, components, p_values = self.measure_anomalies(sequences)
        step_scores = compute_step_scores(measured.value_errors)
        step_p_values = anomaly_p_values(step_scores, self.calibration.step_scores)
        # Lists with an array for each sequence. `np.split` returns at least one array, so the list
        # is cut to the number of sequences, which may be 0.
        scores_by_sequence, p_values_by_sequence, errors_by_sequence = (
            np.split(array, sequences.offsets[1:-1])[: len(sequences)]
            for array in (step_scores, step_p_values, measured.value_errors)
        )
        return Detection(
            alpha=alpha,
            ids=sequences.ids,
            score_components=components,
            p_values=p_values,
            step_scores=scores_by_sequence,
            step_p_values=p_values_by_sequence,
            errors=errors_by_sequence,
            columns=self.schema.names,
            drift=self._drift_from_training_or_none(measured),
            windows=None if self.window is None else windows,
            times=windows.series_times,
            # a name that differs from the other columns of `Detection.to_step_table`
            time_name=windows.sequences.schema.choose_time_name(("id", "step", "score", "p_value")),
            row_steps=series.row_steps,
        )

    def drift(self, X: SequencesLike) -> Drift:
        """Test whether sequences differ from the training data, so that the model may be outdated.

        The reconstruction errors are compared with those of held-out sequences, which the model was
        not trained on. These are the validation sequences of ``fit``, measured before a refit, or
        those of the last `calibrate`. Each dimension of the codes is compared with that of up to
        1024 training sequences. Codes are those of the encoder, without latent optimization.

        The tests assume independent sequences. Overlapping windows are not independent, so their
        p-values are too small. With fewer than about 50 sequences, only a large drift is
        significant.
        """
        sequences = self.read_aligned(X)
        check_not_empty(len(sequences), "sequence", "to compare")
        self.require_reference().require_precision_matrix()  # a pretrained one must be calibrated
        drift = self._drift_from_training_or_none(measure_errors_and_features(self, sequences))
        if drift is None:
            raise ParameterError(
                "drift needs the errors of sequences that were not trained on, and the model has "
                f"none. Fit with {argument(validation_fraction=0.1)}, or "
                f"{python_or_cli('give some to calibrate()', 'give --normal DATA')}."
            )
        return drift

    def code_drift(self, codes: ArrayLike) -> Drift:
        """Test whether codes differ from those of the training data, without a test of the errors.

        The codes must be those without latent optimization (``latent_steps=0``).
        """
        codes = self.check_codes(codes)
        check_not_empty(len(codes), "code", "to compare")
        self.require_reference().require_precision_matrix()  # a pretrained one must be calibrated
        return measure_drift(codes, self.require_reference().codes)

    def held_back(self, X: SequencesLike) -> np.ndarray:
        """Find the sequences that ``fit`` received but did not train on, bool (n_sequences,).

        These are the sequences that ``calibration_fraction`` set aside and, without a refit, the
        validation sequences. They are recognized by their values. Among equal sequences, as many
        are marked as were held back.
        """
        sequences = as_sequences(self.windows(X).sequences)
        # number of sequences with each hash that were held back and are not marked yet
        num_unmarked = Counter(self.fingerprints.held_back_hashes.tolist())
        is_held_back = np.zeros(len(sequences), bool)
        for i, fingerprint in enumerate(fingerprints(sequences).tolist()):
            is_held_back[i] = num_unmarked[fingerprint] > 0
            num_unmarked[fingerprint] -= 1
        return is_held_back

    # Forecasts

    def forecast(
        self,
        X: SequencesLike,
        steps: int | None = None,
        *,
        alpha: float | None = None,
        clip: bool | str = False,
        verbose: int = 0,
    ) -> Forecast:
        """Forecast the next steps of sequences. The model must be fitted with ``forecast_steps``.

        Only the last steps of a long sequence are read: at most the longest training length minus
        ``forecast_steps``. Series are not cut into windows, so each has one forecast. Bounds
        come from split-conformal calibration: if sequences from the distribution of the calibration
        sequences are cut before their last ``forecast_steps`` steps, at most a share ``alpha`` of
        the values of each step and column lies outside the bounds, on average.

        Parameters
        ----------
        steps : int, optional
            Number of steps. The default and maximum is the ``forecast_steps`` of the model.
        alpha : float, optional
            Share of values outside the bounds. The default is 0.1 if there are enough calibration
            sequences for it; otherwise there are no bounds.
        clip : {True, False, "positive"}, default=False
            As in all methods. Bounds are not clipped, and always contain the clipped forecast.
        """
        return forecast(self, X, steps, alpha, clip=clip, verbose=verbose)

    def forecast_errors(
        self, X: SequencesLike, steps: int | None = None, *, season: int | None = None
    ) -> ForecastErrors:
        """Forecast the last steps of sequences from the earlier ones, and measure the errors.

        Sequences are cut before their last ``forecast_steps`` steps. (In training, half of the
        sequences are cut like this.) Sequences of at most ``forecast_steps`` steps are left out.
        The first ``steps`` of the forecast are measured. A UserWarning says if the model was
        trained on some sequences.

        Parameters
        ----------
        steps : int, optional
            Number of forecast steps to measure; by default all.
        season : int, optional
            Number of steps in a season, for the seasonal baseline. By default it is found in the
            data.
        """
        return measure_forecast_errors(self, X, steps, season)

    # New sequences

    def generate(
        self,
        n: int = 1,
        *,
        temperature: float = 0.0,
        lengths: ArrayLike | None = None,
        clip: bool | str = True,
        random_state: SeedLike = None,
    ) -> list[Any]:
        """Decode codes drawn from a density of the codes of the training data.

        The density is a Gaussian mixture, fitted to the codes of up to 1024 training sequences. The
        Bayesian information criterion chose its number of components.

        Parameters
        ----------
        temperature : float, default=0.0
            Temperature of categorical and binary columns: 0 takes the most likely value, 1 draws
            from the decoder's probabilities, and values in between favor likely values. Numeric
            values are always means.
        """
        n = check_integer("n", n, 0)
        check("temperature", temperature, number_rule(minimum=0))
        seed = to_integer_seed(random_state)
        codes = self.draw_codes(n, seed=seed)
        sampling = CategorySampling.from_temperature(temperature, seed)
        return self._decode_and_clip(codes, lengths, sampling=sampling, clip=clip).to_list()

    def features(self, codes: ArrayLike) -> np.ndarray:
        """Decode codes and describe the decoded sequences, for classifiers, clustering and search.

        A code says where a sequence is at each step, and a linear classifier often cannot find a
        label in it. These features say which patterns the decoded sequence has, at any step: they
        are ROCKET features [1]_, pooled random convolutions, standardized over up to 256 decoded
        training sequences. They are computed from nothing but the code.

        Returns
        -------
        array of float32 of shape (n_sequences, 1026) or wider
            The logarithm of the root mean square of each decoded sequence, its length, and 1024
            pooled convolutions. With ``scale="sequence"``, which the pretrained model has, two
            parts follow: 1024 convolutions of the sequence before it was scaled by itself, and the
            mean and the log standard deviation of each numeric feature.

        References
        ----------
        .. [1] A. Dempster, F. Petitjean and G. I. Webb, "ROCKET: exceptionally fast and accurate
           time series classification using random convolutional kernels", Data Mining and Knowledge
           Discovery 34, 2020.
        """
        return self._feature_extractor(self.check_codes(codes))

    def stream(self, window: int | None = None, every: int = 1) -> Stream:
        """Start a sequence whose steps come a few at a time; see `Stream`.

        By default, ``window`` is that of the model.
        """
        return Stream(self, window, every)

    def with_latent_steps(self, latent_steps: int | str) -> Self:
        """Return a model that takes another number of steps of latent optimization in `encode`.

        Parameters
        ----------
        latent_steps : int or "auto"
            Each step changes a code so that the decoder reconstructs its sequence better. 0 keeps
            the code of the encoder, and "auto" is what ``fit`` chose.
        """
        steps = self.default_latent_steps
        if latent_steps != "auto":
            steps = check_latent_steps(latent_steps, self.specification)
        arguments = self.arguments | {"latent_steps": latent_steps}
        return replace(self, latent_steps=steps, arguments=arguments)

    # Files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file, atomically; by convention its name ends in ``.refold``."""
        write_container(path, dumps(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Load a model; see `refold.load`."""
        file, dims = resolve_file_and_dims(path)
        model = _restore_model(*read_container(file), file_name=str(path))
        return cast(Self, model if dims is None else model.with_dims(dims))

    # For other packages of Refold. Aligned sequences have the schema of the training data and are
    # checked: `read_aligned`, `convert_and_check` and `convert_and_check_blocks` return them.
    # Checked codes are what `check_codes` returns.

    def open_data_for_blocks(self, X: SequencesLike) -> Sequences:
        """Open windows or sequences for `convert_and_check_blocks`; warn if they are too long."""
        # It also aligns sequences in memory, and warns if they are unlike the training data.
        # `convert_and_check_blocks` does both for memory-mapped sequences.
        sequences = self.windows(X).sequences
        if sequences.is_mapped:
            check_encodable_lengths(sequences.lengths, self.network)
            # before the blocks are read, which may take long
            warn(describe_excess_lengths(sequences.lengths, self.max_training_length))
        else:
            sequences = self.convert_and_check(sequences)
            warn_of_each(describe_unusual_data(self, sequences))
        return sequences

    def read_aligned(
        self, X: SequencesLike, *, as_windows: bool = True, checks_lengths: bool = True
    ) -> Sequences:
        """Read and align windows or sequences, and warn if they are unlike the training data."""
        series = as_sequences(read_user_data(X, self.schema, as_sequence=self.window is not None))
        aligned = self.convert_and_check(self.windows(series).sequences if as_windows else series)
        warn_of_each(describe_unusual_data(self, aligned, checks_lengths=checks_lengths))
        return aligned

    def convert_and_check(self, sequences: Sequences) -> Sequences:
        """Convert sequences to the schema of the training data and check them."""
        sequences = sequences.convert_to_schema(self.schema)
        self.scaler.check_scaled_range(sequences)
        check_encodable_lengths(sequences.lengths, self.network)
        return sequences

    def convert_and_check_blocks(self, sequences: Sequences) -> Iterator[Sequences]:
        """Yield what `open_data_for_blocks` returns in aligned blocks."""
        if not sequences.is_mapped:  # one block, which `open_data_for_blocks` aligned
            yield sequences
            return
        data_warnings = DataWarnings(self, checks_lengths=False)  # were checked before
        for block in map(self.convert_and_check, sequences.blocks()):
            data_warnings.add(block)
            yield block
        warn_of_each(data_warnings.describe())

    def encode_checked(self, sequences: Sequences, verbose: int = 0) -> np.ndarray:
        """Encode aligned sequences to codes (n_sequences, code_size)."""
        # a pretrained model reads no missing values
        sequences = interpolate_missing_values(sequences) if self.is_pretrained else sequences
        scaled = self.scaler.transform(sequences)
        codes = self.network.encode(scaled, latent_steps=self.latent_steps, verbose=verbose)
        # the statistics (n_sequences, 0) are empty unless each sequence is scaled by itself
        return np.concatenate([codes, self.scaler.statistics(sequences)], axis=1)

    # All decoding to values in the units of the data goes through this method.
    def decode_to_sequences(
        self,
        codes: np.ndarray,
        lengths: np.ndarray,
        *,
        sampling: CategorySampling | None = None,
        verbose: int = 0,
    ) -> Sequences:
        """Decode checked codes to these lengths; with ``sampling``, categories are drawn."""
        latent, statistics = self._split_codes_and_scales(codes)
        scaled = self._decode_latent_codes(latent, lengths, sampling=sampling, verbose=verbose)
        return self.scaler.inverse_transform(scaled, statistics)

    def decode_to_scaled(self, codes: np.ndarray) -> Sequences:
        """Decode checked codes to sequences of predicted lengths, in the network's units."""
        latent, _ = self._split_codes_and_scales(codes)
        return self._decode_latent_codes(latent, self.network.predict_lengths(latent))

    def predict_lengths(self, codes: np.ndarray) -> np.ndarray:
        """Predict the lengths (n_sequences,) of checked codes."""
        # from the latent codes, without the means and scales
        return self.network.predict_lengths(self._split_codes_and_scales(codes)[0])

    def reconstruction_lengths(self, codes: np.ndarray, original_lengths: np.ndarray) -> np.ndarray:
        """Return the lengths of reconstructions: predicted, or true if longer than in training."""
        # The prediction of lengths was not trained on longer sequences. For these, the true length
        # is better, up to the number of steps that the decoder can write.
        limit = self.network.max_decodable_steps
        decodable = original_lengths if limit is None else np.minimum(original_lengths, limit)
        is_longer = original_lengths > self.max_training_length
        return np.where(is_longer, decodable, self.predict_lengths(codes))

    def draw_codes(self, n: int, *, seed: int) -> np.ndarray:
        """Draw codes (n, code_size) from a density of the codes of the training data."""
        reference = self.require_reference()
        mixture = reference.mixture or fit_mixture(reference.codes, seed=seed)
        if not self.is_pretrained or reference.precision is not None:
            return mixture.draw(n, seed=seed)
        # A pretrained model without a precision (the inverse covariance of normal codes) is not
        # calibrated yet. Its mixture is that of codes of a single column, so each column gets a
        # code of its own.
        num_columns = self.code_size // len(mixture.center)
        codes = join_column_codes(mixture.draw(n * num_columns, seed=seed), num_columns)
        # the means and scales at the end of the reference codes are those of the user's data
        rows = np.random.default_rng(seed).integers(len(reference.codes), size=n)
        latent_dim = self.specification.latent_dim
        codes[:, latent_dim:] = reference.codes[rows, latent_dim:]
        return codes

    def check_codes(self, codes: ArrayLike) -> np.ndarray:
        """Return codes as float32; refuse bad ones, and a frame with the hash of another model."""
        if (stored_hash := stored_model_hash(codes)) is not None:
            check_model_hash(stored_hash, self, "The table")
        try:
            with np.errstate(over="ignore"):  # too large numbers become infinite: refused below
                array = np.asarray(codes, dtype=np.float32)
            shape_text = str(array.shape)
        except (TypeError, ValueError, OverflowError):
            array, shape_text = np.empty(0), "no array of numbers"
        if array.shape[1:] != (self.code_size,):
            raise DataError(
                f"codes must have shape (n_sequences, {self.code_size}), as transform returns "
                f"them. Got {shape_text}."
            )
        is_finite = np.isfinite(array)
        if not is_finite.all():
            row, dimension = np.argwhere(~is_finite)[0]
            raise DataError(
                f"codes must be finite in float32. The code of sequence {row} is not, in dimension "
                f"{dimension}."
            )
        return array

    def check_lengths(self, lengths: ArrayLike, num_codes: int) -> np.ndarray:
        """Return lengths as int64 (num_codes,); refuse those that the model cannot decode to."""
        try:
            array = np.asarray(lengths)
            shape_text = str(array.shape)
        except ValueError:
            array, shape_text = np.empty(()), "lists of different lengths"
        if array.shape != (num_codes,):
            raise DataError(
                f"{argument('lengths')} must have one entry per code, shape ({num_codes},). Got "
                f"{shape_text}."
            )
        if num_codes and (not np.issubdtype(array.dtype, np.integer) or array.min() < 0):
            raise DataError(f"{argument('lengths')} must be integers of at least 0.")
        max_steps = self.network.max_decodable_steps
        if max_steps is not None and array.max(initial=0) > max_steps:
            raise DataError(
                f"this architecture writes at most {max_steps} steps. Got the length "
                f"{array.max()}; use {argument(architecture='default')} for more."
            )
        return array.astype(np.int64)

    def describe_far_codes(self, codes: np.ndarray) -> str | None:
        """Describe checked codes that are very far from those of training; None if none is."""
        if self.reference is None:
            return None
        # Means and scales, which come after the latent dimensions, are not checked: with
        # scale="sequence", they may be far from those of training.
        num_dims = self.specification.latent_dim
        distances = np.abs(codes[:, :num_dims] - self.reference.feature_mean[:num_dims])
        is_far = distances > _WARNING_CODE_STD_FROM_MEAN * self.reference.feature_std[:num_dims]
        if not is_far.any():
            return None
        row, dimension = np.argwhere(is_far)[0]
        count = int(is_far.any(axis=1).sum())
        return (
            f"{count} of {len(codes)} codes {'is' if count == 1 else 'are'} more than "
            f"{_WARNING_CODE_STD_FROM_MEAN:g} standard deviations from those of training: "
            f"{codes[row, dimension]:g} in row {row}, dimension {dimension}."
        )

    def require_reference(self) -> ReferenceStatistics:
        """Return the statistics of the training data; refuse a model without them."""
        if self.reference is None:
            raise ParameterError(
                "This needs codes of the training data, and the model was saved without them. Fit "
                "and save it again."
            )
        return self.reference

    def measure_anomalies(
        self, sequences: Sequences
    ) -> tuple[ErrorsAndFeatures, np.ndarray, np.ndarray]:
        """Return errors and features of aligned sequences, their score components, and p-values."""
        # the p-values (n_sequences,) are NaN if the model is not calibrated
        measured = measure_errors_and_features(self, sequences)
        components = compute_score_components(measured, self.require_reference())
        if self.calibration is None:
            return measured, components, np.full(len(sequences), np.nan)
        p_values = anomaly_p_values(components.sum(axis=1), self.calibration.scores)
        return measured, components, p_values

    def calibrate_aligned(self, normal_sequences: Sequences) -> "Model":
        """Return a model that is calibrated with aligned sequences."""
        check_not_empty(len(normal_sequences), "sequence", "to calibrate with")
        measured = measure_errors_and_features(self, normal_sequences)
        errors = np.sort(measured.sequence_errors).astype(np.float32)
        # the smallest, the largest and evenly spaced ones between them
        errors = errors[linspace_indices(len(errors), MAX_STORED_HELD_OUT_ERRORS)]
        residuals = compute_forecast_residuals(self, normal_sequences)
        calibration = build_calibration(measured, self.require_reference(), residuals)
        return replace(self, calibration=calibration, held_out_errors=errors)

    def _adapt_and_read(self, X: SequencesLike) -> tuple["Model", Sequences]:
        """Return a model with the columns of data, and the data as sequences."""
        model, data = adapt_to_data(self, X)
        return model, read_user_data(data, model.schema, as_sequence=model.window is not None)

    def _split_codes_and_scales(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Split codes into latent codes of the network, and means and scales of each sequence."""
        # The second array is None unless the model scales each sequence by itself.
        latent_dim = self.specification.latent_dim
        latent_codes = np.ascontiguousarray(codes[:, :latent_dim])
        return latent_codes, codes[:, latent_dim:] if self.scaler.mode == "sequence" else None

    def _decode_latent_codes(
        self,
        latent_codes: np.ndarray,
        lengths: np.ndarray,
        *,
        sampling: CategorySampling | None = None,
        verbose: int = 0,
    ) -> Sequences:
        """Decode latent codes to scaled sequences; raise a DataError if a value is not finite."""
        offsets = offsets_from_lengths(lengths)
        outputs = self.network.decode(latent_codes, offsets, sampling=sampling, verbose=verbose)
        check_decoded_finite(np.isfinite(outputs), offsets)
        return Sequences(self.network.head.likeliest_values(outputs), offsets, schema=self.schema)

    def _decode_and_clip(
        self,
        codes: np.ndarray,
        lengths: ArrayLike | None,
        *,
        clip: bool | str,
        sampling: CategorySampling | None = None,
        verbose: int = 0,
    ) -> Sequences:
        """Decode checked codes to the lengths that a user gave, or to predicted ones."""
        check("clip", clip, CLIP_RULE)
        if lengths is None:
            lengths = self.predict_lengths(codes)
        else:
            lengths = self.check_lengths(lengths, len(codes))
            warn(describe_excess_lengths(lengths, self.max_training_length, noun="length"))
        decoded = self.decode_to_sequences(codes, lengths, sampling=sampling, verbose=verbose)
        return self.scaler.clip(decoded, clip=clip)

    def _drift_from_training_or_none(self, errors_and_codes: ErrorsAndFeatures) -> Drift | None:
        """Test for drift; None if there is no sequence, or if the model has no held-out errors."""
        errors = errors_and_codes.sequence_errors
        if self.held_out_errors is None or not len(errors):
            return None
        training_codes = self.require_reference().codes
        return measure_drift(errors_and_codes.codes, training_codes, errors, self.held_out_errors)

    @functools.cached_property
    def _models_by_num_columns(self) -> dict[int, "Model"]:
        return {}  # the cache of `adapt_to_code_width`

    @functools.cached_property
    def _feature_extractor(self) -> DecodedFeatureExtractor:
        """Function from codes to features, cached because it decodes training codes first."""
        return DecodedFeatureExtractor(self)


class PretrainedModel(Model):
    """A model that takes the columns of any numeric data: its methods first adapt it."""

    any_columns = True

    def __repr__(self) -> str:
        return f"Model(pretrained, codes of {self.code_size} dimensions for each numeric column)"


def _wrap_with_model_adaptation(method_name: str) -> Callable[..., Any]:
    """Return a method that adapts a model to its data or codes, and then calls `method_name`."""
    method = getattr(Model, method_name)
    # the first parameter after ``self``, which can also be given by name
    first_name = list(inspect.signature(method).parameters)[1]

    @functools.wraps(method)
    def adapt_and_call(self: Model, *positional: Any, **keywords: Any) -> Any:
        first, *further = positional or (keywords.pop(first_name),)
        if first_name == "codes":
            return method(self.adapt_to_code_width(first), first, *further, **keywords)
        model, series = adapt_to_data(self, first)
        return method(model, series, *further, **keywords)

    return adapt_and_call


# Methods of `Model` whose first argument is data or codes that a pretrained model adapts to.
_METHODS_THAT_ADAPT_FIRST = (
    *("windows", "open_data_for_blocks", "read_aligned", "encode", "encode_blocks", "pooled"),
    *("score", "errors", "anomaly_scores", "calibrate", "detect", "drift"),
    *("held_back", "decode", "features", "code_drift"),
)
for _name in _METHODS_THAT_ADAPT_FIRST:
    setattr(PretrainedModel, _name, _wrap_with_model_adaptation(_name))


def load(path: str | os.PathLike[str], *, dims: int | None = None) -> Model:
    """Load a model that ``save`` or ``refold fit`` wrote, or the pretrained one.

    This needs neither scikit-learn nor JAX. It imports Keras if the model has GRUs, a classic
    architecture or your own.

    Parameters
    ----------
    path : path, or "series"
        File to read. ``"series"`` is the model that comes with Refold, which encodes numeric series
        of any length, scale and number of columns without a fit. ``"series-16"`` is its first 16
        dimensions, as ``dims=16``.
    dims : int, optional
        Number of learned dimensions to keep; see `Model.with_dims`.

    Raises
    ------
    ModelFileError
        If the file is not a model, is truncated or changed, or comes from a newer version.
    MissingFileError
        If the file does not exist.

    Examples
    --------
    >>> import refold
    >>> codes = refold.load("series", dims=16).encode([[0.5, 2.0, 1.0, 4.0], [3.0, 5.0]])
    >>> codes.shape  # 16 numbers, the length, the level and the scale
    (2, 19)
    """
    model = Model.load(path)
    return model if dims is None else model.with_dims(dims)


# Pickles hold the name of this function, so it must stay.
def _unpickled(packed: bytes) -> Model:
    """Return the model of a pickle, from the bytes of a file."""
    name = "The pickled model"
    return _restore_model(*unpack_container(packed, name), file_name=name)


def _restore_model(config: dict[str, Any], arrays: dict[str, np.ndarray], file_name: str) -> Model:
    """Make a model of the content of a file; the name is for messages."""
    model_type = PretrainedModel if config.get("any_columns") else Model
    return model_type(**restore_model_fields(config, arrays, file_name))


class FittedEstimator(Protocol):
    """An estimator that has a model after its fit, such as `SequenceAutoencoder`."""

    @property
    def model_(self) -> Model: ...


ModelLike: TypeAlias = Model | FittedEstimator


def adapt_to_data(model: ModelLike, X: SequencesLike) -> tuple[Model, SequencesLike]:
    """Return a model with the columns of data, and the data as the model takes them."""
    # the data are returned, too, because the caller cannot read an iterator a second time
    model = model_of(model)
    if not model.any_columns:
        return model, X
    sequences = read_user_data(X, as_sequence=model.window is not None)
    return model.adapt(sequences), sequences


def model_of(model: ModelLike) -> Model:
    """Return a model as it is, or the model of a fitted estimator."""
    if isinstance(model, Model):
        return model
    is_class = isinstance(model, type)
    # `hasattr` of the type, because `model_` of an estimator that is not fitted raises an error
    if not is_class and hasattr(type(model), "model_"):
        return model.model_
    name = f"the class {model.__name__}" if is_class else f"a {type(model).__name__}"
    raise ParameterError(f"Expected a model, or a fitted SequenceAutoencoder. Got {name}.")
