"""Training by several processes equals one process, and survives the death of a process."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import refold
from refold.errors import ParameterError
from refold.sequences import Sequences
from small_data import TINY

SCRIPT = Path(__file__).parent / "train_together.py"
# A batch holds all sequences, so that each epoch is one step with its own loss in the history.
HUNDRED_STEPS = {"latent_dim": 8, "units": 8, "max_epochs": 100, "batch_size": 64}
HUNDRED_STEPS |= {"validation_fraction": 0.0, "random_state": 0}


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    """Parquet files of 64 series with two features and 10 to 30 steps."""
    path = tmp_path_factory.mktemp("waves")
    rng = np.random.default_rng(0)
    for i, n in enumerate((20, 44)):
        data = []
        for length in rng.integers(10, 31, n):
            wave = np.sin(np.arange(length) / rng.uniform(2, 5) + rng.uniform(0, 6))
            data.append(np.stack([wave, rng.normal(size=length).cumsum() / 4], axis=1))
        sequences = Sequences.from_list(data, ids=[f"{i}-{j}" for j in range(n)])
        refold.sequences.write(sequences, path / f"{i}.parquet")
    return path


def run_processes(count, source, output, **options):
    """Train in processes of their own; return what each of them saved."""
    with socket.socket() as free_socket:
        free_socket.bind(("127.0.0.1", 0))
        port = free_socket.getsockname()[1]
    processes = []
    for i in range(count):
        arguments = [*map(str, (i, count, port, source, output)), json.dumps(options)]
        command = [sys.executable, str(SCRIPT), *arguments]
        processes.append(subprocess.Popen(command, stderr=subprocess.PIPE))
    for process in processes:
        _, errors = process.communicate(timeout=1200)
        assert process.returncode == 0, errors.decode()[-3000:]
    return [np.load(f"{output}-{count}-{i}.npz") for i in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"variational": True},
        {"denoise": "0.1,steps:0.1", "cell": "gru"},
        {"forecast_steps": 3, "max_epochs": 30},  # random cuts amplify rounding in later steps
        {"validation_fraction": 0.2, "max_epochs": 25, "batch_size": 16, "refit": True},
    ],
    ids=["default", "variational", "denoising", "forecast", "validation"],
)
def test_two_processes_have_the_losses_of_one(waves, tmp_path, changes):
    parameters = HUNDRED_STEPS | changes
    (single,) = run_processes(1, waves, tmp_path / "out", parameters=parameters)
    first, second = run_processes(2, waves, tmp_path / "out", parameters=parameters)
    assert len(single["loss"]) >= 25
    np.testing.assert_array_equal(first["weights"], second["weights"])
    np.testing.assert_allclose(first["loss"], single["loss"], atol=1e-5)
    np.testing.assert_allclose(first["val_loss"], single["val_loss"], atol=1e-5)
    np.testing.assert_allclose(first["weights"], single["weights"], atol=2e-3)


def find_workers():
    """Return the ids of the processes that Ray Train has started for this test."""
    worker_ids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")[0]
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if command.startswith(b"ray::RayTrainWorker") and TOKEN.encode() in environment:
            worker_ids.append(int(folder.name))
    return worker_ids


TOKEN = f"refold-test-{os.getpid()}"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # JAX has threads after other tests
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_killed_process_continues_from_the_last_checkpoint(waves, tmp_path, monkeypatch):
    pytest.importorskip("ray.train")
    monkeypatch.setenv("REFOLD_TEST_TOKEN", TOKEN)
    monkeypatch.setenv("RAY_worker_niceness", "0")
    parameters = HUNDRED_STEPS | {"batch_size": 8, "max_epochs": 60, "validation_fraction": 0.2}
    first, _ = run_processes(2, waves, tmp_path / "out", parameters=parameters)
    path, killed = tmp_path / "checkpoint", []

    def kill():
        while not path.exists():
            time.sleep(0.05)
        first_time = path.stat().st_mtime_ns
        while path.stat().st_mtime_ns == first_time:  # until the second checkpoint
            time.sleep(0.05)
        killed.append(find_workers()[-1])
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    ae, checkpoint = refold.SequenceAutoencoder(**parameters), refold.Checkpoint(path, epochs=2)
    fitted = refold.cluster.fit(ae, waves, processes=2, checkpoint=checkpoint)
    killer.join(timeout=1)
    assert killed
    np.testing.assert_array_equal(fitted.history_["loss"], first["loss"])
    arrays = sorted(fitted.model_.network.arrays().items())
    weights = np.concatenate([array.ravel() for _, array in arrays])
    np.testing.assert_array_equal(weights, first["weights"])


def test_options_of_a_long_table_are_taken_and_remembered(skip_epochs, tmp_path):
    days = ["1.05.2024", "2.05.2024", "2.05.2024", "10.05.2024"]
    rows = {"who": np.repeat(range(20), 4), "at": days * 20, "x": np.arange(80.0) % 7 + 1}
    pq.write_table(pa.table(rows), tmp_path / "x.parquet")
    options = {"id": "who", "time": "at", "time_format": "%d.%m.%Y", "duplicates": "mean"}
    ae = refold.SequenceAutoencoder(**TINY)
    fitted = refold.cluster.fit_together(ae, tmp_path / "x.parquet", time_gaps=True, **options)
    schema = fitted.model_.schema
    assert (schema.names, schema.duplicates, schema.time_name) == (("x", "time_gap"), "mean", "at")
    assert fitted.model_.max_training_length == 3


def test_what_several_processes_cannot_train(tmp_path):
    for changes, words in (
        ({"latent_dim": 0.9}, "cannot train with latent_dim=0.9. Use a number of"),
        ({"architecture": print}, "cannot train with architecture=.*print.*. Use a named"),
        ({"time_warp": 1.0}, "with time_warp=1.0. Use 0"),
        ({"window": 8}, "with window=8. Use one machine, or windows as sequences"),
    ):
        with pytest.raises(ParameterError, match=words):
            refold.cluster.fit_together(refold.SequenceAutoencoder(**changes), tmp_path)
