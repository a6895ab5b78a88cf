"""`refold serve` as a process: imports, reloads and shutdown."""

import contextlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from refold.cli import main
from refold.network.packed.network import PackedNetwork
from small_data import ragged

ONE = {"sequences": [one.tolist() for one in ragged(4)]}
UNIX = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")


@contextlib.contextmanager
def process(*arguments):
    """Start `refold serve`; yield the process and its address."""
    command = [sys.executable, "-m", "refold", "serve", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            line = running.stderr.readline()
            assert " on http://" in line, line + running.stderr.read()
            yield running, line.split()[-1]
        finally:
            running.kill()


@UNIX
def test_reload_and_shutdown_under_load_lose_no_request(files, pairs, tmp_path):
    path = shutil.copy(files["pairs"], tmp_path / "pairs.refold")
    ends, codes, failures = threading.Event(), [], []

    def ask():
        with httpx.Client(base_url=url) as client:
            while not ends.is_set():
                try:
                    response = client.post("/v1/pairs/encode", json=ONE)
                except httpx.ConnectError:
                    return  # the service accepts no more connections
                except httpx.TransportError as error:
                    failures.append(error)
                    return
                codes.append((response.status_code, str(response.json().get("codes"))))

    def served():
        return httpx.get(f"{url}/v1/pairs").json()["sha256"]

    with process(path) as (running, url):
        before = served()
        if sys.platform == "linux":
            maps = Path(f"/proc/{running.pid}/maps").read_text()
            assert "numpy" in maps
            for heavy in ("jax", "sklearn", "scipy", "pandas"):
                assert f"/{heavy}" not in maps, heavy
            status = Path(f"/proc/{running.pid}/status").read_text()
            resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
            assert int(resident.split()[1]) < 250_000
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        # a file that is not a model changes nothing
        (tmp_path / "other").write_text("no model")
        (tmp_path / "other").replace(path)
        running.send_signal(signal.SIGHUP)
        assert "The models stay as they were" in running.stderr.readline()
        assert served() == before
        network = pairs.network
        weights = {name: array * np.float32(1.01) for name, array in network.weights.items()}
        replace(pairs, network=PackedNetwork(network.specification, weights)).save(path)
        running.send_signal(signal.SIGHUP)
        assert "The models are read again" in running.stderr.readline()
        assert served() != before
        time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0
        ends.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert {status for status, _ in codes} == {200}
        assert len({text for _, text in codes}) == 2
        assert running.stderr.read() == ""


def test_errors_have_one_line(files, tmp_path, capsys):
    (tmp_path / "no.refold").write_text("no model")
    for arguments, expected in [
        ([tmp_path / "no.refold"], "no.refold"),
        ([tmp_path / "none.refold"], "none.refold"),
        ([files["pairs"], "--host", "0.0.0.0"], "Set a token"),  # noqa: S104
        ([files["pairs"], "--host", "192.0.2.1", "--anonymous"], "cannot use the address"),
    ]:
        assert main(["serve", *map(str, arguments)]) == 2
        shown = capsys.readouterr().err
        assert expected in " ".join(shown.split())
        assert "Traceback" not in shown
