"""Bytes are written completely to any stream."""

import os

import pytest

from refold._support.output import write_all
from refold.datasets import moving_ones
from refold.sequences import read, write


class Slow:
    """A stream that accepts a few bytes at a time."""

    def __init__(self, most):
        self.taken, self.most = b"", most

    def write(self, data):
        self.taken += bytes(data[: self.most])
        return min(self.most, len(data))


def test_all_bytes_are_written_if_a_stream_accepts_a_few_at_a_time():
    stream, ones = Slow(3), moving_ones(20, seed=0)
    write(ones, stream, format="csv")
    assert stream.taken.count(b"\n") == 1 + ones.lengths.sum() + (ones.lengths == 0).sum()
    with pytest.raises(OSError, match="Input/output error"):
        write_all(Slow(0), b"0123456789")


@pytest.mark.skipif(os.name == "nt", reason="pipes of another kind")
def test_a_pipe_in_dev_fd_can_be_written(tmp_path):
    out, into = os.pipe()
    write(moving_ones(20, seed=0), f"/dev/fd/{into}", format="npz")
    os.close(into)
    with os.fdopen(out, "rb") as stream:
        (tmp_path / "ones.npz").write_bytes(stream.read())
    assert len(read(tmp_path / "ones.npz")) == 20
