"""Files of a release agree with each other: the version, the dependencies and the build."""

import re
import tomllib
from pathlib import Path

import pytest

import refold

ROOT = Path(__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BUMPED = SETTINGS["tool"]["bumpversion"]["files"]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_version_is_the_same_everywhere():
    version = re.escape(refold.__version__)
    for name, pattern in (
        ("pyproject.toml", rf'^version = "{version}"$'),
        ("CITATION.cff", rf"^version: {version}$"),
        ("recipe/recipe.yaml", rf'^  version: "{version}"$'),
        ("CHANGELOG.md", rf"^## \[?({version}|Unreleased)"),
    ):
        assert re.search(pattern, read(name), re.MULTILINE), name


@pytest.mark.parametrize("file", BUMPED, ids=lambda file: file["filename"])
def test_make_version_finds_one_place_in_each_file(file):
    # If a version equals one with another meaning, `make version` would replace both.
    old = file["search"].replace("{current_version}", refold.__version__)
    assert read(file["filename"]).count(old) == 1


def test_the_conda_package_has_the_dependencies_of_the_project():
    project = SETTINGS["project"]
    sections = re.findall(r"^  (\w+):\n((?:    .*\n)+)", read("recipe/recipe.yaml"), re.MULTILINE)
    lines = {name: re.findall(r"- (.*)", body) for name, body in sections}
    run = {line.replace(" ", "") for line in lines["run"]}
    assert run == {f"python{project['requires-python']}", *project["dependencies"]}
    host = {line.replace(" ", "") for line in lines["host"]}
    assert host - {"python3.11.*", "pip"} == set(SETTINGS["build-system"]["requires"])
