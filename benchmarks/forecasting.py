"""Forecasts of Refold, next to naive forecasts and a ridge regression on the history.

``python -m benchmarks.forecasting`` takes about 30 minutes on two cores and needs the packages that
ship the data (``pip install --group peers``). ``--sets NAME ...`` restricts it.

The sets are divided into two groups, which were written down before the first run. Settings of the
forecast decoder were chosen on the sets of `CHOOSE`. The sets of `REPORT` are only reported.

Each data set has its own training and test split. The last steps of each test sequence are forecast
from the steps before them. Refold has 16 dimensions and default settings. Three naive forecasts
need no model: the last value, the continuation of the last step, and the last season if one is
found. The one with the smallest error on the *training* sequences is the baseline of a set. Errors
are NMSE in units standardized on the training split. If all sequences have the same length, a ridge
regression predicts the last steps from all values before them. Its penalty is chosen by
leave-one-out cross-validation. Unlike Refold, it does not have to compress the history into a code.
"""

import argparse
import time
import warnings
from dataclasses import replace

import numpy as np
from sklearn.linear_model import RidgeCV

import refold
from benchmarks._results import results_folder, section, table, write_page
from benchmarks._sets import DATA, Split, folder_of
from refold.evaluation import ForecastErrors, forecast_errors, nmse, pick_season
from refold.sequences import Scaler, Sequences, as_sequences, split_at


def employment() -> Split:
    """Return logarithms of employment by industry, in windows of 60 months."""
    import pandas as pd

    folder = folder_of("vega_datasets") / "_data"
    values = pd.read_csv(folder / "us-employment.csv").iloc[:, 1:-1].to_numpy(float)
    order = np.random.default_rng(0).permutation(values.shape[1])
    windows = [
        [np.log(values[i : i + 60, k, None] / values[i, k]) for k in part for i in range(0, 61, 2)]
        for part in (order[:13], order[13:])
    ]
    return windows[0], windows[1]


def ride() -> Split:
    """Return places and heights of a mountain bike race, in windows of 30 points."""
    import pandas as pd

    folder = folder_of("bokeh_sampledata") / "_data"
    points = pd.read_csv(folder / "obiszow_mtb_xcm.csv")[["lat", "lon", "alt"]].to_numpy(float)
    windows = [points[i : i + 30] for i in range(0, len(points) - 29, 5)]
    half = len(windows) * 3 // 5  # the windows of the two parts do not overlap
    return windows[:half], windows[half + 6 :]


def carbon_dioxide() -> Split:
    """Return weekly carbon dioxide in windows of 110 weeks."""
    from statsmodels.datasets import co2

    values = co2.load_pandas().data["co2"].to_numpy(float)
    windows = [values[i : i + 110, None] for i in range(0, len(values) - 109, 10)]
    half = len(windows) * 3 // 5
    return windows[:half], windows[half + 11 :]


# Steps to forecast, by the name of a data set.
CHOOSE = {
    "vowels": 3,
    "digits": 2,
    "italy": 6,
    "gunpoint": 30,
    "ar2": 5,
    "covid": 14,
    "countries": 3,
    "temperatures": 6,
}
REPORT = {
    "motions": 10,
    "osuleaf": 40,
    "yearly": 4,
    "sea": 3,
    "fertility": 5,
    "glucose": 8,
    "prices": 5,
    "walking": 8,
    "pickup": 10,
    "employment": 12,
    "ride": 4,
    "co2": 8,
}
# Sets that only forecasting has.
MORE = {
    "employment": ("employment by industry", employment),
    "ride": ("bike race", ride),
    "co2": ("carbon dioxide", carbon_dioxide),
}


# Naive forecasts, by their names in `ForecastErrors`.
NAIVE = {"last_value": "last value", "linear": "linear", "seasonal_naive": "last season"}


def row(name: str, steps: int) -> tuple[list[str], np.ndarray]:
    """Return one row of the table, and the ratio to the baseline at each step."""
    title, load = MORE[name] if name in MORE else (DATA[name].title, DATA[name].splits)
    train, test = map(as_sequences, load())
    began = time.perf_counter()
    ae = refold.SequenceAutoencoder(16, forecast_steps=steps, random_state=0).fit(train)
    seconds = time.perf_counter() - began
    before, after = _cut(test, steps)
    errors, baseline = measure(train, before, after, ae.forecast(before).sequences)
    ratios = ratios_by_step(errors, baseline, Scaler.fit(train))
    ridge = regression(train, _longer(test, steps), steps)
    season = errors.seasonal_naive if errors.season else None
    cells = (errors.model, errors.last_value, errors.linear, season, ridge)
    return [
        title,
        str(steps),
        *("" if cell is None else f"{cell:.3g}" for cell in cells),
        NAIVE[baseline],
        f"{ratios.mean():.2f} ({ratios.min():.2f} to {ratios.max():.2f})",
        f"{1 - ae.score(test):.3g}",
        f"{seconds:.0f}",
    ], ratios


def measure(
    train: Sequences, before: Sequences, after: Sequences, forecast: Sequences
) -> tuple[ForecastErrors, str]:
    """Measure a forecast of test sequences next to the naive ones, and return the baseline, too."""
    scaler, season = Scaler.fit(train), pick_season(train)
    names = [name for name in NAIVE if season or name != "seasonal_naive"]
    steps = int(after.lengths.max())
    train_before, train_after = _cut(train, steps)
    in_training = forecast_errors(train_before, train_after, train_after, scaler, season=season)
    errors = forecast_errors(before, after, forecast, scaler, season=season)
    baseline = min(names, key=lambda name: getattr(in_training, name))
    return replace(errors, season=season), baseline


def ratios_by_step(errors: ForecastErrors, baseline: str, scaler: Scaler) -> np.ndarray:
    """Return the squared error of the model at each step, relative to that of the baseline."""
    ours, theirs = (
        ((errors.by_step[name] / scaler.scale_) ** 2).sum(axis=1) for name in ("model", baseline)
    )
    observed = theirs > 0  # the last years of fertility are missing
    return ours[observed] / theirs[observed]


def _cut(sequences: Sequences, steps: int) -> tuple[Sequences, Sequences]:
    longer = _longer(sequences, steps)
    return split_at(longer, longer.lengths - steps)


def _longer(sequences: Sequences, steps: int) -> Sequences:
    return sequences[np.flatnonzero(sequences.lengths > steps)]


def regression(train: Sequences, test: Sequences, steps: int) -> float | None:
    """Return the NMSE of a ridge regression on the history, or None if lengths differ."""
    if len({*train.lengths, *test.lengths}) > 1:
        return None
    scaler = Scaler.fit(train)
    length = int(train.lengths[0])
    (x, y), (given, _) = (_matrices(scaler.transform(part), steps) for part in (train, test))
    predicted = RidgeCV(np.logspace(-4, 4, 17)).fit(x, y).predict(given)
    _, after = split_at(scaler.transform(test), length - steps)
    ahead = after.with_values(predicted.reshape(-1, train.schema.num_columns))
    return nmse(scaler.inverse_transform(after), scaler.inverse_transform(ahead), scaler)


def _matrices(scaled: Sequences, steps: int) -> tuple[np.ndarray, np.ndarray]:
    values = np.nan_to_num(scaled.values.reshape(len(scaled), -1))
    width = steps * scaled.schema.num_columns
    return values[:, :-width], values[:, -width:]


def main() -> None:
    """Measure, and write ``results/forecasting.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecasting", description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=[*CHOOSE, *REPORT], help="all by default")
    chosen = parser.parse_args().sets
    warnings.simplefilter("ignore", UserWarning)
    header = (
        "data | steps | Refold | last value | linear | last season | ridge on the history | "
        "baseline | Refold / baseline by step | reconstruction | seconds"
    )
    parts = []
    for title, sets in (("to choose settings", CHOOSE), ("for reporting only", REPORT)):
        rows, ratios = [], []
        for name, steps in sets.items():
            if not chosen or name in chosen:
                cells, ratio = row(name, steps)
                rows.append(cells)
                ratios.append(ratio)
                print(", ".join(cells), np.round(ratio, 3), flush=True)
        if rows:
            ratio = np.concatenate(ratios)
            line = (
                "Geometric mean of the ratios to the baseline: "
                f"{np.exp(np.log(ratio).mean()):.3f}. Of {len(ratio)} pairs of set and step, "
                f"{(ratio > 1.02).sum()} have a ratio above 1.02."
            )
            parts.append(section(f"Sets {title}", line, table(header.split(" | "), rows)))
    folder = results_folder(complete=not chosen)
    write_page("forecasting", "Forecasting", [_ABOUT, *parts], folder=folder)


_ABOUT = (
    "The tables show the NMSE of forecasts of the last steps of test sequences, for Refold with a "
    "code of 16 dimensions, default settings and one seed, and for naive forecasts. The baseline "
    "is the naive forecast with the smallest error on the training sequences. The ratio of the "
    "errors is computed at each forecast step; the table shows the mean and "
    "the range. The reconstruction error is that of whole test sequences; it is the same without "
    "forecasts, because the forecast decoder is trained after the autoencoder."
)


if __name__ == "__main__":
    main()
