"""Tokens, hosts and origins: who may send requests, and settings of the service."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import httpx
import pytest

from refold.errors import MissingFileError, ParameterError
from refold.serve import ServeSettings, create_app, named_paths, read_settings
from serve.server_helpers import started

ROOT = Path(__file__).parents[2]


def test_a_token_and_more_hosts(files, tmp_path):
    (tmp_path / "token").write_text("open-sesame\n")
    options = {"token_file": str(tmp_path / "token"), "allowed_hosts": ("codes.example",)}
    with started(files, **options) as (url, _):
        for headers in ({}, {"authorization": "Bearer other"}, {"authorization": "open-sesame"}):
            response = httpx.get(f"{url}/v1/models", headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert "sesame" not in response.text
        headers = {"authorization": "Bearer open-sesame", "host": "codes.example"}
        document = httpx.get(f"{url}/v1/openapi.json", headers=headers).json()
        assert document["security"] == [{"token": []}]
        # a browser sends the token as a password, which only the page accepts
        page = httpx.get(f"{url}/docs")
        assert page.status_code == 401
        assert page.headers["www-authenticate"].startswith("Basic")
        for password, expected in (("open-sesame", 200), ("other", 401)):
            page = httpx.get(f"{url}/docs", auth=("reader", password))
            assert page.status_code == expected
        assert httpx.get(f"{url}/v1/models", auth=("reader", "open-sesame")).status_code == 401
        # probes need no token
        assert httpx.get(f"{url}/v1/ready").status_code == 200
        assert httpx.get(f"{url}/v1/metrics").status_code == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1.evil.example:80", 400), ("", 400), ("[::1]:8000", 200), ("LOCALHOST", 200)],
)
def test_only_own_hosts_are_served(client, host, status):
    response = client.get("/v1/models", headers={"host": host})
    assert response.status_code == status
    assert client.get("/v1/ready", headers={"host": host}).status_code == 200


def test_responses_do_not_allow_other_origins(client):
    for path in ("/v1/models", "/v1/nothing"):
        response = client.get(path, headers={"origin": "https://evil.example"})
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert not [name for name in response.headers if name.startswith("access-control")]
        assert client.options(path).status_code in (404, 405)


def test_other_addresses_need_a_token(tmp_path, monkeypatch):
    for host in ("0.0.0.0", "::", "codes.example"):  # noqa: S104
        with pytest.raises(ParameterError, match=r"open to other machines\. Set a token"):
            ServeSettings(host=host)
        assert ServeSettings(host=host, anonymous=True).host == host
    assert ServeSettings(host="::1").secret() is None
    monkeypatch.setenv("REFOLD_SERVE_TOKEN", "open-sesame")
    settings = read_settings(host="codes.example")
    assert settings.secret() == b"open-sesame"
    assert "sesame" not in repr(settings)
    with pytest.raises(ParameterError, match="There is a token and a token file"):
        read_settings(token_file="b")  # noqa: S106
    with pytest.raises(ParameterError, match="The token is empty"):
        read_settings(token="")
    with pytest.raises(MissingFileError, match="no token file"):
        ServeSettings(token_file=str(tmp_path / "none")).secret()


def test_settings_of_the_environment(monkeypatch):
    for name, text in (("MAX_STEPS", "5000"), ("PORT", "2"), ("ALLOWED_HOSTS", '["a", "b"]')):
        monkeypatch.setenv(f"REFOLD_SERVE_{name}", text)
    settings = read_settings(port=3)
    assert (settings.port, settings.max_steps, settings.max_queue) == (3, 5000, 128)
    assert settings.allowed_hosts == ("a", "b")
    with pytest.raises(ParameterError, match="port must be an integer from 0 to 65535"):
        read_settings(port=99999)
    monkeypatch.setenv("REFOLD_SERVE_PORT", "none")
    with pytest.raises(ParameterError, match="REFOLD_SERVE_PORT cannot be read"):
        read_settings()


def test_names_of_models():
    assert [*named_paths(["a/b.refold", "c=d.refold"])] == ["b", "c"]
    with pytest.raises(ParameterError, match="Two models have the name 'b'"):
        named_paths(["a/b.refold", "b=c.refold"])
    with pytest.raises(ParameterError, match="cannot have the name 'metrics'"):
        create_app({"metrics": "m"})


def test_files_for_deployment_agree_with_the_project_and_the_settings():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = {line.partition(";")[0] for line in project["optional-dependencies"]["serve"]}
    lines = (ROOT / "deploy/serve-requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {line for line in lines if line[0] != "#"} == extra
    settings = {field.name for field in fields(ServeSettings)}
    for name in ("serve.Containerfile", "refold-serve.service", "kubernetes.yaml"):
        text = (ROOT / "deploy" / name).read_text(encoding="utf-8")
        variables = re.findall(r"REFOLD_SERVE_(\w+)", text)
        assert variables, name
        assert {variable.lower() for variable in variables} <= settings, name
        assert set(re.findall(r"/v1/(\w+)", text)) <= {"health", "ready"}, name
