"""Train the model that `refold.load("series")` returns, on synthetic series only.

    python -m scripts.pretrain [--epochs 45] [--series 250000] [--seed 0] [--output FILE]

It takes about an hour on two cores.  A series is a draw from a Gaussian process on 512 points, to
which events are added, read at its own number of steps and in its own way:

- covariance: one of `COVARIANCE_NAMES`, or the sum or the product of two; `draw_covariance` has
  the ranges, as shares of the length of the series; 24 series share a covariance;
- trend: linear or bent, in a quarter of the series;
- season: a sine, a saw tooth or a repeated random shape, with 1 to 40 periods, in a quarter;
- steps: a new level after each of 1 to 12 change points, in a fifth;
- states: two to five levels that last for a while each, in a tenth;
- bumps: 1 to 6 of random width, in a fifth; bursts: an oscillation under a bump, in a tenth;
- shape: squashed, or exponential as heights with a heavy tail, in a fifth;
- length: 8 to 512 steps, log-uniform; noise of 0.1 to 20 % of the standard deviation, in a fifth;
- spikes: 1 to 8 single values, in a twentieth; rounding to 5 to 50 levels, in a tenth;
- missing runs: up to a third of the steps, bridged as the model does, in a tenth.

The model reads each series as a curve of 128 points (`refold.network.packed.resampling`).  Its
linear path starts with the principal components of the curves among the first 64 cosines, so that
64 numbers hold a series of at most 64 steps.  They are orthonormal: the distance of two codes is
about that of their curves.  The LSTMs learn what these cosines leave out, from the longer series.
It is little: 45 epochs lower the loss by 1.5 %, because most of it is noise.  Components of all
cosines had 1.1 times the error with 64 numbers on real series, most of it on short ones.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

import refold
from refold.model import PretrainedModel, ReferenceStatistics, fit_mixture
from refold.network.packed.network import PackedNetwork
from refold.network.packed.resampling import (
    ColumnCurveNetwork,
    interpolate_missing_values,
    resample_by_cosines,
    resample_columns_by_cosines,
)
from refold.sequences import Column, Scaler, Schema, Sequences

PATH = Path(refold.__file__).with_name("model") / "series.refold"
# Number of points of a curve, to which each series is resampled.
GRID = 128
# Number of latent dimensions for the curve.
CURVE_DIM = 64
# Longer series cause a warning that they are longer than those in training.
MAX_STEPS = 500_000
# Number of codes from which the statistics of the model are computed.
NUM_REFERENCE_CODES = 1024

# The series

# Number of points of a drawn curve, which is also the maximum number of steps of a series.
NUM_POINTS = 512
# Number of series with the same covariance, because a Cholesky factor for each takes too long.
SERIES_PER_COVARIANCE = 24
# Positions of the points between 0 and 1.
POSITIONS = np.linspace(0.0, 1.0, NUM_POINTS)
POINT_DISTANCES = np.abs(POSITIONS[:, None] - POSITIONS)
COVARIANCE_NAMES = ("smooth", "rough", "bent", "periodic", "mixed scales", "random walk")


def draw_covariance(rng: np.random.Generator) -> np.ndarray:
    """Draw a covariance matrix of unit mean variance on the points."""
    name = rng.choice(COVARIANCE_NAMES)
    scale = np.exp(rng.uniform(np.log(0.01), np.log(0.5)))
    scaled = POINT_DISTANCES / scale
    if name == "smooth":
        return np.exp(-0.5 * scaled**2)
    if name == "rough":
        return np.exp(-scaled)
    if name == "bent":
        return (1 + np.sqrt(3) * scaled) * np.exp(-np.sqrt(3) * scaled)
    if name == "periodic":
        period = np.exp(rng.uniform(np.log(0.03), np.log(1.0)))
        waves = np.sin(np.pi * POINT_DISTANCES / period) ** 2
        return np.exp(-2 * waves / rng.uniform(0.3, 2.0) ** 2)
    if name == "mixed scales":
        return 1 / (1 + scaled**2 / (2 * rng.uniform(0.1, 2.0)))
    return 2 * np.minimum(POSITIONS[:, None], POSITIONS) + 0.01


def draw_curves(rng: np.random.Generator, num_series: int) -> np.ndarray:
    """Draw curves (num_series, NUM_POINTS) from a Gaussian process with a random covariance."""
    covariance = draw_covariance(rng)
    choice = rng.random()
    if choice < 0.35:
        covariance = covariance + rng.uniform(0.1, 1.0) * draw_covariance(rng)
    elif choice < 0.6:
        covariance = covariance * draw_covariance(rng)
    # the small diagonal makes the matrix positive definite in spite of rounding
    cholesky_factor = np.linalg.cholesky(covariance + 1e-5 * np.eye(NUM_POINTS))
    return (cholesky_factor @ rng.standard_normal((NUM_POINTS, num_series))).T


def draw_bump(rng: np.random.Generator) -> np.ndarray:
    """Draw a bump of height 1."""
    center, width = rng.random(), np.exp(rng.uniform(np.log(0.01), np.log(0.2)))
    distance = np.abs(POSITIONS - center) / width
    if rng.random() < 0.5:
        return np.exp(-0.5 * distance**2)
    return np.where(center < POSITIONS, np.exp(-distance), 0.0)


def draw_season(rng: np.random.Generator) -> np.ndarray:
    """Draw a periodic curve with an amplitude of about 1."""
    phase = np.exp(rng.uniform(0.0, np.log(40.0))) * POSITIONS + rng.random()
    choice = rng.integers(3)
    if choice == 0:
        return np.sin(2 * np.pi * phase)
    if choice == 1:
        return 2 * (phase % 1.0) - 1
    shape = np.convolve(np.tile(rng.standard_normal(16), 3), np.hanning(5), "same")[16:32]
    return np.interp(phase % 1.0, np.arange(17) / 16, np.append(shape, shape[0]))


def draw_states(rng: np.random.Generator) -> np.ndarray:
    """Draw a piecewise constant curve that jumps between a few levels."""
    levels = rng.standard_normal(rng.integers(2, 6)) * 2
    change_points = np.sort(rng.random(rng.integers(2, 30)))
    level_index = rng.integers(len(levels), size=len(change_points) + 1)
    return levels[level_index][np.searchsorted(change_points, POSITIONS)]


def add_events(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add trends, seasons, steps, states, bumps and bursts to a curve, and change its shape."""
    # some curves are made small, so that the events dominate them
    x, chance = x * rng.choice([1.0, 0.3, 0.05], p=[0.6, 0.25, 0.15]), rng.random(7)
    draw_height = lambda: rng.standard_normal() * 3  # noqa: E731
    if chance[0] < 0.25:
        x = x + draw_height() * POSITIONS ** rng.choice([0.5, 1.0, 2.0])
    if chance[1] < 0.25:
        x = x + rng.exponential() * draw_season(rng)
    if chance[2] < 0.2:
        change_points = np.sort(rng.random(rng.integers(1, 13)))
        levels = np.cumsum(np.append(0.0, rng.standard_normal(len(change_points)) * 2))
        x = x + levels[np.searchsorted(change_points, POSITIONS)]
    if chance[3] < 0.1:
        x = 0.2 * x + draw_states(rng)
    if chance[4] < 0.2:
        x = x + sum(draw_height() * draw_bump(rng) for _ in range(rng.integers(1, 7)))
    if chance[5] < 0.1:
        waves = np.sin(2 * np.pi * rng.uniform(5.0, 60.0) * POSITIONS)
        x = x + draw_height() * draw_bump(rng) * waves
    if chance[6] < 0.1:
        x = np.tanh(2 * x / (x.std() + 1e-8))
    elif chance[6] < 0.2:
        x = np.exp(np.minimum(x / (x.std() + 1e-8), 4.0))
    return x


def simulate_measurement(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a curve at fewer steps, with noise, spikes, rounding and missing values."""
    steps, chance = int(np.exp(rng.uniform(np.log(8), np.log(NUM_POINTS)))), rng.random(4)
    x = np.interp((np.arange(steps) + 0.5) / steps, POSITIONS, x)
    std = x.std() + 1e-8
    if chance[0] < 0.2:
        noise = np.exp(rng.uniform(np.log(0.001), np.log(0.2)))
        x = x + noise * std * rng.standard_normal(steps)
    if chance[1] < 0.05:
        rows = rng.integers(steps, size=rng.integers(1, 9))
        x[rows] += rng.standard_normal(len(rows)) * 4 * std
    if chance[2] < 0.1:
        rounding_unit = np.ptp(x) / rng.integers(5, 51) + 1e-8
        x = np.round(x / rounding_unit) * rounding_unit
    if chance[3] < 0.1:
        length = int(rng.uniform(0.05, 0.33) * steps)
        start = rng.integers(0, steps - length)
        x[start : start + length] = np.nan
    return x


def draw_series(num_series: int, seed: int) -> list[np.ndarray]:
    """Draw series of 8 to 512 steps, with missing values."""
    rng, series = np.random.default_rng(seed), []
    while len(series) < num_series:
        curves = draw_curves(rng, SERIES_PER_COVARIANCE)
        series += [simulate_measurement(add_events(x, rng), rng) for x in curves]
    return series[:num_series]


def make_scaler(mode: str) -> Scaler:
    """Return a scaler of one column with mean 0 and standard deviation 1."""
    statistics = np.zeros(2 * (mode == "sequence"))
    state = {"mean": np.zeros(1), "scale": np.ones(1), "numeric": np.ones(1)}
    state |= {"least": np.full(1, -np.inf), "greatest": np.full(1, np.inf)}
    state |= {"statistics_mean": statistics, "statistics_scale": statistics + 1}
    state |= {"floor": np.full(len(statistics) // 2, np.finfo(np.float32).tiny)}
    return Scaler({"mode": mode, "dtype": "float64", **state})


# The model


def set_linear_path(model: refold.Model, curves: np.ndarray) -> refold.Model:
    """Return a model whose linear path has the principal components of curves (n, GRID)."""
    # The components lie among the first cosines: resampled series with as many steps as there are
    # dimensions contain only these.
    cosines = np.linalg.qr(resample_by_cosines(np.eye(CURVE_DIM), GRID).T)[0].T
    cosine_coefficients = curves @ cosines.T
    components = np.linalg.eigh(cosine_coefficients.T @ cosine_coefficients)[1][:, ::-1].T @ cosines
    residual_rms = np.sqrt(np.mean((curves - curves @ components.T @ components) ** 2))
    weights = dict(model.network.arrays())
    # the LSTMs begin without any influence on the code and on the output
    for name in ("code/kernel", "code/bias", "head/dense/kernel", "head/dense/bias"):
        weights[name] = np.zeros_like(weights[name])
    for name in ("linear_code", "linear_steps"):
        for weight_name in ("change", "bias"):
            weights[f"{name}/{weight_name}"] = np.zeros_like(weights[f"{name}/{weight_name}"])
    weights["linear_code/start"] = components.T[:, None]
    weights["linear_steps/start"] = components[..., None]
    weights["linear_code/scale"], weights["head/scale"] = residual_rms, np.array([residual_rms])
    weights["linear_code/unit"] = residual_rms / np.sqrt(GRID)
    weights["linear_steps/unit"] = residual_rms / np.sqrt(CURVE_DIM)
    weights = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    return replace(model, network=PackedNetwork(model.specification, weights))


def train_model(curves: np.ndarray, train_rows: np.ndarray, epochs: int, seed: int) -> refold.Model:
    """Train a model on some rows of curves (n, GRID), starting from the components of all rows."""
    ae = refold.SequenceAutoencoder(
        CURVE_DIM,
        nested=True,
        scale=None,
        rocket_dim=0,
        length_dim=0,
        latent_steps=0,
        validation_fraction=0,
        random_state=seed,
        max_epochs=1,
    )
    # a short fit makes a model of the right shapes, whose weights are then replaced
    ae.fit(curves[: 2 * NUM_REFERENCE_CODES, :, None])
    ae._set_model(set_linear_path(ae.model_, curves))  # noqa: SLF001
    ae.set_params(warm_start=True, max_epochs=epochs, verbose=1)
    return ae.fit(curves[train_rows, :, None]).model_


def make_series_model(model: refold.Model, curves: np.ndarray, seed: int) -> refold.Model:
    """Return a model of series, made from a model of curves (n, GRID) of these series."""
    specification = replace(
        model.specification,
        grid=GRID,
        latent_dim=CURVE_DIM + 1,
        length_dim=1,
        max_steps=MAX_STEPS,
        length_mean=GRID - 1.0,
        length_deviation=float(GRID),
    )
    network = ColumnCurveNetwork(specification, model.network.arrays())
    rng, width = np.random.default_rng(seed), CURVE_DIM
    codes = np.empty((NUM_REFERENCE_CODES, width + 3), np.float32)
    codes[:, :width] = model.encode(curves[:NUM_REFERENCE_CODES, :, None])
    # the other numbers of a code are the length, and the mean and the scale of the series
    codes[:, width:] = rng.standard_normal((NUM_REFERENCE_CODES, 3)) * (0.5, 1.0, 0.5)
    reference = ReferenceStatistics(
        codes, codes.mean(axis=0), codes.std(axis=0), mixture=fit_mixture(codes, seed=seed)
    )
    schema = Schema((Column("x0", "numeric"),), "series")
    return PretrainedModel(
        network,
        schema,
        make_scaler("sequence"),
        make_scaler("features"),
        model.history,
        reference=reference,
        arguments=model.arguments,
    )


def main() -> None:
    """Train and write the model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=45)
    parser.add_argument("--series", type=int, default=250_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default=str(PATH))
    arguments = parser.parse_args()
    series = interpolate_missing_values(
        Sequences.from_list(draw_series(arguments.series, arguments.seed))
    )
    curves = resample_columns_by_cosines(make_scaler("sequence").transform(series), GRID)[:, 0]
    model = train_model(curves, series.lengths > GRID // 2, arguments.epochs, arguments.seed)
    make_series_model(model, curves, arguments.seed).save(arguments.output)


if __name__ == "__main__":
    main()
