"""`SequenceAutoencoder`: sequences to fixed-size vectors and back, the one door to all of it.

Owns scikit-learn's conventions and the order of the work.  What sequences are, what models are
and how they are trained is in the rooms that it calls.
"""

import os
import warnings
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from refold import storage
from refold._parameters import check_parameters
from refold.errors import DataError, ModelFileError
from refold.evaluation import exact, explained_variance
from refold.models import Architecture, Network, Specification, build, predict
from refold.sequences import Scaler, Schema, Sequences, as_sequences, pad
from refold.training import (
    Padded,
    Settings,
    num_batches,
    pick_batch_size,
    pick_max_epochs,
    seeded,
    train,
    validation_split,
)

__all__ = ["SequenceAutoencoder", "load"]

_BATCH = 128
_DROPOUT = 0.2


class SequenceAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """LSTM autoencoder that turns sequences of any length into vectors of one size, and back.

    Parameters
    ----------
    latent_dim : int, default=16
        Width of the code.
    units : int, default=64
        Units of each LSTM, in each direction.
    depth : int, default=1
        Number of LSTMs in the encoder, and in the decoder.
    architecture : {"default", "repeat", "reshape", "dense"} or callable, default="default"
        The default model, one of the classic ones (`refold.models.classic`), or a callable that
        is given ``steps``, ``features``, ``outputs`` and ``latent_dim`` and returns an encoder
        and a decoder, any Keras models.  ``units`` and ``depth`` are of the default model.
    scale : {"features", "sequence"} or None, default="features"
        Standardise numeric features over the training data; or each sequence by itself, with its
        mean and log-deviation by feature appended to the code; or not at all.
    max_epochs : int, optional
        By default enough for 4000 steps, and at least 30.
    batch_size : int, optional
        By default a power of two from 16 to 64, by the number of sequences.
    learning_rate : float, default=0.005
        Highest rate, after warm-up and before it falls.
    validation_fraction : float, default=0.1
        Share of the sequences held out to choose the epoch whose weights are kept; 0 for none.
    patience : int, optional
        Epochs without a better validation loss before training stops; by default a quarter of
        ``max_epochs``, and at least 20.
    random_state : int, RandomState or None, default=None
        Fixes the weights, the split and the order of the data.
    verbose : {0, 1}, default=0
        1 shows a progress bar on standard error.

    Attributes
    ----------
    encoder_, decoder_, autoencoder_ : keras.Model
        The fitted models, which share their weights; they work in scaled units.
    schema_ : Schema
        Columns, kinds, labels and layout of the training data.
    scaler_ : Scaler
        How numeric columns were scaled.
    max_steps_ : int
        Longest training length: the number of steps that ``decoder_`` writes.
    history_ : dict of lists
        By epoch: ``"epoch"``, ``"loss"``, ``"val_loss"``, ``"learning_rate"``, ``"seconds"``.
    n_features_in_ : int
        Number of columns.

    Examples
    --------
    >>> import refold
    >>> sequences = refold.datasets.noisy_sines(40, seed=0)
    >>> ae = refold.SequenceAutoencoder(latent_dim=4, max_epochs=2, random_state=0).fit(sequences)
    >>> codes = ae.transform(sequences)
    >>> codes.shape
    (40, 4)
    >>> len(ae.inverse_transform(codes))
    40
    """

    def __init__(
        self,
        latent_dim: int = 16,
        *,
        units: int = 64,
        depth: int = 1,
        architecture: Architecture = "default",
        scale: str | None = "features",
        max_epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 0.005,
        validation_fraction: float = 0.1,
        patience: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.latent_dim = latent_dim
        self.units = units
        self.depth = depth
        self.architecture = architecture
        self.scale = scale
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002  (scikit-learn passes it)
        """Train on sequences.

        Parameters
        ----------
        X : Sequences, list of arrays of shape (length, features), array or table
            Anything that `refold.sequences.as_sequences` takes.
        y : ignored

        Returns
        -------
        SequenceAutoencoder

        Raises
        ------
        ParameterError
            If an argument of the constructor cannot be used.
        DataError
            If the sequences cannot be used.
        DivergedError
            If the loss became NaN at once.
        """
        check_parameters(self.get_params(deep=False))
        sequences = as_sequences(X)
        if not len(sequences):
            raise DataError("There is no sequence to fit on. Give at least one.")
        seed = int(check_random_state(self.random_state).randint(2**31))
        units = Scaler.fit(sequences, "features")
        scaler = _rescaled(units, sequences, self.scale)
        scaled = scaler.transform(sequences)
        chosen, held_out = validation_split(sequences.lengths, self.validation_fraction, seed=seed)
        network = self._build(scaled, chosen, seed)
        _check_fits(sequences, network)
        batch_size = self.batch_size or pick_batch_size(len(chosen))
        max_epochs = self.max_epochs or pick_max_epochs(num_batches(len(chosen), batch_size))
        history = train(
            network.models,
            network.length,
            _padded(scaled, chosen, network),
            _padded(scaled, held_out, network) if len(held_out) else None,
            Settings(
                max_epochs=max_epochs,
                batch_size=batch_size,
                learning_rate=self.learning_rate,
                patience=self.patience or max(20, max_epochs // 4),
                seed=seed,
                verbose=self.verbose,
            ),
        )
        self._set_fitted(network, sequences.schema, scaler, units, history)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Encode sequences.

        Parameters
        ----------
        X : Sequences, list of arrays, array or table
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
        """
        check_is_fitted(self)
        sequences = as_sequences(X, schema=self.schema_)
        _check_fits(sequences, self._network)
        scaled = self.scaler_.transform(sequences)
        num_steps = _round_up(int(sequences.lengths.max(initial=0)), self.max_steps_)
        batches = (
            (_padded(scaled, indices, self._network, num_steps).x,)
            for indices in _split(len(sequences))
        )
        codes = list(predict(self.encoder_, batches, batch_size=_BATCH))
        width = self.encoder_.output_shape[-1]
        encoded = np.concatenate([np.zeros((0, width), np.float32), *codes]).astype(np.float32)
        return np.concatenate([encoded, self.scaler_.statistics(sequences)], axis=1)

    def inverse_transform(self, codes: Any, lengths: Any = None) -> list[Any]:
        """Decode codes.

        Parameters
        ----------
        codes : array of shape (n_sequences, width of the code)
            As ``transform`` gives them.
        lengths : array of int of shape (n_sequences,), optional
            Number of steps to write of each; by default as predicted from the code.

        Returns
        -------
        list
            One sequence a code, each of its own length, in the layout and units of the training
            data: arrays of shape (length, features) or (length,), lists of tokens, strings.

        Raises
        ------
        DataError
            If the codes or lengths are of the wrong shape or not finite.
        """
        check_is_fitted(self)
        codes = self._check_codes(codes)
        width = self.encoder_.output_shape[-1]
        inner, statistics = codes[:, :width], codes[:, width:]
        lengths = self._lengths(inner) if lengths is None else self._check_lengths(lengths, codes)
        num_steps = _round_up(int(lengths.max(initial=0)), self.max_steps_)
        template = np.zeros((_BATCH, num_steps, 1), np.float32)
        batches = ((inner[rows], template[: len(rows)]) for rows in _split(len(codes)))
        values = [np.zeros((0, self.schema_.num_columns), np.float32)]
        unrolled = predict(self._network.models.unroll, batches, batch_size=_BATCH)
        for rows, outputs in zip(_split(len(codes)), unrolled, strict=True):
            real = np.arange(num_steps) < lengths[rows][:, None]
            values.append(_from_outputs(outputs[real], self.schema_))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        scaled = Sequences(np.concatenate(values), offsets, schema=self.schema_)
        statistics = statistics if self.scaler_.mode == "sequence" else None
        return self.scaler_.inverse_transform(scaled, statistics).to_list()

    def encode(self, X: Any) -> np.ndarray:
        """Encode sequences: another name of ``transform``, always an array."""
        return np.asarray(self.transform(X))

    def decode(self, codes: Any, lengths: Any = None) -> list[Any]:
        """Decode codes: another name of ``inverse_transform``."""
        return self.inverse_transform(codes, lengths)

    def reconstruct(self, X: Any) -> list[Any]:
        """Encode sequences and decode them again, with the lengths that the codes hold."""
        return self.inverse_transform(self.encode(X))

    def score(self, X: Any, y: Any = None) -> float:  # noqa: ARG002
        """Explained variance of the reconstructions; 1 is perfect.

        Where no column is numeric: the share of sequences recovered exactly, length included.

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
        return explained_variance(sequences, reconstructed, self._units)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one file, whole or not at all.

        Parameters
        ----------
        path : path
            Ends in ``.refold`` by custom.
        """
        check_is_fitted(self)
        storage.write(path, self._dumps())

    @property
    def n_parameters_(self) -> int:
        """Number of trained numbers in encoder, decoder and length model."""
        check_is_fitted(self)
        return int(sum(np.prod(variable.shape) for variable in self._network.variables))

    @property
    def _n_features_out(self) -> int:
        return self.encoder_.output_shape[-1] + self.scaler_.num_statistics

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.target_tags.required = False
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_network")

    def __getstate__(self) -> dict[str, Any]:
        state = {"parameters": self.get_params(deep=False)}
        if self.__sklearn_is_fitted__():
            state["fitted"] = self._dumps()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state["parameters"])
        if "fitted" in state:
            self._restore(*storage.loads(state["fitted"], "The pickled model"))

    def _build(self, scaled: Sequences, chosen: np.ndarray, seed: int) -> Network:
        schema, lengths = scaled.schema, scaled.lengths
        specification = Specification(
            architecture=self.architecture if isinstance(self.architecture, str) else "custom",
            kinds=[column.kind for column in schema.columns],
            num_labels=[len(column.labels) for column in schema.columns],
            observed_flags=bool(np.isnan(scaled.values).any()),
            latent_dim=int(self.latent_dim),
            max_steps=max(1, int(lengths.max())),
            units=int(self.units),
            depth=int(self.depth),
            dropout=_DROPOUT,
            length_mean=float(lengths[chosen].mean()),
            length_deviation=float(lengths[chosen].std()),
        )
        with seeded(seed):
            return build(specification, self.architecture if callable(self.architecture) else None)

    def _set_fitted(
        self, network: Network, schema: Schema, scaler: Scaler, units: Scaler, history: Any
    ) -> None:
        self._network = network
        self._units = units
        self.encoder_ = network.models.encoder
        self.decoder_ = network.models.decoder
        self.autoencoder_ = network.models.autoencoder
        self.schema_ = schema
        self.scaler_ = scaler
        self.max_steps_ = network.specification.max_steps
        self.history_ = history
        self.n_features_in_ = schema.num_columns

    def _dumps(self) -> bytes:
        arrays = {
            f"weights/{i:04d}": np.asarray(variable.value)
            for i, variable in enumerate(self._network.variables)
        }
        config = {
            "parameters": _plain_parameters(self.get_params(deep=False)),
            "specification": self._network.specification._asdict(),
            "schema": self.schema_.to_dict(),
            "history": self.history_,
        }
        for name, scaler in (("scaler", self.scaler_), ("units", self._units)):
            state = scaler.to_dict()
            arrays |= {f"{name}/{k}": v for k, v in state.items() if isinstance(v, np.ndarray)}
            config[name] = {k: v for k, v in state.items() if not isinstance(v, np.ndarray)}
        return storage.dumps(config, arrays)

    def _restore(self, config: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        network = build(Specification(**config["specification"]))
        for i, variable in enumerate(network.variables):
            variable.assign(arrays[f"weights/{i:04d}"])
        scalers = [
            Scaler.from_dict(
                config[name]
                | {k.removeprefix(f"{name}/"): v for k, v in arrays.items() if k.startswith(name)}
            )
            for name in ("scaler", "units")
        ]
        schema = Schema.from_dict(config["schema"])
        self._set_fitted(network, schema, *scalers, config["history"])

    def _lengths(self, codes: np.ndarray) -> np.ndarray:
        batches = ((codes[rows],) for rows in _split(len(codes)))
        predicted = list(predict(self._network.length, batches, batch_size=_BATCH))
        location = np.concatenate([np.zeros((0, 2)), *predicted])[:, 0]
        longest = self._network.fixed_steps or 2 * self.max_steps_
        return np.clip(np.rint(location), 0, longest).astype(np.int64)

    def _check_codes(self, codes: Any) -> np.ndarray:
        try:
            codes = np.asarray(codes, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise DataError("codes must be an array of numbers.") from error
        if codes.ndim != 2 or codes.shape[1] != self._n_features_out:
            raise DataError(
                f"codes must have shape (n_sequences, {self._n_features_out}), as transform gives "
                f"them. Got {codes.shape}."
            )
        wrong = np.flatnonzero(~np.isfinite(codes).all(axis=1))
        if len(wrong):
            raise DataError(f"codes must be finite. The code of sequence {wrong[0]} is not.")
        return codes

    def _check_lengths(self, lengths: Any, codes: np.ndarray) -> np.ndarray:
        lengths = np.asarray(lengths)
        if lengths.shape != (len(codes),):
            raise DataError(
                f"lengths must have one entry a code, shape ({len(codes)},). Got {lengths.shape}."
            )
        if len(lengths) and (not np.issubdtype(lengths.dtype, np.integer) or lengths.min() < 0):
            raise DataError("lengths must be integers of at least 0.")
        longest = self._network.fixed_steps
        if longest is not None and lengths.max(initial=0) > longest:
            raise DataError(
                f"this architecture writes at most {longest} steps. Got the length "
                f"{lengths.max()}; use architecture='default' for more."
            )
        return lengths.astype(np.int64)


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
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import tempfile, refold
    >>> sines = refold.datasets.noisy_sines(20, seed=0)
    >>> ae = refold.SequenceAutoencoder(latent_dim=2, max_epochs=1, random_state=0).fit(sines)
    >>> path = tempfile.mkdtemp() + "/sines.refold"
    >>> ae.save(path)
    >>> bool((load(path).transform(sines) == ae.transform(sines)).all())
    True
    """
    config, arrays = storage.read(path)
    try:
        ae = SequenceAutoencoder(**config["parameters"])
        ae._restore(config, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{path} does not hold what a model needs ({type(error).__name__}: {error}). Fit and "
            "save the model again."
        ) from error
    return ae


def _rescaled(units: Scaler, sequences: Sequences, mode: Any) -> Scaler:
    if mode == "features":
        return units
    with warnings.catch_warnings():
        # what is constant was said when the units were found
        warnings.simplefilter("ignore", UserWarning)
        return Scaler.fit(sequences, mode)


def _check_fits(sequences: Sequences, network: Network) -> None:
    """Refuse what a model of a fixed number of steps cannot read."""
    if network.fixed_steps is None:
        return
    name, lengths = network.specification.architecture, sequences.lengths
    empty = np.flatnonzero(lengths == 0)
    if len(empty):
        raise DataError(
            f"sequence {empty[0]} has length 0, which architecture={name!r} cannot read. Leave it "
            "out, or use architecture='default'."
        )
    long = np.flatnonzero(lengths > network.fixed_steps)
    if len(long):
        raise DataError(
            f"sequence {long[0]} has {lengths[long[0]]} steps, and architecture={name!r} reads at "
            f"most {network.fixed_steps}, the longest of its training data. Cut it, or use "
            "architecture='default'."
        )


def _padded(
    scaled: Sequences, indices: np.ndarray, network: Network, num_steps: int | None = None
) -> Padded:
    steps = network.fixed_steps or num_steps or network.specification.max_steps
    x, y = pad(scaled, indices, steps, flags=network.specification.observed_flags)
    if not network.reads_padding:
        x = np.nan_to_num(x, nan=0.0)
    return Padded(x, y, scaled.lengths[indices].astype(np.float32))


def _split(num_rows: int) -> Iterator[np.ndarray]:
    for start in range(0, num_rows, _BATCH):
        yield np.arange(start, min(num_rows, start + _BATCH))


def _round_up(num_steps: int, max_steps: int) -> int:
    """Round a number of steps up to ``max_steps``, or to its double and so on."""
    padded = max_steps
    while padded < num_steps:
        padded *= 2
    return padded


def _from_outputs(outputs: np.ndarray, schema: Schema) -> np.ndarray:
    """Turn a model's outputs into values: numbers, 0 or 1, indices of labels."""
    values = np.empty((len(outputs), schema.num_columns), np.float32)
    start = 0
    for i, column in enumerate(schema.columns):
        block = outputs[:, start : start + column.width]
        if column.kind == "categorical":
            values[:, i] = block.argmax(axis=1) if len(block) else 0
        else:
            values[:, i] = (
                np.rint(np.clip(block[:, 0], 0, 1)) if column.kind == "binary" else block[:, 0]
            )
        start += column.width
    return values


def _plain_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """Arguments as JSON values; a callable or a RandomState leaves only what it was."""
    plain = {}
    for name, value in parameters.items():
        if isinstance(value, np.generic):
            value = value.item()
        if not isinstance(value, str | int | float | None):
            value = None if name == "random_state" else "custom"
        plain[name] = value
    return plain
