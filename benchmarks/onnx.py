"""Encoding in ONNX Runtime, next to Keras and to Refold itself.

``python -m benchmarks.onnx`` takes about 2 minutes on two cores.

A model with default settings and 16 latent dimensions is fitted to the train split of
JapaneseVowels, without latent optimization. All programs encode the test split, 370 sequences of 7
to 29 steps, from scaled or raw arrays that are padded before the clock starts. They take
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
from benchmarks._process import measure as measure_apart
from benchmarks._process import num_cores
from benchmarks._results import PACKAGES, results_folder, table, write_page
from refold.export import to_onnx

LATENT_DIM, ROUNDS = 16, 50
# Sequences in a batch of similar length.
BATCH = 64


Programs = dict[tuple[str, str], Callable[[], np.ndarray]]
"""What encodes the test split, by program and setting."""


def programs(model: Any, test: refold.Sequences, path: Path) -> Programs:
    """Return the programs with Refold's kernel."""
    to_onnx(model, path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_cores()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    order = np.argsort(test.lengths, kind="stable")
    parts = [order[begin : begin + BATCH] for begin in range(0, len(order), BATCH)]
    batches = [(part, padded(test[part])) for part in parts]

    def in_batches() -> np.ndarray:
        codes = np.empty((len(order), LATENT_DIM), np.float32)
        for part, inputs in batches:
            (codes[part],) = session.run(None, inputs)
        return codes

    return {
        ("ONNX Runtime", f"padded, batches of {BATCH} of similar length"): in_batches,
        ("Refold", "`transform`"): lambda: model.transform(test),
        **keras_programs(model, test, "with Refold's kernel"),
    }


def padded(sequences: refold.Sequences) -> dict[str, np.ndarray]:
    """Return the inputs of a graph for padded batches."""
    return {
        "values": sequences.to_padded(0.0).astype(np.float32),
        "lengths": sequences.lengths,
    }


def keras_programs(model: Any, test: refold.Sequences, kernel: str) -> Programs:
    """Return the program of Keras, with the default size of batches."""
    x, encoder = model.encoder_inputs(test), model.encoder_
    setting = f"{kernel}, padded, batches of 32 (the default)"
    return {("`keras.Model.predict`", setting): lambda: encoder.predict(x, verbose=0)}


def measure(found: Programs, expected: np.ndarray, rounds: int) -> list[list[Any]]:
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
    parser = argparse.ArgumentParser(prog="python -m benchmarks.onnx", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only check that everything runs")
    quick = parser.parse_args().quick
    rounds, limit = (2, {"max_epochs": 1}) if quick else (ROUNDS, {})
    warnings.filterwarnings("ignore", message=".* longer than the longest in training")
    data = refold.datasets.japanese_vowels()
    model = refold.SequenceAutoencoder(LATENT_DIM, latent_steps=0, random_state=0, **limit)
    model.fit(data.train)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.refold"
        model.save(path)
        found = programs(model, data.test, Path(folder) / "model.onnx")
        measured = measure(found, model.transform(data.test), rounds)
        measured += measure_apart(measure_scan, path, rounds, REFOLD_KERNEL="none")
    default = next(seconds for _, how, _, seconds, _ in measured if "kernel" in how)
    rows = [
        [
            program,
            setting,
            f"{len(data.test) / seconds:,.0f}",
            f"{default / seconds:.2f}",
            f"{1000 * first:,.0f}",
            f"{difference:.1e}",
        ]
        for program, setting, first, seconds, difference in measured
    ]
    header = ["program", "setting", "sequences per second", "relative to Keras", "first call, ms"]
    lengths = data.test.lengths
    text = (
        f"The test split of JapaneseVowels: {len(lengths)} sequences of {lengths.min()} to "
        f"{lengths.max()} steps with 12 columns. The model has {LATENT_DIM} latent dimensions "
        f"and default settings, without latent optimization. ONNX Runtime has {num_cores()} "
        f"threads. Each speed is the median of {rounds} rounds, in which the programs take "
        "turns. The speed of `keras.Model.predict` in batches of 32 with Refold's kernel counts 1. "
        "The first call compiles in Keras; programs were loaded before. The difference is the "
        "largest one of a code from that of `transform`, in standard deviations of the latent "
        "dimension."
    )
    write_page(
        "onnx",
        "ONNX",
        [text, table([*header, "difference"], rows)],
        packages=(*PACKAGES, "onnxruntime"),
        folder=results_folder(complete=not quick),
    )


if __name__ == "__main__":
    main()
