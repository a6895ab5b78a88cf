"""Exit codes, signals and standard output of the process around a command."""

import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import pytest

from refold.cli import main
from refold.cli._outputs import loading
from refold.cli._process import Termination, run
from refold.training.loop._interrupt import Interrupt

no_windows = pytest.mark.skipif(os.name == "nt", reason="signals and limits of another kind")
LIMIT, ROOM = 100_000, 100
LIMIT_FILES = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT}, {LIMIT}))"


def process(*arguments, before, **options):
    """Run a command in a process after other code."""
    start = "os.execv(sys.executable, [sys.executable, '-m', 'refold', *sys.argv[1:]])"
    command = [sys.executable, "-c", f"import os, sys; {before}; {start}", *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, timeout=300, check=False, **options)


@no_windows
@pytest.mark.parametrize("unbuffered", ["1", ""])
@pytest.mark.parametrize("arguments", [("data", "moving-ones", "-n", "500"), ("data",)])
def test_output_that_does_not_fit_is_an_error(tmp_path, arguments, unbuffered):
    """The file accepts only a part of the output, like a disk that is nearly full."""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with (tmp_path / "output").open("wb") as stream:
        stream.seek(LIMIT - ROOM)
        done = process(*arguments, before=LIMIT_FILES, stdout=stream, env=environment)
    assert done.returncode == 2
    assert done.stderr.decode() == (
        "Error: Standard output cannot be written: File too large. The output is incomplete.\n"
    )
    assert (tmp_path / "output").stat().st_size == LIMIT


@no_windows
def test_output_that_is_closed_is_an_error():
    done = process("data", "moving-ones", "-n", "3", before="os.close(1)")
    assert done.returncode == 2
    assert done.stderr == b"Error: Standard output is closed. Name a file with -o.\n"


def test_a_closed_pipe_is_not_an_error():
    command = [sys.executable, "-m", "refold", "data", "moving-ones", "-n", "20000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        started.stdout.read(10)
        started.stdout.close()
        assert started.stderr.read() == b""
        assert started.wait(timeout=120) == 1


@pytest.mark.usefixtures("ctrl_c")
@no_windows
def test_ctrl_c_is_one_line(tmp_path):
    command = [sys.executable, "-m", "refold", "fit", "-", "--format", "csv", "-o", "m.refold"]
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes) as started:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "temporary").rglob("input.csv")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        started.send_signal(signal.SIGINT)
        output, errors = started.communicate(timeout=60)
    assert started.returncode == 130
    assert output == b""
    assert errors.decode().startswith("Interrupted: Stopped by Ctrl-C.")
    assert len(errors.splitlines()) == 1
    assert list(tmp_path.rglob("*.*")) == []


@pytest.fixture
def _default_signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@no_windows
@pytest.mark.usefixtures("_default_signals")
class TestSigterm:
    """SIGTERM ends a command like Ctrl-C, with its own message and exit code."""

    @pytest.mark.parametrize("ctrl_c", [signal.default_int_handler, signal.SIG_IGN])
    def test_a_command_ends_with_one_line(self, capsys, ctrl_c):
        signal.signal(signal.SIGINT, ctrl_c)
        assert run(lambda: signal.raise_signal(signal.SIGTERM)) == 143
        message = "Terminated: Stopped by SIGTERM. Unfinished output was not written.\n"
        assert capsys.readouterr().err == message
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def test_a_training_that_ignores_ctrl_c_can_be_terminated(self):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with Termination(), Interrupt() as interrupt:
            signal.raise_signal(signal.SIGINT)
            assert not interrupt.asked
            signal.raise_signal(signal.SIGTERM)
            assert interrupt.asked

    def test_an_existing_signal_handler_is_kept(self, capsys):
        came = []
        signal.signal(signal.SIGTERM, lambda *_: came.append(True))
        assert run(lambda: signal.raise_signal(signal.SIGTERM)) == 0
        assert came == [True]
        assert capsys.readouterr().err == ""

    def test_a_fit_writes_its_checkpoint_and_says_how_to_continue(
        self, sines, fit_options, tmp_path, capsys
    ):
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
        assert [path.name for path in tmp_path.iterdir()] == [checkpoint.name]


def test_an_error_of_refold_itself_keeps_its_traceback():
    def broken():
        raise ZeroDivisionError("a fault")

    with pytest.raises(ZeroDivisionError, match="a fault"):
        run(broken)


def test_a_warning_is_one_line(capsys):
    assert run(lambda: warnings.warn("a constant\n feature", UserWarning, stacklevel=1)) == 0
    assert capsys.readouterr().err == "Warning: a constant feature\n"


@pytest.mark.parametrize("quiet", [False, True])
def test_loading_keras_is_shown_on_a_terminal_only(monkeypatch, capsys, quiet):
    for in_terminal in (True, False):
        monkeypatch.setenv("FORCE_COLOR", "1")
        if not in_terminal:
            monkeypatch.delenv("FORCE_COLOR")
        with loading(quiet=quiet):
            pass
        is_shown = "loading Keras and JAX" in capsys.readouterr().err
        assert is_shown == (in_terminal and not quiet)
