"""Fit a small model of each kind, and write its file and what it gives for some sequences.

The files beside this script were written by the code of commit 2d37b8f (README.md).
"""

import gzip
import json
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa

import refold

FOLDER = Path(__file__).parent
LONGER = {"max_epochs": 40, "learning_rate": 0.01}
SMALL = {"units": 8, "max_epochs": 2, "batch_size": 16, "random_state": 0, "latent_steps": 0}
# Sequences whose results are stored, and columns of their features.
STORED, FEATURES = 6, 20


def ragged(n=60, features=2):
    """Draw sequences of 4 to 11 steps, as lists."""
    rng = np.random.default_rng(0)
    drawn = [rng.normal(5, 3, (4 + i % 8, features)).cumsum(axis=0) for i in range(n)]
    return [sequence.round(4).tolist() for sequence in drawn]


def waves(steps, n=60):
    """Draw noisy sines of one length and one column, as lists."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, (n, 1))
    clean = np.sin(2 * np.pi * np.arange(steps) / 8 + phase)
    return (clean + 0.1 * rng.normal(size=clean.shape)).round(4).tolist()


def gaps():
    """Return sequences of three columns, in which values are NaN or -99."""
    rng = np.random.default_rng(1)
    sequences = [np.array(sequence) for sequence in ragged(features=3)]
    for sequence in sequences:
        chance = rng.random(sequence.shape)
        sequence[chance < 0.15] = -99.0
        sequence[chance < 0.1] = np.nan
    return [sequence.tolist() for sequence in sequences]


def bits():
    """Draw sequences of two columns of 0 and 1, which start at a random step of two cycles."""
    rng = np.random.default_rng(0)
    starts, steps = rng.integers(3, size=(60, 2)), np.arange(11)[:, None]
    cycles = [(start + steps) % 3 == 0 for start in starts]
    return [cycle[: 6 + i % 6].astype(float).tolist() for i, cycle in enumerate(cycles)]


def tokens(shortest, longest):
    """Return lists of tokens that mostly follow a cycle of five."""
    rng = np.random.default_rng(0)
    words = ["go", "stop", "turn", "look", "wait"]
    lengths = shortest + np.arange(60) % (longest - shortest + 1)
    jumps = [1 + 2 * (rng.random(length) < 0.1) for length in lengths]
    return [[words[i % 5] for i in rng.integers(5) + jump.cumsum()] for jump in jumps]


def texts():
    """Return words, one of them empty."""
    words = ["on", "in", "no", "inn", "non", "noon", "onion", "nine", "neon", "ion", "", "nun"]
    return words * 5


def table():
    """Return columns of a long table: a number, a token and a bit for each step."""
    rng = np.random.default_rng(0)
    lengths = 4 + np.arange(60) % 6
    steps = np.concatenate([np.arange(length) for length in lengths])
    return {
        "id": np.repeat(np.arange(60), lengths).tolist(),
        "time": (steps + rng.uniform(0, 0.9, len(steps))).round(3).tolist(),
        "number": rng.normal(size=len(steps)).cumsum().round(4).tolist(),
        "token": np.array(["up", "down", "still"])[rng.integers(3, size=len(steps))].tolist(),
        "bit": (steps % 3 == 0).astype(int).tolist(),
    }


def architecture(*, steps, features, outputs, latent_dim):
    """Return an encoder and a decoder without recurrent layers."""
    import keras  # after refold, which chooses the backend

    sequence, code = keras.Input((steps, features)), keras.Input((latent_dim,))
    hidden = keras.layers.Dense(16, activation="tanh")(keras.layers.Flatten()(sequence))
    written = keras.layers.Dense(steps * outputs)(code)
    encoder = keras.Model(sequence, keras.layers.Dense(latent_dim)(hidden))
    return encoder, keras.Model(code, keras.layers.Reshape((steps, outputs))(written))


# Name of each file: the data, options of `Sequences.from_table` if it is a table, and arguments.
MODELS = {
    "numeric": (ragged(), None, {"latent_dim": 8}),
    "numeric_small_code": (ragged(), None, {"latent_dim": 3}),
    "numeric_one_length": (waves(12), None, {"latent_dim": 4}),
    "missing_values": (gaps(), None, {"latent_dim": 8, "missing_values": [-99.0]}),
    "binary": (bits(), None, LONGER | {"latent_dim": 4}),
    "categorical_short": (tokens(3, 9), None, LONGER | {"latent_dim": 6, "latent_steps": 5}),
    "categorical_long": (tokens(34, 40), None, {"latent_dim": 8}),
    "text": (texts(), None, LONGER | {"latent_dim": 4}),
    "mixed": (table(), {"id": "id", "columns": ["number", "token", "bit"]}, {"latent_dim": 8}),
    "time_gaps": (
        table(),
        {"id": "id", "time": "time", "columns": ["number"], "time_gaps": True},
        {"latent_dim": 8},
    ),
    "scale_sequence": (ragged(), None, {"latent_dim": 4, "scale": "sequence"}),
    "scale_none": (ragged(), None, {"latent_dim": 4, "scale": None, "depth": 2}),
    "variational": (ragged(), None, {"latent_dim": 3, "variational": True}),
    "rocket_dim": (waves(20), None, {"latent_dim": 6, "rocket_dim": 2}),
    "patches": (waves(50), None, {"latent_dim": 4, "patch": 4}),
    "forecast": (
        waves(24),
        None,
        {"latent_dim": 4, "forecast_steps": 4, "calibration_fraction": 0.3},
    ),
    "calibrated": (
        ragged(),
        None,
        {"latent_dim": 8, "calibration_fraction": 0.3, "latent_steps": 10},
    ),
    "gru": (ragged(), None, {"latent_dim": 4, "cell": "gru"}),
    "classic_repeat": (waves(10), None, LONGER | {"latent_dim": 4, "architecture": "repeat"}),
    "classic_reshape": (waves(10), None, LONGER | {"latent_dim": 10, "architecture": "reshape"}),
    "classic_dense": (waves(10), None, LONGER | {"latent_dim": 10, "architecture": "dense"}),
    "custom": (waves(10), None, LONGER | {"latent_dim": 4, "architecture": architecture}),
}


def opened(data, options):
    """Return what the methods of a model take."""
    if options is not None:
        return refold.Sequences.from_table(pa.table(data), **options)
    if isinstance(data[0], str) or isinstance(data[0][0], str):
        return data
    return [np.array(sequence, float) for sequence in data]


def first(data, options):
    """Return the first sequences of data."""
    if options is None:
        return data[:STORED]
    return {name: values[: data["id"].index(STORED)] for name, values in data.items()}


def plain(decoded):
    """Return decoded sequences as JSON text."""
    return json.dumps(
        [one if isinstance(one, str) else np.asarray(one).tolist() for one in decoded]
    )


def results(ae, data, options):
    """Return what a model gives for sequences, as arrays and JSON texts."""
    from refold.model._file import fingerprint  # only commit 2d37b8f has this module

    X = opened(data, options)
    codes = ae.encode(X)
    found = {
        "data": json.dumps(data),
        "options": json.dumps(options),
        "codes": codes,
        "reconstructions": plain(ae.reconstruct(X)),
        "score": ae.score(X),
        "features": ae.features(codes)[:, :FEATURES],
        "generated": plain(ae.generate(3, random_state=0)),
        "hash": fingerprint(ae._fitted),
    }
    if ae.forecast_steps:
        ahead = ae.forecast(X)
        found |= {"forecast": plain(ahead.values), "lower": ahead.lower, "upper": ahead.upper}
    if ae.calibration_fraction:
        detection = ae.detect(X, alpha=0.1)
        found |= {"anomaly_scores": detection.scores, "p_values": detection.p_values}
    return found


def make(name):
    """Fit a model, and write its file and its results."""
    data, options, arguments = MODELS[name]
    ae = refold.SequenceAutoencoder(**SMALL | arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.refold"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            ae.fit(opened(data, options)).save(path)
        # The results are those of the file.
        ae, stored = refold.load(path), path.read_bytes()
    (FOLDER / f"{name}.refold.gz").write_bytes(gzip.compress(stored, mtime=0))
    np.savez_compressed(FOLDER / f"{name}.npz", **results(ae, first(data, options), options))


if __name__ == "__main__":
    for chosen in sys.argv[1:] or MODELS:
        make(chosen)
