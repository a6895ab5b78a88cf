"""Settings of the service: options, then environment variables, then a TOML file."""

import ipaddress
import os
import tomllib
import typing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import msgspec

from refold._support.rules import check, number, whole
from refold.errors import MissingFileError, ParameterError

_PREFIX = "REFOLD_SERVE_"
_MEBIBYTE = 1 << 20
# Names of this machine, by which browsers and programs on it reach the service.
_OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")
_RULES = {
    "port": whole(0, 65535),
    "max_body": whole(),
    "max_total_body": whole(),
    "max_sequences": whole(),
    "max_steps": whole(),
    "max_seconds": number(above=0),
    "max_concurrency": whole(),
    "max_queue": whole(),
    "max_connections": whole(),
    "batch_seconds": number(least=0),
    "batch_steps": whole(),
    "shutdown_seconds": number(least=0),
}


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Address, access and limits of the service.

    `read_settings` also reads them from environment variables, such as ``REFOLD_SERVE_MAX_BODY``,
    and from a TOML file.

    Attributes
    ----------
    host : str
        Address to bind. Any other than that of this machine needs a token.
    port : int
        Port; 0 takes a free one.
    token : str, optional
        Token that clients send as ``Authorization: Bearer TOKEN``.
    token_file : str, optional
        File that holds the token, instead of ``token``.
    anonymous : bool
        Serve other machines without a token.
    allowed_hosts : tuple of str
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

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    token_file: str | None = None
    anonymous: bool = False
    allowed_hosts: tuple[str, ...] = ()
    max_body: int = 8 * _MEBIBYTE
    max_total_body: int = 64 * _MEBIBYTE
    max_sequences: int = 4096
    max_steps: int = 200_000
    max_seconds: float = 30.0
    max_concurrency: int = 256
    max_queue: int = 128
    max_connections: int = 1024
    batch_seconds: float = 0.002
    batch_steps: int = 16384
    shutdown_seconds: float = 30.0

    def __post_init__(self) -> None:
        for name, rule in _RULES.items():
            check(name, getattr(self, name), rule)
        if self.token == "":
            raise ParameterError("The token is empty. Give a long random one, or none.")
        has_token = self.token is not None or self.token_file is not None
        if self.token is not None and self.token_file is not None:
            raise ParameterError("There is a token and a token file. Give one of them.")
        if not (_is_loopback(self.host) or has_token or self.anonymous):
            raise ParameterError(
                f"The address {self.host} is open to other machines. Set a token, or allow access "
                "without one with anonymous."
            )

    def secret(self) -> bytes | None:
        """Return the token as bytes, read from its file if there is one.

        Raises
        ------
        MissingFileError
            If the file does not exist.

        Examples
        --------
        >>> ServeSettings(token="open-sesame").secret()
        b'open-sesame'
        """
        if self.token is not None:
            return self.token.encode()
        if self.token_file is None:
            return None
        if not Path(self.token_file).is_file():
            raise MissingFileError(f"There is no token file {self.token_file!r}.")
        token = Path(self.token_file).read_bytes().strip()
        if not token:
            raise ParameterError(f"The token file {self.token_file!r} is empty.")
        return token

    def host_names(self) -> frozenset[str]:
        """Return the names that a Host header may have, in lower case and without port.

        Examples
        --------
        >>> sorted(ServeSettings(allowed_hosts=("codes.example",)).host_names())
        ['127.0.0.1', '[::1]', 'codes.example', 'localhost']
        """
        return frozenset(name.lower() for name in (*_OWN_NAMES, self.host, *self.allowed_hosts))


def read_settings(file: str | Path | None = None, **options: Any) -> ServeSettings:
    """Return the settings: the options, then those of the environment, then those of a TOML file.

    Parameters
    ----------
    file : path, optional
        TOML file whose keys are names of `ServeSettings`.
    **options : object
        Settings by name; None leaves one to the environment and the file.

    Raises
    ------
    MissingFileError
        If the file does not exist.

    Examples
    --------
    >>> read_settings(max_queue=5).max_queue
    5
    """
    types = typing.get_type_hints(ServeSettings)
    values = {} if file is None else _read_file(file)
    for name in types:
        if (text := os.environ.get(_PREFIX + name.upper())) is not None:
            values[name] = text
    values |= {name: value for name, value in options.items() if value is not None}
    for name in values:
        if name not in types:
            names = ", ".join(item.name for item in fields(ServeSettings))
            raise ParameterError(f"There is no setting {name!r}. The settings are {names}.")
    return ServeSettings(**{name: _read(name, values[name], types[name]) for name in values})


def _read_file(file: str | Path) -> dict[str, Any]:
    """Return the keys of a TOML file."""
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFileError(
            f"There is no file of settings {str(file)!r}. Check the path."
        ) from None
    except (OSError, ValueError) as error:
        raise ParameterError(f"{str(file)!r} is not TOML: {error}.") from error


def _read(name: str, value: Any, kind: Any) -> Any:
    """Return a value as the type of its setting; a variable holds text, and a list as JSON."""
    try:
        if isinstance(value, str) and value.startswith("[") and name == "allowed_hosts":
            return msgspec.json.decode(value, type=kind)
        return msgspec.convert(value, kind, strict=False)
    except msgspec.DecodeError as error:
        # without the value, which may be a token
        raise ParameterError(f"The setting {name!r} cannot be read: {error}.") from None


def _is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
