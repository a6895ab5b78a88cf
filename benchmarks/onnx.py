"""Encoding in ONNX Runtime, next to Keras and to Refold itself.

``python -m benchmarks.onnx`` takes about 2 minutes on two cores. ``--quick`` checks that
everything runs.

A model with default settings and 16 latent dimensions is fitted to the train split of
JapaneseVowels, without latent optimization. All programs encode the test split, 370 sequences of 7
to 29 steps, from scaled or raw arrays that are padded or packed before the clock starts. They take
turns, and each number is the median of the rounds. Keras without the compiled kernel of Refold runs
in a process of its own, afterwards.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import refold
from benchmarks import _process
from benchmarks._results import PACKAGES, results_folder, table, write_page
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
    scaled, network = model.scaler_.transform(test), model.model_.network

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
        **keras_programs(model, test, "with Refold's kernel"),
    }


def keras_programs(
    model: Any, test: refold.Sequences, kernel: str
) -> dict[tuple[str, str], Callable[[], np.ndarray]]:
    """Return what encodes the test split in Keras."""
    x, encoder = model.encoder_inputs(test), model.encoder_
    sizes = {"batches of 32 (the default)": 32, "one batch": len(x)}

    def predict(size: int) -> Callable[[], np.ndarray]:
        return lambda: encoder.predict(x, batch_size=size, verbose=0)

    return {
        ("`keras.Model.predict`", f"{kernel}, padded, {how}"): predict(size)
        for how, size in sizes.items()
    }


def measure(
    found: dict[tuple[str, str], Callable[[], np.ndarray]], expected: np.ndarray, rounds: int
) -> list[list[Any]]:
    """Return rows of program, setting, seconds of the first call, median seconds, difference."""
    rows: list[list[Any]] = []
    for name, encode in found.items():
        begin = time.perf_counter()
        codes = encode()
        first = time.perf_counter() - begin
        away = np.abs((codes - expected) / expected.std(axis=0)).max()
        rows.append([*name, first, 0.0, float(away)])
    seconds: list[list[float]] = [[] for _ in rows]
    for _ in range(rounds):
        for encode, times in zip(found.values(), seconds, strict=True):
            begin = time.perf_counter()
            encode()
            times.append(time.perf_counter() - begin)
    for row, times in zip(rows, seconds, strict=True):
        row[3] = statistics.median(times)
    return rows


def measure_scan(path: Path, rounds: int) -> list[list[Any]]:
    """Measure Keras without the compiled kernel, in a process that has none."""
    model, test = refold.SequenceAutoencoder.load(path), refold.datasets.japanese_vowels().test
    return measure(keras_programs(model, test, "Keras's own loop"), model.transform(test), rounds)


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--quick", action="store_true", help="only check that everything runs")
    parser.add_argument("--threads", type=int, default=_process.num_cores())
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message=".* longer than the longest in training")
    test = refold.datasets.japanese_vowels().test
    limit = {"max_epochs": 1} if options.quick else {}
    model = refold.SequenceAutoencoder(LATENT_DIM, latent_steps=0, random_state=0, **limit)
    model.fit(refold.datasets.japanese_vowels().train)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.refold")
        found = programs(model, test, Path(folder), options.threads)
        measured = measure(found, model.transform(test), options.rounds)
        path = Path(folder) / "model.refold"
        measured += _process.measure(measure_scan, path, options.rounds, REFOLD_KERNEL="none")
    default = next(seconds for _, how, _, seconds, _ in measured if "kernel, padded, b" in how)
    rows = [
        [
            *(program, how, f"{len(test) / seconds:,.0f}", f"{default / seconds:.2f}"),
            *(f"{1000 * first:,.0f}", f"{away:.1e}"),
        ]
        for program, how, first, seconds, away in measured
    ]
    header = ["program", "setting", "sequences per second", "relative to Keras", "first call, ms"]
    text = (
        f"The test split of JapaneseVowels: {len(test)} sequences of {test.lengths.min()} to "
        f"{test.lengths.max()} steps with 12 columns. The model has {LATENT_DIM} latent dimensions "
        f"and default settings, without latent optimization. ONNX Runtime has {options.threads} "
        f"threads. Each speed is the median of {options.rounds} rounds, in which the programs take "
        "turns. The speed of `keras.Model.predict` in batches of 32 with Refold's kernel counts 1. "
        "The first call compiles in Keras; programs were loaded before. The difference is the "
        "largest one of a code from that of `transform`, in standard deviations of the latent "
        "dimension."
    )
    command = f"`python -m benchmarks.onnx --rounds {options.rounds}`"
    parts = [command, text, table([*header, "difference"], rows)]
    folder = results_folder(complete=not options.quick)
    write_page("onnx", "ONNX", parts, packages=(*PACKAGES, "onnxruntime"), folder=folder)


if __name__ == "__main__":
    main()
