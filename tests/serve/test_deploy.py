"""Files of `deploy/` agree with the project and with the settings."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

from refold.serve import ServeSettings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def test_requirements_are_those_of_the_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = {line.partition(";")[0] for line in project["optional-dependencies"]["serve"]}
    lines = (DEPLOY / "serve-requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {line for line in lines if line[0] != "#"} == extra


def test_settings_and_paths_exist():
    for name in ("serve.Containerfile", "refold-serve.service", "kubernetes.yaml"):
        text = (DEPLOY / name).read_text(encoding="utf-8")
        found = re.findall(r"REFOLD_SERVE_(\w+)", text)
        assert found, name
        assert {one.lower() for one in found} <= {field.name for field in fields(ServeSettings)}, (
            name
        )
        assert set(re.findall(r"/v1/(\w+)", text)) <= {"health", "ready"}, name
