"""How long to wait for a better validation loss: the epochs of small sets, and rules to end them.

``python -m benchmarks.patience --record`` fits every set once, for as long as the widest rule
wants, and keeps its validation losses in ``results/patience.json``; it goes on where it was stopped
and takes about an hour on two cores.  ``python -m benchmarks.patience`` applies the rules to these
losses, and writes ``results/patience.md`` in a second.

A rule is chosen on the sets of `CHOOSE`, and reported on those of `REPORT`.  This split was written
down before the first fit.  Only training splits are used.  A refit is left out: it takes the steps
of the best epoch, so it is the same wherever the best epoch is.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks._records import read_records, write_records
from benchmarks._results import FOLDER, machine, today, version_of

RECORDS = FOLDER / "patience.json"
SIZES = (4, 16)


def from_aeon(name: str) -> Any:
    """Return a training split that aeon ships."""
    import aeon.datasets

    found, _ = getattr(aeon.datasets, name)(split="train")
    return [np.asarray(one, np.float32).T for one in found]


def from_sktime(name: str) -> Any:
    """Return a training split that sktime ships."""
    import sktime.datasets

    found, _ = getattr(sktime.datasets, name)(split="train", return_type="numpy3d")
    return found.transpose(0, 2, 1).astype(np.float32)


def digits() -> Any:
    """Return 300 images of scikit-learn's, line by line."""
    from sklearn.datasets import load_digits

    return load_digits().images[:300].astype(np.float32)


def trace() -> Any:
    """Return the training split of Trace, which tslearn ships."""
    from tslearn.datasets import CachedDatasets

    return CachedDatasets().load_dataset("Trace")[0].astype(np.float32)


def vowels() -> Any:
    """Return the training split of JapaneseVowels."""
    from refold.datasets import japanese_vowels

    return japanese_vowels().train


def made(name: str) -> Any:
    """Return 300 sequences of one of Refold's generators."""
    import refold.datasets

    return getattr(refold.datasets, name)(300, seed=0)


def sines() -> Any:
    """Return 120 noisy sines of 20 to 60 steps."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 61, 120)
    waves = [np.sin(rng.uniform(0.1, 0.5) * np.arange(n) + rng.uniform(0, 6)) for n in lengths]
    return [(wave + 0.1 * rng.standard_normal(len(wave)))[:, None] for wave in waves]


def mixed() -> Any:
    """Return 150 random walks, each beside a symbol that says which way it goes."""
    rng = np.random.default_rng(1)
    rows = []
    for n in rng.integers(10, 31, 150):
        steps = rng.standard_normal(n)
        names = np.where(steps > 0, "up", "down")
        rows.append(np.array([*zip(np.cumsum(steps), names, strict=True)], dtype=object))
    return rows


CHOOSE: dict[str, Callable[[], Any]] = {
    "ArrowHead": lambda: from_aeon("load_arrow_head"),
    "GunPoint": lambda: from_aeon("load_gunpoint"),
    "ItalyPowerDemand": lambda: from_aeon("load_italy_power_demand"),
    "CardanoSentiment": lambda: from_aeon("load_cardano_sentiment"),
    "JapaneseVowels": vowels,
    "digits": digits,
    "moving ones": lambda: made("moving_ones"),
    "sines": sines,
}
REPORT: dict[str, Callable[[], Any]] = {
    "BasicMotions": lambda: from_aeon("load_basic_motions"),
    "Covid3Month": lambda: from_aeon("load_covid_3month"),
    "OSULeaf": lambda: from_aeon("load_osuleaf"),
    "PickupGestureWiimoteZ": lambda: from_aeon("load_pickup_gesture_wiimoteZ"),
    "UnitTest": lambda: from_aeon("load_unit_test"),
    "Tecator": lambda: from_sktime("load_tecator"),
    "Trace": trace,
    "random one-hot": lambda: made("random_one_hot"),
    "mixed": mixed,
}
SETS = CHOOSE | REPORT


def length_of_schedule(lengths: np.ndarray, seed: int) -> int:
    """Return the epochs that Refold plans for sequences of such lengths."""
    from refold.sequences import Batches
    from refold.training import pick_batch_size, pick_max_epochs, validation_split

    chosen, _ = validation_split(lengths, 0.1, seed=seed)
    batches = Batches(lengths, min(pick_batch_size(len(chosen)), len(chosen)), None)
    return pick_max_epochs(batches.num_batches(chosen))


def record(name: str, size: int) -> dict[str, Any]:
    """Fit a set, and return its validation losses."""
    import refold
    from refold._parameters import draw_seed
    from refold.sequences import as_sequences

    data = as_sequences(SETS[name]())
    max_epochs = length_of_schedule(data.lengths, draw_seed(0))
    ae = refold.SequenceAutoencoder(size, refit=False, patience=quarter(max_epochs), random_state=0)
    started = time.perf_counter()
    ae.fit(data)
    return {
        "set": name,
        "size": size,
        "sequences": len(data),
        "max_epochs": max_epochs,
        "seconds": round(time.perf_counter() - started, 1),
        "date": today(),
        "machine": machine(),
        "versions": {name: version_of(name) for name in ("refold", "keras", "jax", "numpy")},
        "start": ae.start_loss_,
        "losses": [float(f"{loss:.6g}") for loss in ae.history_["val_loss"]],
    }


def quarter(max_epochs: int) -> int:
    """Return the patience of the rule that losses are recorded by: a quarter of the schedule."""
    return max(20, max_epochs // 4)


def record_all() -> None:
    """Record what is not there yet."""
    records = read_records(RECORDS)
    done = {(one["set"], one["size"]) for one in records}
    for name in SETS:
        for size in SIZES:
            if (name, size) not in done:
                records.append(record(name, size))
                write_records(RECORDS, records)
                one = records[-1]
                print(name, size, len(one["losses"]), "epochs", one["seconds"], "s", flush=True)


if __name__ == "__main__":
    record_all()
