"""Tiny data and settings for tests in several folders, which share compiled code."""

import contextlib
import functools
import json
import signal
import warnings

import keras
import numpy as np
import pytest

from refold import SequenceAutoencoder, training
from refold.datasets import noisy_sines
from refold.errors import DataError
from refold.sequences import read

# With batches of 8, the refit has as many batches as the training before it.
TINY = {
    "latent_dim": 3,
    "units": 8,
    "latent_steps": 0,
    "max_epochs": 1,
    "batch_size": 8,
    "random_state": 0,
}


def draw_ragged_sequences(n=24, seed=0):
    """Draw sequences of 3 to 8 steps with two features; the lengths do not depend on the seed."""
    rng = np.random.default_rng(seed)
    return [rng.normal(5, 3, (3 + i % 6, 2)) for i in range(n)]


def sines(n, seed=0):
    """Draw sines of 15 to 30 steps; 60 of seed 0 include the longest."""
    return noisy_sines(n, seed=seed, min_steps=15, max_steps=30)


class NoEpoch(keras.callbacks.Callback):
    """A callback that ends training before its first epoch."""

    def on_train_begin(self, logs=None):
        self.model.stop_training = True


def without_epochs(fit):
    """Return a ``fit`` without epochs, for tests that do not depend on training.

    The model keeps its linear initialization. This compiles nothing, and compilation takes most of
    the time of a fit. An autoregressive decoder and other architectures have no linear
    initialization.
    """

    @functools.wraps(fit)
    def fit_without_epochs(ae, X, y=None, *, callbacks=(), **fit_options):
        validation_fraction = ae.validation_fraction
        # without validation, the fit would not keep the initialization
        ae.validation_fraction = validation_fraction or 0.1
        try:
            return fit(ae, X, y, callbacks=[*(callbacks or ()), NoEpoch()], **fit_options)
        finally:
            ae.validation_fraction = validation_fraction

    return fit_without_epochs


@contextlib.contextmanager
def fits_without_epochs():
    """End each fit in this context before its first epoch, also those of the command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SequenceAutoencoder, "fit", without_epochs(SequenceAutoencoder.fit))
        yield


def fit_without_training(X, **changes):
    """Return an autoencoder with its linear initialization."""
    ae = SequenceAutoencoder(**TINY | {"refit": False} | changes)
    return without_epochs(SequenceAutoencoder.fit)(ae, X)


def json_lines(text):
    """Return the values of JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


def draw_overflowing_sequence(ae):
    """Return a sequence that float32 can hold, but whose reconstruction overflows float32.

    The model is fitted on `ragged`. Which sequences overflow depends on its weights.
    """
    rng = np.random.default_rng(0)
    for _ in range(1000):
        sequence = (3.4e38 * rng.choice([-1.0, 1.0], (6, 2))).tolist()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            try:
                ae.reconstruct([sequence])
            except DataError:
                return sequence
    raise AssertionError("no sequence overflows")


def read_as_mapped(path, block_bytes=12 << 20, **options):
    """Read a small Parquet file or folder as if it was larger than memory."""
    sequences = read(path, memory_bytes=1, **options)
    assert sequences.is_mapped
    sequences.block_bytes = block_bytes
    return sequences


def interrupt_after_fits(monkeypatch, *, after):
    """Press Ctrl-C in each fit, after some fits have finished."""
    fit, calls = training.fit, []

    def interrupted(*arguments, **options):
        calls.append(None)
        if len(calls) > after:
            signal.raise_signal(signal.SIGINT)
        return fit(*arguments, **options)

    monkeypatch.setattr(training, "fit", interrupted)
