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


def simulate_machines(num_machines: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return a table with a row for each minute of each machine: two sensors and a state."""
    tables = []
    for i in range(num_machines):
        minutes = np.arange(rng.integers(40, 121))
        period, level, swing = rng.normal((40, 34, 5) if i % 2 else (80, 28, 9), (3, 2, 0.5))
        wave = np.sin(2 * np.pi * (minutes / period + rng.uniform(0, 0.2)))
        power = level + swing * wave + rng.normal(scale=0.5, size=len(minutes))
        columns = {"id": f"m{i:04}", "time": minutes, "power": power}
        columns["temperature"] = 20 + pd.Series(power).ewm(span=20).mean()
        columns["state"] = np.where(minutes < 10, "start", np.where(wave > 0, "work", "idle"))
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def simulate_sensors(num_days: int, rng: np.random.Generator) -> np.ndarray:
    """Return the hours of two sensors: a wave of a day, whose size and level drift, and noise."""
    hours = np.arange(DAY * num_days)
    wave = np.sin(2 * np.pi * hours / DAY)
    amplitude = 1 + 0.3 * np.sin(2 * np.pi * hours / (DAY * 9))
    drift = 0.03 * rng.normal(size=len(hours)).cumsum()
    first = amplitude * wave + drift + 0.1 * rng.normal(size=len(hours))
    second = np.roll(first, 3) + 0.1 * rng.normal(size=len(hours))
    return np.stack([first, second], axis=1)


def simulate_heartbeats(num_beats: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return curves like heartbeats in an ECG, of 60 to 120 steps: five bumps and noise."""
    centers = np.array([0.2, 0.36, 0.4, 0.44, 0.65])
    heights = np.array([0.15, -0.15, 1.0, -0.25, 0.3])
    widths = np.array([25, 10, 11, 10, 40]) / 1000
    beats = []
    for _ in range(num_beats):
        positions = np.linspace(0, 1, rng.integers(60, 121))[:, None]
        shifted = centers + rng.normal(scale=0.01, size=5)
        scaled = heights * rng.normal(1, 0.15, size=5)
        bumps = scaled * np.exp(-((positions - shifted) ** 2) / (2 * widths**2))
        beats.append(bumps.sum(axis=1) + 0.02 * rng.normal(size=len(positions)))
    return beats


def simulate_visits(num_visits: int, rng: np.random.Generator) -> Sequences:
    """Return visits to a shop: a page and seconds for each step, a tenth of both is missing."""
    rows: dict[str, list[Any]] = {"id": [], "page": [], "seconds": []}
    for i in range(num_visits):
        page = 0
        for _ in range(rng.integers(3, 21)):
            rows["id"].append(i)
            has_page, has_seconds = rng.random(2) > 0.1
            rows["page"].append(PAGES[page] if has_page else None)
            rows["seconds"].append(rng.normal(2 + page, 0.5) if has_seconds else None)
            page = min(page + 1, 4) if rng.random() < 0.6 else int(rng.integers(3))
    return Sequences.from_table(rows, id="id")


def time_fit(fit: Callable[[], Any]) -> tuple[str, str]:
    """Return the wall time and the processor time of a fit, in whole seconds."""
    start = time.perf_counter(), time.process_time()
    fit()
    times = time.perf_counter() - start[0], time.process_time() - start[1]
    return f"{times[0]:.0f}", f"{times[1]:.0f}"


def fit_and_measure(ae: Any, train: Any, test: Any) -> tuple[str, ...]:
    """Fit, and return the times and the errors of the model and of PCA on the test data."""
    times = time_fit(lambda: ae.fit(train))
    reconstructed = ae.inverse_transform(ae.transform(test))
    if ae.window is not None:
        train, test = (ae.windows(x).sequences for x in (train, test))
    train, test = (refold.sequences.as_sequences(x) for x in (train, test))
    pca = PCABaseline(ae.latent_dim_).fit(train, ae.error_scaler_)
    errors = (fidelity(test, x, ae.error_scaler_) for x in (reconstructed, pca.reconstruct(test)))
    return *times, *map(_format_scores, errors)


def _format_scores(scores: Any) -> str:
    texts = [] if scores.nmse is None else [f"NMSE {scores.nmse:.3g}"]
    if scores.accuracy is not None:
        texts.append(f"accuracy {100 * scores.accuracy:.1f} %")
    return ", ".join(texts)


def measure_long_table(rng: np.random.Generator) -> tuple[str, ...]:
    """Measure a long table of machines."""
    data = simulate_machines(500, rng)
    train, test = data[data["id"] < "m0400"], data[data["id"] >= "m0400"]
    description = f"400 machines, {len(train):,} rows, 2 numeric columns and 1 categorical one"
    cells = fit_and_measure(refold.SequenceAutoencoder(random_state=0), train, test)
    return "a long table", description, "16", *cells


def measure_one_series(rng: np.random.Generator) -> tuple[str, ...]:
    """Measure windows of one series."""
    data = simulate_sensors(1000, rng)
    ae = refold.SequenceAutoencoder(window=96, random_state=0)
    cells = fit_and_measure(ae, data[: DAY * 800], data[DAY * 800 :])
    description = f"1 series, {DAY * 800:,} hours, 2 columns, windows of 96 hours"
    return "one long series", description, "16", *cells


def measure_curves(rng: np.random.Generator) -> tuple[str, ...]:
    """Measure curves like an ECG."""
    data = simulate_heartbeats(1000, rng)
    cells = fit_and_measure(refold.SequenceAutoencoder(random_state=0), data[:800], data[800:])
    return "beats of an ECG", "800 beats of 60 to 120 steps, 1 column", "16", *cells


def measure_gaps(rng: np.random.Generator) -> tuple[str, ...]:
    """Measure categories with missing values."""
    data = simulate_visits(2000, rng)
    train, test = data[:1600], data[1600:]
    cells = fit_and_measure(refold.SequenceAutoencoder(random_state=0), train, test)
    description = (
        f"1,600 visits of 3 to 20 steps ({len(train.values):,} rows), 10 % of the values missing"
    )
    return "categories with gaps", description, "16", *cells


def measure_anomalies(rng: np.random.Generator) -> str:
    """Measure the share of broken beats that are found, and of false alarms."""
    train, normal, broken = (simulate_heartbeats(n, rng) for n in (800, 500, 500))
    for beat in broken:
        beat[len(beat) // 2 :][beat[len(beat) // 2 :] > 0.12] = 0.0  # the last bump is cut off
    ae = refold.SequenceAutoencoder(calibration_fraction=0.3, random_state=0)
    seconds, processor = time_fit(lambda: ae.fit(train))
    hits, false = (ae.detect(x, alpha=0.01).anomalous.mean() for x in (broken, normal))
    return (
        f"800 beats, 30 % of them to calibrate: a fit took {seconds} s, and {processor} s of "
        "processor time. "
        f"With `alpha=0.01`, `detect` marks {100 * hits:.1f} % of 500 beats whose last bump is "
        f"cut off, and {100 * false:.1f} % of 500 normal ones."
    )


def measure_without_a_fit(rng: np.random.Generator) -> str:
    """Measure the pretrained model."""
    data = simulate_heartbeats(5000, rng)
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
    "long_table": measure_long_table,
    "one_series": measure_one_series,
    "curves": measure_curves,
    "gaps": measure_gaps,
    "anomalies": measure_anomalies,
    "without_a_fit": measure_without_a_fit,
}


def main(names: list[str]) -> None:
    """Measure recipes, store the results, and write the page."""
    results = json.loads(RESULTS.read_text("utf-8")) if names and RESULTS.exists() else {}
    for name in names or RECIPES:
        results[name] = RECIPES[name](np.random.default_rng(0))
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    header = ("data", "training data", "latent dimensions", "seconds of a fit")
    header += ("seconds of processor time", "Refold", "PCA")
    introduction = (
        "Errors are those of data that the fit has not seen. PCA is told the lengths, and Refold "
        "decodes them. Each row is one fit with default settings and one seed. Other programs ran "
        "on the machine, so a fit takes less time on a machine of its own. Two cores share the "
        "processor time."
    )
    stored = [results[name] for name in RECIPES if name in results]
    notes = [result for result in stored if isinstance(result, str)]
    rows = [result for result in stored if not isinstance(result, str)]
    write_page("recipes", "Recipes", [introduction, table(header, rows), *notes])


if __name__ == "__main__":
    main(sys.argv[1:])
