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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--on auto -o codes --features", "--features cannot be used with --on"),
        ("--on auto -o codes --sort", "--sort cannot be used with --on"),
        ("--on auto -o -", "--on needs named files"),
        ("--workers 2", "--workers needs --on. Add --on CLUSTER."),
    ],
)
def test_options_that_do_not_go_together(model_file, folder, capsys, options, message):
    assert main(["encode", str(model_file), str(folder), *options.split()]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("on", ["", "somewhere", None])
def test_an_address_has_a_port(on):
    with pytest.raises(ParameterError, match=r"on must be an address .* Got"), connected(on):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_an_address_answers(address):
    with pytest.raises(ClusterError, match=rf"No Ray cluster answers at '{address}' \(.*refused"):
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
def expected(model_file, many):
    """Return the codes of one machine."""
    one = refold.load(model_file).with_latent_steps(SLOW["latent_steps"])
    return one.encode(many)


def check(output, expected):
    """Check that every sequence is there once, with the bits of one machine."""
    ids, codes = codes_in(output)
    assert ids == [f"s{i}" for i in range(12_000)]
    assert np.array_equal(codes, expected)
    assert not [*output.glob(".*")]


@pytest.fixture
def nodes(monkeypatch):
    """Return a function that starts a cluster of several raylets, with one CPU more than needed."""
    from ray.cluster_utils import Cluster

    temporary = tempfile.mkdtemp(prefix="r", dir="/tmp")
    monkeypatch.setenv("RAY_TMPDIR", temporary)
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
    shutil.rmtree(temporary, ignore_errors=True)


def workers_of(parent):
    """Return the process ids of workers with a raylet among their parents."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            above = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if above in parent and (process / "cmdline").read_bytes().startswith(
                b"ray::write_part"
            ):
                found.append(int(process.name))
    return sorted(found)


def raylet_of(node):
    return node.all_processes["raylet"][0].process.pid


def parts_of(output):
    return len([*output.glob("part-*")])


def wait_for_parts(output, number, seconds=240):
    end = time.monotonic() + seconds
    while parts_of(output) < number:
        assert time.monotonic() < end, "no part is written"
        time.sleep(0.05)


def encode_and_lose(cluster, model_file, many, expected, output, lose):
    """Encode on a cluster while a thread takes something away from it, and check the parts."""
    thread = threading.Thread(target=lose)
    thread.start()
    summary = refold.cluster.encode(
        model_file, many, output, on=cluster.address, num_workers=2, **SLOW
    )
    thread.join()
    assert summary.num_sequences == 12_000
    check(output, expected)


@pytest.mark.slow
def test_workers_that_are_killed_lose_nothing(nodes, model_file, many, expected, tmp_path):
    cluster, others = nodes(1, 1, 1)
    output, killed = tmp_path / "codes", []
    raylets = {raylet_of(node) for node in [cluster.head_node, *others]}

    def kill():
        for i in range(10):
            wait_for_parts(output, 1 + i)
            while not (workers := workers_of(raylets)):
                time.sleep(0.05)
            os.kill(workers[i % len(workers)], signal.SIGKILL)
            killed.append(workers)

    encode_and_lose(cluster, model_file, many, expected, output, kill)
    assert len(killed) == 10


@pytest.mark.slow
def test_a_node_that_is_lost_loses_nothing(nodes, model_file, many, expected, tmp_path):
    cluster, others = nodes(1, 1, 1)
    output = tmp_path / "codes"

    def lose():
        wait_for_parts(output, 4)
        cluster.remove_node(others[1], allow_graceful=False)

    encode_and_lose(cluster, model_file, many, expected, output, lose)


@pytest.mark.slow
def test_a_second_run_completes_one_whose_driver_was_killed(
    model_file, many, expected, tmp_path, monkeypatch
):
    temporary = tempfile.mkdtemp(prefix="r", dir="/tmp")
    monkeypatch.setenv("RAY_TMPDIR", temporary)
    output = tmp_path / "codes"
    model = refold.load(model_file).with_latent_steps(SLOW["latent_steps"])
    model.save(tmp_path / "slow.refold")
    code = f"""
import sys, refold
print(refold.cluster.encode({str(tmp_path / "slow.refold")!r}, {str(many)!r}, {str(output)!r},
    on="local", num_workers=2, part_steps=2000, verbose=0).num_there)
"""
    first = subprocess.Popen([sys.executable, "-c", code])
    wait_for_parts(output, 5)
    first.kill()
    first.wait()
    time.sleep(5)  # its cluster ends by itself
    there = parts_of(output)
    assert there < 21
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) >= there
    check(output, expected)
    shutil.rmtree(temporary, ignore_errors=True)


@pytest.mark.slow
def test_a_client_outside_of_the_cluster(nodes, model_file, many, expected, tmp_path):
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
    check(tmp_path / "codes", expected)
