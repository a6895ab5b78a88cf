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
    back = ae.inverse_transform(ae.transform(test))  # lengths are predicted
    each = [exact(test[test.lengths == n], _pick(back, test.lengths == n)) for n in _lengths(test)]
    pca = PCABaseline(latent_dim).fit(train)
    classic, classic_seconds = fit(
        train[train.lengths > 0], latent_dim=latent_dim, architecture="repeat"
    )
    full = test[test.lengths > 0]
    return [
        _row(title, latent_dim, len(test), "Refold", _share(exact(test, back)), seconds),
        ["", "", "", f"Refold, worst of {len(each)} lengths", _share(min(each)), ""],
        _row("", "", "", "PCA, told the lengths", _share(exact(test, pca.reconstruct(test))), None),
        _row(
            "", "", "", "`RepeatVector`", _share(exact(full, classic.reconstruct(full))),
            classic_seconds,
        ),
    ]  # fmt: skip


def vowels() -> list[list[str]]:
    """Return the rows of JapaneseVowels, which is measured by NMSE."""
    data, latent_dim = refold.datasets.japanese_vowels(), 16
    units = Scaler.fit(data.train)

    def median(**options: Any) -> tuple[str, float]:
        errors, seconds = [], []
        for seed in range(3):
            ae, took = fit(data.train, seed, latent_dim=latent_dim, **options)
            errors.append(nmse(data.test, ae.inverse_transform(ae.transform(data.test)), units))
            seconds.append(took)
        return f"NMSE {statistics.median(errors):.3f}", statistics.median(seconds)

    pca = PCABaseline(latent_dim).fit(data.train)
    error = nmse(data.test, pca.reconstruct(data.test), units)
    return [
        _row("JapaneseVowels", latent_dim, len(data.test), "Refold", *median()),
        _row("", "", "", "PCA, told the lengths", f"NMSE {error:.3f}", None),
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


def _row(*cells: Any) -> list[str]:
    *texts, seconds = cells
    return [*map(str, texts), "" if seconds is None else f"{seconds:.0f}"]


def _share(share: float) -> str:
    return f"{100 * share:.1f} % exact"


def _lengths(test: Sequences) -> list[int]:
    return sorted(set(test.lengths.tolist()))


def _pick(sequences: list[Any], chosen: Any) -> list[Any]:
    return [s for s, take in zip(sequences, chosen, strict=True) if take]


if __name__ == "__main__":
    main()
