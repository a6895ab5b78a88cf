"""Measure the recipes of docs/how-to/recipes.md: ``python -m scripts.recipes [NAME ...]``.

Each recipe fits one model with default settings to synthetic data of a stated size, and measures
its error on data that the fit has not seen, next to PCA with as many dimensions. The script writes
``benchmarks/results/recipes.md`` with the date, the machine and the versions, and stores results in
``recipes.json``. With names of recipes, it measures these and keeps the other results. It needs no
network. Times include the compilation, and other programs on the machine make them longer.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from benchmarks._results import FOLDER, table, write_page

import refold
from refold.evaluation import PCABaseline, fidelity
from refold.sequences import Sequences

RESULTS = FOLDER / "recipes.json"
DAY = 24
PAGES = ("start", "search", "item", "cart", "pay")


def machines(num: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return a table with a row for each minute of each machine: two sensors and a state."""
    parts = []
    for i in range(num):
        minutes = np.arange(rng.integers(40, 121))
        period, level, swing = rng.normal((40, 34, 5) if i % 2 else (80, 28, 9), (3, 2, 0.5))
        wave = np.sin(2 * np.pi * (minutes / period + rng.uniform(0, 0.2)))
        power = level + swing * wave + rng.normal(scale=0.5, size=len(minutes))
        part = {"id": f"m{i:04}", "time": minutes, "power": power}
        part["temperature"] = 20 + pd.Series(power).ewm(span=20).mean()
        part["state"] = np.where(minutes < 10, "start", np.where(wave > 0, "work", "idle"))
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def sensor(days: int, rng: np.random.Generator) -> np.ndarray:
    """Return the hours of two sensors: a wave of a day, whose size and level drift, and noise."""
    hours = np.arange(DAY * days)
    wave = np.sin(2 * np.pi * hours / DAY)
    size = 1 + 0.3 * np.sin(2 * np.pi * hours / (DAY * 9))
    drift = 0.03 * rng.normal(size=len(hours)).cumsum()
    first = size * wave + drift + 0.1 * rng.normal(size=len(hours))
    second = np.roll(first, 3) + 0.1 * rng.normal(size=len(hours))
    return np.stack([first, second], axis=1)


def heartbeats(num: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return curves like heartbeats in an ECG, of 60 to 120 steps: five bumps and noise."""
    places = np.array([0.2, 0.36, 0.4, 0.44, 0.65])
    sizes, widths = np.array([0.15, -0.15, 1.0, -0.25, 0.3]), np.array([25, 10, 11, 10, 40]) / 1000
    beats = []
    for _ in range(num):
        at = np.linspace(0, 1, rng.integers(60, 121))[:, None]
        place = places + rng.normal(scale=0.01, size=5)
        size = sizes * rng.normal(1, 0.15, size=5)
        bumps = size * np.exp(-((at - place) ** 2) / (2 * widths**2))
        beats.append(bumps.sum(axis=1) + 0.02 * rng.normal(size=len(at)))
    return beats


def visits(num: int, rng: np.random.Generator) -> Sequences:
    """Return visits to a shop: a page and seconds for each step, a tenth of both is missing."""
    rows: dict[str, list[Any]] = {"id": [], "page": [], "seconds": []}
    for i in range(num):
        page = 0
        for _ in range(rng.integers(3, 21)):
            rows["id"].append(i)
            seen, timed = rng.random(2) > 0.1
            rows["page"].append(PAGES[page] if seen else None)
            rows["seconds"].append(rng.normal(2 + page, 0.5) if timed else None)
            page = min(page + 1, 4) if rng.random() < 0.6 else int(rng.integers(3))
    return Sequences.from_table(rows, id="id")


def timed(fit: Callable[[], Any]) -> tuple[str, str]:
    """Return the wall time and the processor time of a fit, in whole seconds."""
    start = time.perf_counter(), time.process_time()
    fit()
    times = time.perf_counter() - start[0], time.process_time() - start[1]
    return f"{times[0]:.0f}", f"{times[1]:.0f}"


def measured(ae: Any, train: Any, test: Any) -> tuple[str, ...]:
    """Fit, and return the times and the errors of the model and of PCA on the test data."""
    times = timed(lambda: ae.fit(train))
    back = ae.inverse_transform(ae.transform(test))
    if ae.window is not None:
        train, test = (ae.windows(x).sequences for x in (train, test))
    train, test = (refold.sequences.as_sequences(x) for x in (train, test))
    pca = PCABaseline(ae.latent_dim_).fit(train, ae.error_scaler_)
    errors = (fidelity(test, found, ae.error_scaler_) for found in (back, pca.reconstruct(test)))
    return *times, *map(_text, errors)


def _text(found: Any) -> str:
    parts = [] if found.nmse is None else [f"NMSE {found.nmse:.3g}"]
    if found.accuracy is not None:
        parts.append(f"accuracy {100 * found.accuracy:.1f} %")
    return ", ".join(parts)


def long_table(rng: np.random.Generator) -> tuple[str, ...]:
    """Measure a long table of machines."""
    data = machines(500, rng)
    train, test = data[data["id"] < "m0400"], data[data["id"] >= "m0400"]
    size = f"400 machines, {len(train):,} rows, 2 numeric columns and 1 categorical one"
    found = measured(refold.SequenceAutoencoder(random_state=0), train, test)
    return "a long table", size, "16", *found


def one_series(rng: np.random.Generator) -> tuple[str, ...]:
    """Measure windows of one series."""
    data = sensor(1000, rng)
    ae = refold.SequenceAutoencoder(window=96, random_state=0)
    found = measured(ae, data[: DAY * 800], data[DAY * 800 :])
    size = f"1 series, {DAY * 800:,} hours, 2 columns, windows of 96 hours"
    return "one long series", size, "16", *found


def curves(rng: np.random.Generator) -> tuple[str, ...]:
    """Measure curves like an ECG."""
    data = heartbeats(1000, rng)
    found = measured(refold.SequenceAutoencoder(random_state=0), data[:800], data[800:])
    return "beats of an ECG", "800 beats of 60 to 120 steps, 1 column", "16", *found


def gaps(rng: np.random.Generator) -> tuple[str, ...]:
    """Measure categories with missing values."""
    data = visits(2000, rng)
    train, test = data[:1600], data[1600:]
    found = measured(refold.SequenceAutoencoder(random_state=0), train, test)
    size = f"1,600 visits of 3 to 20 steps ({len(train.values):,} rows), 10 % of the values missing"
    return "categories with gaps", size, "16", *found


def anomalies(rng: np.random.Generator) -> str:
    """Measure the share of broken beats that are found, and of false alarms."""
    train, normal, broken = heartbeats(800, rng), heartbeats(500, rng), heartbeats(500, rng)
    for beat in broken:
        beat[len(beat) // 2 :][beat[len(beat) // 2 :] > 0.12] = 0.0  # the last bump is cut off
    ae = refold.SequenceAutoencoder(calibration_fraction=0.3, random_state=0)
    seconds, processor = timed(lambda: ae.fit(train))
    found, false = (ae.detect(one, alpha=0.01).anomalous.mean() for one in (broken, normal))
    return (
        f"800 beats, 30 % of them to calibrate: a fit took {seconds} s, and {processor} s of "
        "processor time. "
        f"With `alpha=0.01`, `detect` marks {100 * found:.1f} % of 500 beats whose last bump is "
        f"cut off, and {100 * false:.1f} % of 500 normal ones."
    )


def without_a_fit(rng: np.random.Generator) -> str:
    """Measure the pretrained model."""
    data = heartbeats(5000, rng)
    start = time.perf_counter()
    model = refold.load("series")
    codes = model.encode(data)
    seconds = time.perf_counter() - start
    small = refold.load("series", dims=16)
    return (
        f"The pretrained model read 5,000 beats in {seconds:.1f} s, loading included, without a "
        f"fit. Codes of {codes.shape[1]} numbers explain {100 * model.score(data[:500]):.1f} % of "
        f"their variance, and with `dims=16` {100 * small.score(data[:500]):.1f} %."
    )


RECIPES: dict[str, Callable[[np.random.Generator], Any]] = {
    "long_table": long_table,
    "one_series": one_series,
    "curves": curves,
    "gaps": gaps,
    "anomalies": anomalies,
    "without_a_fit": without_a_fit,
}


def main(names: list[str]) -> None:
    """Measure recipes, store the results, and write the page."""
    results = json.loads(RESULTS.read_text("utf-8")) if names and RESULTS.exists() else {}
    for name in names or RECIPES:
        results[name] = RECIPES[name](np.random.default_rng(0))
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    header = ("data", "training data", "latent dimensions", "seconds of a fit")
    header += ("seconds of processor time", "Refold", "PCA")
    about = (
        "Errors are those of data that the fit has not seen. PCA is told the lengths, and Refold "
        "decodes them. Each row is one fit with default settings and one seed. Other programs ran "
        "on the machine, so a fit takes less time on a machine of its own. Two cores share the "
        "processor time."
    )
    found = [results[name] for name in RECIPES if name in results]
    parts = [about, table(header, [one for one in found if not isinstance(one, str)])]
    write_page("recipes", "Recipes", parts + [one for one in found if isinstance(one, str)])


if __name__ == "__main__":
    main(sys.argv[1:])
