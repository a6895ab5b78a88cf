"""Settings of the service: arguments, then environment variables, then a TOML file."""

import ipaddress
import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from refold.errors import MissingFileError, ParameterError

MEBIBYTE = 1 << 20
# Names of this machine, by which browsers and programs on it reach the service.
_OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")


class ServeSettings(BaseSettings):
    """Address, access and limits of the service.

    Each setting is also an environment variable, such as ``REFOLD_SERVE_MAX_BODY``, and a key of
    the TOML file of `read_settings`.

    Attributes
    ----------
    host : str
        Address to bind. Any other than that of this machine needs a token.
    port : int
        Port; 0 takes a free one.
    token : str, optional
        Token that clients send as ``Authorization: Bearer TOKEN``.
    token_file : path, optional
        File that holds the token, instead of ``token``.
    anonymous : bool
        Serve other machines without a token.
    allowed_hosts : list of str
        Names that the Host header may have, beside those of this machine and ``host``.
    max_body : int
        Largest body of a request, in bytes, also after decompression (413).
    max_total_body : int
        Most bytes of the bodies of all open requests, also after decompression (503).
    max_sequences : int
        Most sequences or codes in a request (422).
    max_steps : int
        Most steps in a request, and in its response (422).
    max_seconds : float
        Longest time for a request, from its first byte to its answer (503).
    max_concurrency : int
        Most requests at a time (503).
    max_queue : int
        Most requests that wait for the model (429).
    max_connections : int
        Most open connections (503).
    batch_seconds : float
        Longest time that a request waits for others, to be computed together.
    batch_steps : int
        Most steps that are computed together.
    shutdown_seconds : float
        Longest time for the requests that are still open at the end.

    Examples
    --------
    >>> ServeSettings(max_steps=1000).max_steps
    1000
    """

    model_config = SettingsConfigDict(
        env_prefix="REFOLD_SERVE_", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    token: SecretStr | None = None
    token_file: Path | None = None
    anonymous: bool = False
    allowed_hosts: tuple[str, ...] = ()
    max_body: int = Field(default=8 * MEBIBYTE, ge=1)
    max_total_body: int = Field(default=64 * MEBIBYTE, ge=1)
    max_sequences: int = Field(default=4096, ge=1)
    max_steps: int = Field(default=200_000, ge=1)
    max_seconds: float = Field(default=30.0, gt=0)
    max_concurrency: int = Field(default=256, ge=1)
    max_queue: int = Field(default=128, ge=1)
    max_connections: int = Field(default=1024, ge=1)
    batch_seconds: float = Field(default=0.002, ge=0)
    batch_steps: int = Field(default=16384, ge=1)
    shutdown_seconds: float = Field(default=30.0, ge=0)

    @model_validator(mode="after")
    def _check_access(self) -> Self:
        if self.token is not None and not self.token.get_secret_value():
            raise ValueError("the token is empty. Give a long random one, or none")
        if self.token is not None and self.token_file is not None:
            raise ValueError("there is a token and a token file. Give one of them")
        public = not _is_loopback(self.host)
        if public and self.token is None and self.token_file is None and not self.anonymous:
            raise ValueError(
                f"the address {self.host} is open to other machines. Set a token, "
                "or allow access without one with anonymous"
            )
        return self

    def secret(self) -> bytes | None:
        """Return the token as bytes, read from its file if there is one.

        Raises
        ------
        ParameterError
            If the file holds no token.
        MissingFileError
            If the file does not exist.

        Examples
        --------
        >>> ServeSettings(token="open-sesame").secret()
        b'open-sesame'
        """
        if self.token is not None:
            return self.token.get_secret_value().encode()
        if self.token_file is None:
            return None
        if not self.token_file.is_file():
            raise MissingFileError(f"There is no token file {str(self.token_file)!r}.")
        found = self.token_file.read_bytes().strip()
        if not found:
            raise ParameterError(f"The token file {str(self.token_file)!r} is empty.")
        return found

    def host_names(self) -> frozenset[str]:
        """Return the names that a Host header may have, in lower case and without port.

        Examples
        --------
        >>> sorted(ServeSettings(allowed_hosts=("codes.example",)).host_names())
        ['127.0.0.1', '[::1]', 'codes.example', 'localhost']
        """
        return frozenset(name.lower() for name in (*_OWN_NAMES, self.host, *self.allowed_hosts))


def read_settings(file: str | Path | None = None, **given: Any) -> ServeSettings:
    """Return the settings: the given ones, then the environment's, then those of a TOML file."""
    if file is not None and not Path(file).is_file():
        raise MissingFileError(f"There is no file of settings {str(file)!r}. Check the path.")

    class _WithFile(ServeSettings):
        model_config = SettingsConfigDict(toml_file=file)

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            **_: Any,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    try:
        return _WithFile(**{name: value for name, value in given.items() if value is not None})
    except tomllib.TOMLDecodeError as error:
        raise ParameterError(f"{str(file)!r} is not TOML: {error}.") from error
    except ValidationError as error:
        raise ParameterError(_in_one_line(error)) from None


def _in_one_line(error: ValidationError) -> str:
    """Describe the first invalid setting, without its value, which may be a token."""
    first = error.errors(include_input=False, include_url=False)[0]
    reason = first["msg"].removeprefix("Value error, ")
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = ", ".join(ServeSettings.model_fields)
        return f"There is no setting {name!r}. The settings are {known}."
    return f"The setting {name!r}: {reason}." if name else f"{reason[0].upper()}{reason[1:]}."


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
