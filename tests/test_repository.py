"""Rules of the code base: what imports load, docstrings, and the files of a release.

docs/explanation/design.md describes the rules.
"""

import importlib
import inspect
import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import refold
from forks import run_forked

ROOT = Path(__file__).parent.parent
# Packages that take long to import.
SLOW_PACKAGES = {
    *("duckdb", "jax", "keras", "matplotlib", "numpy", "pandas", "polars", "pyarrow", "scipy"),
    *("sklearn", "tensorflow"),
}
# The slow packages that reading data needs.
DATA_PACKAGES = {"numpy", "pyarrow"}


def run_python(code, **variables):
    """Run code in a fresh interpreter, with these environment variables, and return its output."""
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env=environment | variables,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import refold, refold.cli, refold.arguments", set()),
        ("from refold.cli import main; main(['--version']); main(['--help'])", set()),
        ("from refold.cli import main; main(['fit', '--help'])", set()),
        ("import refold.datasets, refold.evaluation, refold.model, refold.search", DATA_PACKAGES),
    ],
)
def test_quick_imports_load_no_slow_package(code, expected):
    printed = run_python(f"{code}\nimport json, sys; print(json.dumps([*sys.modules]))")
    loaded = json.loads(printed.splitlines()[-1])
    assert {name.partition(".")[0] for name in loaded} & SLOW_PACKAGES == expected


def test_a_model_loads_only_the_packages_of_a_small_installation():
    code = """
import json, sys
import numpy, pyarrow.compute, safetensors.numpy
before = [*sys.modules]
import refold.model
print(json.dumps([before, [*sys.modules]]))
"""
    before, after = ({n.partition(".")[0] for n in names} for names in json.loads(run_python(code)))
    assert after - before - sys.stdlib_module_names == {"refold"}


def test_public_names_load_when_used():
    assert set(refold.__all__) <= set(dir(refold))
    for name in refold.__all__:
        assert getattr(refold, name) is not None
    with pytest.raises(AttributeError, match="module 'refold' has no attribute 'nothing'"):
        refold.nothing  # noqa: B018


BACKEND_PROGRAM = "import refold, keras; print(keras.config.backend())"
IMPORT_ORDERS = ["refold.models, keras", "keras, refold.models"]
LOAD_MODEL_PROGRAM = """
import {}
model = keras.models.load_model({!r})
print(type(model).__module__, model.output_shape)
"""
KERAS_FIRST_PROGRAM = """
import os, keras
os.environ.pop('KERAS_BACKEND')
import refold
print('KERAS_BACKEND' in os.environ)
"""


def test_keras_runs_on_jax_by_default_and_loads_models_of_refold(tmp_path):
    from refold.models import make_default_models

    path = tmp_path / "autoencoder.keras"
    make_default_models(["numeric"], latent_dim=2, max_steps=3, units=4).autoencoder.save(path)
    (tmp_path / "keras.json").write_text('{"backend": "tensorflow"}')
    jax = {"KERAS_BACKEND": "jax"}
    programs = [
        (BACKEND_PROGRAM, {}),
        (BACKEND_PROGRAM, {"KERAS_HOME": str(tmp_path)}),
        (KERAS_FIRST_PROGRAM, jax),
        *((LOAD_MODEL_PROGRAM.format(order, str(path)), jax) for order in IMPORT_ORDERS),
    ]
    processes = run_forked(programs, options=("-W", "error"), without=("KERAS_BACKEND",))
    loaded = "refold.network.keras.autoencoder (None, None, 1)"
    lines = [process.stdout.strip().splitlines()[-1:] for process in processes]
    assert lines == [["jax"], ["jax"], ["False"], [loaded], [loaded]]
    code = "import os, refold; print(os.environ['KERAS_BACKEND'])"
    assert run_python(code, KERAS_BACKEND="torch") == "torch"


def documented_names():
    """Yield each name in docs/reference with its object.

    A page documents a module, with all its public names or with those that the page lists, or it
    documents a single name.
    """
    for page in sorted((ROOT / "docs/reference").glob("*.md")):
        blocks = re.split(r"^::: ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
        for block in blocks:
            name, members = block.split()[0], re.findall(r"^ {8}- (\S+)$", block, re.MULTILINE)
            try:
                module = importlib.import_module(name)
            except ModuleNotFoundError:
                parent, _, last = name.rpartition(".")
                yield name, getattr(importlib.import_module(parent), last)
                continue
            public = getattr(module, "__all__", [n for n in vars(module) if n[0] != "_"])
            for member in members or public:
                value = getattr(module, member)
                if members or getattr(value, "__module__", "").startswith("refold"):
                    yield f"{name}.{member}", value


def test_public_functions_and_classes_have_a_runnable_example():
    without_example = {
        name
        for name, value in documented_names()
        if (inspect.isclass(value) or inspect.isroutine(value))
        and not (inspect.isclass(value) and issubclass(value, Exception | tuple))
        and not re.search(r"Examples\n-+\n(.*\n)*>>> ", inspect.getdoc(value) or "")
    }
    assert without_example == set()


def test_public_names_are_in_the_reference():
    documented = [value for _, value in documented_names()]
    names = [name for name in refold.__all__ if not inspect.ismodule(getattr(refold, name))]
    missing = {n for n in names if not any(getattr(refold, n) is value for value in documented)}
    assert missing == {"__version__"}


def test_the_page_of_the_design_has_the_imports_that_are_enforced():
    page = (ROOT / "docs/explanation/design.md").read_text(encoding="utf-8")
    names = runpy.run_path(str(ROOT / "scripts/design_rooms.py"))
    assert page == names["updated_page"](), "Run python scripts/design_rooms.py."
    undescribed = re.findall(r"^\| `([\w.]+)` \|  \|", page, re.MULTILINE)
    assert undescribed == []


# A release: the version, the dependencies and the build

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def read_file(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere_and_at_one_place_in_each_file():
    version = re.escape(refold.__version__)
    for name, pattern in (
        ("pyproject.toml", rf'^version = "{version}"$'),
        ("CITATION.cff", rf"^version: {version}$"),
        ("recipe/recipe.yaml", rf'^  version: "{version}"$'),
        ("CHANGELOG.md", rf"^## \[?({version}|Unreleased)"),
    ):
        assert re.search(pattern, read_file(name), re.MULTILINE), name
    # If a version equals one with another meaning, `make version` would replace both.
    for file in PYPROJECT["tool"]["bumpversion"]["files"]:
        old = file["search"].replace("{current_version}", refold.__version__)
        assert read_file(file["filename"]).count(old) == 1, file["filename"]


def test_the_conda_package_has_the_dependencies_of_the_project():
    project = PYPROJECT["project"]
    recipe = read_file("recipe/recipe.yaml")
    sections = re.findall(r"^  (\w+):\n((?:    .*\n)+)", recipe, re.MULTILINE)
    lines = {name: re.findall(r"- (.*)", body) for name, body in sections}
    run = {line.replace(" ", "") for line in lines["run"]}
    assert run == {f"python{project['requires-python']}", *project["dependencies"]}
    host = {line.replace(" ", "") for line in lines["host"]}
    assert host - {"python3.11.*", "pip"} == set(PYPROJECT["build-system"]["requires"])
