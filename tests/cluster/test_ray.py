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
from cluster_data import check_codes, make_table
from refold.cli import main
from refold.cluster._ray import check_address_answers, connect
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
    table = make_table([np.full((2, 2), np.inf)], 120)
    pq.write_table(table, tmp_path / "data/wrong.parquet")
    arguments = ["encode", str(model_file), str(tmp_path / "data"), "-o", str(tmp_path / "codes")]
    assert main([*arguments, "--on", "auto"]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    *_, summary, error = printed.err.strip().splitlines()
    assert summary.startswith("Encoded 120 sequences in 4 parts")
    assert error.startswith("Error: 1 sequences failed and were not written; ")
    assert "infinite value" in error
    assert printed.err.count("\n") <= 3  # and the progress bar
    check_codes(tmp_path / "codes", [f"s{i}" for i in range(120)], model.encode(sequences))


def test_an_address_has_a_port_and_answers():
    for on in ("somewhere", None):
        with pytest.raises(ParameterError, match=r"on must be an address .* Got"), connect(on):
            pass
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1"):
        message = rf"No Ray cluster answers at '{address}' \(.*refused"
        with pytest.raises(ClusterError, match=message):
            check_address_answers(address)


# Losses. The work is so slow that something can be lost in the middle.

SLOW = {"latent_steps": 60, "part_steps": 2000, "verbose": 0}


@pytest.fixture(scope="module")
def large_folder(tmp_path_factory):
    """Return a folder of 12,000 sequences, about 42,000 steps in 21 parts."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("many")
    for i in range(4):
        data = [rng.normal(5, 3, (n, 2)) for n in rng.integers(1, 7, 3000)]
        pq.write_table(make_table(data, 3000 * i), folder / f"{i}.parquet", row_group_size=500)
    return folder


@pytest.fixture(scope="module")
def expected(model_file, large_folder):
    """Return the ids of all sequences, and their codes on one machine."""
    model = refold.load(model_file).with_latent_steps(SLOW["latent_steps"])
    return [f"s{i}" for i in range(12_000)], model.encode(large_folder)


@pytest.fixture
def ray_folder(monkeypatch):
    temporary = tempfile.mkdtemp(prefix="r", dir="/tmp")  # the name of a socket must be short
    monkeypatch.setenv("RAY_TMPDIR", temporary)
    yield
    shutil.rmtree(temporary, ignore_errors=True)


@pytest.fixture
def start_nodes(ray_folder):
    """Return a function that starts a cluster of several raylets, with one CPU more than needed."""
    from ray.cluster_utils import Cluster

    started = []

    def start(*cpus, **head_options):
        memory = {"object_store_memory": 100 << 20}
        head_options |= {"num_cpus": cpus[0], "include_dashboard": False, **memory}
        started.append(Cluster(initialize_head=True, head_node_args=head_options))
        return started[0], [started[0].add_node(num_cpus=n, **memory) for n in cpus[1:]]

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
            if parent in raylets and command.startswith(b"ray::call_with_retries"):
                workers.append(int(process.name))
    return sorted(workers)


def wait_for_parts(output, num_parts):
    end = time.monotonic() + 240
    while len([*output.glob("part-*")]) < num_parts:
        assert time.monotonic() < end, "no part is written"
        time.sleep(0.05)


@pytest.mark.slow
def test_workers_and_a_node_that_are_lost_lose_nothing(
    start_nodes, model_file, large_folder, expected, tmp_path
):
    cluster, other_nodes = start_nodes(1, 1, 1)
    output, killed = tmp_path / "codes", []

    def kill_workers_and_node():
        for i in range(8):
            wait_for_parts(output, 1 + i)
            while not (workers := workers_of([cluster.head_node, *other_nodes])):
                time.sleep(0.05)
            os.kill(workers[i % len(workers)], signal.SIGKILL)
            killed.append(workers)
        wait_for_parts(output, 10)
        cluster.remove_node(other_nodes[1], allow_graceful=False)
        killed.append(other_nodes[1])

    thread = threading.Thread(target=kill_workers_and_node)
    thread.start()
    summary = refold.cluster.encode(
        model_file, large_folder, output, on=cluster.address, num_workers=2, **SLOW
    )
    thread.join()
    assert len(killed) == 9
    assert summary.num_sequences == 12_000
    check_codes(output, *expected)
    assert not [*output.glob(".*")]  # no temporary file


@pytest.mark.slow
def test_a_second_run_completes_one_whose_driver_was_killed(
    ray_folder, model_file, large_folder, expected, tmp_path
):
    output = tmp_path / "codes"
    code = f"""
import refold
print(refold.cluster.encode({str(model_file)!r}, {str(large_folder)!r}, {str(output)!r},
    on="local", num_workers=2, **{SLOW}).num_there)
"""
    first = subprocess.Popen([sys.executable, "-c", code])
    wait_for_parts(output, 5)
    first.kill()
    first.wait()
    time.sleep(5)  # its cluster ends by itself
    num_there = len([*output.glob("part-*")])
    assert num_there < 21
    finished = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert int(finished) >= num_there
    check_codes(output, *expected)
    assert not [*output.glob(".*")]  # no temporary file


@pytest.mark.slow
def test_a_client_outside_of_the_cluster(start_nodes, model_file, large_folder, expected, tmp_path):
    with socket.socket() as free_socket:
        free_socket.bind(("127.0.0.1", 0))
        port = free_socket.getsockname()[1]
    start_nodes(1, 1, ray_client_server_port=port)
    command = [sys.executable, "-m", "refold", "encode", model_file, large_folder]
    command += ["-o", tmp_path / "codes", "--on", f"ray://127.0.0.1:{port}"]
    command += ["--latent-steps", str(SLOW["latent_steps"])]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == ""
    assert "Encoded 12000 sequences" in finished.stderr
    check_codes(tmp_path / "codes", *expected)
    assert not [*(tmp_path / "codes").glob(".*")]
