"""The tests of the commands share these fixtures: models with their data, and a way to run."""

import contextlib
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv as csv_format

from refold.cli import main
from refold.datasets import noisy_sines
from refold.sequences import as_sequences, uncut_windows, write
from refold.training._split import split_off_calibration
from small_data import fit_without_training

FIT = ["--latent-dim", "4", "--units", "8", "--max-epochs", "1", "--latent-steps", "0"]
FIT += ["--seed", "0"]


@pytest.fixture(scope="session")
def two_groups(tmp_path_factory):
    """Return a folder with sequences of two groups in several formats, and a model of them."""
    folder = tmp_path_factory.mktemp("two-groups")
    groups = np.arange(40) % 2
    values = np.random.default_rng(0).normal(size=(40, 12, 2)) + 3 * groups[:, None, None]
    series = as_sequences(values, names=["level", "flow"])
    fit_without_training(series).save(folder / "model.refold")
    write(series, folder / "data.parquet")
    labeled = series.to_arrow().append_column("kind", pa.array(groups))
    pq.write_table(labeled, folder / "labelled.parquet")
    steps = series.to_table().append_column("kind", pa.array(np.repeat(groups, 12)))
    csv_format.write_csv(steps, folder / "long.csv")
    (folder / "who.csv").write_text("id,who\n" + "".join(f"{i},w{i % 2}\n" for i in range(40)))
    return folder


@pytest.fixture(scope="session")
def sines(tmp_path_factory):
    """Return a folder with sines of 20 to 40 steps, and models of them.

    ``sines.refold`` is fitted to ``train.parquet`` and sets half of it aside for calibration.
    ``bare.refold`` is fitted to the other half, ``fitted.parquet``, and is not calibrated.
    """
    folder = tmp_path_factory.mktemp("sines")
    train, normal, new = (
        noisy_sines(num_sequences, seed=seed, max_steps=40)
        for num_sequences, seed in ((80, 0), (40, 1), (5, 2))
    )
    fitted_part, _ = split_off_calibration(uncut_windows(train), 0.5)
    write(train, folder / "train.parquet")
    write(fitted_part.sequences, folder / "fitted.parquet")
    write(normal, folder / "normal.parquet")
    # the last sequence is an anomaly
    write(as_sequences([*new.to_list(), np.full(20, 9.0)]), folder / "new.parquet")
    for data, model, options in (
        ("fitted", "bare", []),
        ("train", "sines", ["--calibration-fraction", "0.5"]),
    ):
        files = str(folder / f"{data}.parquet"), "-o", str(folder / f"{model}.refold")
        with contextlib.redirect_stderr(io.StringIO()):
            assert main(["fit", *files, *FIT, *options, "-q"]) == 0
    return folder


@pytest.fixture(scope="session")
def fit_options():
    """Return the options of these fits; data of the same shape reuses their compiled code."""
    return FIT


@pytest.fixture
def run(capsys):
    """Return a function that runs a command and returns what it wrote to the two streams."""

    def call(*arguments, exit_code=0):
        assert main([str(argument) for argument in arguments]) == exit_code
        return capsys.readouterr()

    return call
