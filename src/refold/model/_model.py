"""`Model`: what a fit returns and what a file holds.

The other files of this folder do most of the work. `PretrainedModel` is a model that adapts to data
first, and `load` reads either from a file.
"""

import functools
import inspect
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, Self, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike

from refold._support.arrays import SeedLike, draw_seed, linspace_indices, offsets_from_lengths
from refold._support.messages import describe_columns, html_table, warn
from refold._support.rules import (
    check,
    check_counts_match,
    check_fraction,
    check_integer,
    check_not_empty,
    number_rule,
)
from refold.errors import ParameterError, argument, spelled
from refold.evaluation import ForecastErrors, exact, explained_variance, min_calibration_sequences
from refold.model._anomalies import (
    MAX_STORED_ERRORS,
    Detection,
    Measurement,
    anomaly_p_values,
    build_calibration,
    measure_sequences,
    reconstruction_errors,
    score_components,
    step_scores,
    with_reference_statistics,
)
from refold.model._drift import Drift, measure_drift
from refold.model._features import DecodedFeatures, convolve_series
from refold.model._file import (
    dumps,
    hash_model,
    matches_hash,
    model_fields,
    read_container,
    unpack_container,
    write_container,
)
from refold.model._forecasts import (
    Forecast,
    forecast,
    forecast_residuals,
    measure_forecast_errors,
)
from refold.model._inputs import (
    MAX_CODE_STD_FROM_MEAN,
    SequencesLike,
    are_held_back,
    check_codes,
    check_encodable_lengths,
    check_latent_steps,
    check_lengths,
    check_not_trained_on,
    count_outliers,
    cut_into_windows,
    describe_explained_variance,
    describe_outliers,
    describe_too_long,
    describe_training_sequences,
    open_sequences,
)
from refold.model._pretrained import (
    find_model_file,
    join_column_codes,
    num_columns_of,
    with_columns,
    with_dims,
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
from refold.network.packed.heads import Sampling
from refold.network.packed.network import FittedNetwork
from refold.network.packed.resampling import explained_variance_shares, interpolate_missing_values
from refold.network.specification import Specification
from refold.sequences import (
    CLIP_RULE,
    Column,
    Scaler,
    Schema,
    Sequences,
    Windows,
    as_sequences,
    check_decoded,
    default_names,
    default_window_step,
    describe_model_mismatch,
    fingerprints,
    is_frame,
    stored_model_hash,
    table_like,
)
from refold.sequences.types import NUMERIC

# Minimum number of steps of a window that `Model.adapt` chooses. Smaller windows would make more
# codes of a series.
_MIN_WINDOW = 8


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A fitted model, which encodes and decodes sequences.

    `refold.load` reads one from a file, and ``SequenceAutoencoder.fit`` stores one as ``model_``. A
    model does not change: `calibrate` and `with_latent_steps` return a new one.

    These arguments mean the same in all methods:

    - ``X``, the sequences: a `Sequences`, a list of arrays, an array, a table or a path, with the
      columns of the training data. A model with a ``window`` cuts them into windows, and a result
      for each sequence is then one for each window, in the order of `windows`. A file, a table or
      an array of one or two axes without ids is then one series. A UserWarning says if sequences
      are longer than the longest in training, or if many values are far outside of the training
      data, such as values in other units.
    - ``codes``, an array of shape (n_sequences, code_size) as `encode` returns it.
    - ``lengths``, an integer for each sequence to decode; by default predicted from the code.
    - ``n``, the number of new sequences, and ``random_state``, the seed of their draws.
    - ``clip=True`` clips each numeric column to its range in the training data, and
      ``clip="positive"`` clips columns that were never negative there at 0.
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

    # whether the model takes any numeric columns, as a `PretrainedModel` does
    any_columns: ClassVar[bool] = False

    # Everything that does not train works with this class: commands, the service, the explorer,
    # search, export, streams and the workers of a cluster. So none of them needs scikit-learn, and
    # they need Keras only if the network does.
    network: FittedNetwork  # from scaled values to codes, and back
    schema: Schema
    scaler: Scaler
    error_scaler: Scaler
    history: History = field(default_factory=History)  # losses, and the epoch of the weights
    latent_steps: int = 0
    default_latent_steps: int = 0  # what ``fit`` chose for the data
    reference: ReferenceStatistics | None = None  # None in a file that was saved without them
    calibration: Calibration | None = None  # for `detect` and the bounds of `forecast`
    # float32 (n_sequences,), reconstruction errors of sequences not trained on, in increasing order
    held_out_errors: np.ndarray | None = None
    # hashes of the sequences that ``fit`` received
    fingerprints: Fingerprints = field(default_factory=Fingerprints)
    active_dimensions: int | None = None
    window: int | None = None
    step: int | None = None
    # share of its variance that a series may lose without being cut into windows; None cuts all
    # series that are longer than a window
    max_loss: float | None = None
    arguments: dict[str, Any] = field(default_factory=dict)  # of the estimator, as JSON values
    # version of Refold that wrote the file; None without a file, or if an early version wrote it
    version: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # as the bytes of a file, because a network may hold Keras models, which cannot be pickled
        return _unpickled, (dumps(self),)

    def __repr__(self) -> str:
        columns, window = self.schema.num_columns, self.window
        windows = f"windows of {window} steps"
        if self.specification.grid:
            training = "pretrained" if window is None else f"pretrained, for {windows}"
        else:
            steps = f"up to {self.max_steps} steps" if window is None else windows
            training = f"trained on {steps}"
        return (
            f"Model({columns} column{'s' * (columns != 1)}, codes of {self.code_size} dimensions, "
            f"{training})"
        )

    def _repr_html_(self) -> str:
        patch = self.specification.patch
        best_epoch, best_loss = self.history.best_epoch_and_loss or (None, None)
        patches = f", read in patches of {patch}" if patch > 1 else ""
        columns = "any that are numeric" if self.any_columns else describe_columns(self.schema)
        rows = [
            ("columns", columns),
            ("longest sequence", f"{self.max_steps} steps{patches}"),
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
    def code_size(self) -> int:
        """Number of dimensions of a code, including those for the scale of a sequence."""
        return self.specification.latent_dim + self.scaler.num_statistics

    @property
    def max_steps(self) -> int:
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

    def is_hash(self, stored: str) -> bool:
        """Return whether codes with this hash are codes of this model.

        A pretrained model of unnamed columns has the codes of any other columns, too.
        """
        return matches_hash(self, stored)

    # The data and the codes that a model takes

    def adapt(
        self, X: SequencesLike, *, window: int | None = None, max_loss: float | None = None
    ) -> "Model":
        """Return a pretrained model with the columns of your data, and their units for errors.

        All methods do this by themselves. A model of your columns can be saved, for the service
        and for other programs. Other models are returned as they are.

        Parameters
        ----------
        window : int, optional
            Cut longer series into windows of this number of steps, instead of resampling them. A
            new window starts after each quarter of a window.
        max_loss : float, optional
            Cut a series only if its code would lose more than this share of its variance. Without
            ``window``, windows have as many steps as a code has learned dimensions, and at least 8.

        Notes
        -----
        Errors, `score`, the features in units of the data and new sequences depend on the data that
        a model was adapted to. Adapt once if you compare them between calls.
        """
        if not self.specification.grid:
            if window is not None or max_loss is not None:
                raise ParameterError("A fitted model has the windows of its fit. Fit another one.")
            return self
        model = self
        if max_loss is not None:
            check_fraction("max_loss", max_loss, "share of the variance")
            if window is None:
                window = max(_MIN_WINDOW, self.specification.curve_dim)
        if window is not None:
            step = default_window_step(check_integer("window", window))
            model = replace(without_calibration(self), window=window, step=step, max_loss=max_loss)
        if not model.any_columns:
            return model
        series = open_sequences(X, as_series=model.window is not None)
        return with_columns(model, series.schema, series)

    def with_columns_of(self, codes: ArrayLike) -> "Model":
        """Return a pretrained model with as many columns, named x0, x1, ..., as codes have."""
        if not self.any_columns:
            return self
        try:
            shape = np.shape(codes)
        except ValueError:  # lists of different lengths, which are refused later
            shape = ()
        # codes of another shape are refused later, so any number of columns will do
        num_columns = num_columns_of(self, shape[1]) if len(shape) == 2 else 1
        models = self._models_by_num_columns  # cached, because features take time to prepare
        if num_columns not in models:
            layout = "series" if num_columns == 1 else "array"
            columns = tuple(Column(name, NUMERIC.name) for name in default_names(num_columns))
            models[num_columns] = with_columns(self, Schema(columns, layout))
        return models[num_columns]

    def with_dims(self, dims: int) -> "Model":
        """Return a model whose codes are the first dimensions of those of this one.

        The model must be fitted with ``nested=True``, as ``"series"`` is. The length, ROCKET
        features and the scale of a sequence, which come after the learned dimensions, stay. With
        latent optimization, which ``"series"`` does not use, the first dimensions differ from those
        of this model. To detect anomalies, calibrate the new model.

        Parameters
        ----------
        dims : int
            Number of learned dimensions, for each column if each has a code of its own.
        """
        return with_dims(self, check_integer("dims", dims))

    # Encoding and decoding

    def windows(self, X: SequencesLike) -> Windows:
        """Cut series into the windows that all methods work on, with their places in the series.

        Returns
        -------
        Windows
            If the model has no ``window``, each sequence is one window.
        """
        series = open_sequences(X, self.schema, as_series=self.window is not None)
        if not series.is_mapped:
            series = series.align(self.schema)
        return cut_into_windows(
            series, self.window, self.step, self.max_loss, self.specification.curve_dim
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
        blocks = self.encode_blocks(X, verbose=verbose)
        return np.concatenate([codes for codes, _ in blocks])

    def encode_blocks(
        self, X: SequencesLike, *, verbose: int = 0
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Encode sequences block by block, for data or codes that are larger than memory.

        Parameters
        ----------
        X : path, or anything that `encode` takes
            Sequences in memory are one block.

        Yields
        ------
        codes : array of float32 of shape (n_sequences in the block, code_size)
            As `encode` returns them.
        ids : array of shape (n_sequences in the block,)
            Ids of the sequences, or of the windows, such as ``a[0:100]``.
        """
        blocks = self.blocks(self.open(X))
        return ((self.encode_aligned(block, verbose), block.ids) for block in blocks)

    def pooled(self, X: SequencesLike, *, verbose: int = 0) -> np.ndarray:
        """Describe each series by one vector, from what its windows have in common and differ in.

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
                "pooled needs a model of windows. Fit one with "
                f"{argument(window=100)}, adapt the pretrained one with it, or use "
                "features(encode(X))."
            )
        series = open_sequences(X, self.schema, as_series=True)
        windows = self.windows(series)
        blocks = self.blocks(self.open(windows.sequences))
        codes = np.concatenate([self.encode_aligned(block, verbose) for block in blocks])
        codes = codes.astype(float)
        # for each series, the index of its first window and the number of its windows
        starts = np.flatnonzero(np.diff(windows.series, prepend=-1))
        counts = np.diff(starts, append=len(codes))[:, None]
        means = np.add.reduceat(codes, starts) / counts
        squares = (codes - np.repeat(means, counts[:, 0], axis=0)) ** 2
        stds = np.sqrt(np.add.reduceat(squares, starts) / counts)
        extremes = [function.reduceat(codes, starts) for function in (np.minimum, np.maximum)]
        series_blocks = series.blocks() if series.is_mapped else [series]
        scaled = (self.scaler.transform(block.align(self.schema)) for block in series_blocks)
        convolutions = [convolve_series(block, self.network, self.window) for block in scaled]
        vectors = [means, stds, *extremes, np.concatenate(convolutions)]
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
        if (warning := self.describe_outliers(codes)) is not None:
            warn(f"{warning} What they decode to may be far off.")
        if lengths is None:
            warn(describe_too_long(decoded.lengths, self.max_steps, "predicted length"))
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
        """Encode sequences and decode the codes.

        The length of a reconstruction is predicted from the code. Sequences longer than the longest
        in training keep their own length, because the model never saw such a length. Windows keep
        their own length, too, and are joined to one reconstruction of each series. Numbers are
        averaged where windows overlap. Give ``codes`` if you have them already.

        Parameters
        ----------
        as_table : bool, optional
            Return a table instead of a list. If ``X`` is a table, the result has its library,
            layout and columns, including ids and times. Times are null in steps after the last one
            of the sequence. Otherwise the result is a `pyarrow.Table` with one row per step. By
            default, return a table if ``X`` is one.

        Returns
        -------
        list or table
            Sequences in the layout and units of the training data, as `decode` returns them.
        """
        check("clip", clip, CLIP_RULE)
        series = open_sequences(X, self.schema, as_series=self.window is not None)
        windows = self.windows(series)
        sequences = self.open(windows.sequences)
        if codes is None:
            blocks = self.blocks(sequences)
            codes = np.concatenate([self.encode_aligned(block, verbose) for block in blocks])
        codes = self.check_codes(codes)
        noun = "windows" if self.window else "sequences"
        check_counts_match(len(codes), "codes", len(sequences), noun)
        lengths = sequences.lengths
        if self.window is None:
            lengths = self.reconstruction_lengths(codes, lengths)
        decoded = self.decode_to_sequences(codes, lengths, verbose=verbose)
        decoded = windows.join(decoded) if self.window is not None else decoded
        decoded = self.scaler.clip(decoded, clip=clip).with_ids(windows.ids)
        if not (is_frame(X) if as_table is None else as_table):
            return decoded.to_list()
        starts = np.zeros_like(decoded.lengths)
        decoded.times = series.times_between(starts, decoded.lengths)
        return table_like(decoded, X)

    # Errors and anomalies

    def score(self, X: SequencesLike, *, verbose: int = 0) -> float:
        """Return the explained variance of the reconstructions: 1 - NMSE of the numeric columns.

        If no column is numeric, return the share of sequences that are reconstructed exactly,
        length included. 1 is perfect. The reconstructions are those of `reconstruct`: a missing
        step counts as zero in standardized units, and an extra step is ignored. Values in other
        units are as wrong as their errors, so their score can be high.
        `refold.evaluation.fidelity` measures numeric and other columns side by side.
        """
        series = open_sequences(X, self.schema, as_series=self.window is not None)
        sequences = as_sequences(series, schema=self.schema)
        reconstructed = self.reconstruct(sequences, verbose=verbose)
        if not self.schema.numeric.any():
            return exact(sequences, reconstructed)
        return explained_variance(sequences, reconstructed, self.error_scaler)

    def errors(self, X: SequencesLike) -> np.ndarray:
        """Return the reconstruction error of each sequence, decoded at its own length.

        Returns
        -------
        array of shape (n_sequences,)
            Mean over the observed values of the squared error of numeric values, in standardized
            units, and of 1 for each wrong value of another column. Codes are those of the encoder,
            without latent optimization.
        """
        return reconstruction_errors(self, self.read(X))

    def anomaly_scores(self, X: SequencesLike) -> np.ndarray:
        """Return the anomaly score of each sequence, as `detect` compares it with normal ones.

        It is the reconstruction error plus the distance of the code to those of training, each
        divided by its mean over training sequences. It needs no calibration.

        Returns
        -------
        array of shape (n_sequences,)
            2 on average in training.
        """
        return self.measure_anomalies(self.read(X))[1].sum(axis=1)

    def calibrate(self, normal: SequencesLike) -> "Model":
        """Return a model whose `detect` and bounds of `forecast` are calibrated.

        ``fit`` does this if ``calibration_fraction`` sets sequences aside.

        Parameters
        ----------
        normal : Sequences, list of arrays, array or table
            Sequences without anomalies. The model must not have been trained on them: it
            reconstructs training sequences better than new ones, which would all look anomalous. A
            false alarm rate ``alpha``, or a share ``alpha`` of values outside the bounds of a
            forecast, needs at least ``1 / alpha - 1`` of them. A pretrained model learns from half
            of them what is normal, so it needs twice as many.
        """
        windows, model = self.windows(normal), self
        sequences = self.read(windows.sequences)
        check_not_trained_on(sequences, self.fingerprints.trained)
        if self.require_reference().precision is None:
            # A pretrained model learns what is normal from half of the sequences. All windows of a
            # series are in the same half, because windows overlap.
            is_learned = windows.series % 2 == 0
            if windows.series.max(initial=0) == 0:  # the first half of the windows of one series
                is_learned = np.arange(len(sequences)) < len(sequences) // 2
            smaller_half = int(min(is_learned.sum(), (~is_learned).sum()))
            check_not_empty(smaller_half, "sequence", "in each half")
            model = with_reference_statistics(self, sequences[is_learned], seed=0)
            sequences = sequences[~is_learned]
        return model.calibrate_aligned(sequences)

    def detect(self, X: SequencesLike, alpha: float = 0.01) -> Detection:
        """Find anomalous sequences.

        A sequence has a high anomaly score if its reconstruction error is large, or if its code and
        its ROCKET features (pooled random convolutions) are far from those of the training data.
        The threshold comes from normal sequences that the model was not trained on, by
        split-conformal calibration: at most a share ``alpha`` of normal sequences from the same
        distribution is marked as anomalous, on average over the draw of the calibration sequences.

        Parameters
        ----------
        alpha : float, default=0.01
            False alarm rate, above 0 and below 1.

        Warns
        -----
        UserWarning
            If the model was trained on some of the sequences.
        """
        alpha = check_fraction("alpha", alpha, "rate of false alarms")
        min_calibrated = min_calibration_sequences(alpha)
        if self.calibration is None or self.num_calibrated < min_calibrated:
            remedy = f"Fit with {argument(calibration_fraction=0.2)}"
            if self.specification.grid:
                num_series = 2 * min_calibrated
                remedy = f"Show {num_series} normal series, of which half teach what is normal"
            elif self.num_calibrated:
                # rounded up to three digits, so that the rate is possible and easy to read
                min_alpha = math.ceil(1000 / (self.num_calibrated + 1)) / 1000
                remedy = f"Ask for a rate of at least {argument(alpha=min_alpha)}"
            raise ParameterError(
                f"{argument(alpha=alpha)} needs at least {min_calibrated} calibration sequences, "
                f"which are normal and not trained on. Got {self.num_calibrated}. {remedy}, or "
                f"{spelled('give more to calibrate()', 'give more with --normal DATA')}."
            )
        windows = self.windows(X)
        sequences = self.read(windows.sequences)
        warn(describe_too_long(sequences.lengths, self.max_steps))
        warn(describe_training_sequences(sequences, self.fingerprints.trained))
        measurement, components, p_values = self.measure_anomalies(sequences)
        scores = step_scores(measurement.value_errors)
        # `[:count]` matters only if there is no sequence: `np.split` returns an array even then
        bounds, count = sequences.offsets[1:-1], len(sequences)
        return Detection(
            alpha,
            sequences.ids,
            components,
            p_values,
            np.split(scores, bounds)[:count],
            np.split(anomaly_p_values(scores, self.calibration.steps), bounds)[:count],
            np.split(measurement.value_errors, bounds)[:count],
            self.schema.names,
            self._compare_with_training(measurement),
            None if self.window is None else windows,
            windows.times,
            windows.sequences.schema.time_column(("id", "step", "score", "p_value")),
        )

    def drift(self, X: SequencesLike) -> Drift:
        """Test whether sequences differ from the training data, so that the model may be outdated.

        The reconstruction errors are compared with those of sequences that the model was not
        trained on, and each dimension of the codes with that of up to 1024 training sequences. The
        validation part of ``fit`` gives the errors, measured before a refit; `calibrate` replaces
        them by those of its sequences. Codes are those of the encoder, without latent optimization.

        The tests assume independent sequences. Overlapping windows are not independent, and the
        p-values are then too small. With fewer than about 50 sequences, only a large drift is
        significant.
        """
        sequences = self.read(X)
        check_not_empty(len(sequences), "sequence", "to compare")
        warn(describe_too_long(sequences.lengths, self.max_steps))
        drift = self._compare_with_training(measure_sequences(self, sequences))
        if drift is None:
            raise ParameterError(
                "drift needs the errors of sequences that were not trained on, and the model has "
                f"none. Fit with {argument(validation_fraction=0.1)}, or "
                f"{spelled('give some to calibrate()', 'give --normal DATA')}."
            )
        return drift

    def code_drift(self, codes: ArrayLike) -> Drift:
        """Test whether codes differ from those of the training data, without a test of the errors.

        They are codes without latent optimization (``latent_steps=0``).
        """
        codes = self.check_codes(codes)
        check_not_empty(len(codes), "code", "to compare")
        if self.require_reference().precision is None:
            raise ParameterError(
                "This model does not know your data. Calibrate it with normal series first."
            )
        return measure_drift(codes, self.require_reference().codes)

    def held_back(self, X: SequencesLike) -> np.ndarray:
        """Find the sequences that ``fit`` received but did not train on.

        These are the sequences that ``calibration_fraction`` set aside and, without a refit, the
        validation sequences. They are recognized by their values.

        Returns
        -------
        array of bool of shape (n_sequences,)
            True for held-back sequences. Of equal sequences, as many are marked as were held back.
        """
        sequences = as_sequences(self.windows(X).sequences)
        return are_held_back(fingerprints(sequences), self.fingerprints.held_back)

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

        Of a long sequence, the last steps are read, as many as the longest training sequence had
        before a full forecast. Series are not cut into windows, so each has one forecast. Bounds
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
            As everywhere, but bounds are not clipped, and always contain the forecast.
        """
        return forecast(self, X, steps, alpha=alpha, clip=clip, verbose=verbose)

    def forecast_errors(
        self, X: SequencesLike, steps: int | None = None, *, season: int | None = None
    ) -> ForecastErrors:
        """Forecast the last steps of sequences from the earlier ones, and measure the errors.

        Sequences are cut before their last ``forecast_steps`` steps, as half of them are in
        training, and those that have no more steps are left out. The first ``steps`` of the
        forecast are measured. A UserWarning says if the model was trained on some sequences.

        Parameters
        ----------
        steps : int, optional
            Number of forecast steps to measure; by default all.
        season : int, optional
            Number of steps in a season, for the seasonal baseline. By default it is found in the
            data.
        """
        return measure_forecast_errors(self, X, steps, season=season)

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
        seed = draw_seed(random_state)
        codes = self.draw_codes(n, seed=seed)
        sampling = Sampling.from_temperature(temperature, seed)
        return self._decode_and_clip(codes, lengths, sampling=sampling, clip=clip).to_list()

    def features(self, codes: ArrayLike) -> np.ndarray:
        """Decode codes and describe the decoded sequences, for classifiers, clustering and search.

        A code says where a sequence is at each step, and a linear classifier often cannot find a
        label in it. These features say what the decoded sequence does, whenever it does it: they
        are ROCKET features [1]_, pooled random convolutions, standardized over up to 256 decoded
        training sequences. They are computed from nothing but the code.

        Returns
        -------
        array of float32 of shape (n_sequences, 1026)
            The size and the length of each decoded sequence and 1024 pooled convolutions. With
            ``scale="sequence"``, which the pretrained model has, 1024 convolutions of the sequence
            in the units of all sequences follow, and the mean and the log standard deviation of
            each numeric feature.

        References
        ----------
        .. [1] A. Dempster, F. Petitjean and G. I. Webb, "ROCKET: exceptionally fast and accurate
           time series classification using random convolutional kernels", Data Mining and Knowledge
           Discovery 34, 2020.
        """
        return self._decoded_features(self.check_codes(codes))

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
        file, dims = find_model_file(path)
        model = _build_model(*read_container(file), file_name=str(path))
        return cast(Self, model if dims is None else model.with_dims(dims))

    # For other rooms. Aligned sequences are those that `read`, `align` or `blocks` returns, and
    # checked codes are those that `check_codes` returns.

    def open(self, X: SequencesLike) -> Sequences:
        """Open windows or sequences for `blocks`, and warn of values unlike the training data."""
        sequences = self.windows(X).sequences
        if sequences.is_mapped:  # aligned in `blocks`, which then warns of values
            check_encodable_lengths(sequences.lengths, self.network)
        else:
            sequences = self.align(sequences)
            self._warn_of_unusual_values(sequences)
        warn(describe_too_long(sequences.lengths, self.max_steps))
        return sequences

    def read(self, X: SequencesLike, *, as_windows: bool = True) -> Sequences:
        """Read and align windows or sequences, and warn of values unlike the training data."""
        series = as_sequences(open_sequences(X, self.schema, as_series=self.window is not None))
        aligned = self.align(self.windows(series).sequences if as_windows else series)
        self._warn_of_unusual_values(aligned)
        return aligned

    def align(self, sequences: Sequences) -> Sequences:
        """Convert sequences to the schema of the training data and check them."""
        sequences = sequences.align(self.schema)
        self.scaler.check(sequences)
        check_encodable_lengths(sequences.lengths, self.network)
        num_missing = int(np.isnan(sequences.values).sum())
        # no warning if missing values are read as such, or interpolated by a pretrained model
        if num_missing and not (self.specification.observed_flags or self.specification.grid):
            warn(
                f"{num_missing} value{' is' if num_missing == 1 else 's are'} missing, and the "
                "model was fitted on data without gaps: it reads them as the mean. Fit on data "
                "with gaps, so that the model tells gaps from values."
            )
        return sequences

    def blocks(self, sequences: Sequences) -> Iterator[Sequences]:
        """Yield what `open` returns in aligned blocks; sequences in memory are one block."""
        if not sequences.is_mapped:
            yield sequences
            return
        # `open` warned of values in memory only, so values of files are counted here
        block_counts, block_shares = [], []
        for block in map(self.align, sequences.blocks()):
            block_counts.append(count_outliers(block.values, self.error_scaler))
            block_shares.append(self._explained_variance_shares(block))
            yield block
        warn(describe_outliers(block_counts, self.schema))
        self._warn_of_lost_variance(block_shares)

    def encode_aligned(self, sequences: Sequences, verbose: int = 0) -> np.ndarray:
        """Encode aligned sequences to (n_sequences, code_size)."""
        # a pretrained model, which has a ``grid``, reads no missing values
        sequences = interpolate_missing_values(sequences) if self.specification.grid else sequences
        scaled = self.scaler.transform(sequences)
        codes = self.network.encode(scaled, latent_steps=self.latent_steps, verbose=verbose)
        return np.concatenate([codes, self.scaler.statistics(sequences)], axis=1)

    # All decoding to values in the units of the data goes through this method.
    def decode_to_sequences(
        self,
        codes: np.ndarray,
        lengths: np.ndarray,
        *,
        sampling: Sampling | None = None,
        verbose: int = 0,
    ) -> Sequences:
        """Decode checked codes at these lengths; with ``sampling``, categories are drawn."""
        latent, statistics = self._split_codes(codes)
        scaled = self._decode_scaled(latent, lengths, sampling=sampling, verbose=verbose)
        return self.scaler.inverse_transform(scaled, statistics)

    def decode_to_scaled(self, codes: np.ndarray) -> Sequences:
        """Decode checked codes to sequences of predicted lengths, in the network's units."""
        latent, _ = self._split_codes(codes)
        return self._decode_scaled(latent, self.network.predict_lengths(latent))

    def predict_lengths(self, codes: np.ndarray) -> np.ndarray:
        """Predict the lengths (n_sequences,) of checked codes."""
        return self.network.predict_lengths(self._split_codes(codes)[0])

    def reconstruction_lengths(self, codes: np.ndarray, true_lengths: np.ndarray) -> np.ndarray:
        """Return the lengths to reconstruct sequences at: predicted ones, or true ones if long."""
        # The length model saw no length above the longest in training. For longer sequences, the
        # true length is better, up to the number of steps that the decoder can write.
        max_steps = self.network.most_steps
        lengths = true_lengths if max_steps is None else np.minimum(true_lengths, max_steps)
        return np.where(true_lengths > self.max_steps, lengths, self.predict_lengths(codes))

    def draw_codes(self, n: int, *, seed: int) -> np.ndarray:
        """Draw codes (n, code_size) from a density of the codes of the training data."""
        reference = self.require_reference()
        mixture = reference.mixture or fit_mixture(reference.codes, seed=seed)
        # the mixture of a pretrained model is that of codes of a single column
        num_columns = self.code_size // len(mixture.center)
        codes = mixture.draw(n * num_columns, seed=seed)
        # without a precision, a pretrained model has not learned from the data yet
        if self.specification.grid and reference.precision is None:
            codes = join_column_codes(codes, num_columns)
            # means and scales come from the reference codes, which have those of the user's data
            rows = np.random.default_rng(seed).integers(len(reference.codes), size=n)
            latent_dim = self.specification.latent_dim
            codes[:, latent_dim:] = reference.codes[rows, latent_dim:]
        return codes

    def check_codes(self, codes: ArrayLike) -> np.ndarray:
        """Check codes, and if a pandas frame holds the hash of a model, that it is this model."""
        if (stored_hash := stored_model_hash(codes)) is not None:
            describe_model_mismatch(stored_hash, self, "The table")
        return check_codes(codes, self.code_size)

    def check_lengths(self, lengths: ArrayLike, num_codes: int) -> np.ndarray:
        """Check lengths (num_codes,) to decode to."""
        return check_lengths(lengths, num_codes, self.network)

    def describe_outliers(self, codes: np.ndarray) -> str | None:
        """Describe checked codes that are very far from those of training; None if none is."""
        if self.reference is None:
            return None
        # Means and scales, which come after the latent dimensions, are not checked: with
        # scale="sequence", they may be far from those of training.
        num_dims = self.specification.latent_dim
        distances = np.abs(codes[:, :num_dims] - self.reference.mean[:num_dims])
        is_far = distances > MAX_CODE_STD_FROM_MEAN * self.reference.std[:num_dims]
        if not is_far.any():
            return None
        row, dimension = np.argwhere(is_far)[0]
        count = int(is_far.any(axis=1).sum())
        return (
            f"{count} of {len(codes)} codes {'is' if count == 1 else 'are'} more than "
            f"{MAX_CODE_STD_FROM_MEAN:g} standard deviations from those of training: "
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

    def measure_anomalies(self, sequences: Sequences) -> tuple[Measurement, np.ndarray, np.ndarray]:
        """Return the measurement of aligned sequences, their score components, and p-values.

        The p-values (n_sequences,) are NaN if the model is not calibrated.
        """
        measurement = measure_sequences(self, sequences)
        components = score_components(measurement, self.require_reference())
        if self.calibration is None:
            return measurement, components, np.full(len(sequences), np.nan)
        p_values = anomaly_p_values(components.sum(axis=1), self.calibration.scores)
        return measurement, components, p_values

    def calibrate_aligned(self, normal_sequences: Sequences) -> "Model":
        """Return a model that is calibrated with aligned sequences."""
        check_not_empty(len(normal_sequences), "sequence", "to calibrate with")
        measurement = measure_sequences(self, normal_sequences)
        errors = np.sort(measurement.sequence_errors)
        errors = errors[linspace_indices(len(errors), MAX_STORED_ERRORS)].astype(np.float32)
        residuals = forecast_residuals(self, normal_sequences)
        calibration = build_calibration(measurement, self.require_reference(), residuals)
        return replace(self, calibration=calibration, held_out_errors=errors)

    def _warn_of_unusual_values(self, aligned: Sequences) -> None:
        """Warn of values that are far from the training data, or vary too fast for a code."""
        warn(describe_outliers([count_outliers(aligned.values, self.error_scaler)], self.schema))
        self._warn_of_lost_variance([self._explained_variance_shares(aligned)])

    def _warn_of_lost_variance(self, block_shares: list[np.ndarray]) -> None:
        """Warn if codes explain too little variance; each block has a share for each sequence."""
        dims, has_windows = self.specification.curve_dim, self.window is not None
        warn(describe_explained_variance(block_shares, dims, has_windows=has_windows))

    def _explained_variance_shares(self, aligned: Sequences) -> np.ndarray:
        """Return the shares (n_sequences,) of variance that codes explain; empty if unknown."""
        # They are known only for codes of all dimensions of a pretrained model. Such codes hold the
        # first half of the cosine coefficients of a curve of ``grid`` points.
        dims = self.specification.curve_dim
        is_known = 2 * dims == self.specification.grid > 0
        return explained_variance_shares(aligned, dims) if is_known else np.ones(0)

    def _split_codes(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Split codes into latent codes of the network and statistics of each sequence, if any."""
        latent_dim = self.specification.latent_dim
        latent_codes = np.ascontiguousarray(codes[:, :latent_dim])
        return latent_codes, codes[:, latent_dim:] if self.scaler.mode == "sequence" else None

    def _decode_scaled(
        self,
        latent_codes: np.ndarray,
        lengths: np.ndarray,
        *,
        sampling: Sampling | None = None,
        verbose: int = 0,
    ) -> Sequences:
        """Decode latent codes to scaled sequences; raise a DataError if a value is not finite."""
        offsets = offsets_from_lengths(lengths)
        outputs = self.network.decode(latent_codes, offsets, sampling=sampling, verbose=verbose)
        check_decoded(np.isfinite(outputs), offsets)
        return Sequences(self.network.head.likeliest_values(outputs), offsets, schema=self.schema)

    def _decode_and_clip(
        self,
        codes: np.ndarray,
        lengths: ArrayLike | None = None,
        *,
        clip: bool | str,
        sampling: Sampling | None = None,
        verbose: int = 0,
    ) -> Sequences:
        """Decode checked codes to the lengths that a user gave, or to predicted ones."""
        check("clip", clip, CLIP_RULE)
        if lengths is None:
            lengths = self.predict_lengths(codes)
        else:
            lengths = self.check_lengths(lengths, len(codes))
            warn(describe_too_long(lengths, self.max_steps, "length"))
        decoded = self.decode_to_sequences(codes, lengths, sampling=sampling, verbose=verbose)
        return self.scaler.clip(decoded, clip=clip)

    def _compare_with_training(self, measurement: Measurement) -> Drift | None:
        """Test for drift; None if there is no sequence, or no errors of held-out sequences."""
        errors = measurement.sequence_errors
        if self.held_out_errors is None or not len(errors):
            return None
        training_codes = self.require_reference().codes
        return measure_drift(measurement.codes, training_codes, errors, self.held_out_errors)

    @functools.cached_property
    def _models_by_num_columns(self) -> dict[int, "Model"]:
        """Cache of the models that `with_columns_of` returned, by the number of columns."""
        return {}

    @functools.cached_property
    def _decoded_features(self) -> DecodedFeatures:
        """Function from codes to features, cached because it decodes training codes first."""
        return DecodedFeatures(self)


class PretrainedModel(Model):
    """A model that takes the columns of any numeric data: its methods first adapt it."""

    any_columns = True

    def __repr__(self) -> str:
        return f"Model(pretrained, codes of {self.code_size} dimensions for each numeric column)"


def _adapt_before_call(method_name: str, *, takes_codes: bool = False) -> Callable[..., Any]:
    """Return a method of `Model` that first adapts to its first argument: data, or codes."""
    method = getattr(Model, method_name)
    # the first parameter after ``self``, which can also be given by name
    data_name = list(inspect.signature(method).parameters)[1]

    @functools.wraps(method)
    def adapt_and_call(self: Model, *positional: Any, **keywords: Any) -> Any:
        X, *further = positional or (keywords.pop(data_name),)
        if takes_codes:
            return method(self.with_columns_of(X), X, *further, **keywords)
        model, series = adapt_to_data(self, X)
        # a method may return a table like a table in ``X``, so it gets the table itself
        return method(model, X if is_frame(X) else series, *further, **keywords)

    return adapt_and_call


# Methods of `Model` whose first argument is the data to adapt to.
_METHODS_OF_DATA = (
    *("windows", "open", "read", "encode", "encode_blocks", "pooled", "reconstruct", "score"),
    *("errors", "anomaly_scores", "calibrate", "detect", "drift", "held_back"),
)
# Methods of `Model` whose first argument is codes, whose number of columns is adapted to.
_METHODS_OF_CODES = ("decode", "features", "code_drift")
for _name in _METHODS_OF_DATA:
    setattr(PretrainedModel, _name, _adapt_before_call(_name))
for _name in _METHODS_OF_CODES:
    setattr(PretrainedModel, _name, _adapt_before_call(_name, takes_codes=True))


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
    >>> import tempfile, refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(4, units=8, latent_steps=0, max_epochs=2, random_state=0)
    >>> path = tempfile.mkdtemp() + "/sines.refold"
    >>> ae.fit(sines).save(path)
    >>> bool((refold.load(path).encode(sines) == ae.transform(sines)).all())
    True
    >>> codes = refold.load("series", dims=16).encode([[0.5, 2.0, 1.0, 4.0], [3.0, 5.0]])
    >>> codes.shape  # 16 numbers, the length, the level and the scale
    (2, 19)
    """
    model = Model.load(path)
    return model if dims is None else model.with_dims(dims)


# Pickles hold the name of this function, so it must stay.
def _unpickled(data: bytes) -> Model:
    """Return the model of a pickle, from the bytes of a file."""
    name = "The pickled model"
    return _build_model(*unpack_container(data, name), name)


def _build_model(config: dict[str, Any], arrays: dict[str, np.ndarray], file_name: str) -> Model:
    """Make a model of the content of a file; the name is for messages."""
    model_type = PretrainedModel if config.get("any_columns") else Model
    return model_type(**model_fields(config, arrays, file_name))


class FittedEstimator(Protocol):
    """An estimator that has a model after its fit, such as `SequenceAutoencoder`."""

    @property
    def model_(self) -> Model:
        """What the fit returned."""
        ...


ModelLike: TypeAlias = Model | FittedEstimator


def adapt_to_data(model: ModelLike, X: SequencesLike) -> tuple[Model, SequencesLike]:
    """Return a model with the columns of data, and the data as the model takes them."""
    # the data are returned, too, because an iterator can be read only once
    model = model_of(model)
    if not model.any_columns:
        return model, X
    sequences = open_sequences(X, as_series=model.window is not None)
    return model.adapt(sequences), sequences


def model_of(model: ModelLike) -> Model:
    """Return a model as it is, or the model of a fitted estimator."""
    if isinstance(model, Model):
        return model
    # the type, because `model_` of an estimator that is not fitted raises an error of its own
    is_class = isinstance(model, type)
    if not is_class and hasattr(type(model), "model_"):
        return model.model_
    name = f"the class {model.__name__}" if is_class else f"a {type(model).__name__}"
    raise ParameterError(f"Expected a model, or a fitted SequenceAutoencoder. Got {name}.")
