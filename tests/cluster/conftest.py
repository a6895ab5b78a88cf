"""A fitted model, its data in several Parquet files, and a Ray cluster for all tests."""

import contextlib
import gc
import os
import shutil
import tempfile
import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest

from cluster_data import make_table
from small_data import draw_ragged_sequences, fit_without_training

# Workers of Ray have a low priority otherwise, and wait for the other tests.
os.environ.setdefault("RAY_worker_niceness", "0")


@pytest.fixture(scope="session")
def model():
    """Return a model with two columns that can detect anomalies."""
    ae = fit_without_training([*draw_ragged_sequences(60)])
    return ae.calibrate(draw_ragged_sequences(30, seed=1))


@pytest.fixture(scope="session")
def model_file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "ragged.refold"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def sequences():
    """Return 120 sequences of 0 to 5 steps."""
    rng = np.random.default_rng(3)
    return [rng.normal(5, 3, (i % 6, 2)) for i in rng.permutation(120)]


@pytest.fixture(scope="session")
def folder(sequences, tmp_path_factory):
    """Return a folder of three files, with row groups of several sizes."""
    folder = tmp_path_factory.mktemp("sequences")
    for i, rows in enumerate([7, 100, 25]):
        table = make_table(sequences[40 * i : 40 * i + 40], 40 * i)
        pq.write_table(table, folder / f"{i}.parquet", row_group_size=rows)
    return folder


@pytest.fixture(scope="session")
def cluster():
    """Start a cluster with room for three workers."""
    ray = pytest.importorskip("ray")
    from refold.cluster._ray import connect

    temporary = tempfile.mkdtemp(prefix="r", dir="/tmp")  # the name of a socket must be short
    os.environ["RAY_TMPDIR"] = temporary
    with contextlib.ExitStack() as stack:
        stack.enter_context(connect("local", num_cpus=3, object_store_memory=128 << 20))
        yield ray
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray's processes end a little later
            stack.close()
            gc.collect()
    shutil.rmtree(temporary, ignore_errors=True)
