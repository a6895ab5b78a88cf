"""`refold serve` as a process: imports and shutdown."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from refold.cli import main
from small_data import draw_ragged_sequences

SMALL_REQUEST = {"sequences": [sequence.tolist() for sequence in draw_ragged_sequences(4)]}


@pytest.mark.skipif(sys.platform != "linux", reason="the files of processes of Linux")
def test_a_light_process_that_answers_until_it_is_stopped(files):
    command = [sys.executable, "-m", "refold", "serve", files["pairs"], "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        line = running.stderr.readline()
        assert " on http://" in line, line + running.stderr.read()
        url, statuses = line.split()[-1], []
        maps = Path(f"/proc/{running.pid}/maps").read_text()
        assert "numpy" in maps
        for heavy in ("jax", "sklearn", "scipy", "pandas"):
            assert f"/{heavy}" not in maps, heavy
        status = Path(f"/proc/{running.pid}/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        assert int(resident.split()[1]) < 250_000
        first = threading.Event()

        def send():
            try:
                while True:
                    statuses.append(
                        httpx.post(f"{url}/v1/pairs/encode", json=SMALL_REQUEST).status_code
                    )
                    first.set()
            except httpx.TransportError:
                return  # the service accepts no more connections

        thread = threading.Thread(target=send)
        thread.start()
        assert first.wait(10)
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0
        thread.join()
        assert {*statuses} == {200}
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
        printed = capsys.readouterr().err
        assert expected in " ".join(printed.split())
        assert "Traceback" not in printed
