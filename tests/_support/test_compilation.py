"""Code that JAX compiles is kept in the user's cache folder, and results do not depend on it."""

import os
import shutil
import sys
from pathlib import Path

import jax
import pytest

from forks import BELOW_KERAS, run_forked
from refold._support.compilation import _BROKEN_CACHE, _evict, keep_compiled

CODES = """
import refold
data = refold.datasets.noisy_sines(8, seed=0, min_steps=6, max_steps=6)
options = {"units": 8, "max_epochs": 1, "latent_steps": 0}
options |= {"validation_fraction": 0, "random_state": 0}
ae = refold.SequenceAutoencoder(latent_dim=3, **options)
ae.fit(data)
print(ae.transform(data).tobytes().hex())
import os, pathlib
for path in sorted(pathlib.Path(os.environ["XDG_CACHE_HOME"], "refold").rglob("*")):
    print(path)
"""
OPTIONS = """
import refold._support.compilation as compilation
compilation._OPTIONS["xla_cpu_no_such_option"] = "1"
print(sorted(compilation._known_options()))
"""
NO_YNN = "--xla_cpu_experimental_ynn_fusion_type="
KEEPS = not _BROKEN_CACHE[0] <= jax.__version_info__ < _BROKEN_CACHE[1]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Return the output of processes that do not have the settings of the tests."""
    folder = str(tmp_path_factory.mktemp("cache"))
    cpu = {"JAX_PLATFORMS": "cpu"}
    programs = {
        "first": (CODES, {}),
        "second": (CODES, {}),
        "options": (OPTIONS, cpu),
        "flags": (OPTIONS, cpu | {"XLA_FLAGS": NO_YNN}),
    }
    done = run_forked(
        [*programs.values()],
        imports=[*BELOW_KERAS, "keras"],
        without=[name for name in os.environ if name.startswith("JAX_")],
        KERAS_BACKEND="jax",
        XDG_CACHE_HOME=folder,
    )
    assert [one.stderr for one in done] == [""] * len(done)
    return {name: one.stdout.strip() for name, one in zip(programs, done, strict=True)}


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME names the folder on Linux")
def test_a_second_run_finds_what_the_first_compiled(ran):
    _, *kept = ran["first"].splitlines()
    assert bool(kept) == KEEPS
    assert ran["second"] == ran["first"]


@pytest.fixture
def folder_of(tmp_path, monkeypatch):
    """Return a function from the folder that the user set, or None, to the cache folder."""
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
def test_a_cache_folder_that_the_user_set_is_kept(folder_of, tmp_path):
    mine = str(tmp_path / "mine")
    assert folder_of(mine) == mine
    assert not (tmp_path / "refold").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME names the folder on Linux")
def test_the_cache_is_in_the_cache_folder_of_the_user_or_off(folder_of, tmp_path):
    if KEEPS:
        assert Path(folder_of(None)).is_relative_to(tmp_path / "refold")
        shutil.rmtree(tmp_path / "refold")
    (tmp_path / "refold").write_text("no folder")
    assert folder_of(None) is None


def test_the_oldest_files_are_removed_from_a_full_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("refold._support.compilation._MAX_BYTES", 300)
    for i in range(4):
        path = tmp_path / f"{i}-cache"
        path.write_bytes(bytes(100))
        os.utime(path, (i, i))
    _evict(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["3-cache"]


def test_options_that_xla_does_not_know_are_not_set(ran):
    assert "no_such_option" not in ran["options"]


def test_flags_of_the_user_have_priority(ran):
    if "ynn" not in ran["options"]:
        pytest.skip("this XLA has no YNNPACK")
    assert ran["flags"] == "[]"
