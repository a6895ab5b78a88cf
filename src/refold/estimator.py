"""`SequenceAutoencoder`, the estimator, which calls the other packages in the right order."""

import os
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from refold import anomalies, fitting, storage
from refold._support.argument_checks import check_whole, draw_seed
from refold._support.estimator_html import NotebookMixin
from refold._support.optional_imports import check_training_packages
from refold._support.scikit_learn_protocol import as_output, check_fitted
from refold.anomalies import (
    AnomalyMixin,
    check_untrained,
    merge_fingerprints,
    set_aside,
    trained_fingerprints,
)
from refold.errors import DataError, ModelFileError, ParameterError, argument
from refold.evaluation import exact, explained_variance
from refold.forecasting import ForecastMixin
from refold.generation import GenerationMixin
from refold.inference import DecodedFeatures, warn_of_longer
from refold.sequences import MODEL_KEY, Sequences, as_sequences, fingerprints
from refold.storage import Fitted

if TYPE_CHECKING:
    from refold.fitting import Checkpoint
    from refold.models import Architecture
    from refold.training import FitResult

__all__ = ["SequenceAutoencoder", "load"]


class SequenceAutoencoder(
    ForecastMixin,
    AnomalyMixin,
    GenerationMixin,
    NotebookMixin,
):
    """LSTM autoencoder that encodes sequences of any length as fixed-size vectors and decodes them.

    Parameters
    ----------
    latent_dim : int or float, default=16
        Number of latent dimensions of a code (latent vector, embedding). A share above 0 and below
        1 asks for the smallest code that reaches it on held-out sequences, with the explained
        variance (1 - NMSE) of numeric columns and the accuracy of the others. This takes a few more
        fits, each with a tenth of ``time_budget``.
    units : int, default=96
        Units of each recurrent layer, in each direction.
    depth : int, default=1
        Number of recurrent layers in the encoder, and in the decoder.
    cell : {"lstm", "gru"}, default="lstm"
        Type of the recurrent layers. GRUs run on Keras's own loop, which is slower than the
        compiled kernel of the LSTMs.
    architecture : {"default", "repeat", "reshape", "dense"} or callable, default="default"
        The default model, one of the classic ones (`refold.models.classic`), or a callable that
        takes ``steps``, ``features``, ``outputs`` and ``latent_dim`` and returns an encoder and a
        decoder, which can be any Keras models. Only the default model uses ``units``, ``depth``,
        ``cell``, ``decoder``, ``patch``, ``rocket_dim``, ``forecast_steps``, ``latent_steps`` and
        ``variational``.
    decoder : {"auto", "parallel", "autoregressive"}, default="auto"
        A parallel decoder computes each step from the code and the position. An autoregressive
        decoder also reads the previous step: the true one in training (teacher forcing), and its
        own output afterwards. "auto" is autoregressive if no column is numeric, ``patch`` is 1 or
        "auto", and the sequence that an average step belongs to has at most 32 steps, or too many
        categories for a linear path.
    patch : int or "auto", default="auto"
        Number of steps that the LSTMs read and write at once, which makes long sequences shorter
        for them. "auto" is 1 if the sequence that an average step belongs to has at most 100
        steps, and otherwise the smallest power of two that leaves at most 64 patches. Needs a
        parallel decoder.
    rocket_dim : int or "auto", default="auto"
        Number of latent dimensions, the last ones, that hold ROCKET features: principal components
        of pooled random convolutions. They help to tell sequences apart by their patterns,
        wherever in the sequence these occur, but reconstruct less than other dimensions. "auto" is
        0 unless they cost nothing: it is 8 if ``latent_dim`` is an integer of at least 32, a column
        is numeric, and principal components reconstruct held-out sequences as well without the last
        8 of them. Not for variational models, nor by default if the input is corrupted. To
        classify sequences or search among them, see ``features``, which costs no dimension.
    length_dim : {0, 1} or "auto", default="auto"
        With 1, a latent dimension holds the length of a sequence: its standardized logarithm, after
        the learned dimensions and before the ROCKET features. Lengths are then exact. With 0, they
        are predicted from the code. "auto" is 1 if lengths differ and ``latent_dim`` is an integer
        of at least 8. Only for the default architecture, and not for variational models.
    forecast_steps : int, default=0
        Number of steps to forecast after a sequence, for ``forecast``. A second decoder learns to
        predict them from the same code and the last steps. It is trained afterwards, so that codes
        and reconstructions are those of a model without it.
    scale : {"features", "sequence"} or None, default="features"
        Standardize numeric features over the training data; or each sequence by itself, with the
        mean and the log standard deviation of each feature appended to the code; or not at all.
    missing_values : float or list of float, optional
        Numbers that stand for missing values in numeric columns, such as ``[-99999]``, in addition
        to NaN. The model remembers them and treats them as missing in all later data.
    warm_start : bool, default=False
        Continue a second ``fit`` from the fitted weights, instead of a new initialization. Columns,
        categories, scaling and sizes stay, and an argument that contradicts them is refused. The
        weights of the epoch with the smallest validation loss are kept, which can be the weights
        before. Everything else describes the data of the last ``fit``: ``history_``, the statistics
        for ``detect``, ``drift`` and ``sample``, and the calibration, which is removed without
        ``calibration_fraction``. Give old and new data together if the model has to keep what it
        learned before.
    max_epochs : int, optional
        By default enough for 4000 steps, and at least 30.
    batch_size : int, optional
        Number of sequences of average length in a training step. If lengths differ, a batch has
        sequences of similar length, and all batches have about the same number of steps. The
        default is 32, or 64 if there are at least 2000 training sequences.
    learning_rate : float, default=0.003
        Highest learning rate, after the warm-up and before the decay.
    optimizer : str or keras.optimizers.Optimizer, optional
        The name of an optimizer, or an optimizer. An optimizer keeps its own learning rate, and
        ``learning_rate`` is not used. The default is AdamW with clipped gradients.
    validation_fraction : float, default=0.1
        Share of the sequences held out to choose the epoch whose weights are kept; 0 for none.
    calibration_fraction : float, default=0.0
        Share of the sequences that are set aside before anything else to calibrate ``detect`` and
        the bounds of ``forecast``. The choice does not depend on ``random_state``. Not for data
        from files.
    patience : int, optional
        Epochs without a better validation loss before training stops. The default is a tenth of
        ``max_epochs``, and up to a quarter while the validation loss still falls. Schedules below
        500 epochs wait longer: 50 epochs or a quarter, whichever is less, and at least 20 epochs.
    refit : {"auto", True, False}, default="auto"
        Train again from the same initialization on all sequences, for as many steps as the best
        epoch took. "auto" does so if there are fewer than 2000 sequences, but not if ``warm_start``
        continues a fit. The validated weights are kept if the refit runs out of time, is stopped by
        Ctrl-C or a callback, or its loss becomes NaN.
    latent_steps : int or "auto", default="auto"
        Steps of latent optimization in ``transform``: each step changes the encoder's code so that
        the decoder reconstructs the sequence better, and takes about as long as two passes of the
        decoder. 0 keeps the encoder's code. "auto" is 10 if there are fewer than 2000 training
        sequences or no column is numeric, and 0 otherwise, for data from files, and if it does not
        lower the held-out error by at least 0.5 %. Not for variational models. A change
        after ``fit`` takes effect at once.
    time_budget : float, optional
        Seconds for training, initialization and refit included. The learning rate decays within
        this time. Measuring held-out sequences afterwards, with latent optimization and without,
        takes extra time.
    time_warp : float or "auto", default="auto"
        Standard deviation, in steps, of random time warps of the training sequences: in each epoch,
        three quarters of them run slightly earlier or later. 0 for none. "auto" warps them if the
        warped copies of fewer than 600 numeric sequences look like other sequences of the data.
        Only for numeric columns.
    denoise : float or str, default=0.0
        Train on corrupted input to reconstruct the original sequence: the standard deviation of
        noise added to scaled numeric values; or time-step dropout, such as ``"steps:0.2"`` to treat
        that share of the steps as missing; or both, ``"0.3,steps:0.2"``. With time-step dropout
        the model can read gaps. The validation loss uses corrupted input, too. Input is not
        corrupted after training.
    variational : bool, default=False
        Train a variational autoencoder [1]_: codes follow about N(0, 1), so that ``sample`` can
        draw sequences. ``transform`` returns the mean of a code.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the weights, the split, the order of the data, and everything else that is random
        in training.
    verbose : {0, 1}, default=0
        1 shows a progress bar on standard error, and at the end the held-out NMSE and accuracy
        next to those of PCA.

    Attributes
    ----------
    encoder_, decoder_, autoencoder_ : keras.Model
        The fitted models, which share their weights and use scaled values. An autoregressive
        ``decoder_`` reads codes and sequences and predicts each step from the true previous steps,
        and so does ``autoencoder_``; `refold.models.decode_autoregressively` runs such a decoder
        on its own output.
    latent_dim_ : int
        Number of latent dimensions, also if ``latent_dim`` is a share.
    schema_ : Schema
        Columns, column types, categories and layout of the training data.
    scaler_ : Scaler
        Scaling of the numeric columns.
    error_scaler_ : Scaler
        Standardizes by feature, whatever ``scale`` is. Errors are measured in these units.
    max_steps_ : int
        Longest training length, which is the number of steps that ``decoder_`` writes.
    patch_ : int
        Number of steps in a patch, also if ``patch`` is "auto".
    rocket_dim_ : int
        Number of latent dimensions that hold ROCKET features, also if ``rocket_dim`` is "auto".
    length_dim_ : int
        Number of latent dimensions that hold the length, also if ``length_dim`` is "auto".
    length_index_ : int or None
        Index of the latent dimension that holds the length; None if there is none.
    latent_steps_ : int
        Steps of latent optimization, also if ``latent_steps`` is "auto".
    autoregressive_ : bool
        Whether the decoder is autoregressive, also if ``decoder`` is "auto".
    forecaster_ : keras.Model or None
        With ``forecast_steps``: maps codes and recent values to the scaled steps that follow.
    history_ : dict of lists
        One entry per epoch: ``"epoch"``, ``"phase"`` (``"validated"`` or ``"refit"``), ``"loss"``,
        ``"val_loss"`` (None in the refit), ``"learning_rate"``, ``"seconds"``.
    best_epoch_ : int or None
        Epoch with the smallest validation loss. Its weights are kept, or the refit takes as many
        steps. 0 if the initial weights were best, or were kept because the held-out error of the
        trained ones was larger than theirs and that of PCA, or because the error of the trained
        ones on training sequences was larger; None without validation.
    initial_loss_ : float or None
        Validation loss of the linear initialization, or with ``warm_start`` of the weights before,
        before the first epoch; None if there was neither.
    interrupted_ : bool
        Whether Ctrl-C ended the training early. Not saved.
    n_shapes_ : int
        Number of padded shapes of training batches, at most 8. A training step was compiled for
        each. Not saved.
    n_features_in_ : int
        Number of columns.
    model_hash_ : str
        Hash of all that codes depend on: columns, scaling and weights, but not the calibration.
        Tables and files of codes have it, so that another model does not decode them.
    active_dimensions_ : int or None
        With ``variational=True``: number of latent dimensions whose means have a variance above
        0.01 over the training data [2]_, or over 4096 sequences of it.

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
        architecture: "Architecture" = "default",
        decoder: str = "auto",
        patch: int | str = "auto",
        rocket_dim: int | str = "auto",
        length_dim: int | str = "auto",
        forecast_steps: int = 0,
        scale: str | None = "features",
        missing_values: Any = None,
        warm_start: bool = False,
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
        time_warp: float | str = "auto",
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
        self.length_dim = length_dim
        self.forecast_steps = forecast_steps
        self.scale = scale
        self.missing_values = missing_values
        self.warm_start = warm_start
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
        self.time_warp = time_warp
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
        checkpoint: "str | os.PathLike[str] | Checkpoint | None" = None,
        resume: bool = False,
    ) -> Self:
        """Train on sequences.

        Parameters
        ----------
        X : Sequences, list of arrays of shape (length, features), array, table, path or Scan
            Anything that `refold.sequences.as_sequences` takes; or a file or a folder of Parquet
            files, which may be larger than memory; or a ``Scan`` of such; or a
            ``pyarrow.RecordBatchReader``, or a function that returns batches of rows, as for
            `refold.sequences.read_batches`.
        y : ignored
            Not used; scikit-learn passes it.
        callbacks : sequence of keras.callbacks.Callback
            Their ``model`` is ``autoencoder_``. Weights, learning rate and ``stop_training`` are
            read after each call; a new learning rate scales the rest of the schedule. The refit is
            a training of its own with epochs from 0, and ``params["phase"]`` of a callback is
            "validated" or "refit". A callback that stops the refit leaves the validated weights.
            Callbacks with batch hooks slow training down.
        checkpoint : path or Checkpoint, optional
            File for the state of the training. It is written every minute and on interruption.
        resume : bool, default=False
            Continue from the checkpoint if the file exists. The result has the same bits as an
            uninterrupted training.

        Returns
        -------
        SequenceAutoencoder

        Raises
        ------
        ParameterError
            If an argument of the constructor is invalid, Keras does not run on JAX, the checkpoint
            belongs to another training or is written by another process, or ``latent_dim`` is a
            share and no sequence is held out.
        DataError
            If the sequences cannot be used.
        ModelFileError
            If the checkpoint cannot be read.
        FileAccessError
            If the checkpoint cannot be written. This is checked before training.
        DivergedError
            If the loss became NaN before any weights could be kept.
        KeyboardInterrupt
            On Ctrl-C, after the current chunk of steps. The estimator then has the best weights so
            far, or none during the choice of ``latent_dim``. A second Ctrl-C does not wait.

        Warns
        -----
        UserWarning
            If the data looks wrong: numbers such as -99999, values far from all others, only
            sequences of one step, or padding with zeros. Or if ``latent_dim`` is more than the
            values of the longest sequence and its length can fill.
        """
        warm = self._fitted if self.warm_start and self.__sklearn_is_fitted__() else None
        parameters = self.get_params(deep=False)
        return self._train(X, parameters, warm, callbacks, checkpoint, resume=resume)

    def partial_fit(self, X: Any, y: Any = None, *, num_epochs: int = 1) -> Self:  # noqa: ARG002
        """Train on more sequences for a few epochs, from the fitted weights.

        The first call creates the model from its sequences: columns, categories, scaling, sizes and
        initialization. Later calls keep all of these. There is no validation, so the error can
        rise: a ``fit`` with ``warm_start`` takes longer and keeps the best weights.

        Parameters
        ----------
        X : Sequences, list of arrays of shape (length, features), array, table, path or Scan
            Data with the columns of the first call, as for ``fit``.
        y : ignored
            Not used; scikit-learn passes it.
        num_epochs : int, default=1
            Passes over these sequences. The learning rate rises and decays within them.

        Returns
        -------
        SequenceAutoencoder

        Raises
        ------
        ParameterError
            If an argument of the constructor is invalid or contradicts the fitted model, or
            ``latent_dim`` is a share in the first call.
        DataError
            If the sequences cannot be used.
        DivergedError
            If the loss became NaN. The model is then as before.

        Notes
        -----
        The statistics for ``detect`` and ``sample`` describe the sequences of the last call, so
        give at least some hundred. Calibration, forecast bounds and the errors for ``drift`` are
        removed, because the weights have changed; call ``calibrate`` after the last call.

        Examples
        --------
        >>> import refold
        >>> sines = refold.datasets.noisy_sines(80, seed=0, min_steps=30, max_steps=30)
        >>> ae = refold.SequenceAutoencoder(4, units=8, latent_steps=0, random_state=0)
        >>> ae.partial_fit(sines[:40]).partial_fit(sines[40:]).transform(sines).shape
        (80, 4)
        """
        passes = {
            "max_epochs": check_whole("num_epochs", num_epochs),
            "validation_fraction": 0.0,
            "calibration_fraction": 0.0,
            "refit": False,
        }
        warm = self._fitted if self.__sklearn_is_fitted__() else None
        return self._train(X, self.get_params(deep=False) | passes, warm)

    def _train(
        self,
        X: Any,
        parameters: dict[str, Any],
        warm: Fitted | None,
        callbacks: Sequence[Any] = (),
        checkpoint: "str | os.PathLike[str] | Checkpoint | None" = None,
        *,
        resume: bool = False,
    ) -> Self:
        """Train with these arguments, from the fitted state ``warm`` if there is one."""
        missing_values = self.missing_values
        if warm is None:
            fitting.check_parameters(parameters)
        else:
            # a model with the architecture "custom" was loaded, and the class is not known
            fitting.check_parameters(
                {k: v for k, v in parameters.items() if (k, v) != ("architecture", "custom")}
            )
            fitting.check_same_model(parameters, warm)
            missing_values = list(warm.schema.missing) or None
        if resume and checkpoint is None:
            raise ParameterError("resume=True needs a checkpoint. Name it with checkpoint=.")
        sequences = fitting.open_training(X, missing_values, stacklevel=4)
        if warm is not None:
            sequences = fitting.align_further(sequences, warm.schema)
        if not len(sequences):
            raise DataError("There is no sequence to fit on. Give at least one.")
        sequences, normal = set_aside(sequences, parameters["calibration_fraction"])
        if normal is not None and warm is not None:
            check_untrained(normal, warm.trained)
        if checkpoint is not None and not isinstance(checkpoint, fitting.Checkpoint):
            checkpoint = fitting.Checkpoint(checkpoint)
        fitted, outcome, sample = fitting.fit(
            sequences,
            parameters,
            seed=draw_seed(self.random_state),
            callbacks=callbacks,
            checkpoint=checkpoint,
            resume=resume,
            aside=None if normal is None else normal.lengths,
            warm=warm,
        )
        self.interrupted_ = outcome.interrupted
        self.n_shapes_ = outcome.num_shapes
        if fitted is not None and sample is not None:
            if normal is not None:
                both = [fitted.held_back, fingerprints(normal)]
                fitted = fitted._replace(held_back=np.concatenate(both))
            held_back = fitted.held_back
            trained = trained_fingerprints(sequences, held_back)
            if warm is not None:
                before = warm.held_back, warm.trained
                held_back, trained = merge_fingerprints(held_back, trained, before)
            self._set_fitted(fitted._replace(held_back=held_back, trained=trained))
            self._fitted = self._fitted._replace(known=anomalies.remember(sample, self._fitted))
        if outcome.interrupted and not outcome.complete:
            raise KeyboardInterrupt(_describe_interruption(outcome, checkpoint))
        return self if normal is None else self._measure_normal(self._aligned(normal))

    def transform(self, X: Any) -> np.ndarray:
        """Encode sequences.

        Parameters
        ----------
        X : Sequences, list of arrays, array, table, path or Scan
            Data with the columns of the training data.

        Returns
        -------
        array of float32 of shape (n_sequences, latent_dim)
            One code per sequence. With ``scale="sequence"`` the mean and the log standard deviation
            of each numeric feature are appended.

        Raises
        ------
        SchemaError
            If the columns differ from those of the training data.
        DataError
            If the sequences cannot be used.

        Warns
        -----
        UserWarning
            If sequences are longer than the longest in training, or many values are far outside of
            the training data, as in other units.

        Notes
        -----
        A code of the default model with LSTMs has the same bits whatever other sequences are
        encoded with it, in whatever order. With GRUs or another architecture, it changes by at
        most 1e-5 of its standard deviation if ``latent_steps=0``.
        """
        source = self._opened(X, "codes")
        codes = as_output(self, np.concatenate([codes for codes, _ in self._encoded(source)]), X)
        if hasattr(codes, "attrs"):  # a pandas frame
            codes.attrs[MODEL_KEY] = self.model_hash_
        return codes

    def encode_blocks(self, X: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Encode sequences block by block, for data or codes that are larger than memory.

        Parameters
        ----------
        X : path or Scan, or anything that ``transform`` takes
            Sequences in memory are one block.

        Yields
        ------
        codes : array of float32 of shape (n_sequences in the block, width of the code)
            As ``transform`` returns them.
        ids : array of shape (n_sequences in the block,)
            Ids of the sequences.

        Raises
        ------
        SchemaError
            If the columns differ from those of the training data.
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
            Codes, as ``transform`` returns them.
        lengths : array of int of shape (n_sequences,), optional
            Length of each sequence. By default it is predicted from the code.
        clip : bool, default=False
            Clip each numeric column to its range in the training data.

        Returns
        -------
        list
            One sequence per code, in the layout and units of the training data: arrays of shape
            (length, features) or (length,), lists of tokens, or strings.

        Raises
        ------
        DataError
            If the codes or lengths have the wrong shape or are not finite, or a decoded value
            overflows float32.

        Warns
        -----
        UserWarning
            If lengths exceed the longest in training (predicted lengths by more than a tenth),
            codes are more than 1000 standard deviations from those of training, or ``clip`` is set
            and the model file has no column ranges.
        """
        check_fitted(self)
        codes = self._checked_codes(X)
        decoded = self._decode(codes, lengths, clip=clip)
        if (line := self._far_codes(codes)) is not None:
            warnings.warn(f"{line} What they decode to may be far off.", UserWarning, stacklevel=2)
        if lengths is None:
            predicted = np.array([len(one) for one in decoded], int)
            warn_of_longer(predicted, self.max_steps_, "predictions")
        return decoded

    def encode(self, X: Any) -> np.ndarray:
        """Encode sequences: the same as ``transform``, but always returns an array."""
        return np.asarray(self.transform(X))

    def decode(self, codes: Any, lengths: Any = None, *, clip: bool = False) -> list[Any]:
        """Decode codes: the same as ``inverse_transform``."""
        return self.inverse_transform(codes, lengths, clip=clip)

    def features(self, codes: Any) -> np.ndarray:
        """Decode codes and describe the decoded sequences, for classifiers, clustering and search.

        A code says where a sequence is at each step, and a linear classifier often cannot find a
        label in it. These features say what the decoded sequence does, whenever it does it: they
        are ROCKET features [3]_, pooled random convolutions, standardized over the decoded training
        sequences. They are computed from nothing but the code.

        Parameters
        ----------
        codes : array of shape (n_sequences, width of the code)
            Codes, as ``transform`` returns them.

        Returns
        -------
        array of float32 of shape (n_sequences, 1026)
            The size and the length of each decoded sequence and 1024 pooled convolutions. With
            ``scale="sequence"`` the mean and the log standard deviation of each numeric feature are
            appended.

        Raises
        ------
        DataError
            If the codes have the wrong shape or are not finite.
        ParameterError
            If the model file has no codes of the training data.

        Notes
        -----
        The first call also decodes up to 256 training sequences, whose codes the model has.

        References
        ----------
        .. [3] A. Dempster, F. Petitjean and G. I. Webb, "ROCKET: exceptionally fast and accurate
           time series classification using random convolutional kernels", Data Mining and Knowledge
           Discovery 34, 2020.

        Examples
        --------
        >>> import refold
        >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
        >>> ae = refold.SequenceAutoencoder(
        ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
        ... )
        >>> ae.features(ae.fit_transform(sines)).shape
        (40, 1026)
        """
        check_fitted(self)
        codes = self._checked_codes(codes)
        if self._decoded_features is None:
            self._decoded_features = DecodedFeatures(self._known().codes, self._network)
        return self._decoded_features(codes)

    def reconstruct(self, X: Any, *, codes: Any = None, clip: bool = False) -> list[Any]:
        """Encode sequences and decode the codes.

        The length of a reconstruction is predicted from the code. Sequences longer than
        ``max_steps_`` keep their own length, because the model never saw such a length; a warning
        counts them.

        Parameters
        ----------
        X : Sequences, list of arrays, array, table, path or Scan
            Data with the columns of the training data.
        codes : array of shape (n_sequences, width of the code), optional
            Codes of the sequences, if you have them already.
        clip : bool, default=False
            Clip each numeric column to its range in the training data.

        Returns
        -------
        list
            Reconstructions, as ``inverse_transform`` returns them.

        Raises
        ------
        SchemaError
            If the columns differ from those of the training data.
        DataError
            If the sequences cannot be used, or the number of codes differs from theirs.

        Warns
        -----
        UserWarning
            If sequences are longer than the longest in training, many values are far outside of the
            training data, or ``clip`` is set and the model file has no column ranges.

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
            raise DataError(f"Got {len(codes)} codes for {len(source)} sequences. Give one each.")
        return self._decode(codes, known=source.lengths, clip=clip)

    def score(self, X: Any, y: Any = None) -> float:  # noqa: ARG002
        """Return the explained variance of the reconstructions: 1 - NMSE of the numeric columns.

        If no column is numeric, return the share of sequences that are reconstructed exactly,
        length included. 1 is perfect. The reconstructions are those of ``reconstruct``: a missing
        step counts as zero in standardized units, and an extra step is ignored.
        `refold.evaluation.fidelity` measures numeric and other columns side by side.

        Parameters
        ----------
        X : Sequences, list of arrays, array or table
            Data with the columns of the training data.
        y : ignored
            Not used; scikit-learn passes it.

        Returns
        -------
        float

        Warns
        -----
        UserWarning
            As ``reconstruct`` does. Values in other units are as wrong as their errors, so their
            score can be high.
        """
        check_fitted(self)
        sequences = as_sequences(X, schema=self.schema_)
        reconstructed = self.reconstruct(sequences)
        if not self.schema_.numeric.any():
            return exact(sequences, reconstructed)
        return explained_variance(sequences, reconstructed, self.error_scaler_)

    def calibrate(self, normal: Any) -> Self:
        """Calibrate ``detect`` and the bounds of ``forecast`` with normal sequences.

        ``fit`` does this if ``calibration_fraction`` sets sequences aside.

        Parameters
        ----------
        normal : Sequences, list of arrays, array or table
            Sequences without anomalies. The model must not have been trained on them: it
            reconstructs training sequences better than new ones, which would all look anomalous. A
            false alarm rate ``alpha``, or a share ``alpha`` of values outside the bounds of a
            forecast, needs at least ``1 / alpha - 1`` of them.

        Returns
        -------
        SequenceAutoencoder

        Raises
        ------
        DataError
            If there is no sequence, they cannot be used, or all are training sequences.
        ParameterError
            If the model file has no codes of the training data.

        Warns
        -----
        UserWarning
            If some of them are training sequences.
        """
        check_fitted(self)
        sequences = self._in_memory(normal)
        check_untrained(sequences, self._fitted.trained)
        return self._measure_normal(sequences)

    def _measure_normal(self, sequences: Sequences) -> Self:
        """Calibrate with checked sequences."""
        self._calibrate(sequences)
        if self._network.specification.forecast_steps and self.schema_.numeric.any():
            self._fitted = self._fitted._replace(residuals=self._residuals(sequences))
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one file, atomically.

        Parameters
        ----------
        path : path
            By convention it ends in ``.refold``.
        """
        check_fitted(self)
        storage.save(path, self.get_params(deep=False), self._fitted)

    @property
    def latent_steps_(self) -> int:
        """Steps of latent optimization, for the current value of ``latent_steps``.

        Raises
        ------
        ParameterError
            If ``latent_steps`` was set to an invalid value, or the model has no latent
            optimization.
        """
        check_fitted(self)
        if self.latent_steps == "auto":
            return self._fitted.latent_steps
        built = self._network.specification
        return fitting.check_latent_steps(
            self.latent_steps, built.architecture, variational=built.variational
        )

    @property
    def autoregressive_(self) -> bool:
        """Whether the decoder is autoregressive, also if ``decoder`` is "auto"."""
        check_fitted(self)
        return self._network.autoregressive

    @property
    def num_calibrated_(self) -> int:
        """Number of normal sequences that calibrate ``detect``."""
        check_fitted(self)
        calibration = self._fitted.calibration
        return 0 if calibration is None else len(calibration.scores)

    @property
    def encoder_(self) -> Any:
        """Keras model from scaled and padded sequences to codes, built at the first access."""
        return self._keras_models().models.encoder

    @property
    def decoder_(self) -> Any:
        """Keras model from codes to scaled sequences, built at the first access."""
        return self._keras_models().models.decoder

    @property
    def autoencoder_(self) -> Any:
        """Keras model of both, built at the first access."""
        return self._keras_models().models.autoencoder

    @property
    def forecaster_(self) -> Any:
        """Keras model from codes to the steps that follow, or None."""
        return self._keras_models().forecaster

    def _keras_models(self) -> Any:
        check_fitted(self)
        check_training_packages("A Keras model")
        # not at the top, because all else runs without Keras
        from refold.models import keras_models

        return keras_models(self._network)

    @property
    def n_parameters_(self) -> int:
        """Number of trainable parameters in encoder, decoders and length model."""
        check_fitted(self)
        return self._network.num_parameters

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.target_tags.required = False
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def __getstate__(self) -> dict[str, Any]:
        # the fitted state is stored as bytes of a model file
        everything: dict[str, Any] = super().__getstate__()  # pyright: ignore[reportAssignmentType]
        state = {
            name: value
            for name, value in everything.items()
            if not name.endswith("_") and name not in ("_fitted", "_decoded_features")
        }
        if self.__sklearn_is_fitted__():
            state["fitted"] = storage.dumps(self.get_params(deep=False), self._fitted)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        fitted = state.pop("fitted", None)
        vars(self).update(state)
        if fitted is not None:
            self._set_fitted(storage.loads(fitted, "The pickled model")[1])

    def _set_fitted(self, fitted: Fitted) -> None:
        self._fitted = fitted
        self._decoded_features: DecodedFeatures | None = None
        self.schema_ = fitted.schema
        self.scaler_ = fitted.scaler
        self.error_scaler_ = fitted.units
        self.latent_dim_ = fitted.network.specification.latent_dim
        self.max_steps_ = fitted.network.specification.max_steps
        self.patch_ = fitted.network.specification.patch
        self.rocket_dim_ = fitted.network.specification.rocket_dim
        self.length_dim_ = fitted.network.specification.length_dim
        self.length_index_ = fitted.network.specification.length_index
        self.history_ = fitted.history
        self.best_epoch_ = None if fitted.best is None else fitted.best[0]
        self.initial_loss_ = fitted.initial_loss
        self.n_features_in_ = fitted.schema.num_columns
        self.active_dimensions_ = fitted.active_dimensions


def load(path: str | os.PathLike[str]) -> SequenceAutoencoder:
    """Load a model that ``save`` or ``refold fit`` wrote.

    Parameters
    ----------
    path : path
        File to read.

    Returns
    -------
    SequenceAutoencoder

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
            f"{path} comes from another version of Refold, with arguments that this version does "
            f"not have: {', '.join(sorted(unknown))}. Load it with that version."
        )
    ae = SequenceAutoencoder(**parameters)
    ae._set_fitted(fitted)
    return ae


def _describe_interruption(outcome: "FitResult", checkpoint: "Checkpoint | None") -> str:
    if outcome.phase is None:
        kept = "no weights are kept"
    elif outcome.epoch == 0:
        kept = "the initial weights are kept"
    else:
        kept = f"the weights of epoch {outcome.epoch} are kept"
    if checkpoint is None:
        return f"Training was interrupted; {kept}."
    done = outcome.history["epoch"]
    when = f"after epoch {done[-1]}" if done else "in the first epoch"
    return (
        f"Training was interrupted {when}. Its state is saved; {argument(resume=True)} continues "
        f"from {str(checkpoint.path)!r}."
    )
