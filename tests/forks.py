"""Programs in separate processes that share the imports of other packages.

Importing JAX and Keras takes seconds. Here one process imports the other packages that the programs
need, and forks for each program. The fork imports Refold and everything that the program tests.
"""

import atexit
import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

# Packages that Keras imports, but not Keras itself. Some of them are optional.
BELOW_KERAS = (
    *("jax", "jax.numpy", "jax.experimental.sparse", "h5py", "optree", "sklearn.base"),
    *("matplotlib.pyplot", "IPython", "requests", "scipy.signal", "PIL.PngImagePlugin"),
    "jax.experimental.pallas.ops.tpu.splash_attention",
)

_SERVER_CODE = """
import contextlib, importlib, json, os, sys, tempfile, traceback

for name in json.loads(sys.stdin.readline()):
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
for line in sys.stdin:
    code, environment = json.loads(line)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if not child:
            status = 1
            try:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                for name, value in environment.items():
                    os.environ[name] = value
                exec(compile(code, "<program>", "exec"), {"__name__": "__main__"})
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        status = os.waitpid(child, 0)[1]
        for file in (out, err):
            file.seek(0)
        print(json.dumps((status, out.read(), err.read())), flush=True)
"""


class ProgramOutput(NamedTuple):
    """What a program wrote to standard output and standard error."""

    stdout: str
    stderr: str


class Server:
    """A process that has imported modules, and forks once for each program."""

    def __init__(
        self,
        *,
        imports: Sequence[str] = BELOW_KERAS,  # modules to import before the forks
        options: Sequence[str] = (),  # options of the interpreter
        without: Sequence[str] = (),  # environment variables that are not inherited
        **environment: str,
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *options, "-c", _SERVER_CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={name: os.environ[name] for name in os.environ if name not in without}
            | environment,
        )
        self._send(imports)

    def run(self, code: str, **environment: str) -> ProgramOutput:
        """Run a program in a fork, with additional environment variables, and return its output."""
        self._send((code, environment))
        answer = self._process.stdout.readline()
        assert answer, f"the process that forks ended with {self._process.wait()}"
        status, out, err = json.loads(answer)
        assert status == 0, f"{code}\n{out[-3000:]}\n{err}"
        return ProgramOutput(out, err)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _send(self, message: object) -> None:
        """Send a message as a line of JSON."""
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()


@functools.cache
def server_with_keras() -> Server:
    """Return a server that has imported Keras on JAX; there is one per test process."""
    server = Server(imports=(*BELOW_KERAS, "keras"), KERAS_BACKEND="jax")
    atexit.register(server.close)
    return server


def run_forked(
    programs: Sequence[tuple[str, Mapping[str, str]]], **options: Any
) -> list[ProgramOutput]:
    """Run each program, a pair of code and environment variables, in its own fork."""
    server = Server(**options)
    try:
        return [server.run(code, **environment) for code, environment in programs]
    finally:
        server.close()
