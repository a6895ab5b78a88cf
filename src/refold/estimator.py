"""`SequenceAutoencoder`: sequences to fixed-size vectors and back, the one door to all of it.

Owns scikit-learn's conventions and the order of the work.  What sequences are, what models are
and how they are trained is in the rooms that it calls.
"""

import functools
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from refold import storage
from refold._support.argument_checks import draw_seed
from refold._support.estimator_html import NotebookMixin
from refold._support.file_lock import sole_training
from refold.anomalies import AnomalyMixin, remember, set_aside, trained_fingerprints
from refold.errors import DataError, ModelFileError, ParameterError
from refold.evaluation import exact, explained_variance
from refold.fitting import (
    Checkpoint,
    check_latent_steps,
    check_parameters,
    choose_size,
    fit,
    is_share,
    open_training,
)
from refold.forecasting import ForecastMixin
from refold.generation import GenerationMixin
from refold.inference import (
    Draw,
    InputsMixin,
    Meaning,
    check_codes,
    check_fits,
    check_lengths,
    decode,
    encode,
    lengths_to_write,
    open_source,
    predict_lengths,
    warn_of_longer,
)
from refold.models import Architecture, Network
from refold.sequences import Scan, Sequences, as_sequences, fingerprints
from refold.storage import Fitted, ReferenceStatistics
from refold.training import FitResult, require_jax

__all__ = ["SequenceAutoencoder", "load"]


class SequenceAutoencoder(
    ForecastMixin,
    AnomalyMixin,
    GenerationMixin,
    InputsMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    NotebookMixin,
    BaseEstimator,
):
    """LSTM autoencoder that turns sequences of any length into vectors of one size, and back.

    Parameters
    ----------
    latent_dim : int or float, default=16
        Width of the code. A share above 0 and below 1 asks for the smallest that explains as much
        of the held-out variance (1 - NMSE of the numeric columns, and the accuracy of the others),
        which takes a few fits more, each a tenth of ``time_budget``.
    units : int, default=96
        Units of each recurrent layer, in each direction.
    depth : int, default=1
        Number of recurrent layers in the encoder, and in the decoder.
    cell : {"lstm", "gru"}, default="lstm"
        The recurrent layers of the default model. GRUs run on Keras's own loop, which is slower
        than the compiled kernel of the LSTMs.
    architecture : {"default", "repeat", "reshape", "dense"} or callable, default="default"
        The default model, one of the classic ones (`refold.models.classic`), or a callable that
        is given ``steps``, ``features``, ``outputs`` and ``latent_dim`` and returns an encoder
        and a decoder, any Keras models.  ``units``, ``depth`` and ``cell`` are for the default
        model only.
    decoder : {"auto", "parallel", "autoregressive"}, default="auto"
        What the default model writes a step from: the code and the position; or these and the
        step before, which in training is the true one, and in use the one that it wrote. "auto" is
        autoregressive where no column is numeric, ``patch`` is 1, and the sequence of an average
        step has 32 steps at most, or so many labels that there is no room for a linear path; else
        parallel.
    patch : int or "auto", default="auto"
        Steps that the LSTMs take and write at once, so that a long sequence is a shorter one to
        them. "auto" is 1 where the sequence of an average step has 100 steps at most, and beyond
        the smallest power of two by which it has 64 patches at most. Of the default model with a
        parallel decoder.
    rocket_dim : int or "auto", default="auto"
        Numbers of the code, the last ones, that are for telling sequences apart by what they do,
        whenever they do it: principal components of pooled random convolutions. The decoder reads
        them, too, but one that reconstructs says more to it. "auto" is 8 from a ``latent_dim`` of
        32 on, where a column is numeric, and else 0; and 0 where ``latent_dim`` is a share, or the
        input is corrupted; of a code with room for every value, what is beyond that. Of the default
        model, unless it is variational.
    forecast_steps : int, default=0
        Steps after a sequence that are to be forecast: a second decoder of the same code learns to
        write them, and ``forecast`` does so. Sequences are then cut in training, half of them
        before their last steps. Of the default model.
    scale : {"features", "sequence"} or None, default="features"
        Standardise numeric features over the training data; or each sequence by itself, with its
        mean and log-deviation by feature appended to the code; or not at all.
    missing_values : float or list of float, optional
        Numbers that stand for a missing value in numeric columns, such as ``[-99999]``, beside NaN.
        The model remembers them, and takes them for missing in all data that it is given.
    max_epochs : int, optional
        By default enough for 4000 steps, and at least 30.
    batch_size : int, optional
        Number of sequences of average length in a training step: where lengths differ, batches
        are of like length and hold about as many steps each. By default 32, or 64 from 2000
        sequences to train on.
    learning_rate : float, default=0.003
        Highest rate, after warm-up and before it falls.
    optimizer : str or keras.optimizers.Optimizer, optional
        A name, or an optimizer with a learning rate of its own, which then counts and follows no
        schedule of ours. By default AdamW with clipped gradients.
    validation_fraction : float, default=0.1
        Share of the sequences held out to choose the epoch whose weights are kept; 0 for none.
    calibration_fraction : float, default=0.0
        Share of the sequences that are set aside before all else, for ``detect`` and the bounds of
        ``forecast`` to be calibrated by; which ones does not depend on ``random_state``. Not for
        data from files.
    patience : int, optional
        Epochs without a better validation loss before training stops. By default a tenth of
        ``max_epochs``; then, while the loss still falls, up to a quarter. Schedules below 500
        epochs are waited for longer: a quarter up to 50 epochs, and at least 20.
    refit : {"auto", True, False}, default="auto"
        Train once more, from the same start and on all sequences, for as many steps as the
        validated epoch took; "auto" does so below 2000 sequences. If time is up, on Ctrl-C, by a
        callback's word, or if the loss becomes NaN in it, the validated weights count.
    latent_steps : {"auto"} or int, default="auto"
        Steps of a search, by ``transform``, from the encoder's code for one that the decoder makes
        more of, sequence by sequence. Each takes about as long as two passes of the decoder. "auto"
        is 10 below 2000 training sequences, where an encoder is furthest from the best code, and
        where no column is numeric; else, and for data from files, none; 0 for none. Of the default
        model only. A variational model has none. What is set after ``fit`` counts at once.
    time_budget : float, optional
        Seconds for training, its start and the refit included; the learning rate falls in time.
    denoise : float or str, default=0.0
        Train on corrupted input towards the sequence as it was: the deviation of noise that is
        added to numeric values, once scaled; or ``"steps:0.2"``, the share of steps that are taken
        for missing; or both, ``"0.3,steps:0.2"``. The model can then read gaps. The validation
        loss is that of corrupted input, too. What is encoded later is left as it is.
    variational : bool, default=False
        Train codes to be distributed as N(0, 1) [1]_, so that ``sample`` can draw sequences.
        ``transform`` gives a code's mean. For ``architecture="default"``.
    random_state : int, RandomState or None, default=None
        Fixes the weights, the split, the order of the data, and all that is drawn in training.
    verbose : {0, 1}, default=0
        1 shows a progress bar on standard error, and at the end the held-out NMSE and accuracy,
        next to PCA's.

    Attributes
    ----------
    encoder_, decoder_, autoencoder_ : keras.Model
        The fitted models, which share their weights; they work in scaled units. An autoregressive
        decoder is a model of codes and sequences, and tells of each step what it would write after
        the true ones, as ``autoencoder_`` then does;
        `refold.models.decode_autoregressively` runs it on its own output.
    latent_dim_ : int
        Width of the code, where ``latent_dim`` is a share too.
    schema_ : Schema
        Columns, kinds, labels and layout of the training data.
    scaler_ : Scaler
        How numeric columns were scaled.
    error_scaler_ : Scaler
        Standardises by feature, whatever ``scale`` is: the units in which errors are measured.
    max_steps_ : int
        Longest training length: the number of steps that ``decoder_`` writes.
    patch_ : int
        Steps a patch, where ``patch`` is "auto" too.
    discriminative_ : int
        Numbers of the code that are for telling sequences apart.
    latent_steps_ : int
        Steps of the search for each code, where ``latent_steps`` is "auto" too.
    autoregressive_ : bool
        Whether the decoder goes step by step, where ``decoder`` is "auto" too.
    forecaster_ : keras.Model or None
        From codes to the scaled steps that come next, with ``forecast_steps``.
    history_ : dict of lists
        By epoch: ``"epoch"``, ``"phase"`` (``"validated"`` or ``"refit"``), ``"loss"``,
        ``"val_loss"`` (None in the refit), ``"learning_rate"``, ``"seconds"``.
    best_epoch_ : int or None
        Epoch with the smallest validation loss, whose weights are kept or whose steps the refit
        has; 0 if it was the linear start; None without validation.
    start_loss_ : float or None
        Validation loss of the linear start, before the first epoch; None where there was none.
    interrupted_ : bool
        Whether Ctrl-C ended the training before its time. Of the fit itself, so not saved.
    n_shapes_ : int
        Padded shapes of the training's batches: so many times a training step was compiled, at
        most 8. Not saved.
    n_features_in_ : int
        Number of columns.
    active_dimensions_ : int or None
        With ``variational=True``: how many numbers of the code tell sequences apart, those whose
        means have a variance above 0.01 over the training data [2]_, or over 4096 of it.

    References
    ----------
    .. [1] D. P. Kingma and M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014.
    .. [2] Y. Burda, R. Grosse and R. Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016.

    Examples
    --------
    >>> import refold
    >>> sequences = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(latent_dim=4, units=8, max_epochs=2, random_state=0)
    >>> codes = ae.fit(sequences).transform(sequences)
    >>> codes.shape
    (40, 4)
    >>> len(ae.inverse_transform(codes))
    40
    """

    def __init__(
        self,
        latent_dim: int | float = 16,
        *,
        units: int = 96,
        depth: int = 1,
        cell: str = "lstm",
        architecture: Architecture = "default",
        decoder: str = "auto",
        patch: int | str = "auto",
        rocket_dim: int | str = "auto",
        forecast_steps: int = 0,
        scale: str | None = "features",
        missing_values: Any = None,
        max_epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 0.003,
        validation_fraction: float = 0.1,
        calibration_fraction: float = 0.0,
        patience: int | None = None,
        refit: bool | str = "auto",
        latent_steps: int | str = "auto",
        optimizer: Any = None,
        time_budget: float | None = None,
        denoise: float | str = 0.0,
        variational: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.latent_dim = latent_dim
        self.units = units
        self.depth = depth
        self.cell = cell
        self.architecture = architecture
        self.decoder = decoder
        self.patch = patch
        self.rocket_dim = rocket_dim
        self.forecast_steps = forecast_steps
        self.scale = scale
        self.missing_values = missing_values
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.calibration_fraction = calibration_fraction
        self.patience = patience
        self.refit = refit
        self.latent_steps = latent_steps
        self.optimizer = optimizer
        self.time_budget = time_budget
        self.denoise = denoise
        self.variational = variational
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: Any = None,  # noqa: ARG002  (scikit-learn passes it)
        *,
        callbacks: Sequence[Any] = (),
        checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
        resume: bool = False,
    ) -> Self:
        """Train on sequences.

        Parameters
        ----------
        X : Sequences, list of arrays of shape (length, features), array, table, path or Scan
            Anything that `refold.sequences.as_sequences` takes; or a file or a folder of Parquet
            files, which may be larger than memory; or a ``Scan`` of such.
        y : ignored
        callbacks : sequence of keras.callbacks.Callback
            Their ``model`` is ``autoencoder_``. Weights, rate and ``stop_training`` are read again
            after each call; a new rate scales what is left of the schedule. The refit begins
            anew, with epochs from 0; ``params["phase"]`` of a callback is "validated" or "refit",
            and one that stops the refit leaves the validated weights. A callback with batch hooks
            makes training slower.
        checkpoint : path or Checkpoint, optional
            File in which the state of the training is kept, written every minute and when it is
            interrupted.
        resume : bool, default=False
            Go on from that file, if it is there. The result is that of a training that was never
            interrupted, to the bit.

        Returns
        -------
        SequenceAutoencoder

        Raises
        ------
        ParameterError
            If an argument of the constructor cannot be used, Keras does not run on JAX, the
            checkpoint is of another training or another process is writing it, or ``latent_dim``
            is a share of what is held out and nothing is.
        DataError
            If the sequences cannot be used.
        ModelFileError
            If the checkpoint cannot be read.
        FileAccessError
            If the checkpoint cannot be written, which is tried before training.
        DivergedError
            If the loss became NaN at once.
        KeyboardInterrupt
            On Ctrl-C, after the chunk of steps that was running; the estimator then has the best
            weights so far, and nothing while a size is looked for. A second Ctrl-C does not wait.

        Warns
        -----
        UserWarning
            If the data is probably not what it should be, as `refold.sequences.data_warnings`
            says: numbers such as -99999, values far away from all others, sequences of one step,
            or padding of zeros.
        """
        require_jax()
        parameters, find_size = self.get_params(deep=False), None
        check_parameters(parameters)
        if resume and checkpoint is None:
            raise ParameterError("resume=True goes on from a checkpoint. Name it by checkpoint=.")
        sequences = open_training(X, self.missing_values)
        if not len(sequences):
            raise DataError("There is no sequence to fit on. Give at least one.")
        sequences, normal = set_aside(sequences, self.calibration_fraction)
        if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
            checkpoint = Checkpoint(checkpoint)
        seed = draw_seed(self.random_state)
        if is_share(self.latent_dim):
            find_size = functools.partial(choose_size, sequences, parameters, seed=seed)
        with sole_training(None if checkpoint is None else checkpoint.path):
            fitted, outcome, sample = fit(
                sequences,
                parameters,
                seed=seed,
                callbacks=callbacks,
                checkpoint=checkpoint,
                resume=resume,
                find_size=find_size,
                aside=None if normal is None else normal.lengths,
                report=bool(self.verbose),
            )
        self.interrupted_ = outcome.interrupted
        self.n_shapes_ = outcome.num_shapes
        if fitted is not None:
            if normal is not None:
                both = [fitted.held_back, fingerprints(normal)]
                fitted = fitted._replace(held_back=np.concatenate(both))
            trained = trained_fingerprints(sequences, fitted.held_back)
            self._set_fitted(fitted._replace(trained=trained), sample)
        if outcome.interrupted and not outcome.complete:
            raise KeyboardInterrupt(_say_interrupted(outcome, checkpoint))
        return self if normal is None else self._measure_normal(self._aligned(normal))

    def transform(self, X: Any) -> np.ndarray:
        """Encode sequences.

        Parameters
        ----------
        X : Sequences, list of arrays, array, table, path or Scan
            With the columns of the training data.

        Returns
        -------
        array of float32 of shape (n_sequences, latent_dim)
            One code a sequence; with ``scale="sequence"`` the mean and log-deviation by numeric
            feature are appended.

        Raises
        ------
        SchemaError
            If the columns are not those of the training data.
        DataError
            If the sequences cannot be used.

        Warns
        -----
        UserWarning
            If sequences are longer than the longest in training.

        Notes
        -----
        With ``latent_steps=0`` padding, batch size, order and other sequences change a code by at
        most 1e-5 of its standard deviation. Latent optimization amplifies rounding: a code then
        changed by up to 0.004 standard deviations, and the mean reconstruction error by 2e-6 of
        itself.
        """
        source = self._opened(X, "codes")
        return np.concatenate([codes for codes, _ in self._encoded(source)])

    def encode_blocks(self, X: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Encode sequences block by block, where codes or sequences are larger than memory.

        Parameters
        ----------
        X : path or Scan, or anything that ``transform`` takes
            Sequences in memory are one block.

        Yields
        ------
        codes : array of float32 of shape (n_sequences of the block, width of the code)
            As ``transform`` gives them.
        ids : array of shape (n_sequences of the block,)

        Raises
        ------
        SchemaError
            If the columns are not those of the training data.
        DataError
            If the sequences cannot be used.

        Examples
        --------
        >>> import refold
        >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
        >>> ae = refold.SequenceAutoencoder(
        ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
        ... )
        >>> [(codes.shape, len(ids)) for codes, ids in ae.fit(sines).encode_blocks(sines)]
        [((40, 4), 40)]
        """
        return self._encoded(self._opened(X, "codes"))

    def inverse_transform(self, X: Any, lengths: Any = None, *, clip: bool = False) -> list[Any]:
        """Decode codes.

        Parameters
        ----------
        X : array of shape (n_sequences, width of the code)
            Codes, as ``transform`` gives them.
        lengths : array of int of shape (n_sequences,), optional
            Number of steps to write of each; by default as predicted from the code.
        clip : bool, default=False
            Keep each numeric column within the range that it had in training.

        Returns
        -------
        list
            One sequence a code, each of its own length, in the layout and units of the training
            data: arrays of shape (length, features) or (length,), lists of tokens, strings.

        Raises
        ------
        DataError
            If the codes or lengths are of the wrong shape or not finite.

        Warns
        -----
        UserWarning
            If lengths are longer than the longest in training, predicted ones by more than a tenth;
            if ``clip`` is asked for, and the model's file has no ranges of columns.
        """
        check_is_fitted(self)
        decoded = self._decode(X, lengths, clip=clip)
        if lengths is None:
            predicted = np.array([len(one) for one in decoded], int)
            warn_of_longer(predicted, self.max_steps_, "predictions")
        return decoded

    def _opened(self, X: Any, meaning: Meaning) -> Sequences | Scan:
        """Read sequences or open files of them, and warn where some are beyond training."""
        check_is_fitted(self)
        source = open_source(X)
        if isinstance(source, Scan):
            check_fits(source.lengths, self._network)
        else:
            source = self._aligned(source)
        most = self._network.most_steps
        warn_of_longer(source.lengths, self.max_steps_, meaning, most=most, stacklevel=4)
        return source

    def _aligned(self, source: Sequences) -> Sequences:
        """Bring sequences under the schema of the training data, and check them."""
        sequences = source.align(self.schema_)
        check_fits(sequences.lengths, self._network)
        _remark_missing(sequences, self._network)
        return sequences

    def _encode(self, sequences: Sequences, latent_steps: int = 0) -> np.ndarray:
        """Return the codes of sequences that were checked, the statistics of their scale behind."""
        scaled = self.scaler_.transform(sequences)
        codes = encode(scaled, self._network, latent_steps=latent_steps, verbose=self.verbose)
        return np.concatenate([codes, self.scaler_.statistics(sequences)], axis=1)

    def _encoded(self, source: Sequences | Scan) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield codes and ids, of files block by block."""
        if isinstance(source, Sequences):
            yield self._encode(source, self.latent_steps_), source.ids
            return
        for block in source:
            yield self._encode(self._aligned(block), self.latent_steps_), block.ids

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

        Beyond the longest training length, ``known`` lengths replace those predicted from the
        codes; symbols are drawn where that is asked for.
        """
        codes = check_codes(codes, self._n_features_out)
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

    def encode(self, X: Any) -> np.ndarray:
        """Encode sequences: another name of ``transform``, always an array."""
        return np.asarray(self.transform(X))

    def decode(self, codes: Any, lengths: Any = None, *, clip: bool = False) -> list[Any]:
        """Decode codes: another name of ``inverse_transform``."""
        return self.inverse_transform(codes, lengths, clip=clip)

    def reconstruct(self, X: Any, *, codes: Any = None, clip: bool = False) -> list[Any]:
        """Encode sequences and decode them again.

        A sequence comes back at the length that its code holds. One that is longer than
        ``max_steps_`` comes back at its own length, because the model never saw such a length; a
        warning says how many these are.

        Parameters
        ----------
        X : Sequences, list of arrays, array, table, path or Scan
            With the columns of the training data.
        codes : array of shape (n_sequences, width of the code), optional
            Codes of the sequences, if ``transform`` was called already.
        clip : bool, default=False
            Keep each numeric column within the range that it had in training.

        Returns
        -------
        list
            As ``inverse_transform`` gives them.

        Raises
        ------
        SchemaError
            If the columns are not those of the training data.
        DataError
            If the sequences cannot be used, or there is not one code a sequence.

        Warns
        -----
        UserWarning
            If sequences are longer than the longest in training; if ``clip`` is asked for, and the
            model's file has no ranges of columns.

        Examples
        --------
        >>> import refold
        >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
        >>> ae = refold.SequenceAutoencoder(
        ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
        ... )
        >>> len(ae.fit(sines).reconstruct(sines))
        40
        """
        source = self._opened(X, "reconstructions")
        if codes is None:
            codes = np.concatenate([codes for codes, _ in self._encoded(source)])
        elif len(codes) != len(source):
            raise DataError(f"Got {len(codes)} codes of {len(source)} sequences. Give one of each.")
        return self._decode(codes, known=source.lengths, clip=clip)

    def score(self, X: Any, y: Any = None) -> float:  # noqa: ARG002
        """Explained variance of the reconstructions: 1 - NMSE of the numeric columns, 1 is perfect.

        Where no column is numeric: the share of sequences recovered exactly, length included.
        Lengths are those that ``reconstruct`` returns: a missing step counts as zero in standard
        units, an extra one is ignored. Sequences longer than ``max_steps_`` are decoded at their
        own length, and so have neither. `refold.evaluation.fidelity` measures the numeric columns
        and the others side by side.

        Parameters
        ----------
        X : Sequences, list of arrays, array or table
        y : ignored

        Returns
        -------
        float
        """
        check_is_fitted(self)
        sequences = as_sequences(X, schema=self.schema_)
        reconstructed = self.reconstruct(sequences)
        if not self.schema_.numeric.any():
            return exact(sequences, reconstructed)
        return explained_variance(sequences, reconstructed, self.error_scaler_)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one file, whole or not at all.

        Parameters
        ----------
        path : path
            Ends in ``.refold`` by custom.
        """
        check_is_fitted(self)
        self._remember()
        storage.save(path, self.get_params(deep=False), self._fitted)

    @property
    def latent_steps_(self) -> int:
        """Steps of latent optimization: ``latent_steps`` as it is now, set after ``fit`` or before.

        Raises
        ------
        ParameterError
            If ``latent_steps`` was set to what it cannot be, or the model has no search.
        """
        check_is_fitted(self)
        check_parameters({"latent_steps": self.latent_steps})
        if isinstance(self.latent_steps, str):
            return self._fitted.latent_steps
        built = self._network.specification
        return check_latent_steps(
            self.latent_steps, built.architecture, variational=built.variational
        )

    @property
    def autoregressive_(self) -> bool:
        """Whether the decoder goes step by step, where ``decoder`` is "auto" too."""
        check_is_fitted(self)
        return self._network.autoregressive

    @property
    def num_calibrated_(self) -> int:
        """Number of normal sequences that ``detect`` measures by."""
        check_is_fitted(self)
        calibration = self._fitted.calibration
        return 0 if calibration is None else len(calibration.scores)

    @property
    def n_parameters_(self) -> int:
        """Number of trained numbers in encoder, decoders and length model."""
        check_is_fitted(self)
        variables = self._network.variables
        return int(sum(np.prod(v.shape) for v in variables if v.trainable))

    @property
    def _n_features_out(self) -> int:
        return self._network.specification.latent_dim + self.scaler_.num_statistics

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.target_tags.required = False
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")

    def __getstate__(self) -> dict[str, Any]:
        # what fitting leaves travels as a saved model does; the rest is scikit-learn's
        everything: dict[str, Any] = super().__getstate__()  # pyright: ignore[reportAssignmentType]
        state = {
            name: value
            for name, value in everything.items()
            if not name.endswith("_") and name not in ("_fitted", "_sample")
        }
        if self.__sklearn_is_fitted__():
            self._remember()
            state["fitted"] = storage.dumps(self.get_params(deep=False), self._fitted)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        fitted = state.pop("fitted", None)
        super().__setstate__(state)
        if fitted is not None:
            self._set_fitted(storage.loads(fitted, "The pickled model")[1])

    def _set_fitted(self, fitted: Fitted, sample: Sequences | None = None) -> None:
        self._fitted, self._sample = fitted, sample
        self.encoder_, self.decoder_, self.autoencoder_ = fitted.network.models[:3]
        self.schema_ = fitted.schema
        self.scaler_ = fitted.scaler
        self.error_scaler_ = fitted.units
        self.latent_dim_ = fitted.network.specification.latent_dim
        self.max_steps_ = fitted.network.specification.max_steps
        self.patch_ = fitted.network.specification.patch
        self.discriminative_ = fitted.network.specification.rocket_dim
        self.forecaster_ = fitted.network.forecaster
        self.history_ = fitted.history
        self.best_epoch_ = None if fitted.best is None else fitted.best[0]
        self.start_loss_ = fitted.initial_loss
        self.n_features_in_ = fitted.schema.num_columns
        self.active_dimensions_ = fitted.active_dimensions

    def _known(self) -> ReferenceStatistics:
        """Return what is remembered of the training data."""
        self._remember()
        if self._fitted.known is None:
            raise ParameterError(
                "This model was saved without codes of its training data, which this needs. Fit "
                "and save it again."
            )
        return self._fitted.known

    def _remember(self) -> None:
        """Put in place of some of the training data what is remembered of it."""
        if self._sample is not None:
            self._fitted = self._fitted._replace(known=remember(self._sample, self._fitted))
            self._sample = None

    @property
    def _network(self) -> Network:
        return self._fitted.network


def load(path: str | os.PathLike[str]) -> SequenceAutoencoder:
    """Load a model that ``save`` or ``refold fit`` wrote.

    Parameters
    ----------
    path : path

    Returns
    -------
    SequenceAutoencoder

    Raises
    ------
    ModelFileError
        If the file is not a model, is cut short or changed, or comes from a newer version.
    MissingFileError
        If there is no such file.

    Examples
    --------
    >>> import tempfile, refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(
        ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
        ... )
    >>> path = tempfile.mkdtemp() + "/sines.refold"
    >>> ae.fit(sines).save(path)
    >>> bool((load(path).transform(sines) == ae.transform(sines)).all())
    True
    """
    parameters, fitted = storage.load(path)
    if unknown := set(parameters) - set(SequenceAutoencoder._get_param_names()):
        raise ModelFileError(
            f"{path} is of another version of Refold, with arguments that this one does not have: "
            f"{', '.join(sorted(unknown))}. Load it with that version."
        )
    ae = SequenceAutoencoder(**parameters)
    ae._set_fitted(fitted)
    return ae


def _remark_missing(sequences: Sequences, network: Network) -> None:
    """Say that values are missing which the model takes for the mean."""
    missing = int(np.isnan(sequences.values).sum())
    if missing and not network.specification.observed_flags:
        warnings.warn(
            f"{missing} value{' is' if missing == 1 else 's are'} missing, and the model was "
            "fitted on data without gaps: it reads them as the mean. Fit on data with gaps to "
            "have them told apart.",
            UserWarning,
            stacklevel=4,
        )


def _say_interrupted(outcome: FitResult, checkpoint: Checkpoint | None) -> str:
    if outcome.phase is None:
        kept = "nothing is kept"
    elif outcome.epoch == 0:
        kept = "kept is the linear start"
    else:
        kept = f"kept are the weights of epoch {outcome.epoch}"
    if checkpoint is None:
        return f"Training was interrupted; {kept}."
    done = outcome.history["epoch"]
    when = f"after epoch {done[-1]}" if done else "in the first epoch"
    return (
        f"Training was interrupted {when}. Its state is kept, and resume=True goes on from "
        f"{str(checkpoint.path)!r}."
    )
