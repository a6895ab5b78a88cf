"""Train with a checkpoint after every epoch, and resume; for tests that kill this script."""

import sys

from refold import Checkpoint, SequenceAutoencoder, Sequences
from refold.datasets import noisy_sines

SETTINGS = {"latent_dim": 3, "units": 8, "max_epochs": 120, "batch_size": 8, "random_state": 0}


def data() -> Sequences:
    """Return training sequences for which a few epochs improve on the linear initialization."""
    return noisy_sines(60, seed=0, min_steps=5, max_steps=12, noise=0.0)


def main(checkpoint: str, model: str) -> None:
    ae = SequenceAutoencoder(**SETTINGS)
    ae.fit(data(), checkpoint=Checkpoint(checkpoint, seconds=0.0), resume=True).save(model)


if __name__ == "__main__":
    main(*sys.argv[1:])
