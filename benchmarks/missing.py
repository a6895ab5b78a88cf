"""How well missing values are filled in: Refold, the mean, and PCA with iterated filling.

``python -m benchmarks.missing`` takes about 5 minutes on two cores.

Values are hidden at random, or in one block of steps a sequence, in the training and in the test
split alike; the error is that of the hidden values of the test split, which all methods are to
fill in from what is left, told the lengths.  16 numbers a code.

- The mean: of the feature, and of the feature at that step.
- PCA with iterated filling: components of the padded training split whose gaps begin as the means
  by step and are filled with what the components say, a hundred times; the gaps of the test split
  likewise, by the components found.
- The same, regularised: in training components count by the share of their variance that is not
  noise (J. Josse and F. Husson, Journal de la SFdS 153, 2012), and in use a code is the likeliest
  one of probabilistic PCA (M. E. Tipping and C. M. Bishop, 1999).
- Refold by its defaults, within a minute: codes are decoded, and what is in the gaps is taken.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

import refold
from benchmarks._results import table, write_page
from benchmarks.fidelity_peers.data import DATA
from refold.evaluation import nmse
from refold.sequences import Scaler, Sequences

LATENT_DIM = 16
ITERATIONS = 100
PATTERNS = {
    "none in training, a tenth in use": ("random", 0.0, 0.1),
    "none in training, half in use": ("random", 0.0, 0.5),
    "a tenth at random": ("random", 0.1, 0.1),
    "three tenths at random": ("random", 0.3, 0.3),
    "half at random": ("random", 0.5, 0.5),
    "a block of three tenths": ("block", 0.3, 0.3),
    "a block of half": ("block", 0.5, 0.5),
}


def hide(sequences: Sequences, kind: str, share: float, seed: int) -> tuple[Sequences, Sequences]:
    """Return sequences without a share of their values, and those values alone."""
    rng = np.random.default_rng(seed)
    hidden = np.zeros(sequences.values.shape, bool)
    if kind == "random":
        hidden = rng.random(hidden.shape) < share
    else:
        for first, length in zip(sequences.offsets, sequences.lengths, strict=False):
            steps = int(np.ceil(share * length))
            begin = first + rng.integers(0, length - steps + 1)
            hidden[begin : begin + steps] = True
    return tuple(
        sequences.with_values(np.where(where, np.nan, sequences.values))
        for where in (hidden, ~hidden)
    )


def means(train: Sequences, *, by_step: bool) -> Callable[[Sequences], Sequences]:
    """Fill with means."""
    of_all = np.nanmean(train.values, axis=0)

    def fill(sequences: Sequences) -> Sequences:
        if not by_step:
            return sequences.with_values(np.tile(of_all, (len(sequences.values), 1)))
        return _cut(_means_by_step(train, sequences), sequences, beyond=of_all)

    return fill


def iterated_pca(train: Sequences, *, regularised: bool) -> Callable[[Sequences], Sequences]:
    """Fill with principal components of what is filled."""
    scaler = Scaler.fit(train, mode="features")
    given = scaler.transform(train)
    steps = int(train.lengths.max())
    begin = _means_by_step(given, given)
    filled, known = _pad(given, steps)
    filled = np.where(known, filled, begin)
    pca = PCA(LATENT_DIM, random_state=0)
    for _ in range(ITERATIONS):
        codes = pca.fit_transform(_flat(filled))
        if regularised:
            codes *= np.maximum(1 - pca.noise_variance_ / pca.explained_variance_, 0)
        filled = np.where(known, filled, pca.inverse_transform(codes).reshape(filled.shape))

    def fill(sequences: Sequences) -> Sequences:
        scaled = scaler.transform(sequences)
        values, there = _pad(scaled, steps)
        if regularised:
            back = _likeliest(pca, _flat(values), _flat(there)).reshape(values.shape)
            values = np.where(there, values, back)
        else:
            values = np.where(there, values, _means_by_step(given, scaled))
            for _ in range(ITERATIONS):
                back = pca.inverse_transform(pca.transform(_flat(values))).reshape(values.shape)
                values = np.where(there, values, back)
        return scaler.inverse_transform(_cut(values, scaled))

    return fill


def _likeliest(pca: PCA, values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return what the likeliest codes of what is known say of all."""
    spread = np.sqrt(np.maximum(pca.explained_variance_ - pca.noise_variance_, 0))
    loadings = pca.components_.T * spread
    back = np.empty_like(values)
    for row, (value, there) in enumerate(zip(values, known, strict=True)):
        of_known = loadings[there]
        squares = of_known.T @ of_known + max(pca.noise_variance_, 1e-9) * np.eye(len(spread))
        code = np.linalg.solve(squares, of_known.T @ (value - pca.mean_)[there])
        back[row] = loadings @ code + pca.mean_
    return back


def refold_default(train: Sequences) -> Callable[[Sequences], Sequences]:
    """Decode the codes of what is left."""
    ae = refold.SequenceAutoencoder(LATENT_DIM, random_state=0, time_budget=60).fit(train)

    def fill(sequences: Sequences) -> Sequences:
        back = ae.inverse_transform(ae.transform(sequences), lengths=sequences.lengths)
        return sequences.with_values(np.concatenate([np.asarray(one) for one in back]))

    return fill


METHODS: dict[str, Callable[[Sequences], Callable[[Sequences], Sequences]]] = {
    "mean": functools.partial(means, by_step=False),
    "mean by step": functools.partial(means, by_step=True),
    "PCA, iterated filling": functools.partial(iterated_pca, regularised=False),
    "the same, regularised": functools.partial(iterated_pca, regularised=True),
    "Refold": refold_default,
}


def _pad(scaled: Sequences, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return padded values, and what is known: padding is known to be zero."""
    values = scaled.to_padded(0.0)[:, :steps]
    values = np.pad(values, ((0, 0), (0, steps - values.shape[1]), (0, 0)))
    return np.nan_to_num(values), ~np.isnan(values)


def _means_by_step(train: Sequences, sequences: Sequences) -> np.ndarray:
    """Return the training means of feature and step, padded."""
    steps = int(train.lengths.max())
    values, known = _pad(train, steps)
    real = known & (np.arange(steps) < train.lengths[:, None])[:, :, None]
    overall = np.nanmean(train.values, axis=0)
    number = real.sum(axis=0)
    at = np.where(number > 0, (values * real).sum(axis=0) / np.maximum(number, 1), overall)
    within = (np.arange(steps) < sequences.lengths[:, None])[:, :, None]
    return np.where(within, at, 0.0)


def _cut(padded: np.ndarray, sequences: Sequences, *, beyond: Any = 0.0) -> Sequences:
    """Take the real steps, and ``beyond`` for those that are longer than the padded ones."""
    values = np.empty(sequences.values.shape)
    values[:] = beyond
    for row, (first, length) in enumerate(zip(sequences.offsets, sequences.lengths, strict=False)):
        kept = min(int(length), padded.shape[1])
        values[first : first + kept] = padded[row, :kept]
    return sequences.with_values(values)


def _flat(padded: np.ndarray) -> np.ndarray:
    return padded.reshape(len(padded), -1)


def main() -> None:
    """Measure, and write ``results/missing.md``."""
    rows = []
    for data in (DATA["vowels"], DATA["digits"]):
        train, test = data.load()
        units = Scaler.fit(train, mode="features")
        for pattern, (kind, in_training, in_use) in PATTERNS.items():
            given, _ = hide(train, kind, in_training, seed=0)
            left, wanted = hide(test, kind, in_use, seed=1)
            errors = [nmse(wanted, fit(given)(left), units) for fit in METHODS.values()]
            rows.append([data.title, pattern, *(f"{error:.3f}" for error in errors)])
            print(*rows[-1], sep=", ", flush=True)
    write_page(
        "missing",
        "Missing values",
        [
            f"NMSE of the hidden values of the test split, {LATENT_DIM} numbers a code, all told "
            "the lengths. A block is of whole steps, at least as many as the share comes to. What "
            "is hidden and Refold's seed were drawn once; from seed to seed its figures on "
            "JapaneseVowels move by about 0.005.",
            table(["data", "hidden", *METHODS], rows),
        ],
    )


if __name__ == "__main__":
    main()
