"""Files are written completely or not at all, and locks hold across processes."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from refold import SequenceAutoencoder
from refold._support.atomic_files import atomic_writer, lock_checkpoint
from refold.datasets import ramps
from refold.errors import FileAccessError, MissingFileError, ParameterError, SchemaError
from refold.sequences import read, write

BUSY_MESSAGE = r"Another training run is using the checkpoint .*model\.checkpoint'\. Wait"
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the system has other special files")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SchemaError])
def test_an_error_keeps_the_old_file_and_leaves_no_other(tmp_path, error):
    (tmp_path / "old").write_bytes(b"old")
    for name in ("old", "new"):
        with pytest.raises(error, match="stop"), atomic_writer(tmp_path / name) as file:  # noqa: PT012
            file.write(b"half")
            raise error("stop")
        assert (tmp_path / "old").read_bytes() == b"old"
        assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_write_removes_old_temporary_files_of_the_same_name(tmp_path):
    names = [
        f".{name}.{key}.part" for name in ("ramps.csv", "other") for key in ("0" * 16, "1" * 16)
    ]
    for name in names:
        (tmp_path / name).touch()
        if "1" in name:  # a writer that was killed 25 hours ago
            os.utime(tmp_path / name, (time.time() - 25 * 3600,) * 2)
    write(ramps(), tmp_path / "ramps.csv")
    assert (tmp_path / "ramps.csv").read_bytes().startswith(b'"id"')
    names.remove(f".ramps.csv.{'1' * 16}.part")
    assert sorted(path.name for path in tmp_path.glob(".*")) == sorted(names)


def test_permissions_and_links_stay(tmp_path):
    (tmp_path / "touched").touch()
    (tmp_path / "old").touch(mode=0o640)
    (tmp_path / "link").symlink_to("target")
    for name in ("new", "old", "link"):
        with atomic_writer(tmp_path / name) as file:
            file.write(b"x")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes["new"] == modes["touched"]
    assert modes["old"] == 0o640
    # a link is not replaced
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"x"


@on_linux
def test_a_device_is_not_replaced_by_a_file():
    with atomic_writer("/dev/null") as file:
        file.write(b"x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with (
        pytest.raises(FileAccessError, match="/dev/full cannot be written: No space left"),
        atomic_writer("/dev/full") as file,
    ):
        file.write(b"x" * 100_000)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other pipes")
def test_a_pipe_in_dev_fd_can_be_written(tmp_path):
    read_end, write_end = os.pipe()
    write(ramps(), f"/dev/fd/{write_end}", format="npz")
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream:
        (tmp_path / "ramps.npz").write_bytes(stream.read())
    assert len(read(tmp_path / "ramps.npz")) == len(ramps())


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("nowhere/ramps.csv", MissingFileError, r"there is no folder .*nowhere\. Create it"),
        ("file/ramps.csv", FileAccessError, "cannot be written: Not a directory"),
        ("ramps.csv", FileAccessError, r"ramps\.csv is a folder\. Expected a file"),
    ],
)
def test_paths_that_cannot_be_written(tmp_path, name, error, message):
    (tmp_path / "file").touch()
    (tmp_path / "ramps.csv").mkdir()
    with pytest.raises(error, match=message):
        write(ramps(), tmp_path / name)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_lock_refuses_other_processes_until_they_end(tmp_path):
    path = tmp_path / "model.checkpoint"
    code = (
        "import sys, time\n"
        "from refold._support.atomic_files import lock_checkpoint\n"
        "with lock_checkpoint(sys.argv[1]):\n"
        "    print('in', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"in\n"
        with pytest.raises(ParameterError, match=BUSY_MESSAGE):
            SequenceAutoencoder().fit([[1.0, 2.0], [2.0, 1.0]], checkpoint=path)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with lock_checkpoint(path):
        pass
    assert list(tmp_path.iterdir()) == []
