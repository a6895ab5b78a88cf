"""The methods: each fits a model to the training split, and returns a function that reconstructs.

A method is given the training split, the number of latent dimensions, the time limit in seconds and
the seed.  It trains until the time is up, unless it stops by itself.
"""

import contextlib
import functools
import math
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from benchmarks._results import commit, version_of

EPOCHS = 1_000_000  # more than any time limit allows
MAX_WEIGHTS = 100_000_000

Reconstruct = Callable[[Any], Any]


class NotPossibleError(RuntimeError):
    """The method cannot run this case."""


def refold_default(train: Any, size: int, seconds: float, seed: int) -> Reconstruct:
    """Refold with default settings; it decodes the lengths from the code."""
    import refold

    ae = refold.SequenceAutoencoder(size, time_budget=seconds, random_state=seed).fit(train)
    return ae.reconstruct


def principal_components(train: Any, size: int, seconds: float, seed: int) -> Reconstruct:
    """PCA of the zero-padded training split, which is told the lengths.

    The number of components is at most that of the training sequences, and of the padded values.
    """
    from refold.evaluation import PCABaseline

    del seconds, seed
    channels = Channels(train)
    most = min(len(train), channels.longest * channels.width)
    return PCABaseline(min(size, most)).fit(train).reconstruct


class Channels:
    """Converts sequences to arrays of channels, which the other methods read, and back.

    Each numeric feature is a channel.  It is standardized on the training split, or scaled so that
    the training split lies between -1 and 1 (``bounded``).  Binary features are unchanged, and
    categories are one-hot.
    """

    def __init__(self, train: Any, *, bounded: bool = False) -> None:
        from refold.sequences import Scaler

        first, *rest = train.schema.columns
        self.kind = first.type
        assert {column.type for column in rest} <= {self.kind}
        assert self.kind != "categorical" or not rest
        self.schema = train.schema
        self.labels = np.arange(len(first.categories))
        scaler = Scaler.fit(train)
        self._zero, self._unit = scaler.mean_, scaler.scale_
        if bounded and self.kind == "numeric":
            low, high = train.values.min(axis=0), train.values.max(axis=0)
            self._zero, self._unit = (high + low) / 2, np.where(high > low, (high - low) / 2, 1.0)
        self.longest = int(train.lengths.max())
        self.width = sum(column.output_width for column in train.schema.columns)

    def series(self, sequences: Any) -> list[np.ndarray]:
        """Return an array of shape (length, channels) for each sequence."""
        if self.kind == "categorical":
            rows = sequences.values == self.labels
        else:
            rows = (sequences.values - self._zero) / self._unit
        return np.split(rows.astype(np.float32), sequences.offsets[1:-1])

    def padded(self, sequences: Any) -> np.ndarray:
        """Return an array (n, longest, channels), padded with zeros or cut."""
        series = self.series(sequences)
        padded = np.zeros((len(series), self.longest, self.width), np.float32)
        for row, one in zip(padded, series, strict=True):
            row[: len(one)] = one[: self.longest]
        return padded

    def sequences(self, series: list[np.ndarray]) -> Any:
        """Convert arrays (length, channels) to sequences, or return None if one is not finite."""
        from refold.sequences import Sequences

        rows = np.concatenate(series).astype(float)
        if not np.isfinite(rows).all():
            return None
        if self.kind == "categorical":
            values = rows.argmax(axis=1)[:, None].astype(float)
        else:
            values = rows * self._unit + self._zero
        return Sequences(values, np.cumsum([0, *map(len, series)]), schema=self.schema)

    def reconstruct_by(self, model: Any) -> Reconstruct:
        """Return a function that reconstructs padded sequences with a Keras model."""

        def reconstruct(sequences: Any) -> Any:
            back = model.predict(self.padded(sequences), verbose=0)
            return self.sequences(
                [row[:length] for row, length in zip(back, sequences.lengths, strict=True)]
            )

        return reconstruct


def time_budget(seconds: float) -> Any:
    """Return a callback of Keras that ends training after the first batch past the time limit."""
    import keras

    ends = time.perf_counter() + seconds

    class TimeBudget(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            del batch, logs
            if time.perf_counter() >= ends:
                self.model.stop_training = True

    return TimeBudget()


DENSE_ENDS = {
    "numeric": (None, "mse"),
    "binary": ("sigmoid", "binary_crossentropy"),
    "categorical": ("softmax", "categorical_crossentropy"),
}
LSTM_ENDS = {
    "numeric": ("tanh", "mse"),
    "binary": ("sigmoid", "binary_crossentropy"),
    "categorical": ("sigmoid", "binary_crossentropy"),
}


def classic(
    train: Any,
    size: int,
    seconds: float,
    seed: int,
    *,
    decoder: str,
    activation: str = "tanh",
) -> Reconstruct:
    """Train a model of the answers to the question "LSTM Autoencoder", in plain Keras.

    It is trained by Adam with default settings, in batches of 32 that are padded with zeros.  The
    weights are those of the best epoch on a tenth of the training split.  ``repeat`` repeats the
    code at every step and ends in a dense layer.  ``reshape`` and ``dense`` read the code as a
    sequence and end in an LSTM, which writes some values at each of its steps or all at its end.
    Their numeric data is scaled to between -1 and 1, because they end in tanh.
    """
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    repeats = decoder == "repeat"
    channels = Channels(train, bounded=not repeats)
    x = channels.padded(train)
    x = x[np.random.default_rng(seed).permutation(len(x))]
    inputs = keras.Input(x.shape[1:])
    code = layers.LSTM(size, activation=activation)(inputs)
    output, loss = (DENSE_ENDS if repeats else LSTM_ENDS)[channels.kind]
    if repeats:
        steps = layers.RepeatVector(channels.longest)(code)
        steps = layers.LSTM(100, activation=activation, return_sequences=True)(steps)
        written = layers.TimeDistributed(layers.Dense(channels.width, activation=output))(steps)
    else:
        code_steps, units = _sizes_of_last_lstm(channels, size, at_once=decoder == "dense")
        steps = layers.Reshape((code_steps, size // code_steps))(code)
        lstm = layers.LSTM(units, activation=output, return_sequences=decoder != "dense")
        written = layers.Reshape((channels.longest, channels.width))(lstm(steps))
    model = keras.Model(inputs, written)
    model.compile("adam", loss)
    best = keras.callbacks.EarlyStopping(patience=EPOCHS, restore_best_weights=True)
    callbacks = [best, time_budget(seconds)]
    model.fit(x, x, epochs=EPOCHS, validation_split=0.1, callbacks=callbacks, verbose=0)
    return channels.reconstruct_by(model)


def _sizes_of_last_lstm(channels: Channels, size: int, *, at_once: bool) -> tuple[int, int]:
    """Return as how many steps the code is read, and the units of the LSTM that reads them."""
    units = channels.longest * channels.width
    if at_once:
        code_steps = channels.longest if size % channels.longest == 0 else size
    else:
        code_steps = math.gcd(size, channels.longest)
        units //= code_steps
    weights = 4 * units * (units + size // code_steps + 1)
    if weights > MAX_WEIGHTS:
        raise NotPossibleError(f"its last LSTM would have {weights / 1e6:.0f} million weights")
    return code_steps, units


class TimeIsUpError(Exception):
    """The time limit is reached, which ends the training loop of sequitur."""


class UntilTimeIsUp:
    """The training split; iterating over it raises an error when the time is up."""

    def __init__(self, items: list[Any], seconds: float) -> None:
        self._items, self._ends = items, time.perf_counter() + seconds

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            if time.perf_counter() >= self._ends:
                raise TimeIsUpError
            yield item


def sequitur_lstm(train: Any, size: int, seconds: float, seed: int) -> Reconstruct:
    """sequitur's ``LSTM_AE`` with the settings of its documentation and its own training loop.

    It reads one sequence at a time without padding, and its decoder is told the length.
    """  # noqa: D403 - the name of the package
    import torch
    from sequitur.models import LSTM_AE
    from sequitur.quick_train import train_model

    torch.manual_seed(seed)
    torch.set_num_threads(1)  # faster than two, for one sequence at a time
    channels = Channels(train)
    series = [torch.from_numpy(one) for one in channels.series(train)]
    order = np.random.default_rng(seed).permutation(len(series))
    model = LSTM_AE(channels.width, size, h_dims=[64], h_activ=None, out_activ=None)
    items = UntilTimeIsUp([series[i] for i in order], seconds)
    with contextlib.suppress(TimeIsUpError):
        train_model(model, items, verbose=False, lr=1e-3, epochs=EPOCHS, denoise=False)
    model.eval()

    def reconstruct(sequences: Any) -> Any:
        with torch.no_grad():
            back = [
                model.decoder(model.encoder(torch.from_numpy(one)), len(one)).numpy()
                for one in channels.series(sequences)
            ]
        return channels.sequences(back)

    return reconstruct


def aeon_autoencoder(train: Any, size: int, seconds: float, seed: int) -> Reconstruct:
    """Train the convolutional autoencoder of aeon's ``AEFCNClusterer``, without the clustering.

    It reads arrays that are padded with zeros.  It has default settings, which include a smaller
    learning rate on a plateau.
    """
    import keras
    from aeon.clustering import DummyClusterer
    from aeon.clustering.deep_learning import AEFCNClusterer

    channels = Channels(train)
    # the default callback of the clusterer
    plateau = keras.callbacks.ReduceLROnPlateau(
        monitor="loss", factor=0.5, patience=50, min_lr=0.0001
    )
    with tempfile.TemporaryDirectory() as folder:
        clusterer = AEFCNClusterer(
            estimator=DummyClusterer(n_clusters=2),
            latent_space_dim=size,
            n_epochs=EPOCHS,
            random_state=seed,
            file_path=f"{folder}/",
            callbacks=[plateau, time_budget(seconds)],
        )
        clusterer.fit(channels.padded(train).transpose(0, 2, 1))
    return channels.reconstruct_by(clusterer.model_)


# What the results of all methods depend on, and more that those of Refold depend on.
SHARED = ("benchmarks/fidelity_peers/methods.py", "src/refold/evaluation")
APPLICATIONS = "__main__.py cli cluster datasets explore plots report search serve"
OURS_ALONE = ("src/refold", *(f":(exclude)src/refold/{room}" for room in APPLICATIONS.split()))


class Method(NamedTuple):
    """A method: its title, function, backend of Keras, packages and seeds."""

    title: str
    fit: Callable[..., Reconstruct]
    backend: str
    packages: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    trained: bool = True

    @property
    def versions(self) -> str:
        """Versions of Python and of the installed packages."""
        numbers = {name: _version(name) for name in self.packages}
        installed = [f"{name} {number}" for name, number in numbers.items() if number]
        return ", ".join([f"Python {platform.python_version()}", *installed])

    @property
    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [name for name in self.packages if not _version(name)]

    @property
    def code(self) -> str:
        """The last commit that changed the code on which the results depend."""
        return commit(*SHARED, *(OURS_ALONE if self.fit is refold_default else ()))


def _version(name: str) -> str | None:
    return version_of(name) or (version_of("tensorflow-cpu") if name == "tensorflow" else None)


OURS, PCA = "refold", "pca"
JAX = ("keras", "jax", "numpy")


def _classic(title: str, **options: str) -> Method:
    return Method(title, functools.partial(classic, **options), "jax", JAX)


METHODS = {
    OURS: Method("Refold", refold_default, "jax", (*JAX, "jaxlib", "scikit-learn"), (0, 1, 2)),
    PCA: Method("PCA", principal_components, "jax", ("numpy", "scikit-learn"), trained=False),
    "repeat_tanh": _classic("`RepeatVector`", decoder="repeat"),
    "repeat_relu": _classic("`RepeatVector`, relu", decoder="repeat", activation="relu"),
    "reshape": _classic("`Reshape`", decoder="reshape"),
    "dense": _classic("all steps at once", decoder="dense"),
    "sequitur": Method("sequitur", sequitur_lstm, "torch", ("sequitur", "torch", "numpy")),
    "aeon": Method(
        "aeon's AEFCN", aeon_autoencoder, "tensorflow", ("aeon", "tensorflow", "keras", "numpy")
    ),
}
