"""Encoding in ONNX Runtime, next to Keras and to Refold itself.

``python -m benchmarks.onnx`` takes about 2 minutes on two cores. ``--max-epochs 0`` checks quickly
that everything runs.

A model with default settings and 16 latent dimensions is fitted to the train split of
JapaneseVowels, without latent optimization. All programs encode the test split, 370 sequences of 7
to 29 steps, from scaled or raw arrays that are padded or packed before the clock starts. They take
turns, and each number is the median of the rounds.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import refold
from benchmarks._results import PACKAGES, table, write_page
from refold.export import to_onnx

LATENT_DIM = 16
# Sequences in a batch of similar length.
BATCH = 64


def session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """Load a graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def padded(sequences: refold.Sequences) -> dict[str, np.ndarray]:
    """Return the inputs of a graph for padded batches."""
    lengths = sequences.lengths
    values = np.zeros((len(lengths), lengths.max(), sequences.values.shape[1]), np.float32)
    values[np.arange(lengths.max()) < lengths[:, None]] = sequences.values
    return {"values": values, "lengths": lengths}


def packed(sequences: refold.Sequences) -> dict[str, np.ndarray]:
    """Return the inputs of a graph for packed batches."""
    counts = sequences.lengths * sequences.values.shape[1]
    return {
        "values": sequences.values.astype(np.float32).ravel(),
        "counts": counts.astype(np.int32),
    }


def programs(
    model: Any, test: refold.Sequences, folder: Path, threads: int
) -> dict[tuple[str, str], Callable[[], np.ndarray]]:
    """Return what encodes the test split, by program and setting."""
    for part, options in {"padded": {}, "packed": {"packed": True}}.items():
        to_onnx(model, folder / f"{part}.onnx", **options)
    rows, flat = (session(folder / f"{part}.onnx", threads) for part in ("padded", "packed"))
    everything, joined = padded(test), packed(test)
    order = np.argsort(test.lengths, kind="stable")
    parts = [order[begin : begin + BATCH] for begin in range(0, len(order), BATCH)]
    batches = [(part, padded(test[part])) for part in parts]
    x, keras_model = model.encoder_inputs(test), model.encoder_
    scaled, network = model.scaler_.transform(test), model._fitted.network

    def sorted_batches() -> np.ndarray:
        codes = np.empty((len(order), LATENT_DIM), np.float32)
        for part, feeds in batches:
            (codes[part],) = rows.run(None, feeds)
        return codes

    return {
        ("ONNX Runtime", "padded, one batch"): lambda: rows.run(None, everything)[0],
        ("ONNX Runtime", f"padded, batches of {BATCH} of similar length"): sorted_batches,
        ("ONNX Runtime", "packed, one batch"): lambda: flat.run(None, joined)[0],
        ("`refold.inference`", "network alone"): lambda: network.encode(scaled),
        ("Refold", "`transform`"): lambda: model.transform(test),
        ("`keras.Model.predict`", "padded, batches of 32 (its default)"): (
            lambda: keras_model.predict(x, verbose=0)
        ),
        ("`keras.Model.predict`", "padded, one batch"): (
            lambda: keras_model.predict(x, batch_size=len(x), verbose=0)
        ),
    }


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--max-epochs", type=int, default=None)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    data = refold.datasets.japanese_vowels()
    limit = {} if options.max_epochs is None else {"max_epochs": max(1, options.max_epochs)}
    model = refold.SequenceAutoencoder(LATENT_DIM, latent_steps=0, random_state=0, **limit)
    model.fit(data.train)
    with tempfile.TemporaryDirectory() as folder:
        found = programs(model, data.test, Path(folder), options.threads)
        expected = model.transform(data.test)
        differences = {
            name: np.abs((encode() - expected) / expected.std(axis=0)).max()
            for name, encode in found.items()
        }
        seconds: dict[Any, list[float]] = {name: [] for name in found}
        for _ in range(options.rounds):
            for name, encode in found.items():
                begin = time.perf_counter()
                encode()
                seconds[name].append(time.perf_counter() - begin)
    rates = {name: len(data.test) / statistics.median(times) for name, times in seconds.items()}
    keras = max(rate for (program, _), rate in rates.items() if "keras" in program)
    rows = [
        [*name, f"{rate:,.0f}", f"{rate / keras:.2f}", f"{differences[name]:.1e}"]
        for name, rate in rates.items()
    ]
    header = ["program", "setting", "sequences per second", "relative to Keras", "difference"]
    text = (
        f"The test split of JapaneseVowels: {len(data.test)} sequences of "
        f"{data.test.lengths.min()} to {data.test.lengths.max()} steps with 12 columns. The model "
        f"has {LATENT_DIM} latent dimensions and default settings, without latent optimization. "
        f"ONNX Runtime has {options.threads} threads. Each number is the median of "
        f"{options.rounds} rounds, in which the programs take turns. The speed is relative to the "
        "faster of the two rows of Keras. The difference is the largest one of a code from that of "
        "`transform`, in standard deviations of the latent dimension."
    )
    parts = [f"`python -m benchmarks.onnx --rounds {options.rounds}`", text, table(header, rows)]
    quick = options.max_epochs is not None
    where = {"folder": Path(tempfile.mkdtemp())} if quick else {}
    write_page("onnx", "ONNX", parts, packages=(*PACKAGES, "onnxruntime"), **where)


if __name__ == "__main__":
    main()
