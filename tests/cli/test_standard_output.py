"""Standard output of real processes is complete, or the exit code is an error."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="limits of another kind")


LIMIT, ROOM = 100_000, 100


LIMIT_FILES = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT}, {LIMIT}))"
CLOSE_OUTPUT = "os.close(1)"


def refold(*arguments, before, **options):
    """Return a function that runs a command in a process after other code."""
    start = "os.execv(sys.executable, [sys.executable, '-m', 'refold', *sys.argv[1:]])"
    command = [sys.executable, "-c", f"import os, sys; {before}; {start}", *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, timeout=300, check=False, **options)


@pytest.mark.parametrize("unbuffered", ["1", ""])
@pytest.mark.parametrize("arguments", [("data", "moving-ones", "-n", "500"), ("data",)])
def test_output_that_does_not_fit_is_an_error(tmp_path, arguments, unbuffered):
    """The file accepts only a part of the output, like a disk that is nearly full."""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with (tmp_path / "output").open("wb") as stream:
        stream.seek(LIMIT - ROOM)
        done = refold(*arguments, before=LIMIT_FILES, stdout=stream, env=environment)
    assert done.returncode == 2
    assert done.stderr.decode() == (
        "Error: Standard output cannot be written: File too large. The output is incomplete.\n"
    )
    assert (tmp_path / "output").stat().st_size == LIMIT


def test_output_that_is_closed_is_an_error():
    done = refold("data", "moving-ones", "-n", "3", before=CLOSE_OUTPUT)
    assert done.returncode == 2
    assert done.stderr == b"Error: Standard output is closed. Name a file with -o.\n"
