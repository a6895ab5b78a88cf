"""Requests that Schemathesis generates from the OpenAPI description, for a minute."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from serve.serving import started

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_request_fails(files, tmp_path):
    with started(files) as (url, service):
        command = [Path(sys.executable).with_name("st"), "run", f"{url}/v1/openapi.json"]
        options = ["--max-time", "60", "--checks", ",".join(CHECKS), "--continue-on-failure"]
        done = subprocess.run(
            [*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-4000:]
        assert httpx.get(f"{url}/v1/ready").status_code == 200
        assert service.batches.open == service.batches.waiting == 0
