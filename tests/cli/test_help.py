"""Help pages and the version, which load no heavy packages."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from refold.cli._app import _COMMANDS

COMMANDS = [command.__name__ for command in _COMMANDS]
HEAVY = {"jax", "keras", "matplotlib", "numpy", "pandas", "polars", "pyarrow", "sklearn"}
WITH_DATA = ["fit", "encode", "reconstruct", "detect", "forecast", "generate", "probe", "curve"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_that_starts_with_the_command(command, run):
    words = run(command, "--help").out.split()
    assert f"Example: refold {command}" in " ".join(words)
    if command in {*WITH_DATA, "report"}:
        assert {"--sort", "--layout", "--id", "--time", "--format"} <= set(words)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_general_help_lists_the_commands(arguments, run):
    shown = run(*arguments)
    assert all(command in shown.out for command in COMMANDS)
    assert shown.err == ""


def test_version_and_help_load_nothing_heavy():
    program = (
        "import sys; from refold.cli import main; main(['--version']); main(['--help']); "
        f"sys.exit(', '.join(sorted({HEAVY!r} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == "\n"
    assert done.stdout.startswith(f"refold {version('refold')}\nUsage")


def test_help_shows_each_option_in_its_group_with_its_default(run):
    shown = " ".join(run("fit", "--help").out.replace("│", " ").split())
    groups = ["Model", "Training", "Windows", "Tables", "Cluster"]
    places = [shown.index(f"─ {group} ─") for group in groups]
    assert places == sorted(places)
    assert "--units N Units per recurrent layer. [default: 96]" in shown
    assert "--refit --no-refit Retrain on all sequences at the end." in shown
    assert "[default: a quarter of --window]" in shown


def test_the_last_of_a_repeated_option_counts(run):
    shown = run("data", "ramps", "-n", "1", "-n", "3", "--format", "npy", "--format", "csv").out
    assert len({line.split(",")[0] for line in shown.splitlines()[1:]}) == 3
