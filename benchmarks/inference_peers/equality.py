"""Check whether codes and outputs are equal: ``... equality MODEL vowels|log-normal N``.

It compares packed rows with Keras models. It also checks that the bits of packed rows do not depend
on the order of the sequences, on batches or on threads.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import refold
from benchmarks.inference_peers.keras_path import load
from benchmarks.inference_peers.latency import LATENT_STEPS
from benchmarks.inference_peers.prepare import series
from benchmarks.training_peers.process import answer
from refold.kernels import packed

THREADS = (1, 2, 5)
ALONE, BLOCK = 20, 7


def compare(model: str, data: Any) -> dict[str, Any]:
    """Return differences in standard deviations, and which changes keep all bits."""
    ours, theirs = refold.SequenceAutoencoder.load(model), load(model)
    scaled = ours.scaler_.transform(data)
    ours, theirs = ours.model_.network, theirs.model_.network
    differences, same = {}, {"order": True, "batches": True, "threads": True}

    def check(run: Callable[[np.ndarray], list[np.ndarray]]) -> None:
        """Check a function that takes indices of sequences and returns an array for each."""
        everything = np.arange(len(scaled))
        usual, shuffled = run(everything), np.random.default_rng(0).permutation(len(scaled))
        same["order"] &= _equal(run(shuffled), [usual[i] for i in shuffled])
        blocks = [everything[i : i + BLOCK] for i in range(0, len(scaled), BLOCK)]
        in_blocks = [one for block in blocks for one in run(block)]
        alone = [run(everything[i : i + 1])[0] for i in range(min(ALONE, len(scaled)))]
        same["batches"] &= _equal(in_blocks, usual) and _equal(alone, usual[: len(alone)])
        for threads in THREADS:
            with packed.limited_threads(threads):
                same["threads"] &= _equal(run(everything), usual)

    for steps in (0, LATENT_STEPS):
        check(lambda rows, steps=steps: list(ours.encode(scaled[rows], latent_steps=steps)))

    codes = ours.encode(scaled)
    off = np.abs(codes - theirs.encode(scaled)).max(axis=0)
    differences["encode"] = float((off / codes.std(axis=0)).max())
    outputs = ours.decode(codes, scaled.offsets)
    off = np.abs(outputs - theirs.decode(codes, scaled.offsets)).max(axis=0)
    differences["decode"] = float((off / outputs.std(axis=0)).max())

    def decode(rows: np.ndarray) -> list[np.ndarray]:
        offsets = np.concatenate([[0], np.cumsum(scaled.lengths[rows])])
        return np.split(ours.decode(codes[rows], offsets), offsets[1:-1])

    check(decode)
    return {"differences": differences, "same": same, "num_sequences": len(data)}


def _equal(some: list[np.ndarray], others: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


if __name__ == "__main__":
    path, which, number = sys.argv[1:]
    chosen = (
        refold.datasets.japanese_vowels().test[: int(number)]
        if which == "vowels"
        else series(which, int(number))
    )
    answer(**compare(path, chosen))
