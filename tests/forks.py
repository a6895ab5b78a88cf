"""Programs in interpreters of their own that share the imports of other packages.

An import of JAX and Keras takes seconds. Here one process imports what the programs need from
other packages, and forks once per program. What belongs to Refold, and what a program is about, is
imported in the fork.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# What Keras imports, without Keras.
BELOW_KERAS = ("jax", "jax.numpy", "jax.experimental.sparse", "h5py", "optree", "sklearn.base")

_SERVER = """
import importlib, json, os, sys, tempfile, traceback

given, results = json.load(sys.stdin), []
for name in given["imports"]:
    importlib.import_module(name)
for code, environment in given["programs"]:
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
        results.append((status, out.read(), err.read()))
print(json.dumps(results))
"""


class Done(NamedTuple):
    """What a program printed."""

    stdout: str
    stderr: str


def run_forked(
    programs: Sequence[tuple[str, Mapping[str, str]]],
    *,
    imports: Sequence[str] = BELOW_KERAS,
    options: Sequence[str] = (),
    without: Sequence[str] = (),
    **environment: str,
) -> list[Done]:
    """Run each program, given as its code and its environment variables, in a fork of its own.

    Parameters
    ----------
    programs : sequence of (str, mapping)
    imports : sequence of str
        Modules that are imported once, before the forks.
    options : sequence of str
        Options of the interpreter.
    without : sequence of str
        Environment variables that the programs do not inherit.
    environment : str
        Environment variables of the process that forks.
    """
    run = subprocess.run(
        [sys.executable, *options, "-c", _SERVER],
        input=json.dumps({"imports": imports, "programs": [(c, dict(e)) for c, e in programs]}),
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k not in without} | environment,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout)
    for (code, _), (status, out, err) in zip(programs, results, strict=True):
        assert status == 0, f"{code}\n{out[-3000:]}\n{err}"
    return [Done(out, err) for _, out, err in results]
