"""Rules of the code base: loading times, imports, docstrings, and the files of a release.

docs/explanation/design.md describes the rules.
"""

import ast
import importlib
import inspect
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import refold
from forks import run_forked

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "refold"
HEAVY = {
    *("duckdb", "jax", "keras", "matplotlib", "pandas", "polars", "pyarrow", "scipy", "sklearn"),
    "tensorflow",
}


def python(code, **environment):
    """Run code in a fresh interpreter and return what it printed."""
    kept = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env=kept | environment,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


# Loading


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("import refold, refold.cli, refold.arguments", set()),
        ("from refold.cli import main; main(['fit', '--help'])", set()),
        ("import refold.datasets, refold.evaluation, refold.model, refold.search", {"pyarrow"}),
    ],
)
def test_light_imports_load_nothing_heavy(code, needed):
    printed = python(f"{code}\nimport json, sys; print(json.dumps([*sys.modules]))")
    loaded = json.loads(printed.splitlines()[-1])
    assert {name.partition(".")[0] for name in loaded} & HEAVY == needed


def test_a_model_loads_only_the_packages_of_a_small_installation():
    code = """
import json, sys
import numpy, pyarrow.compute, safetensors.numpy
before = [*sys.modules]
import refold.model
print(json.dumps([before, [*sys.modules]]))
"""
    before, after = ({n.partition(".")[0] for n in names} for names in json.loads(python(code)))
    assert after - before - sys.stdlib_module_names == {"refold"}


@pytest.mark.parametrize(
    ("code", "seconds"), [("import refold", 0.2), ("import refold.cli as c; c.main(['-h'])", 0.5)]
)
def test_imports_are_fast(code, seconds):
    assert min(_cpu_seconds(code) for _ in range(3)) - _cpu_seconds("pass") < seconds


def _cpu_seconds(code):
    """Return the CPU time of an interpreter that runs code; other programs do not change it."""
    before = os.times()
    python(code)
    after = os.times()
    return (
        after.children_user - before.children_user + after.children_system - before.children_system
    )


def test_public_names_load_when_used():
    assert set(refold.__all__) <= set(dir(refold))
    for name in refold.__all__:
        assert getattr(refold, name) is not None
    with pytest.raises(AttributeError, match="module 'refold' has no attribute 'nothing'"):
        refold.nothing  # noqa: B018


# Keras


BACKEND = "import refold, keras; print(keras.config.backend())"
ORDERS = ["refold.models, keras", "keras, refold.models"]
LOADED = """
import {}
model = keras.models.load_model({!r})
print(type(model).__module__, model.output_shape)
"""
ALREADY = """
import os, keras
os.environ.pop('KERAS_BACKEND')
import refold
print('KERAS_BACKEND' in os.environ)
"""
EVERY_ROOM = """
import os, sys
import jax, keras, matplotlib, numpy, scipy, sklearn  # noqa: F401
for room in ("layers", "models", "network.keras.lstm", "training", "estimator", "plots", "report"):
    child = os.fork()
    if not child:
        __import__("refold." + room)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, room
"""


def test_keras_runs_on_jax_by_default_and_loads_models_of_refold(tmp_path):
    """Also, every room can be the first to be imported."""
    from refold.models import default

    path = tmp_path / "autoencoder.keras"
    default(["numeric"], latent_dim=2, max_steps=3, units=4).autoencoder.save(path)
    (tmp_path / "keras.json").write_text('{"backend": "tensorflow"}')
    jax = {"KERAS_BACKEND": "jax"}
    programs = [
        (BACKEND, {}),
        (BACKEND, {"KERAS_HOME": str(tmp_path)}),
        (ALREADY, jax),
        *((LOADED.format(order, str(path)), jax) for order in ORDERS),
        (EVERY_ROOM, jax),
    ]
    done = run_forked(programs, options=("-W", "error"), without=("KERAS_BACKEND",))
    loaded = "refold.network.keras.autoencoder (None, None, 1)"
    lines = [program.stdout.strip().splitlines()[-1:] for program in done]
    assert lines == [["jax"], ["jax"], ["False"], [loaded], [loaded], []]
    code = "import os, refold; print(os.environ['KERAS_BACKEND'])"
    assert python(code, KERAS_BACKEND="torch") == "torch"


# Imports


OUTSIDE = [
    ("sequences/_schema.py", "import polars", "does not name the package polars"),
    ("cli/training.py", "from refold.training import Training", "does not name training"),
    (
        "datasets/_data_sets.py",
        "from refold.sequences._parts import Parts",
        "it is private to sequences",
    ),
    ("server.py", "from refold import load", "server has no row"),
]


def test_imports_outside_the_table_are_refused(tmp_path):
    """`make test` checks the package against the table; here a copy violates it in every way."""
    shutil.copytree(PACKAGE, tmp_path / "refold", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for file, line, _ in OUTSIDE:
        with (tmp_path / "refold" / file).open("a", encoding="utf-8") as opened:
            opened.write(f"\n{line}\n")
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "NO_COLOR": "1"},
        check=False,
    )
    assert run.returncode == 1
    output = re.sub(r"\s+", " ", run.stdout)
    for _, line, reason in OUTSIDE:
        assert reason in output, line


# Docstrings and files


def reference():
    """Yield the names in the reference with what they stand for.

    A page documents a module with all its public names or with those that it lists, or one name.
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
                thing = getattr(module, member)
                if members or getattr(thing, "__module__", "").startswith("refold"):
                    yield f"{name}.{member}", thing


def test_public_functions_and_classes_have_a_runnable_example():
    unshown = {
        name
        for name, thing in reference()
        if (inspect.isclass(thing) or inspect.isroutine(thing))
        and not (inspect.isclass(thing) and issubclass(thing, Exception | tuple))
        and not re.search(r"Examples\n-+\n(.*\n)*>>> ", inspect.getdoc(thing) or "")
    }
    assert unshown == set()


def documented():
    """Yield public functions, classes and their public methods with their docstrings."""
    for name, thing in reference():
        if inspect.isclass(thing) or inspect.isroutine(thing):
            yield name, inspect.getdoc(thing) or ""
        if inspect.isclass(thing):
            for method, member in inspect.getmembers(thing, inspect.isroutine):
                ours = (getattr(member, "__module__", None) or "").startswith("refold")
                if ours and method[0] != "_":
                    yield f"{name}.{method}", inspect.getdoc(member) or ""


def undescribed(docstring):
    """Yield the parameters and attributes that have no description in a numpydoc docstring."""
    section, lines = "", docstring.splitlines()
    for line, after in itertools.pairwise([*lines, ""]):
        if re.fullmatch("-{3,}", after):
            section = line
        elif (
            section in ("Parameters", "Attributes", "Yields")
            and re.match(r"\*{0,2}\w.* : ", line)
            and not after.startswith("    ")
        ):
            yield line


def test_public_names_parameters_and_attributes_are_described():
    assert [name for name, text in documented() if not text] == []
    assert [(name, one) for name, text in documented() for one in undescribed(text)] == []
    things = [thing for _, thing in reference()]
    names = [name for name in refold.__all__ if not inspect.ismodule(getattr(refold, name))]
    missing = {n for n in names if not any(getattr(refold, n) is thing for thing in things)}
    assert missing == {"__version__"}


def test_files_keep_the_rules():
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{path}: a module says what it owns"
        for node in ast.walk(tree):
            place = f"{path}, line {getattr(node, 'lineno', 0)}"
            assert not isinstance(node, ast.Assert), f"{place}: raise an error instead"
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{place}: name what is caught"


# A release: the version, the dependencies and the build

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere_and_at_one_place_in_each_file():
    version = re.escape(refold.__version__)
    for name, pattern in (
        ("pyproject.toml", rf'^version = "{version}"$'),
        ("CITATION.cff", rf"^version: {version}$"),
        ("recipe/recipe.yaml", rf'^  version: "{version}"$'),
        ("CHANGELOG.md", rf"^## \[?({version}|Unreleased)"),
    ):
        assert re.search(pattern, read(name), re.MULTILINE), name
    # If a version equals one with another meaning, `make version` would replace both.
    for file in SETTINGS["tool"]["bumpversion"]["files"]:
        old = file["search"].replace("{current_version}", refold.__version__)
        assert read(file["filename"]).count(old) == 1, file["filename"]


def test_the_conda_package_has_the_dependencies_of_the_project():
    project = SETTINGS["project"]
    sections = re.findall(r"^  (\w+):\n((?:    .*\n)+)", read("recipe/recipe.yaml"), re.MULTILINE)
    lines = {name: re.findall(r"- (.*)", body) for name, body in sections}
    run = {line.replace(" ", "") for line in lines["run"]}
    assert run == {f"python{project['requires-python']}", *project["dependencies"]}
    host = {line.replace(" ", "") for line in lines["host"]}
    assert host - {"python3.11.*", "pip"} == set(SETTINGS["build-system"]["requires"])
