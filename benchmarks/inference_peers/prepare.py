"""Data and models: ``... prepare vowels FOLDER`` and ``... prepare series FOLDER KIND PATCH N``.

``vowels`` writes both splits of JapaneseVowels and one sequence. ``series`` fits a model to series
of log-normal or equal lengths for one epoch. ``... prepare error FOLDER FILE`` computes the error
of reconstructions of the test split.
"""

import sys
from pathlib import Path
from typing import Any

from benchmarks.training_peers.lengths import equal, log_normal
from benchmarks.training_peers.process import answer

__all__ = ["LATENT_DIM", "series"]

LATENT_DIM = 16


def series(kind: str, num_sequences: int) -> Any:
    """Return series of log-normal lengths, or of equal lengths with as many steps in total."""
    ragged = log_normal(num_sequences)
    if kind == "log-normal":
        return ragged
    return equal(num_sequences, int(ragged.offsets[-1]))


def write_vowels(folder: Path) -> dict[str, Any]:
    """Write ``train.parquet``, ``test.parquet`` and ``one.npy``."""
    import numpy as np

    from refold.datasets import japanese_vowels
    from refold.sequences import write

    data = japanese_vowels()
    write(data.train, folder / "train.parquet")
    write(data.test, folder / "test.parquet")
    np.save(folder / "one.npy", data.test[0])
    return {"num_sequences": len(data.test)}


def fit_series(folder: Path, kind: str, patch: str, num_sequences: int) -> dict[str, Any]:
    """Fit and save ``KIND-PATCH.refold``; return the sizes of the network."""
    import refold

    ae = refold.SequenceAutoencoder(
        LATENT_DIM,
        patch=patch if patch == "auto" else int(patch),
        max_epochs=1,
        validation_fraction=0,
        refit=False,
        random_state=0,
    ).fit(series(kind, num_sequences))
    path = folder / f"{kind}-{patch}.refold"
    ae.save(path)
    found = ae.model_.network.specification
    sizes = {name: getattr(found, name) for name in ("units", "depth", "patch")}
    return {"path": str(path), **sizes}


def error(folder: Path, reconstructed: str) -> dict[str, Any]:
    """Return the NMSE of reconstructions of the test split."""
    from refold.evaluation import nmse
    from refold.sequences import Scaler, read

    train, test = (read(folder / f"{name}.parquet") for name in ("train", "test"))
    return {"nmse": nmse(test, read(reconstructed), Scaler.fit(train))}


if __name__ == "__main__":
    what, where, *rest = sys.argv[1:]
    if what == "vowels":
        answer(**write_vowels(Path(where)))
    elif what == "error":
        answer(**error(Path(where), rest[0]))
    else:
        answer(**fit_series(Path(where), rest[0], rest[1], int(rest[2])))
