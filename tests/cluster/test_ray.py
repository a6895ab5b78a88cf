"""Runs on real clusters. `cluster` is shared; slow tests start clusters that lose something."""

import contextlib
import gc
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import refold
from cluster_data import codes_in, table_of
from refold.cli import main
from refold.cluster._ray import check_answers, connected
from refold.errors import ClusterError, ParameterError

ray = pytest.importorskip("ray")
# Ray starts processes while JAX has threads, and leaves their log files to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_the_command_encodes_on_a_cluster(
    cluster, model, model_file, folder, sequences, tmp_path, capfd
):
    shutil.copytree(folder, tmp_path / "data")
    table = table_of([np.full((2, 2), np.inf)], 120)
    pq.write_table(table, tmp_path / "data/wrong.parquet")
    arguments = ["encode", str(model_file), str(tmp_path / "data"), "-o", str(tmp_path / "codes")]
    assert main([*arguments, "--on", "auto"]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    *_, summary, error = said.err.strip().splitlines()
    assert summary.startswith("Encoded 120 sequences in 4 parts")
    assert error.startswith("Error: 1 sequences are in no part; ")
    assert "infinite value" in error
    assert said.err.count("\n") <= 3  # and the progress bar
    ids, codes = codes_in(tmp_path / "codes")
    assert ids == [f"s{i}" for i in range(120)]
    assert np.array_equal(codes, model.encode(sequences))


def test_an_address_has_a_port_and_answers():
    for on in ("somewhere", None):
        with pytest.raises(ParameterError, match=r"on must be an address .* Got"), connected(on):
            pass
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1"):
        message = rf"No Ray cluster answers at '{address}' \(.*refused"
        with pytest.raises(ClusterError, match=message):
            check_answers(address)


# Losses. The work is so slow that something can be lost in the middle.

SLOW = {"latent_steps": 60, "part_steps": 2000, "verbose": 0}


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Return a folder of 12,000 sequences, about 42,000 steps in 21 parts."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("many")
    for i in range(4):
        found = [rng.normal(5, 3, (n, 2)) for n in rng.integers(1, 7, 3000)]
        pq.write_table(table_of(found, 3000 * i), folder / f"{i}.parquet", row_group_size=500)
    return folder


@pytest.fixture(scope="module")
def check(model_file, many):
    """Return a check that every sequence is there once, with the bits of one machine."""
    expected = refold.load(model_file).with_latent_steps(SLOW["latent_steps"]).encode(many)

    def check(output):
        ids, codes = codes_in(output)
        assert ids == [f"s{i}" for i in range(12_000)]
        assert np.array_equal(codes, expected)
        assert not [*output.glob(".*")]

    return check


@pytest.fixture
def ray_folder(monkeypatch):
    temporary = tempfile.mkdtemp(prefix="r", dir="/tmp")  # the name of a socket must be short
    monkeypatch.setenv("RAY_TMPDIR", temporary)
    yield
    shutil.rmtree(temporary, ignore_errors=True)


@pytest.fixture
def nodes(ray_folder):
    """Return a function that starts a cluster of several raylets, with one CPU more than needed."""
    from ray.cluster_utils import Cluster

    started = []

    def start(*cpus, **head):
        small = {"object_store_memory": 100 << 20}
        args = {"num_cpus": cpus[0], "include_dashboard": False, **small, **head}
        started.append(Cluster(initialize_head=True, head_node_args=args))
        others = [started[0].add_node(num_cpus=n, **small) for n in cpus[1:]]
        return started[0], others

    if ray.is_initialized():  # the shared cluster of the other tests
        ray.shutdown()
    yield start
    ray.shutdown()
    started.pop().shutdown()
    gc.collect()


def workers_of(nodes):
    """Return the process ids of the workers that compute on some nodes."""
    raylets = {node.all_processes["raylet"][0].process.pid for node in nodes}
    workers = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            command = (process / "cmdline").read_bytes()
            if parent in raylets and command.startswith(b"ray::write_part"):
                workers.append(int(process.name))
    return sorted(workers)


def wait_for_parts(output, number):
    end = time.monotonic() + 240
    while len([*output.glob("part-*")]) < number:
        assert time.monotonic() < end, "no part is written"
        time.sleep(0.05)


@pytest.mark.slow
def test_workers_and_a_node_that_are_lost_lose_nothing(nodes, model_file, many, check, tmp_path):
    cluster, others = nodes(1, 1, 1)
    output, killed = tmp_path / "codes", []

    def lose():
        for i in range(8):
            wait_for_parts(output, 1 + i)
            while not (workers := workers_of([cluster.head_node, *others])):
                time.sleep(0.05)
            os.kill(workers[i % len(workers)], signal.SIGKILL)
            killed.append(workers)
        wait_for_parts(output, 10)
        cluster.remove_node(others[1], allow_graceful=False)
        killed.append(others[1])

    thread = threading.Thread(target=lose)
    thread.start()
    summary = refold.cluster.encode(
        model_file, many, output, on=cluster.address, num_workers=2, **SLOW
    )
    thread.join()
    assert len(killed) == 9
    assert summary.num_sequences == 12_000
    check(output)


@pytest.mark.slow
def test_a_second_run_completes_one_whose_driver_was_killed(
    ray_folder, model_file, many, check, tmp_path
):
    output = tmp_path / "codes"
    code = f"""
import refold
print(refold.cluster.encode({str(model_file)!r}, {str(many)!r}, {str(output)!r},
    on="local", num_workers=2, **{SLOW}).num_there)
"""
    first = subprocess.Popen([sys.executable, "-c", code])
    wait_for_parts(output, 5)
    first.kill()
    first.wait()
    time.sleep(5)  # its cluster ends by itself
    there = len([*output.glob("part-*")])
    assert there < 21
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) >= there
    check(output)


@pytest.mark.slow
def test_a_client_outside_of_the_cluster(nodes, model_file, many, check, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes(1, 1, ray_client_server_port=port)
    command = ["encode", str(model_file), str(many), "-o", str(tmp_path / "codes")]
    command += ["--on", f"ray://127.0.0.1:{port}", "--latent-steps", str(SLOW["latent_steps"])]
    done = subprocess.run(
        [sys.executable, "-m", "refold", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "Encoded 12000 sequences" in done.stderr
    check(tmp_path / "codes")
