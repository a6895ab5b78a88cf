"""Help pages and the version, which load no heavy packages."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from refold.cli import main
from refold.cli._app import EXAMPLES as COMMANDS

HEAVY = {"jax", "keras", "matplotlib", "numpy", "pandas", "polars", "pyarrow", "sklearn"}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_that_starts_with_the_command(command, capsys):
    assert main([command, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"Example: refold {command}" in shown


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_general_help_lists_the_commands(arguments, capsys):
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert all(command in shown.out for command in COMMANDS)
    assert shown.err == ""


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"refold {version('refold')}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments):
    program = (
        f"import sys; from refold.cli import main; main({arguments!r}); "
        f"sys.exit(', '.join(sorted({HEAVY!r} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == "\n"
    assert "Usage" in done.stdout or "refold" in done.stdout


def test_help_shows_each_option_in_its_group_with_its_default(capsys):
    assert main(["fit", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    groups = ["Model", "Training", "Windows", "Tables", "Cluster"]
    places = [shown.index(f"─ {group} ─") for group in groups]
    assert places == sorted(places)
    assert "--units N Units per recurrent layer. [default: 96]" in shown
    assert "--refit --no-refit Retrain on all sequences at the end." in shown
    assert "[default: a quarter of --window]" in shown


def test_the_last_of_a_repeated_option_counts(capsys):
    assert main(["data", "ramps", "-n", "1", "-n", "3", "--format", "npy", "--format", "csv"]) == 0
    assert len({line.split(",")[0] for line in capsys.readouterr().out.splitlines()[1:]}) == 3
