"""Help pages, exit codes, signals and standard output of the process around a command."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings

import pytest

from refold.cli import main
from refold.cli._app import _COMMANDS_BY_HEADING, run_command
from refold.datasets import noisy_sines
from refold.sequences import write

not_on_windows = pytest.mark.skipif(os.name == "nt", reason="signals and limits of another kind")
COMMANDS = [command.__name__ for commands in _COMMANDS_BY_HEADING.values() for command in commands]
# Maximum size of a file that a process of a test can write.
MAX_FILE_BYTES = 100_000
# Bytes that still fit in the file, so that only a part of the output is written.
NUM_FREE_BYTES = 100
LIMITS = (MAX_FILE_BYTES, MAX_FILE_BYTES)
LIMIT_FILE_SIZE = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, {LIMITS})"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_and_describes_every_argument(command, run):
    lines = run(command, "--help").out.splitlines()
    assert f"Example:  refold {command}" in " ".join(lines)
    rows = [line.strip("│ *") for line in lines if re.match(r"│[ *]{1,4}(--|[A-Z]+ )", line)]
    assert rows
    assert [row for row in rows if len(row.split("  ", 1)) < 2] == []


@pytest.mark.parametrize("arguments", [[], ["-h"]])
def test_general_help_lists_the_commands_under_headings(arguments, run):
    captured = run(*arguments)
    assert all(f"│ {command} " in captured.out for command in COMMANDS)
    assert all(f"─ {heading} ─" in captured.out for heading in _COMMANDS_BY_HEADING)
    assert captured.err == ""


def run_after(*arguments, before, **options):
    """Run a command in a process after other code."""
    start = "os.execv(sys.executable, [sys.executable, '-m', 'refold', *sys.argv[1:]])"
    command = [sys.executable, "-c", f"import os, sys; {before}; {start}", *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, timeout=300, check=False, **options)


@not_on_windows
@pytest.mark.parametrize("unbuffered", ["1", ""])
def test_output_that_does_not_fit_is_an_error(tmp_path, unbuffered):
    """The file accepts only a part of the output, like a disk that is nearly full."""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    environment.pop("COVERAGE_PROCESS_CONFIG", None)  # its own file would not fit either
    with (tmp_path / "output").open("wb") as stream:
        stream.seek(MAX_FILE_BYTES - NUM_FREE_BYTES)
        arguments = "data", "moving-ones", "-n", "500"
        finished = run_after(*arguments, before=LIMIT_FILE_SIZE, stdout=stream, env=environment)
    assert finished.returncode == 2
    assert finished.stderr == b"Error: File too large. The output is incomplete.\n"
    assert (tmp_path / "output").stat().st_size == MAX_FILE_BYTES


@not_on_windows
def test_output_that_is_closed_is_an_error():
    finished = run_after("data", "moving-ones", "-n", "3", before="os.close(1)")
    assert finished.returncode == 2
    assert finished.stderr == b"Error: Standard output is closed. Name a file with -o.\n"


def test_a_closed_pipe_is_not_an_error():
    command = [sys.executable, "-m", "refold", "data", "moving-ones", "-n", "20000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=120) == 1


@pytest.mark.usefixtures("ctrl_c")
@not_on_windows
def test_ctrl_c_is_one_line(tmp_path):
    command = [sys.executable, "-m", "refold", "fit", "-", "--format", "csv", "-o", "m.refold"]
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes) as process:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "temporary").rglob("standard input")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output == b""
    assert errors == b"Interrupted: Stopped by Ctrl-C. Unfinished output was not written.\n"
    assert list(tmp_path.rglob("*.*")) == []


@pytest.fixture
def _default_signals():
    sigterm_handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sigint_handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, sigterm_handler)
    signal.signal(signal.SIGINT, sigint_handler)


@not_on_windows
@pytest.mark.usefixtures("_default_signals")
class TestSigterm:
    """SIGTERM ends a command like Ctrl-C, with its own message and exit code."""

    @pytest.mark.parametrize("ctrl_c", [signal.default_int_handler, signal.SIG_IGN])
    def test_a_command_ends_with_one_line(self, capsys, ctrl_c):
        signal.signal(signal.SIGINT, ctrl_c)
        assert run_command(lambda: signal.raise_signal(signal.SIGTERM)) == 143
        message = "Terminated: Stopped by SIGTERM. Unfinished output was not written.\n"
        assert capsys.readouterr().err == message
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def test_a_fit_writes_its_checkpoint_and_says_how_to_continue(
        self, sines, fit_options, tmp_path, capsys
    ):
        data, model = sines / "fitted.parquet", tmp_path / "model.refold"
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
        assert [*tmp_path.iterdir()] == [checkpoint]


def test_an_error_of_refold_itself_keeps_its_traceback():
    def raise_bug():
        raise ZeroDivisionError("a fault")

    with pytest.raises(ZeroDivisionError, match="a fault"):
        run_command(raise_bug)


def test_a_warning_is_one_line(capsys):
    assert run_command(lambda: warnings.warn("a constant\n feature", stacklevel=1)) == 0
    assert capsys.readouterr().err == "Warning: a constant feature\n"


def test_a_command_says_once_that_sequences_are_longer_and_nothing_with_quiet(sines, tmp_path, run):
    long_file = tmp_path / "long.parquet"
    write(noisy_sines(6, seed=0, min_steps=45, max_steps=60), long_file)
    arguments = "explore", sines / "bare.refold", long_file, "--export", tmp_path / "map.html"
    assert run(*arguments).err.count("longer than the longest in training") == 1
    assert run(*arguments, "-q").err == ""
