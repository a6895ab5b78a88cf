"""Requests that Schemathesis generates from the OpenAPI description, for a minute."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from serve.serving import started

# The description does not say which columns a model has, so a model may refuse valid data.
LEFT_OUT = "positive_data_acceptance"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_request_fails(files, tmp_path):
    with started(files) as (url, service):
        command = [Path(sys.executable).with_name("st"), "run", f"{url}/v1/openapi.json"]
        options = ["--max-time", "60", "--exclude-checks", LEFT_OUT, "--continue-on-failure"]
        done = subprocess.run(
            [*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-4000:]
        assert httpx.get(f"{url}/v1/ready").status_code == 200
        assert service.batches.open == service.batches.waiting == 0
