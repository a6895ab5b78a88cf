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

# Packages that Keras imports, without Keras. Some of them are optional.
BELOW_KERAS = (
    *("jax", "jax.numpy", "jax.experimental.sparse", "h5py", "optree", "sklearn.base"),
    *("matplotlib.pyplot", "IPython", "requests", "scipy.signal", "PIL.PngImagePlugin"),
    "jax.experimental.pallas.ops.tpu.splash_attention",
)

_SERVER = """
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


class Done(NamedTuple):
    """The output of a program."""

    stdout: str
    stderr: str


class Server:
    """A process that has imported modules, and forks once for each program."""

    def __init__(
        self,
        *,
        imports: Sequence[str] = BELOW_KERAS,  # before the forks
        options: Sequence[str] = (),  # of the interpreter
        without: Sequence[str] = (),  # environment variables that are not inherited
        **environment: str,
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *options, "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={k: v for k, v in os.environ.items() if k not in without} | environment,
        )
        self._send(imports)

    def run(self, code: str, **environment: str) -> Done:
        """Run a program with more environment variables."""
        self._send((code, environment))
        answer = self._process.stdout.readline()
        assert answer, f"the process that forks ended with {self._process.wait()}"
        status, out, err = json.loads(answer)
        assert status == 0, f"{code}\n{out[-3000:]}\n{err}"
        return Done(out, err)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _send(self, given: object) -> None:
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()


@functools.cache
def server_with_keras() -> Server:
    """Return a server that has imported Keras on JAX; there is one per test process."""
    server = Server(imports=(*BELOW_KERAS, "keras"), KERAS_BACKEND="jax")
    atexit.register(server.close)
    return server


def run_forked(programs: Sequence[tuple[str, Mapping[str, str]]], **options: Any) -> list[Done]:
    """Run each program, a pair of code and environment variables, in its own fork."""
    server = Server(**options)
    try:
        return [server.run(code, **environment) for code, environment in programs]
    finally:
        server.close()
