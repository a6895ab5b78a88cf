"""Server processes, and their memory and CPU time."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.serve_peers.load import wait_until_ready

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def serving(
    files: Sequence[Path], *options: str, port: int | None = None
) -> Iterator[tuple[int, Any]]:
    """Serve models with ``refold serve``; yield the port and the process."""
    port = port or free_port()
    with process([sys.executable, "-m", "refold", "serve", *files, "--port", port, *options]) as it:
        wait_until_ready(port)
        yield port, it


@contextlib.contextmanager
def process(command: list[Any]) -> Iterator[Any]:
    """Run a command until the end of the block."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    run: Any = subprocess.Popen(
        [str(part) for part in command],
        env=os.environ | {"PYTHONPATH": paths},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield run
    finally:
        with contextlib.suppress(ProcessLookupError):
            run.kill()
        run.wait()


def free_port() -> int:
    """Return a port that is free."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def resident(run: Any) -> float:
    """Return the resident memory of a process, in megabytes."""
    pages = int(Path(f"/proc/{run.pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_seconds(run: Any) -> float:
    """Return the CPU time of a process, in seconds."""
    text = Path(f"/proc/{run.pid}/stat").read_text(encoding="utf-8")
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
