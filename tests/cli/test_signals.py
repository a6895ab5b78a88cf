"""SIGTERM ends a command like Ctrl-C, with its own message and exit code."""

import os
import signal
import threading
import time

import pytest

from refold.cli import main
from refold.cli._process import Termination, run
from refold.training.loop._stopping import Interrupt

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of another kind")


@pytest.fixture(autouse=True)
def _default_signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("ctrl_c", [signal.default_int_handler, signal.SIG_IGN])
def test_a_command_ends_with_one_line(capsys, ctrl_c):
    signal.signal(signal.SIGINT, ctrl_c)
    assert run(lambda: signal.raise_signal(signal.SIGTERM)) == 143
    message = "Terminated: Stopped by SIGTERM. Unfinished output was not written.\n"
    assert capsys.readouterr().err == message
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_training_that_ignores_ctrl_c_can_be_terminated():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Termination(), Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        assert not interrupt.asked
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.asked


def test_an_existing_signal_handler_is_kept(capsys):
    came = []
    signal.signal(signal.SIGTERM, lambda *_: came.append(True))
    assert run(lambda: signal.raise_signal(signal.SIGTERM)) == 0
    assert came == [True]
    assert capsys.readouterr().err == ""


def test_a_fit_writes_its_checkpoint_and_says_how_to_continue(sines, fit_options, tmp_path, capsys):
    data, model = sines / "left.parquet", tmp_path / "model.refold"
    checkpoint = tmp_path / "model.refold.checkpoint"

    def terminate():
        deadline = time.monotonic() + 120
        while not checkpoint.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=terminate)
    thread.start()
    settings = [*fit_options, "--max-epochs", "100000", "--patience", "100000", "--quiet"]
    assert main(["fit", str(data), "-o", str(model), *settings]) == 143
    thread.join()
    message = capsys.readouterr().err
    assert message.startswith("Terminated: Training was interrupted ")
    assert message.endswith(f"Its state is saved; --resume continues from '{checkpoint}'.\n")
    assert message.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [checkpoint.name]
