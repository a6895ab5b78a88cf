"""Bytes are written to any file."""

import os

import pytest

from refold.datasets import moving_ones
from refold.sequences import read, write


@pytest.mark.skipif(os.name == "nt", reason="pipes of another kind")
def test_a_pipe_in_dev_fd_can_be_written(tmp_path):
    read_end, write_end = os.pipe()
    write(moving_ones(20, seed=0), f"/dev/fd/{write_end}", format="npz")
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream:
        (tmp_path / "ones.npz").write_bytes(stream.read())
    assert len(read(tmp_path / "ones.npz")) == 20
