"""Tokens, hosts and origins: who may send requests, and how browsers are restricted."""

import httpx
import pytest

from refold.errors import MissingFileError, ParameterError
from refold.serve import ServeSettings, named_paths, read_settings
from serve.serving import started


def test_token(files, tmp_path):
    (tmp_path / "token").write_text("open-sesame\n")
    with started(files, token_file=str(tmp_path / "token")) as (url, _):
        for headers in ({}, {"authorization": "Bearer other"}, {"authorization": "open-sesame"}):
            response = httpx.get(f"{url}/v1/models", headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert "sesame" not in response.text
        headers = {"authorization": "Bearer open-sesame"}
        assert httpx.get(f"{url}/v1/models", headers=headers).status_code == 200
        document = httpx.get(f"{url}/v1/openapi.json", headers=headers).json()
        assert document["security"] == [{"token": []}]
        # probes need no token
        assert httpx.get(f"{url}/v1/ready").status_code == 200
        assert httpx.get(f"{url}/v1/metrics").status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1.evil.example"])
def test_foreign_host_is_refused(client, host):
    response = client.get("/v1/models", headers={"host": host})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "wrong_host"
    assert client.get("/v1/ready", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:8000", "LOCALHOST:1"])
def test_own_host_is_accepted(client, host):
    assert client.get("/v1/models", headers={"host": host}).status_code == 200


def test_more_hosts(files):
    with started(files, allowed_hosts=("codes.example",)) as (url, _):
        headers = {"host": "codes.example"}
        assert httpx.get(f"{url}/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/nothing", "/", "/v1/pairs/encode", "/v1/ready/"]
)
def test_responses_do_not_allow_other_origins(client, path):
    response = client.get(path, headers={"origin": "https://evil.example"})
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert not [name for name in response.headers if name.startswith("access-control")]
    assert client.options(path).status_code in (404, 405)


def test_forms_of_other_origins_are_refused(client):
    """A browser sends these types without a preflight."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        response = client.post("/v1/pairs/encode", content=b"{}", headers={"content-type": kind})
        assert response.status_code == 415


def test_other_addresses_need_a_token(monkeypatch):
    for host in ("0.0.0.0", "::", "192.0.2.1", "codes.example"):  # noqa: S104
        with pytest.raises(ParameterError, match=r"open to other machines\. Set a token"):
            read_settings(host=host)
    for host in ("127.0.0.9", "::1", "localhost"):
        assert read_settings(host=host).host == host
    assert read_settings(host="::", anonymous=True).anonymous
    monkeypatch.setenv("REFOLD_SERVE_TOKEN", "open-sesame")
    settings = read_settings(host="::")
    assert settings.secret() == b"open-sesame"
    assert "sesame" not in repr(settings)


def test_sources_of_settings(tmp_path, monkeypatch):
    path = tmp_path / "serve.toml"
    path.write_text("port = 1\nmax_steps = 10\nmax_queue = 5\n")
    monkeypatch.setenv("REFOLD_SERVE_MAX_STEPS", "20")
    monkeypatch.setenv("REFOLD_SERVE_PORT", "2")
    settings = read_settings(path, port=3)
    assert (settings.port, settings.max_steps, settings.max_queue) == (3, 20, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("port = 99999", "port must be an integer from 0 to 65535. Got 99999"),
        ("prot = 1", "There is no setting 'prot'. The settings are host, port,"),
        ("port =", "is not TOML"),
        ("token = ''", "The token is empty"),
    ],
)
def test_wrong_settings(tmp_path, text, message):
    path = tmp_path / "serve.toml"
    path.write_text(text)
    with pytest.raises(ParameterError, match=message):
        read_settings(path)


def test_missing_files(tmp_path):
    with pytest.raises(MissingFileError, match="no file of settings"):
        read_settings(tmp_path / "none.toml")
    with pytest.raises(MissingFileError, match="no token file"):
        ServeSettings(token_file=str(tmp_path / "none")).secret()
    (tmp_path / "empty").touch()
    with pytest.raises(ParameterError, match="is empty"):
        ServeSettings(token_file=str(tmp_path / "empty")).secret()


def test_names_of_models():
    assert [*named_paths(["a/b.refold", "c=d.refold"])] == ["b", "c"]
    with pytest.raises(ParameterError, match="Two models have the name 'b'"):
        named_paths(["a/b.refold", "b=c.refold"])
    with (
        pytest.raises(ParameterError, match="cannot have the name 'metrics'"),
        started({"metrics": "m"}),
    ):
        pass
