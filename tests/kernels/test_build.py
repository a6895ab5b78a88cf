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

ROOT = Path(__file__).parents[2]
VARIANTS = ("avx512", "avx2", "x86-64", "neon", "plain")
COMPILERS = (os.environ.get("CXX", "c++"), "g++", "clang++")
FALSE = shutil.which("false")

BUILD = "import sys, scikit_build_core.build as b; getattr(b, sys.argv[1])(sys.argv[2])"
STATE = """
import json
import refold.kernels as k
print(json.dumps({"file": k.__file__, "variant": k.variant(), "why_not": k.why_not()}))
"""


def build(kind, source, folder, **environment):
    """Build a wheel of a checkout with the tools of this environment, and return its path."""
    run = subprocess.run(
        [sys.executable, "-c", BUILD, kind, folder],
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
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(folder)
    return folder


def printed(code, folder):
    """Run code on the package in a folder, and return the JSON that it prints."""
    kept = {name: value for name, value in os.environ.items() if name != "REFOLD_KERNEL"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=kept | {"PYTHONPATH": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def libraries(wheel):
    return [n for n in zipfile.ZipFile(wheel).namelist() if "librefold_kernels" in n]


# Without a compiler


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    wheel, message = build("build_wheel", ROOT, folder, CC=FALSE, CXX=FALSE)
    return wheel, message, unpack(wheel, folder / "site")


def test_without_a_compiler_the_wheel_is_pure_python(plain):
    wheel, message, _ = plain
    assert wheel.name == f"refold-{refold.__version__}-py3-none-any.whl"
    assert libraries(wheel) == []  # the library of the checkout must not be included
    assert "built without its LSTM kernel" in message


def test_the_wheel_holds_the_files_of_the_package_and_nothing_else(plain):
    *_, site = plain
    built = {path.relative_to(site) for path in (site / "refold").rglob("*") if path.is_file()}
    source = {path.relative_to(ROOT / "src") for path in (ROOT / "src/refold").rglob("*.*")}
    left_out = {".cpp", ".h", ".pyc", ".so", ".dylib", ".dll"}
    assert built == {path for path in source if path.suffix not in left_out}
    assert Path("refold/py.typed") in built  # for type checkers
    assert Path("refold/explore/page/index.html") in built
    assert {path.name for path in site.iterdir()} == {
        "refold",
        f"refold-{refold.__version__}.dist-info",
    }


# tests/network/keras/test_lstm.py tests that the LSTM then uses the scan.
def test_without_the_library_the_reason_and_a_fix_are_given(plain):
    *_, site = plain
    state = printed(STATE, site)
    assert Path(state["file"]).is_relative_to(site)
    assert state["variant"] is None
    assert "was not built" in state["why_not"]
    assert "install a C++ compiler" in state["why_not"]
    assert "\n" not in state["why_not"]


def test_an_editable_install_without_a_compiler_leaves_no_old_library(tmp_path):
    checkout = tmp_path / "checkout"
    room = checkout / "src" / "refold" / "kernels"
    for name in ("src", "pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE"):
        (shutil.copytree if (ROOT / name).is_dir() else _copy)(ROOT / name, checkout / name)
    for suffix in (".so", ".dylib", ".dll"):
        (room / f"librefold_kernels{suffix}").write_bytes(b"of an earlier build")
    wheel, message = build("build_editable", checkout, tmp_path, CC=FALSE, CXX=FALSE)
    assert "built without its LSTM kernel" in message
    assert not list(room.glob("librefold_kernels.*"))
    assert (unpack(wheel, tmp_path / "site") / "refold.pth").read_text().split() == [
        str(checkout / "src")
    ]


def _copy(source, target):
    target.parent.mkdir(exist_ok=True)
    shutil.copy(source, target)


# With a compiler. `make test` uses the library that was compiled when the checkout was installed.


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    if not any(shutil.which(compiler) for compiler in COMPILERS):
        pytest.skip("this machine has no C++ compiler")
    folder = tmp_path_factory.mktemp("compiled")
    # compilation without optimizations takes a third of the time
    wheel, message = build("build_wheel", ROOT, folder, SKBUILD_CMAKE_BUILD_TYPE="Debug")
    assert "without its LSTM kernel" not in message, message
    return wheel, unpack(wheel, folder / "site")


@pytest.mark.slow
def test_one_wheel_holds_the_library_without_sources_for_every_python(compiled):
    wheel, site = compiled
    _, _, python, abi, platform = wheel.stem.split("-")
    assert (python, abi) == ("py3", "none")
    assert platform != "any"
    (library,) = libraries(wheel)
    assert Path(library).parent.as_posix() == "refold/kernels"
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.endswith((".cpp", ".h"))] == []
    state = printed(STATE, site)
    assert Path(state["file"]).is_relative_to(site)
    assert state["variant"] in VARIANTS
    assert state["why_not"] is None


SUPPORTED = (
    "import ctypes, json; from refold.kernels._library import load; "
    f"print(json.dumps([n for n in {VARIANTS} if load().refold_supported(n.encode())]))"
)


@pytest.fixture(scope="module")
def states():
    """Return the output of processes that request each variant, and the supported variants."""
    if "was not built" in str(kernels.why_not()):
        pytest.skip(kernels.why_not())
    asked = {
        None: (STATE, {}),
        "supported": (SUPPORTED, {}),
        **{name: (STATE, {"REFOLD_KERNEL": name}) for name in (*VARIANTS, "none", "avx2 ")},
    }
    done = run_forked(
        [*asked.values()],
        imports=["jax", "jax.numpy", "numpy"],
        options=["-W", "error"],
        without=["REFOLD_KERNEL"],
        PYTHONPATH=str(ROOT / "src"),
    )
    return {name: json.loads(one.stdout) for name, one in zip(asked, done, strict=True)}


def test_the_library_loads_and_names_its_variant(states):
    state = states[None]
    assert Path(state["file"]).is_relative_to(ROOT / "src")
    assert state["variant"] in VARIANTS
    assert state["why_not"] is None


# tests/kernels/test_fused_lstm.py tests that each variant agrees with Keras.
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_is_forced_by_name_or_refused(states, variant):
    state = states[variant]
    if variant in states["supported"]:
        assert (state["variant"], state["why_not"]) == (variant, None)
    else:
        assert state["variant"] is None
        assert f"REFOLD_KERNEL='{variant}'" in state["why_not"]


def test_the_library_can_be_turned_off_and_an_unknown_variant_lists_the_supported_ones(states):
    assert states["none"]["variant"] is states["avx2 "]["variant"] is None
    assert "REFOLD_KERNEL=none" in states["none"]["why_not"]
    assert states["avx2 "]["why_not"] == (
        "REFOLD_KERNEL='avx2 ' is not a variant that this machine runs "
        f"({', '.join(states['supported'])}); set it to one of these or to none, or unset it"
    )
    assert {"x86-64", "neon", "plain"} & set(states["supported"]), "every machine has a baseline"
