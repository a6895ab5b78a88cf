"""Run a command and measure its process: ``... launcher COMMAND`` with the command as JSON.

On Linux the peak memory of a process is never below that of its parent. This process imports only
the standard library, so that it is smaller than the processes it measures.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.training_peers.process import answer

__all__ = ["measure"]


def measure(command: list[str]) -> dict[str, Any]:
    """Run a command; return its wall time, its user CPU time and its peak memory in bytes."""
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            sys.stderr.buffer.write(errors.read())
            raise SystemExit(1)
    unit = 1 if sys.platform == "darwin" else 1024
    return {"wall": seconds, "user": usage.ru_utime, "peak": unit * usage.ru_maxrss}


if __name__ == "__main__":
    answer(**measure(json.loads(sys.argv[1])))
