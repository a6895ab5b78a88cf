"""What JAX compiles is kept in the user's cache folder, and changes nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from refold._support.compilation import _BROKEN_CACHE, _evict, keep_compiled

CODES = """
import refold
data = refold.datasets.noisy_sines(8, seed=0, min_steps=6, max_steps=6)
options = {"units": 8, "max_epochs": 1, "latent_steps": 0}
options |= {"validation_fraction": 0, "random_state": 0}
ae = refold.SequenceAutoencoder(latent_dim=3, **options)
ae.fit(data)
print(ae.transform(data).tobytes().hex())
"""
KEEPS = not _BROKEN_CACHE[0] <= jax.__version_info__ < _BROKEN_CACHE[1]


def python(code, folder, **environment):
    """Run code in a process of its own and return what it printed."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=kept | {"XDG_CACHE_HOME": str(folder)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return run.stdout.strip()


def files(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME names the folder on Linux")
def test_a_second_run_finds_what_the_first_compiled(tmp_path):
    first = python(CODES, tmp_path)
    kept = files(tmp_path / "refold")
    assert bool(kept) == KEEPS
    assert python(CODES, tmp_path) == first
    assert files(tmp_path / "refold") == kept


@pytest.fixture
def folder_of(tmp_path, monkeypatch):
    """Return a function: the folder of the cache, if the user named this one or none."""
    names = "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs"
    before = {name: jax.config.values[name] for name in names}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def run(named):
        jax.config.update(names[0], named)
        keep_compiled.__wrapped__()
        return jax.config.values[names[0]]

    yield run
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.mark.skipif(not KEEPS, reason="this release of JAX is left without")
def test_a_folder_that_the_user_named_is_left(folder_of, tmp_path):
    mine = str(tmp_path / "mine")
    assert folder_of(mine) == mine
    assert not (tmp_path / "refold").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME names the folder on Linux")
def test_the_folder_of_the_user_is_named_and_without_a_place_nothing_is_kept(folder_of, tmp_path):
    if KEEPS:
        assert Path(folder_of(None)).is_relative_to(tmp_path / "refold")
        shutil.rmtree(tmp_path / "refold")
    (tmp_path / "refold").write_text("no folder")
    assert folder_of(None) is None


def test_the_oldest_go_where_there_is_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr("refold._support.compilation._MAX_BYTES", 300)
    for i in range(4):
        path = tmp_path / f"{i}-cache"
        path.write_bytes(bytes(100))
        os.utime(path, (i, i))
    _evict(tmp_path)
    assert {path.name for path in files(tmp_path)} == {"3-cache"}


OPTIONS = """
import refold._support.compilation as compilation
compilation._OPTIONS["xla_cpu_no_such_option"] = "1"
print(sorted(compilation._known_options()))
"""


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """What a process prints of the options that it gives."""
    return python(OPTIONS, tmp_path_factory.mktemp("options"), JAX_PLATFORMS="cpu")


def test_only_options_that_this_xla_knows_are_given(known):
    assert "no_such_option" not in known


def test_the_flags_of_the_user_win(known, tmp_path):
    if "ynn" not in known:
        pytest.skip("this XLA has no YNNPACK")
    flags = "--xla_cpu_experimental_ynn_fusion_type="
    assert python(OPTIONS, tmp_path, JAX_PLATFORMS="cpu", XLA_FLAGS=flags) == "[]"
