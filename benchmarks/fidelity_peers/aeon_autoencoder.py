"""The autoencoder of aeon's ``AEFCNClusterer``, without the clustering.

It is convolutional and reads arrays that are padded with zeros.  It has default settings, which
include a smaller learning rate on a plateau.  It trains until the time is up.
"""

import tempfile
from collections.abc import Callable
from typing import Any

from benchmarks.fidelity_peers.budget import EPOCHS, time_budget
from benchmarks.fidelity_peers.channels import Channels, cut, pad

__all__ = ["fit"]


def fit(train: Any, *, size: int, seconds: float, seed: int) -> Callable[[Any], Any]:
    """Train, and return a function that reconstructs sequences."""
    import keras
    from aeon.clustering import DummyClusterer
    from aeon.clustering.deep_learning import AEFCNClusterer

    channels = Channels(train)
    x = pad(channels.series(train), channels.longest)
    with tempfile.TemporaryDirectory() as folder:
        # The default callback of the clusterer, and the time limit.
        plateau = keras.callbacks.ReduceLROnPlateau(
            monitor="loss", factor=0.5, patience=50, min_lr=0.0001
        )
        clusterer = AEFCNClusterer(
            estimator=DummyClusterer(n_clusters=2),
            latent_space_dim=size,
            n_epochs=EPOCHS,
            random_state=seed,
            file_path=f"{folder}/",
            callbacks=[plateau, time_budget(seconds)],
        )
        clusterer.fit(x.transpose(0, 2, 1))

    def reconstruct(sequences: Any) -> Any:
        padded = pad(channels.series(sequences), channels.longest)
        back = clusterer.model_.predict(padded, verbose=0)
        return channels.sequences(cut(back, sequences.lengths))

    return reconstruct
