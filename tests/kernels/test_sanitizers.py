"""The kernels without Python or JAX, with the address and undefined-behavior sanitizers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

pytestmark = pytest.mark.slow


def run(*command):
    done = subprocess.run(
        command, env=os.environ | {"PATH": PATH}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_kernels_pass_the_sanitizers(tmp_path):
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        pytest.skip("this machine has no C++ compiler")
    cmake = shutil.which("cmake", path=PATH)
    run(cmake, "-S", ROOT, "-B", tmp_path, "-G", "Ninja", "-DREFOLD_SANITIZE=ON")
    run(cmake, "--build", tmp_path)
    run(tmp_path / "refold_kernels_test")
