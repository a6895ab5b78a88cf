"""Files are written completely or not at all."""

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from refold.datasets import ramps
from refold.errors import SchemaError
from refold.sequences import FileAccessError, MissingFileError, write
from refold.sequences.files._atomic_writes import atomic_writer

linux = pytest.mark.skipif(sys.platform != "linux", reason="the system has other special files")


def test_nothing_changes_until_the_end(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic_writer(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SchemaError])
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


def test_a_process_that_is_killed_while_writing(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = (
        "import sys, time\n"
        "from refold.sequences.files._atomic_writes import atomic_writer\n"
        "with atomic_writer(sys.argv[1]) as file:\n"
        "    file.write(b'half')\n"
        "    file.flush()\n"
        "    print('half', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert path.read_bytes() == b"old"


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


def test_a_relative_name_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(ramps(), "ramps.csv")
    assert Path("ramps.csv").exists()


def test_a_missing_folder(tmp_path):
    with pytest.raises(MissingFileError, match=r"there is no folder .*nowhere\. Create it"):
        write(ramps(), tmp_path / "nowhere" / "ramps.csv")
    assert not list(tmp_path.iterdir())


def test_folder_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileAccessError, match=r"cannot be written: .*file is a file, not a folder"):
        write(ramps(), tmp_path / "file" / "ramps.csv")


def test_file_is_a_folder(tmp_path):
    (tmp_path / "ramps.csv").mkdir()
    with pytest.raises(FileAccessError, match=r"ramps\.csv is a folder\. Expected the name of a"):
        write(ramps(), tmp_path / "ramps.csv")


@linux
def test_a_folder_that_is_not_writable():
    with pytest.raises(FileAccessError, match=r"/proc/ramps\.csv cannot be written: \w+"):
        write(ramps(), "/proc/ramps.csv")
    with pytest.raises(OSError, match="cannot be written"):
        write(ramps(), "/proc/ramps.csv")


def test_sequences_that_a_format_cannot_store_change_no_file(tmp_path):
    path = tmp_path / "ramps.txt"
    path.write_text("old")
    with pytest.raises(SchemaError, match="holds characters or words"):
        write(ramps(), path)
    assert path.read_text() == "old"
