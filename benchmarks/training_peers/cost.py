"""Measure the cost of an epoch: ``... cost SEQUENCES STEPS UNITS LATENT_DIM``."""

import statistics
import sys

import numpy as np

from benchmarks.training_peers.lengths import BATCH, equal
from benchmarks.training_peers.process import answer, peak_bytes


def main(num_sequences: int, num_steps: int, units: int, latent_dim: int) -> None:
    """Train for a few epochs, and print seconds per epoch and peak memory."""
    import refold

    ae = refold.SequenceAutoencoder(
        latent_dim=latent_dim,
        units=units,
        patch=1,
        batch_size=BATCH,
        max_epochs=5,
        validation_fraction=0,
        random_state=0,
    ).fit(equal(num_sequences, num_sequences * num_steps))
    answer(seconds=statistics.median(np.diff(ae.history_["seconds"])), peak=peak_bytes())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
