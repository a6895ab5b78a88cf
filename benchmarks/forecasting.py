"""Forecasts of Refold, next to naive forecasts and a ridge regression on the history.

``python -m benchmarks.forecasting`` takes about 6 minutes on two cores and needs aeon, which ships
the data (``pip install --group peers``).

Each data set has its own training and test split. The last steps of each test sequence are forecast
from the steps before them. The error is the NMSE in units standardized on the training split.
Refold has default settings and ``forecast_steps``. One baseline repeats the last value, and another
repeats the last season if one is found. If all sequences have the same length, a ridge regression
predicts the last steps from all values before them. Its penalty is chosen by leave-one-out
cross-validation. Unlike Refold, it does not have to compress the history into a code.
"""

import numpy as np
from sklearn.linear_model import RidgeCV

import refold
from benchmarks._results import table, write_page
from benchmarks.fidelity_peers.data import DATA
from refold.evaluation import nmse
from refold.sequences import Scaler, Sequences, as_sequences, split_at

STEPS = {"vowels": 3, "digits": 2, "italy": 6, "gunpoint": 30, "motions": 10}
SECONDS = 60


def measure(name: str) -> list[str]:
    """Return one row of the table."""
    data, steps = DATA[name], STEPS[name]
    train, test = map(as_sequences, data.load())
    ae = refold.SequenceAutoencoder(
        16, forecast_steps=steps, random_state=0, time_budget=SECONDS
    ).fit(train)
    errors = ae.forecast_errors(test)
    season = errors.seasonal_naive
    ridge = regression(train, test[np.flatnonzero(test.lengths > steps)], steps)
    return [
        data.title,
        str(steps),
        f"{errors.model:.3g}",
        "" if ridge is None else f"{ridge:.3g}",
        f"{errors.last_value:.3g}",
        "" if season is None else f"{season:.3g} ({errors.season})",
        f"{1 - ae.score(test):.3g}",
    ]


def regression(train: Sequences, test: Sequences, steps: int) -> float | None:
    """Return the NMSE of a ridge regression on the history, or None if lengths differ."""
    if len({*train.lengths, *test.lengths}) > 1:
        return None
    scaler = Scaler.fit(train)
    length = int(train.lengths[0])
    (x, y), (given, _) = (_matrices(scaler.transform(part), steps) for part in (train, test))
    found = RidgeCV(np.logspace(-4, 4, 17)).fit(x, y).predict(given)
    _, after = split_at(scaler.transform(test), length - steps)
    ahead = after.with_values(found.reshape(-1, train.schema.num_columns))
    return nmse(scaler.inverse_transform(after), scaler.inverse_transform(ahead), scaler)


def _matrices(scaled: Sequences, steps: int) -> tuple[np.ndarray, np.ndarray]:
    values = np.nan_to_num(scaled.values.reshape(len(scaled), -1))
    width = steps * scaled.schema.num_columns
    return values[:, :-width], values[:, -width:]


def main() -> None:
    """Measure, and write ``results/forecasting.md``."""
    rows = []
    for name in STEPS:
        rows.append(measure(name))
        print(", ".join(rows[-1]), flush=True)
    heading = ["data", "steps", "Refold", "ridge on the history", "last value", "last season",
               "reconstruction"]  # fmt: skip
    write_page(
        "forecasting",
        "Forecasting",
        [
            "The table shows the NMSE of forecasts of the last steps of the test sequences. Refold "
            "forecasts from codes of 16 dimensions of the steps before them. It has default "
            f"settings, at most {SECONDS} s for a fit, and one seed. The last column is the NMSE "
            "of the reconstruction of whole test sequences.",
            table(heading, rows),
        ],
    )


if __name__ == "__main__":
    main()
