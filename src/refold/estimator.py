"""`SequenceAutoencoder` fits a `Model`, and uses it through the methods of scikit-learn.

`SequenceFeatures` is a transformer whose output suits classifiers. `error_curve` fits autoencoders
with several numbers of latent dimensions.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from refold._support.arrays import to_integer_seed
from refold._support.messages import print_stderr
from refold._support.optional_imports import check_training_packages
from refold._support.rules import check_has_attribute, check_integer, check_not_empty
from refold.arguments import Arguments
from refold.errors import Message, ModelFileError, NotFittedError, ParameterError, argument
from refold.evaluation import ErrorCurve, Fidelity, ForecastErrors
from refold.model import Detection, Drift, Forecast, Model, SequencesLike, Stream, read_user_data
from refold.sequences import MODEL_HASH_KEY, Sequences, Windows, pad

try:
    from sklearn import get_config
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
    from sklearn.exceptions import NotFittedError as ScikitLearnNotFittedError
except ModuleNotFoundError:
    check_training_packages("SequenceAutoencoder")
    raise

if TYPE_CHECKING:
    from refold.network.keras.build import Architecture
    from refold.training import Checkpoint, Fit

__all__ = ["SequenceAutoencoder", "SequenceFeatures", "error_curve"]


class SequenceAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """LSTM autoencoder that encodes sequences of any length as fixed-size vectors and decodes them.

    Parameters
    ----------
    latent_dim : int or float, default=16
        Number of latent dimensions of a code (latent vector, embedding). A share above 0 and below
        1, such as 0.9, asks for the smallest code that reaches this share on held-out sequences.
        The share is the explained variance (1 - NMSE) of numeric columns, and the accuracy of the
        others. This takes a few more fits, each with a tenth of ``time_budget``.
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
        own output afterwards. It needs LSTMs. "auto" is autoregressive if no column is numeric,
        ``patch`` is 1 or "auto", and either the mean length, weighted by length, is at most 32
        steps, or a linear layer from the code to all categories of all steps would be too large.
    patch : int or "auto", default="auto"
        Number of steps that the LSTMs read and write at once, which makes long sequences shorter
        for them. "auto" is 1 if the mean length, weighted by length, is at most 100 steps.
        Otherwise it is the smallest power of two with which a sequence of this length has at most
        64 patches. Needs a parallel decoder.
    rocket_dim : int or "auto", default="auto"
        Number of latent dimensions, the last ones of a code, that hold ROCKET features. These are
        principal components of pooled random convolutions. They help to tell sequences apart by
        patterns, wherever in the sequence these occur, but reconstruct less than other dimensions.
        "auto" is 8 if this costs nothing: if ``latent_dim`` is an integer of at least 32, a column
        is numeric, and principal components reconstruct held-out sequences as well without the last
        8 of them. Otherwise, and if the input is corrupted, it is 0. Not for variational models.
        To classify sequences or search among them, see ``features``, which costs no dimension.
    length_dim : {0, 1} or "auto", default="auto"
        With 1, a latent dimension holds the length of a sequence: its standardized logarithm, after
        the learned dimensions and before the ROCKET features. Lengths are then exact. With 0, they
        are predicted from the code. "auto" is 1 if lengths differ and ``latent_dim`` is an integer
        of at least 8. Only for the default architecture, and not for variational models.
    nested : bool, default=False
        Train the code so that its first dimensions decode alone, too: half of the training
        sequences are decoded from all learned dimensions, a quarter from the first half, and so on
        (nested dropout [3]_). `Model.with_dims` takes fewer dimensions of the fitted model. Only
        for the default architecture, and not for variational models.
    forecast_steps : int, default=0
        Number of steps to forecast after a sequence, for ``forecast``. A second decoder learns to
        predict them from the same code and the last steps. It is trained afterwards, so that codes
        and reconstructions are those of a model without the second decoder.
    window : int, optional
        Cut longer series into windows of this number of steps, here and in all methods of the
        fitted model. A file, a table or an array of one or two axes without ids is then one series.
        An array of two axes has the shape (steps, features). Validation and calibration windows
        share no step with those of training: whole series are held out if there are at least ten,
        and otherwise the last steps of each series.
    step : int, optional
        Steps from the start of a window to the next; by default a quarter of ``window``.
    scale : {"features", "sequence"} or None, default="features"
        "features" standardizes numeric features over the training data. "sequence" standardizes
        each sequence by itself, and appends the mean and the log standard deviation of each feature
        to the code. None does not scale.
    missing_values : float or list of float, optional
        Numbers that stand for missing values in numeric columns, such as ``[-99999]``, in addition
        to NaN. The model remembers them and treats them as missing in all later data.
    warm_start : bool, default=False
        Continue a second ``fit`` from the fitted weights, instead of a new initialization. Columns,
        categories, scaling and sizes stay, and an argument that contradicts them is refused. The
        weights of the epoch with the smallest validation loss are kept; if no epoch was better,
        these are the weights before the fit. Everything else describes the data of the last
        ``fit``: ``history_``, the statistics for ``detect`` and ``drift``, and the calibration,
        which is removed without ``calibration_fraction``. Give old and new data together if the
        model has to keep what it learned before.
    max_epochs : int, optional
        Maximum number of epochs. The default is enough for 4000 training steps, and at least 30. An
        epoch of data larger than memory has at most 2^24 time steps, and the default is then enough
        for 30 passes over the data.
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
        the bounds of ``forecast``, independently of ``random_state``. Not for data from files.
    patience : int, optional
        Epochs without a better validation loss before training stops. The default is a quarter
        of the epochs, and at least 50.
    refit : {"auto", True, False}, default="auto"
        Train again from the same initialization on all sequences, for as many steps as there were
        up to the best epoch. "auto" does so if there are fewer than 2000 sequences, but not if
        ``warm_start`` continues a fit. The validated weights are kept if the refit runs out of
        time, is stopped by Ctrl-C or a callback, or its loss becomes NaN.
    latent_steps : int or "auto", default="auto"
        Steps of latent optimization in ``transform``: each step changes the encoder's code so that
        the decoder reconstructs the sequence better, and takes about as long as two passes of the
        decoder. 0 keeps the encoder's code. "auto" is 0 for data from files, and if 10 steps do not
        lower the held-out error by at least 0.5 %. For all other data, it is 10 if there are fewer
        than 2000 training sequences or no column is numeric, and else 0. Not for variational models
        and GRUs. A change after ``fit`` takes effect at once.
    time_budget : float, optional
        Seconds for training, including initialization and refit. The learning rate decays within
        this time. Measuring the held-out sequences afterwards takes extra time.
    time_warp : float or "auto", default="auto"
        Standard deviation, in steps, of random time warps of the training sequences: in each epoch,
        three quarters of the sequences run slightly earlier or later. 0 is for no warps. "auto"
        warps sequences if there are fewer than 600, and the warped copies look like other sequences
        of the data. Only for numeric columns.
    denoise : float or str, default=0.0
        Train on corrupted input to reconstruct the original sequence. A number is the standard
        deviation of noise that is added to scaled numeric values. ``"steps:0.2"`` is time-step
        dropout: it treats this share of the steps as missing. ``"0.3,steps:0.2"`` is both. With
        time-step dropout, the model can read gaps. The validation loss uses corrupted input, too.
        Input is not corrupted after training.
    variational : bool, default=False
        Train a variational autoencoder [1]_: codes follow about N(0, 1), so that random codes
        from N(0, 1) decode to new sequences. ``transform`` returns the mean of a code.
    random_state : int, RandomState, Generator or None, default=None
        Seed of all that is random in training: the weights, the split, the order of the data.
    verbose : {0, 1}, default=0
        1 shows a progress bar on standard error. At the end, it shows the held-out NMSE and
        accuracy next to those of PCA, and what would lower the error.

    Attributes
    ----------
    model_ : Model
        The fitted model. Most methods of the estimator are its methods.
    encoder_, decoder_, autoencoder_ : keras.Model
        The fitted models, which share their weights and use scaled values. An autoregressive
        ``decoder_`` reads codes and sequences and predicts each step from the true previous steps,
        and so does ``autoencoder_``; `refold.models.decode_autoregressively` runs such a decoder
        on its own output.
    latent_dim_, patch_, rocket_dim_, length_dim_, latent_steps_ : int
        What ``fit`` chose if the argument of the same name is "auto" or a share; else the argument.
    schema_, scaler_, error_scaler_ : Schema, Scaler, Scaler
        Attributes of ``model_``: the columns, their scaling, and the units of its errors.
    max_steps_ : int
        Longest training length, which is the number of steps that ``decoder_`` writes.
    history_ : dict of lists
        Each list has one entry per epoch: ``"epoch"``, ``"phase"`` (``"validated"`` or
        ``"refit"``), ``"loss"``, ``"val_loss"`` (None in the refit), ``"learning_rate"``,
        ``"seconds"``.
    best_epoch_ : int or None
        Epoch with the smallest validation loss. Its weights are kept, or the refit takes as many
        steps as up to this epoch. 0 if the initial weights were kept; None without validation.
    initial_loss_ : float or None
        Validation loss before the first epoch: of the linear initialization or, with
        ``warm_start``, of the weights of the earlier fit. None if there was neither.
    interrupted_ : bool
        Whether Ctrl-C ended the training early. Not saved.
    n_shapes_ : int
        Number of shapes to which training batches were padded, at most 8. A training step was
        compiled for each shape. Not saved.
    n_features_in_ : int
        Number of columns.
    n_parameters_ : int
        Number of trainable parameters in encoder, decoders and length model.
    active_dimensions_ : int or None
        With ``variational=True``: number of latent dimensions whose means have a variance above
        0.01 over the training data [2]_, or over 4096 of the sequences if there are more.

    References
    ----------
    .. [1] D. P. Kingma and M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014.
    .. [2] Y. Burda, R. Grosse and R. Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016.
    .. [3] O. Rippel, M. Gelbart and R. Adams, "Learning Ordered Representations with Nested
       Dropout", ICML 2014.

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
        nested: bool = False,
        forecast_steps: int = 0,
        window: int | None = None,
        step: int | None = None,
        scale: str | None = "features",
        missing_values: Any = None,
        warm_start: bool = False,
        max_epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 0.003,
        optimizer: Any = None,
        validation_fraction: float = 0.1,
        calibration_fraction: float = 0.0,
        patience: int | None = None,
        refit: bool | str = "auto",
        latent_steps: int | str = "auto",
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
        self.nested = nested
        self.forecast_steps = forecast_steps
        self.window = window
        self.step = step
        self.scale = scale
        self.missing_values = missing_values
        self.warm_start = warm_start
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.validation_fraction = validation_fraction
        self.calibration_fraction = calibration_fraction
        self.patience = patience
        self.refit = refit
        self.latent_steps = latent_steps
        self.time_budget = time_budget
        self.time_warp = time_warp
        self.denoise = denoise
        self.variational = variational
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: SequencesLike,
        y: object = None,  # noqa: ARG002  (scikit-learn passes it)
        *,
        callbacks: Sequence[Any] = (),
        checkpoint: "str | os.PathLike[str] | Checkpoint | None" = None,
        resume: bool = False,
    ) -> Self:
        """Train on sequences.

        Parameters
        ----------
        X : Sequences, list of arrays of shape (length, features), array, table or path
            Anything that `refold.sequences.as_sequences` or `refold.sequences.read_from_batches`
            takes, or a file or a folder of Parquet files, which may be larger than memory.
        callbacks : sequence of keras.callbacks.Callback
            Their ``model`` is ``autoencoder_``. Weights, learning rate and ``stop_training`` are
            read after each call; a new learning rate scales the rest of the schedule. The refit is
            a training of its own with epochs from 0, and ``params["phase"]`` of a callback is
            "validated" or "refit". A callback that stops the refit leaves the validated weights.
            Callbacks with batch hooks slow training down.
        checkpoint : path or Checkpoint, optional
            File for the state of the training at the end of an epoch. It is written about every
            minute, and on interruption.
        resume : bool, default=False
            Continue from the checkpoint if the file exists. The result has the same bits as an
            uninterrupted training.

        Raises
        ------
        DivergedError
            If the loss became NaN before any weights could be kept.
        KeyboardInterrupt
            On Ctrl-C, after the current chunk of steps. The estimator then has the best weights so
            far, or none during the choice of ``latent_dim``. A second Ctrl-C does not wait.

        Warns
        -----
        UserWarning
            If data look wrong (like -99999), or no sequence has as many values as ``latent_dim``.
        """
        check_training_packages("Training")
        # not at the top, because all other methods run without Keras
        from refold.training import fit

        # the model whose training continues, if any
        base_model = self.model_ if self.warm_start and self.__sklearn_is_fitted__() else None
        options: dict[str, Any] = {"callbacks": callbacks, "checkpoint": checkpoint}
        new_fit = fit(X, Arguments.of(self), **options, resume=resume, base_model=base_model)
        return self._store_fit(new_fit, checkpoint)

    def partial_fit(self, X: SequencesLike, y: object = None, *, num_epochs: int = 1) -> Self:  # noqa: ARG002
        """Train on more sequences for a few epochs, from the fitted weights.

        The first call creates the model from its sequences: columns, categories, scaling, sizes and
        initialization. Later calls keep all of these. There is no validation, so the error can
        rise. A ``fit`` with ``warm_start`` takes longer, but keeps the best validated weights.

        Parameters
        ----------
        X : Sequences, list of arrays of shape (length, features), array, table or path
            Data with the columns of the first call, as for ``fit``.
        num_epochs : int, default=1
            Passes over these sequences. The learning rate rises and decays within them.

        Raises
        ------
        DivergedError
            If the loss became NaN. The model is then as before.

        Notes
        -----
        The statistics for ``detect`` and ``generate`` describe the sequences of the last call, so
        give at least a few hundred. Calibration, forecast bounds and the errors for ``drift`` are
        removed, because the weights have changed; call ``calibrate`` after the last call.
        """
        arguments = replace(
            Arguments.of(self),
            max_epochs=check_integer("num_epochs", num_epochs),
            validation_fraction=0.0,
            calibration_fraction=0.0,
            refit=False,
        )
        check_training_packages("Training")
        # not at the top, for the same reason as in `fit`
        from refold.training import fit

        base_model = self.model_ if self.__sklearn_is_fitted__() else None
        return self._store_fit(fit(X, arguments, base_model=base_model))

    def _store_fit(self, new_fit: "Fit", checkpoint_or_path_to_show: Any = None) -> Self:
        """Store the model of a fit, and raise a KeyboardInterrupt if the fit was interrupted."""
        result = new_fit.result
        self.interrupted_ = result.interrupted
        self.n_shapes_ = result.num_shapes
        if new_fit.model is not None:  # an interrupted fit may have none
            self._set_model(replace(new_fit.model, arguments=Arguments.of(self).to_json_values()))
        # if Ctrl-C stopped the refit, the validated weights are complete
        if not result.interrupted or result.complete:
            return self
        if checkpoint_or_path_to_show is not None:  # a path, or a `Checkpoint` with a path
            path = str(getattr(checkpoint_or_path_to_show, "path", checkpoint_or_path_to_show))
            raise KeyboardInterrupt(
                Message(
                    f"Training was interrupted after epoch {len(result.history['epoch'])}. Its "
                    f"state is saved; {argument(resume=True)} continues from {path!r}."
                )
            )
        kept = "no weights" if result.phase is None else f"the weights of epoch {result.best_epoch}"
        raise KeyboardInterrupt(f"Training was interrupted; {kept} are kept.")

    # Codes

    def transform(self, X: SequencesLike) -> np.ndarray:
        """Encode sequences to codes of shape (n_sequences, latent_dim); see `Model.encode`.

        The codes are in the container that ``set_output`` asks for. The index of a pandas frame
        has the ids of the sequences, or if these have none, the index of ``X``. With a ``window``,
        there is a row for each window, in the order of ``windows``. scikit-learn expects one row
        for each sample, so use ``pooled`` in a pipeline with labels of whole series.
        """
        if not _wants_frame(self):
            return self.model_.encode(X, verbose=self.verbose)
        windows = self.model_.windows(X)
        codes = self.model_.encode(windows.sequences, verbose=self.verbose)
        window_table = None if self.model_.window is None else windows.to_table().to_pandas()
        frame = _vectors_to_frame(self, codes, windows.sequences.ids, X, window_table)
        frame.attrs[MODEL_HASH_KEY] = self.model_.hash  # so that other models refuse these codes
        return frame

    def windows(self, X: SequencesLike) -> Windows:
        """Cut series into the windows of the model; see `Model.windows`."""
        return self.model_.windows(X)

    def pooled(self, X: SequencesLike) -> np.ndarray:
        """Describe each series by one vector, from its windows; see `Model.pooled`."""
        return self.model_.pooled(X, verbose=self.verbose)

    def inverse_transform(
        self, X: ArrayLike, lengths: ArrayLike | None = None, *, clip: bool | str = False
    ) -> list[Any]:
        """Decode codes to sequences in the layout of the training data; see `Model.decode`."""
        return self.model_.decode(X, lengths, clip=clip, verbose=self.verbose)

    def encode(self, X: SequencesLike) -> np.ndarray:
        """Encode sequences to an array; see `Model.encode`."""
        return self.model_.encode(X, verbose=self.verbose)

    def encode_blocks(self, X: SequencesLike) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Encode sequences block by block; see `Model.encode_blocks`."""
        return self.model_.encode_blocks(X, verbose=self.verbose)

    def decode(
        self, codes: ArrayLike, lengths: ArrayLike | None = None, *, clip: bool | str = False
    ) -> list[Any]:
        """Decode codes: the same as ``inverse_transform``."""
        return self.inverse_transform(codes, lengths, clip=clip)

    def reconstruct(
        self,
        X: SequencesLike,
        *,
        codes: ArrayLike | None = None,
        clip: bool | str = False,
        as_table: bool | None = None,
    ) -> Any:
        """Encode sequences and decode the codes; see `Model.reconstruct`."""
        options: dict[str, Any] = {"clip": clip, "as_table": as_table, "verbose": self.verbose}
        return self.model_.reconstruct(X, codes=codes, **options)

    def residuals(self, X: SequencesLike, *, as_table: bool | None = None) -> Any:
        """Subtract the reconstructions from the sequences; see `Model.residuals`."""
        return self.model_.residuals(X, as_table=as_table, verbose=self.verbose)

    def features(self, codes: ArrayLike) -> np.ndarray:
        """Describe what codes decode to, for classifiers; see `Model.features`."""
        return self.model_.features(codes)

    def stream(self, window: int | None = None, every: int = 1) -> Stream:
        """Start a sequence whose steps come a few at a time; see `Model.stream`."""
        return self.model_.stream(window, every)

    # Errors and anomalies

    def score(self, X: SequencesLike, y: object = None) -> float:  # noqa: ARG002  (scikit-learn passes it)
        """Return the explained variance of the reconstructions; see `Model.score`."""
        return self.model_.score(X, verbose=self.verbose)

    def errors(self, X: SequencesLike) -> np.ndarray:
        """Return the reconstruction error of each sequence; see `Model.errors`."""
        return self.model_.errors(X)

    def anomaly_scores(self, X: SequencesLike) -> np.ndarray:
        """Return the anomaly score of each sequence; see `Model.anomaly_scores`."""
        return self.model_.anomaly_scores(X)

    def calibrate(self, normal: Any) -> Self:
        """Calibrate ``detect`` and the bounds of ``forecast``; see `Model.calibrate`."""
        self._set_model(self.model_.calibrate(normal))
        return self

    def detect(self, X: SequencesLike, alpha: float = 0.01) -> Detection:
        """Find anomalous sequences; see `Model.detect`."""
        return self.model_.detect(X, alpha)

    def drift(self, X: SequencesLike) -> Drift:
        """Test whether sequences differ from the training data; see `Model.drift`."""
        return self.model_.drift(X)

    def code_drift(self, codes: ArrayLike) -> Drift:
        """Test whether codes differ from those of training; see `Model.code_drift`."""
        return self.model_.code_drift(codes)

    def held_back(self, X: SequencesLike) -> np.ndarray:
        """Find the sequences that ``fit`` did not train on; see `Model.held_back`."""
        return self.model_.held_back(X)

    # Forecasts and new sequences

    def forecast(self, X: SequencesLike, steps: int | None = None, **options: Any) -> Forecast:
        """Forecast the next steps of sequences; see `Model.forecast`."""
        return self.model_.forecast(X, steps, verbose=self.verbose, **options)

    def forecast_errors(
        self, X: SequencesLike, steps: int | None = None, **options: Any
    ) -> ForecastErrors:
        """Measure forecasts of the last steps of sequences; see `Model.forecast_errors`."""
        return self.model_.forecast_errors(X, steps, **options)

    def generate(self, n: int = 1, **options: Any) -> list[Any]:
        """Decode codes drawn from their density; see `Model.generate`."""
        return self.model_.generate(n, **options)

    # The fitted model

    @property
    def model_(self) -> Model:
        """The fitted model, with the current ``latent_steps``."""
        model = vars(self).get("_model")
        if model is None:
            raise _NotFittedError(f"This {type(self).__name__} is not fitted yet. Call fit first.")
        # `model` has the argument of the fit, which the user may have changed since
        if self.latent_steps != model.arguments["latent_steps"]:
            model = self._model = model.with_latent_steps(self.latent_steps)
        return model

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one file, atomically; see `Model.save`."""
        replace(self.model_, arguments=Arguments.of(self).to_json_values()).save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Load an estimator with a model that ``save`` or ``refold fit`` wrote.

        Parameters
        ----------
        path : path
            File to read. `refold.load` returns the model alone.

        Raises
        ------
        ModelFileError
            If the file is not a model, is truncated or changed, or comes from a newer version.
        """
        model = Model.load(path)
        if model.specification.is_curve_network:
            raise ParameterError(
                "The pretrained model is no estimator: it cannot be trained. Use refold.load, and "
                "its methods."
            )
        if unknown := set(model.arguments) - set(cls._get_param_names()):
            raise ModelFileError(
                f"{path} comes from another version of Refold, with arguments that this version "
                f"does not have: {', '.join(sorted(unknown))}. Load it with that version."
            )
        estimator = cls(**model.arguments)
        estimator._set_model(model)
        return estimator

    def encoder_inputs(self, X: SequencesLike, num_steps: int | None = None) -> np.ndarray:
        """Return the scaled and padded array that ``encoder_`` and ``autoencoder_`` read.

        Parameters
        ----------
        X : Sequences, list of arrays, array, table or path
            Data with the columns of the training data.
        num_steps : int, optional
            Number of steps to pad to; by default the length of the longest of these sequences, or
            the number of steps that the encoder needs. Codes do not depend on ``num_steps``.

        Returns
        -------
        array of float32 of shape (n_sequences, num_steps, features)
            Padded steps are NaN. If the training data had missing values, an observed-flag channel
            for each feature follows. For a classic architecture, padding is zeros.
        """
        model = self.model_
        sequences = model.read_aligned(X)
        fixed_steps = model.network.fixed_steps
        if num_steps is None:
            num_steps = fixed_steps or max(1, int(sequences.lengths.max(initial=0)))
        elif fixed_steps is not None and check_integer("num_steps", num_steps) != fixed_steps:
            raise ParameterError(
                f"num_steps is {num_steps}, but this encoder reads {fixed_steps} steps. Leave it "
                "out."
            )
        # `pad` also returns the targets of training, which are not needed here
        x, _ = pad(
            model.scaler.transform(sequences),
            np.arange(len(sequences)),
            check_integer("num_steps", num_steps),
            has_flags=model.network.specification.observed_flags,
        )
        return x if model.network.masks_padding else np.nan_to_num(x, nan=0.0)

    @property
    def encoder_(self) -> Any:
        """Keras model from scaled and padded sequences to codes, built at the first access."""
        return self._get_keras_models().models.encoder

    @property
    def decoder_(self) -> Any:
        """Keras model from codes to scaled sequences, built at the first access."""
        return self._get_keras_models().models.decoder

    @property
    def autoencoder_(self) -> Any:
        """Keras model of the encoder and the decoder in a row, built at the first access."""
        return self._get_keras_models().models.autoencoder

    @property
    def latent_steps_(self) -> int:
        """Steps of latent optimization that ``model_`` takes."""
        return self.model_.latent_steps

    # scikit-learn

    def __sklearn_is_fitted__(self) -> bool:
        return "_model" in vars(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.target_tags.required = False
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        """Number of columns that `transform` returns; scikit-learn names as many features."""
        return self.model_.code_size

    def _get_keras_models(self) -> Any:
        """Return the network as Keras models, which are built at the first call."""
        network = self.model_.network
        check_training_packages("A Keras model")
        # not at the top, because most other methods run without Keras
        from refold.network.keras.build import to_keras_network

        return to_keras_network(network)

    def _set_model(self, model: Model) -> None:
        """Store a fitted model, and set the public attributes that describe it."""
        specification, history = model.network.specification, model.history
        self._model = model
        self.schema_ = model.schema
        self.scaler_ = model.scaler
        self.error_scaler_ = model.error_scaler
        self.latent_dim_ = specification.latent_dim
        self.max_steps_ = specification.max_steps
        self.patch_ = specification.patch
        self.rocket_dim_ = specification.rocket_dim
        self.length_dim_ = specification.length_dim
        self.history_ = history.epochs
        self.best_epoch_ = history.best_epoch
        self.initial_loss_ = history.initial_loss
        self.n_features_in_ = model.schema.num_columns
        self.n_parameters_ = model.network.num_parameters
        self.active_dimensions_ = model.active_dimensions


class SequenceFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Features of the sequences that an autoencoder's codes decode to, as a transformer.

    ``transform`` returns `SequenceAutoencoder.features` of the codes, which suit classifiers better
    than codes. ``fit`` fits a copy of the autoencoder, so pipelines, ``cross_val_score`` and
    ``GridSearchCV`` fit it on training folds only, and reach its arguments as
    ``autoencoder__latent_dim``.

    Parameters
    ----------
    autoencoder : SequenceAutoencoder, optional
        Estimator of which a copy is fitted. The default is ``SequenceAutoencoder()``. A fitted
        estimator in scikit-learn's ``FrozenEstimator`` is used as it is.

    Attributes
    ----------
    autoencoder_ : SequenceAutoencoder
        The fitted estimator, which encodes and decodes.
    n_features_in_ : int
        Number of columns.

    See Also
    --------
    refold.search.Index : Search and clusters by features of the sequences themselves.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(4, units=8, latent_steps=0, max_epochs=2, random_state=0)
    >>> refold.SequenceFeatures(ae).fit_transform(sines).shape
    (40, 1026)
    """

    def __init__(self, autoencoder: SequenceAutoencoder | None = None) -> None:
        self.autoencoder = autoencoder

    def fit(self, X: SequencesLike, y: object = None) -> Self:  # noqa: ARG002  (scikit-learn passes it)
        """Fit a copy of the autoencoder; see `SequenceAutoencoder.fit`."""
        self.autoencoder_ = fit_copy(self.autoencoder, X)
        self.n_features_in_ = self.autoencoder_.n_features_in_
        return self

    def transform(self, X: SequencesLike) -> np.ndarray:
        """Encode sequences and describe what the codes decode to; see `Model.features`.

        The features, (n_sequences, n_features), are in the container that ``set_output`` asks for.
        A pandas frame has ids as `SequenceAutoencoder.transform` does. With a ``window`` of the
        autoencoder, the features are the vectors of `Model.pooled`, one for each series.
        """
        if not hasattr(self, "autoencoder_"):
            raise _NotFittedError("This SequenceFeatures is not fitted yet. Call fit first.")
        model = self.autoencoder_.model_
        series = read_user_data(X, model.schema, as_sequence=model.window is not None)
        features = self._compute_features(series)
        return _vectors_to_frame(self, features, series.ids, X) if _wants_frame(self) else features

    def __sklearn_tags__(self) -> Any:
        return SequenceAutoencoder().__sklearn_tags__()

    @property
    def _n_features_out(self) -> int:
        """Number of columns that `transform` returns; scikit-learn names as many features."""
        # all series have the same number of features, so a sequence of a single step is enough
        model = self.autoencoder_.model_
        codes = np.asarray(model.require_reference().codes[:1], np.float32)
        return self._compute_features(model.decode_to_sequences(codes, np.ones(1, int))).shape[1]

    def _compute_features(self, series: Sequences) -> np.ndarray:
        """Return the features of each series, (n_series, n_features)."""
        model = self.autoencoder_.model_
        if model.window is not None:
            return model.pooled(series)
        return model.features(model.encode(series))


def fit_copy(autoencoder: SequenceAutoencoder | None, X: SequencesLike) -> SequenceAutoencoder:
    """Fit a copy of an autoencoder; None stands for an autoencoder with default arguments."""
    estimator: Any = SequenceAutoencoder() if autoencoder is None else autoencoder
    expected = "a SequenceAutoencoder, or None"
    check_has_attribute("autoencoder", estimator, expected, attribute="latent_dim")
    copy: Any = clone(estimator)
    return copy.fit(X, None)  # scikit-learn's FrozenEstimator needs a `y`


def _wants_frame(transformer: Any) -> bool:
    """Return whether ``set_output`` or scikit-learn's configuration asks for a pandas frame."""
    output = getattr(transformer, "_sklearn_output_config", {}).get("transform")
    return (output or get_config()["transform_output"]) == "pandas"


# scikit-learn could make frames of the arrays of `transform`, but its frames would have neither the
# ids as their index nor the hash of the model.
def _vectors_to_frame(
    transformer: Any, vectors: np.ndarray, ids: np.ndarray, indexed_X: Any, window_table: Any = None
) -> Any:
    """Return vectors (n, width) as a frame; its index is windows, ids, or that of the data."""
    # not at the top, because pandas is optional
    import pandas as pd

    index = pd.Index(ids) if window_table is None else pd.MultiIndex.from_frame(window_table)
    # Without ids, sequences are numbered from 0. The index of the data names them better
    # if it has one entry for each sequence. A table of steps has more rows than sequences.
    is_numbered = window_table is None and np.array_equal(ids, np.arange(len(ids)))
    has_index = isinstance(indexed_X, pd.DataFrame | pd.Series)
    if is_numbered and has_index and len(indexed_X) == len(ids):
        index = indexed_X.index
    return pd.DataFrame(vectors, index=index, columns=transformer.get_feature_names_out())


class _NotFittedError(NotFittedError, ScikitLearnNotFittedError):
    """Error of an estimator that is not fitted, which scikit-learn recognizes, too."""


def error_curve(
    X: SequencesLike,
    sizes: Iterable[int] = (2, 4, 8, 16, 32),
    *,
    estimator: SequenceAutoencoder | None = None,
) -> ErrorCurve:
    """Fit autoencoders with codes of several sizes, and measure each on held-out sequences.

    All sizes use the same split and seed. PCA is fitted on the same training sequences,
    standardized and padded with zeros, and knows the true lengths.

    Parameters
    ----------
    X : Sequences, list of arrays, array, table or path
        Data as for `SequenceAutoencoder.fit`. Of data in files, a random sample is used.
    sizes : iterable of int, default=(2, 4, 8, 16, 32)
        Numbers of latent dimensions to fit.
    estimator : SequenceAutoencoder, optional
        Estimator with the settings, which is not fitted itself. ``time_budget`` holds for each
        size. ``latent_dim``, ``refit`` and ``calibration_fraction`` are ignored.

    Returns
    -------
    ErrorCurve
        After Ctrl-C, it has the finished sizes; without any, the KeyboardInterrupt is raised.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> short = refold.SequenceAutoencoder(units=8, latent_steps=0, max_epochs=2, random_state=0)
    >>> curve = refold.error_curve(sines, [2, 4], estimator=short)
    >>> curve.sizes, curve.measure, curve.num_held_out
    ((2, 4), 'NMSE', 4)
    """
    check_training_packages("Training")
    # not at the top, because `SequenceAutoencoder` runs without Keras, except for its training
    from refold import training

    sizes = tuple(sorted({check_integer("sizes", latent_dim) for latent_dim in sizes}))
    check_not_empty(len(sizes), "size", "to fit")
    estimator = SequenceAutoencoder() if estimator is None else estimator
    arguments = Arguments.of(estimator)
    training.check_arguments(arguments)
    windows = training.prepare_training_windows(X, arguments)
    check_not_empty(len(windows.sequences), "sequence", "to fit on")
    seed = to_integer_seed(estimator.random_state)
    fitter = training.TrialFitter(windows, arguments, training.fit, sizes[-1], seed=seed)
    if arguments.verbose and fitter.num_sequences < len(windows.sequences):
        print_stderr(f"Fitting {fitter.num_sequences} of {len(windows.sequences)} sequences.")
    # for each size, the errors of the fitted autoencoder and of PCA on held-out sequences
    error_pairs: list[tuple[Fidelity, Fidelity]] = []
    try:
        for i, latent_dim in enumerate(sizes, start=1):
            pca_error = fitter.evaluator.pca_errors(latent_dim)
            fit_error = fitter.measure_fit_error(latent_dim, arguments.time_budget)
            error_pairs.append((fit_error, pca_error))
            if arguments.verbose:
                print_stderr(f"{i} of {len(sizes)}: size {latent_dim}, {fit_error.text(pca_error)}")
    except KeyboardInterrupt:
        if not error_pairs:
            raise
    fits, pcas = zip(*error_pairs, strict=True)
    return ErrorCurve(
        sizes=sizes[: len(error_pairs)],
        errors=tuple(fit.error for fit in fits),
        pca=tuple(pca.error for pca in pcas),
        measure=fits[0].measure_name,
        num_sequences=fitter.num_sequences,
        num_held_out=len(fitter.evaluator.sequences),
        complete=len(error_pairs) == len(sizes),
        accuracy=tuple(fit.accuracy for fit in fits if fit.accuracy is not None),
        pca_accuracy=tuple(pca.accuracy for pca in pcas if pca.accuracy is not None),
    )
