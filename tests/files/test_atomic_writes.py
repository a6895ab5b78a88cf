"""Files are written completely or not at all."""

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from refold.datasets import ramps
from refold.errors import SchemaError
from refold.files.paths import atomic_writer
from refold.sequences import FileAccessError, MissingFileError, write

linux = pytest.mark.skipif(sys.platform != "linux", reason="the system has other special files")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SchemaError])
def test_an_error_keeps_the_old_file_and_leaves_no_other(tmp_path, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(error, match="stop"):
        write_half(path, error("stop"))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(error, match="stop"):
        write_half(tmp_path / "other", error("stop"))
    assert list(tmp_path.iterdir()) == [path]


def write_half(path: Path, error: BaseException) -> None:
    with atomic_writer(path) as file:
        file.write(b"half")
        raise error


WRITE = """
import sys
from refold.sequences import atomic_writer
with atomic_writer(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("half", flush=True)
    file.write(sys.stdin.buffer.read())
"""


def writing(path: Path) -> subprocess.Popen[bytes]:
    """Start a process that has written half of a file."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"half\n"
    return process


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other locks")
def test_a_write_removes_what_killed_writers_left_and_nothing_of_live_ones(tmp_path):
    path = tmp_path / "ramps.csv"
    path.write_bytes(b"old")
    with writing(path) as killed, writing(path) as alive, writing(tmp_path / "other") as other:
        for process in (killed, other):
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert path.read_bytes() == b"old"
        assert len(list(tmp_path.glob(".*.part"))) == 3
        write(ramps(), path)
        assert path.read_bytes().startswith(b'"id"')
        assert len(list(tmp_path.glob(".ramps.csv.*.part"))) == 1
        assert len(list(tmp_path.glob(".other.*.part"))) == 1
        alive.communicate(b" and half")
    assert path.read_bytes() == b"half and half"
    assert list(tmp_path.glob(".ramps.csv.*.part")) == []


def test_permissions_are_those_of_any_new_file_or_of_the_old_one(tmp_path):
    with atomic_writer(tmp_path / "new") as file:
        file.write(b"x")
    (tmp_path / "plain").touch()
    assert mode(tmp_path / "new") == mode(tmp_path / "plain")
    (tmp_path / "plain").chmod(0o640)
    with atomic_writer(tmp_path / "plain") as file:
        file.write(b"x")
    assert mode(tmp_path / "plain") == 0o640


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_link_is_not_replaced(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    with atomic_writer(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


@linux
def test_a_device_is_not_replaced_by_a_file():
    with atomic_writer("/dev/null") as file:
        file.write(b"x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with (
        pytest.raises(FileAccessError, match="/dev/full cannot be written: No space left"),
        atomic_writer("/dev/full") as file,
    ):
        file.write(b"x" * 100_000)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("nowhere/ramps.csv", MissingFileError, r"there is no folder .*nowhere\. Create it"),
        ("file/ramps.csv", FileAccessError, r"cannot be written: .*file is a file, not a folder"),
        ("ramps.csv", FileAccessError, r"ramps\.csv is a folder\. Expected a file"),
    ],
)
def test_a_name_that_cannot_be_written(tmp_path, name, error, message):
    (tmp_path / "file").touch()
    (tmp_path / "ramps.csv").mkdir()
    with pytest.raises(error, match=message):
        write(ramps(), tmp_path / name)
    assert len(list(tmp_path.iterdir())) == 2
