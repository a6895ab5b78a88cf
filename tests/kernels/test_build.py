"""Builds of the package: a wheel with the library of refold.kernels, or one without."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import refold
from forks import run_forked
from refold import kernels
from refold.kernels._library import _VARIANT_NAMES

ROOT = Path(__file__).parents[2]
COMPILERS = (os.environ.get("CXX", "c++"), "g++", "clang++")
FALSE = shutil.which("false")

BUILD = "import sys, scikit_build_core.build as b; getattr(b, sys.argv[1])(sys.argv[2])"
STATE = """
import json
import refold.kernels as k
print(json.dumps({"file": k.__file__, "variant": k.variant(), "why_not": k.why_not()}))
"""


def build(hook, source, folder, **environment):
    """Build a wheel of a checkout with the tools of this environment, and return its path."""
    run = subprocess.run(
        [sys.executable, "-c", BUILD, hook, folder],
        cwd=source,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel, run.stdout


def unpack(wheel, folder):
    shutil.unpack_archive(wheel, folder, "zip")
    return folder


def run_code(code, folder):
    """Run code on the package in a folder, and return the JSON that it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "REFOLD_KERNEL"}
    command = [sys.executable, "-W", "error", "-c", code]
    environment["PYTHONPATH"] = str(folder)
    return json.loads(subprocess.check_output(command, env=environment, cwd=folder, text=True))


# Without a compiler


def test_without_a_compiler_the_wheel_is_pure_python(tmp_path):
    wheel, message = build("build_wheel", ROOT, tmp_path, CC=FALSE, CXX=FALSE)
    assert wheel.name == f"refold-{refold.__version__}-py3-none-any.whl"
    assert "built without its LSTM kernel" in message
    site = unpack(wheel, tmp_path / "site")
    # the files of the package and nothing else, also not the library of the checkout
    built = {path.relative_to(site) for path in (site / "refold").rglob("*") if path.is_file()}
    source = {path.relative_to(ROOT / "src") for path in (ROOT / "src/refold").rglob("*.*")}
    excluded = {".cpp", ".h", ".pyc", ".so", ".dylib", ".dll"}
    assert built == {path for path in source if path.suffix not in excluded}
    assert Path("refold/py.typed") in built  # for type checkers
    dist_info = f"refold-{refold.__version__}.dist-info"
    assert {path.name for path in site.iterdir()} == {"refold", dist_info}
    # tests/network/keras/test_lstm.py tests that the LSTM then uses the scan
    state = run_code(STATE, site)
    assert Path(state["file"]).is_relative_to(site)
    assert state["variant"] is None
    assert "was not built" in state["why_not"]
    assert "install a C++ compiler" in state["why_not"]
    assert "\n" not in state["why_not"]


# With a compiler. `make test` uses the library that was compiled when the checkout was installed.


needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, COMPILERS)), reason="this machine has no C++ compiler"
)


@pytest.mark.slow
@needs_compiler
def test_one_wheel_holds_the_library_without_sources_for_every_python(tmp_path):
    # compilation without optimizations takes a third of the time
    wheel, message = build("build_wheel", ROOT, tmp_path, SKBUILD_CMAKE_BUILD_TYPE="Debug")
    assert "without its LSTM kernel" not in message, message
    _, _, python, abi, platform = wheel.stem.split("-")
    assert (python, abi) == ("py3", "none")
    assert platform != "any"
    names = zipfile.ZipFile(wheel).namelist()
    assert sum(name.startswith("refold/kernels/librefold_kernels.") for name in names) == 1
    assert [name for name in names if name.endswith((".cpp", ".h"))] == []
    state = run_code(STATE, unpack(wheel, tmp_path / "site"))
    assert Path(state["file"]).is_relative_to(tmp_path)
    assert (state["variant"] in _VARIANT_NAMES, state["why_not"]) == (True, None)


@pytest.mark.slow
@needs_compiler
def test_the_kernels_pass_the_sanitizers(tmp_path):
    """They run without Python and JAX, with the address and undefined-behavior sanitizers."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    cmake = shutil.which("cmake", path=path)
    for command in (
        [cmake, "-S", ROOT, "-B", tmp_path, "-G", "Ninja", "-DREFOLD_SANITIZE=ON"],
        [cmake, "--build", tmp_path],
        [tmp_path / "refold_kernels_test"],
    ):
        environment = os.environ | {"PATH": path}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


SUPPORTED = (
    "import json; from refold.kernels._library import _VARIANT_NAMES as names, require_library; "
    "print(json.dumps([n for n in names if require_library().refold_supported(n.encode())]))"
)


@pytest.fixture(scope="module")
def states():
    """Return the output of processes that request each variant, and the supported variants."""
    if "was not built" in str(kernels.why_not()):
        pytest.skip(kernels.why_not())
    requests = {
        None: (STATE, {}),
        "supported": (SUPPORTED, {}),
        **{name: (STATE, {"REFOLD_KERNEL": name}) for name in (*_VARIANT_NAMES, "none", "avx2 ")},
    }
    done = run_forked(
        [*requests.values()],
        imports=["jax", "jax.numpy", "numpy"],
        options=["-W", "error"],
        without=["REFOLD_KERNEL"],
        PYTHONPATH=str(ROOT / "src"),
    )
    return {name: json.loads(process.stdout) for name, process in zip(requests, done, strict=True)}


# tests/kernels/test_fused_lstm.py tests that each variant agrees with Keras.
def test_a_variant_is_picked_forced_by_name_refused_or_turned_off(states):
    state, supported = states[None], states["supported"]
    assert Path(state["file"]).is_relative_to(ROOT / "src")
    assert (state["variant"] in supported, state["why_not"]) == (True, None)
    assert {"x86-64", "neon", "plain"} & set(supported), "every machine has a baseline"
    for name in (*_VARIANT_NAMES, "avx2 "):
        state = states[name]
        if name in supported:
            assert (state["variant"], state["why_not"]) == (name, None)
        else:
            assert state["variant"] is None
            assert state["why_not"] == (
                f"REFOLD_KERNEL={name!r} is not a variant that this machine runs "
                f"({', '.join(supported)}); set it to one of these or to none, or unset it"
            )
    assert states["none"]["variant"] is None
    assert "REFOLD_KERNEL=none" in states["none"]["why_not"]
