"""Held-out fidelity of default settings on three data sets, next to PCA and a classic model.

``python -m benchmarks.first_path`` takes about 6 minutes on two cores.

The data sets are moving ones (the sequences of the question, 4 latent dimensions), random one-hot
sequences (10 steps of 5 symbols, 20 latent dimensions) and JapaneseVowels (16 latent dimensions,
its own test split, median of three seeds). PCA is fitted to the zero-padded training split and is
told the true lengths. Refold and the classic ``RepeatVector`` model decode the lengths from the
code. The classic model is trained by the same training loop. It cannot read empty sequences, so
these are left out for it.
"""

import argparse
import statistics
import time
from typing import Any

import refold
from benchmarks._results import results_folder, table, write_page
from benchmarks._sets import DATA
from refold.evaluation import PCABaseline, exact, nmse
from refold.sequences import Scaler, Sequences


def fit(
    train: Sequences, seed: int = 0, **options: Any
) -> tuple[refold.SequenceAutoencoder, float]:
    """Fit a model with default settings; return it and the seconds that the fit took."""
    started = time.perf_counter()
    ae = refold.SequenceAutoencoder(random_state=seed, **options).fit(train)
    return ae, time.perf_counter() - started


def symbols(title: str, train: Sequences, test: Sequences, latent_dim: int) -> list[list[str]]:
    """Return the rows of a data set that is measured by the share of exact sequences."""
    ae, seconds = fit(train, latent_dim=latent_dim)
    shares = {"Refold": (exact(test, ae.reconstruct(test)), f"{seconds:.0f}")}
    pca = PCABaseline(latent_dim).fit(train)
    shares["PCA, told the lengths"] = (exact(test, pca.reconstruct(test)), "")
    full, options = test[test.lengths > 0], {"latent_dim": latent_dim, "architecture": "repeat"}
    classic, seconds = fit(train[train.lengths > 0], **options)
    shares["`RepeatVector`"] = (exact(full, classic.reconstruct(full)), f"{seconds:.0f}")
    return [
        [title, str(latent_dim), str(len(test)), model, f"{100 * share:.1f} % exact", seconds]
        for model, (share, seconds) in shares.items()
    ]


def vowels() -> list[list[str]]:
    """Return the rows of JapaneseVowels, which is measured by NMSE."""
    (train, test), latent_dim = DATA["vowels"].splits(), 16
    units = Scaler.fit(train)
    errors, seconds = [], []
    for seed in range(3):
        ae, took = fit(train, seed, latent_dim=latent_dim)
        errors.append(nmse(test, ae.reconstruct(test), units))
        seconds.append(took)
    error = nmse(test, PCABaseline(latent_dim).fit(train).reconstruct(test), units)
    median = f"NMSE {statistics.median(errors):.3f}", f"{statistics.median(seconds):.0f}"
    about = ["JapaneseVowels", str(latent_dim), str(len(test))]
    return [
        [*about, "Refold", *median],
        [*about, "PCA, told the lengths", f"NMSE {error:.3f}", ""],
    ]


def main() -> None:
    """Measure and write ``results/first_path.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_path", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only moving ones, and few of them")
    quick = parser.parse_args().quick
    data = refold.datasets
    number = 100 if quick else 5000
    ones = (data.moving_ones(number, seed=seed) for seed in (0, 1))
    rows = symbols("moving ones", *ones, latent_dim=4)
    if not quick:
        one_hot = data.random_one_hot(20000, seed=0), data.random_one_hot(5000, seed=1)
        rows += [*symbols("random one-hot", *one_hot, latent_dim=20), *vowels()]
    header = ["data", "latent dimensions", "held-out sequences", "model", "result"]
    title, folder = "Held-out fidelity of default settings", results_folder(complete=not quick)
    page = [table([*header, "seconds to fit"], rows)]
    write_page("first_path", title, page, folder=folder)


if __name__ == "__main__":
    main()
