"""Rules of the code base: loading times, imports, docstrings, sizes of files and folders.

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
from pathlib import Path

import pytest

import refold
from forks import run_forked

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "refold"
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {
    "duckdb",
    "jax",
    "keras",
    "matplotlib",
    "pandas",
    "polars",
    "pyarrow",
    "scipy",
    "sklearn",
    "tensorflow",
}


def python(code, *, cwd=None, **environment):
    """Run code in a fresh interpreter and return what it printed."""
    kept = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=kept | environment,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


# Loading


@pytest.mark.parametrize(
    ("module", "needed"),
    [
        ("refold", set()),
        ("refold.cli", set()),
        ("refold.arguments", set()),
        ("refold.sequences", {"pyarrow"}),
        ("refold.datasets", {"pyarrow"}),
        ("refold.evaluation", {"pyarrow"}),
        ("refold.model", {"pyarrow"}),
        ("refold.search", {"pyarrow"}),
    ],
)
def test_light_imports_load_nothing_heavy(module, needed):
    loaded = json.loads(python(f"import json, sys, {module}; print(json.dumps([*sys.modules]))"))
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


def test_help_loads_nothing_heavy():
    code = "import json, sys\nfrom refold.cli import main\nmain(['fit', '--help'])\n"
    printed = python(code + "print(json.dumps([*sys.modules]))")
    loaded = json.loads(printed.splitlines()[-1])
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()


@pytest.mark.parametrize(
    ("code", "seconds"), [("import refold", 0.2), ("import refold.cli as c; c.main(['-h'])", 0.5)]
)
def test_imports_are_fast(code, seconds):
    def cost():
        return min(_cpu_seconds(code) for _ in range(3)) - _cpu_seconds("pass")

    assert cost() < seconds


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
ORDERS = ["refold.models, keras", "keras, refold.models", "refold.training, keras"]
LOADED = """
import {}
model = keras.models.load_model({!r})
print(type(model).__module__, model.output_shape)
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


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Return the output of programs that import Keras, which takes more than a second each."""
    from refold.models import default

    folder = tmp_path_factory.mktemp("keras")
    path = folder / "autoencoder.keras"
    default(["numeric"], latent_dim=2, max_steps=3, units=4).autoencoder.save(path)
    (folder / "keras.json").write_text('{"backend": "tensorflow"}')
    jax = {"KERAS_BACKEND": "jax"}
    loaded = {order: LOADED.format(order, str(path)) for order in ORDERS}
    already = "import os, keras; os.environ.pop('KERAS_BACKEND')\n"
    kept = "print('KERAS_BACKEND' in os.environ)\n"
    programs = {
        "keras.json": (BACKEND, {"KERAS_HOME": str(folder)}),
        **{order: (code, jax) for order, code in loaded.items()},
        "refold, keras": (BACKEND, {}),
        "keras, refold": (f"{already}import refold\n{kept}", jax),
        "every room": (EVERY_ROOM, jax),
    }
    done = run_forked([*programs.values()], options=("-W", "error"), without=("KERAS_BACKEND",))
    return {name: one.stdout.strip() for name, one in zip(programs, done, strict=True)}


def test_keras_runs_on_jax_by_default(printed):
    assert printed["refold, keras"] == "jax"


def test_environment_variable_wins():
    code = "import os, refold; print(os.environ['KERAS_BACKEND'])"
    assert python(code, KERAS_BACKEND="torch") == "torch"


def test_keras_that_is_already_imported_is_left_alone(printed):
    assert printed["keras, refold"] == "False"


def test_keras_json_does_not_choose_the_backend(printed):
    assert printed["keras.json"].endswith("jax")


@pytest.mark.parametrize("order", ORDERS)
def test_keras_loads_models_of_refold_without_custom_objects(printed, order):
    assert printed[order].endswith("refold.network.keras.autoencoder (None, None, 1)")


def test_every_room_can_be_the_first_to_be_imported(printed):
    """The processes have imported the third-party packages, which takes most of the time."""
    assert printed["every room"] == ""


# Imports


OUTSIDE = [
    ("sequences/_schema.py", "import keras", "does not name the package keras"),
    ("sequences/_schema.py", "import polars", "does not name the package polars"),
    ("errors.py", "import numpy", "does not name the package numpy"),
    ("evaluation/_pca.py", "import jax", "does not name the package jax"),
    ("network/packed/encoder.py", "import keras", "does not name the package keras"),
    ("training/loop/_phases.py", "from refold import estimator", "does not name estimator"),
    ("cli/training.py", "from refold.training import Training", "does not name training"),
    (
        "datasets/_registry.py",
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


def test_public_functions_and_classes_have_a_docstring():
    bare = [
        name
        for name, thing in reference()
        if (inspect.isclass(thing) or inspect.isroutine(thing)) and not inspect.getdoc(thing)
    ]
    assert bare == []


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


def test_public_parameters_and_attributes_have_a_description():
    assert [(name, one) for name, text in documented() for one in undescribed(text)] == []


def test_names_of_the_package_are_in_the_reference():
    things = [thing for _, thing in reference()]
    names = [name for name in refold.__all__ if not inspect.ismodule(getattr(refold, name))]
    missing = {n for n in names if not any(getattr(refold, n) is thing for thing in things)}
    assert missing == {"__version__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_keep_the_rules(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module says what it owns"
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: raise an error instead"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: name what is caught"
