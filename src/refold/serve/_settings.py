"""Settings of the service, and the errors that answer a request beyond a limit, or a wrong one."""

import ipaddress
import os
import tomllib
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from refold._support.rules import check, number, whole
from refold.errors import MissingFileError, ParameterError

_PREFIX = "REFOLD_SERVE_"
_MEBIBYTE = 1 << 20
_COUNTS = (
    *("max_body", "max_total_body", "max_sequences", "max_steps", "max_concurrency"),
    *("max_queue", "max_connections", "batch_steps"),
)
_RULES = {
    "port": whole(0, 65535),
    "max_seconds": number(above=0),
    "batch_seconds": number(least=0),
    "shutdown_seconds": number(least=0),
    **dict.fromkeys(_COUNTS, whole()),
}


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Address, access and limits of the service.

    `read_settings` also reads them from environment variables, such as ``REFOLD_SERVE_MAX_BODY``,
    and from a TOML file. A request beyond a limit gets the status in brackets.

    Attributes
    ----------
    host : str
        Address to bind. Any other than that of this machine needs a token.
    port : int
        Port; 0 takes a free one.
    token, token_file : str, optional
        Token that clients send as ``Authorization: Bearer TOKEN``, or a file that holds it.
    anonymous : bool
        Serve other machines without a token.
    allowed_hosts : tuple of str
        Names that the Host header may have, beside those of this machine and ``host``.
    max_body, max_total_body : int
        Most bytes of the body of a request (413), and of those of all open requests (503), also
        after decompression.
    max_sequences, max_steps : int
        Most sequences or codes in a request, and most steps in it or in its answer (422).
    max_seconds : float
        Longest time for a request, from its first byte to its answer (503).
    max_concurrency, max_queue, max_connections : int
        Most requests at a time (503), requests that wait for the model (429), and connections
        (503).
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
        if self.token is not None and self.token_file is not None:
            raise ParameterError("There is a token and a token file. Give one of them.")
        has_token = self.token is not None or self.token_file is not None
        if not (_is_loopback(self.host) or has_token or self.anonymous):
            raise ParameterError(
                f"The address {self.host} is open to other machines. Set a token, or allow access "
                "without one with anonymous."
            )
        if self.token == "":
            self.secret()

    def secret(self) -> bytes | None:
        """Return the token as bytes, read from its file if there is one."""
        token, place = self.token, ""
        if self.token_file is not None:
            token = _read_file(self.token_file, "token file").strip()
            place = f"in {self.token_file} "
        if token == "":
            raise ParameterError(f"The token {place}is empty. Give a long random one, or none.")
        return None if token is None else token.encode()


def read_settings(file: str | Path | None = None, **options: Any) -> ServeSettings:
    """Return the settings: the options, then the environment, then the keys of a TOML file."""
    types = typing.get_type_hints(ServeSettings)
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = tomllib.loads(_read_file(file, "file of settings"))
        except ValueError as error:
            raise ParameterError(f"{str(file)!r} is not TOML: {error}.") from error
    for name in types:
        if (text := os.environ.get(_PREFIX + name.upper())) is not None:
            values[name] = text
    values |= {name: value for name, value in options.items() if value is not None}
    for name, value in values.items():
        if name not in types:
            raise ParameterError(
                f"There is no setting {name!r}. The settings are {', '.join(types)}."
            )
        try:
            if name == "allowed_hosts" and isinstance(value, str):  # of a variable
                value = msgspec.json.decode(value)
            values[name] = msgspec.convert(value, types[name], strict=False)
        except msgspec.DecodeError as error:
            # without the value, which may be a token
            raise ParameterError(f"The setting {name!r} cannot be read: {error}.") from None
    return ServeSettings(**values)


def _read_file(path: str | Path, what: str) -> str:
    """Return the text of a file."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise MissingFileError(
            f"There is no {what} {str(path)!r} to read: {error.strerror}. Check the path."
        ) from error


def _is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


# Status and meaning of each limit, whose setting has the prefix max_.
_LIMITS = {
    "body": (413, "bytes in a body"),
    "sequences": (422, "sequences or codes in a request"),
    "steps": (422, "steps in a request and in its answer"),
    "queue": (429, "requests that wait"),
    "concurrency": (503, "open requests"),
    "connections": (503, "open connections"),
    "total_body": (503, "bytes in the bodies of open requests"),
    "time": (503, "seconds for a request"),
}


class Problem(Struct, omit_defaults=True):
    """Why a request was refused."""

    code: str
    message: str
    limit: Annotated[str, Meta(description="Name of the limit.")] = ""
    maximum: Annotated[float, Meta(description="Value of the limit.")] = 0


class ServiceError(Exception):
    """An answer other than success; it has no path, no stack trace and no training data."""

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status  # of HTTP
        self.problem = Problem(code, message)
        self.headers = headers or {}


def check_limit(limit: str, value: float, settings: ServeSettings) -> None:
    """Refuse a request for which a limited number is too large."""
    maximum = getattr(settings, f"max_{limit}")
    if value > maximum:
        raise exceeded(limit, maximum, value)


def exceeded(limit: str, maximum: float, value: float = 0) -> ServiceError:
    """Return the error of a limit; the client may try again later where that helps."""
    status, noun = _LIMITS[limit]
    remedy, headers = f"Got {value}. Send several requests.", {}
    if status in (429, 503):
        remedy, headers = "Try again later.", {"retry-after": "1"}
    if limit == "connections":
        headers["connection"] = "close"
    text = f"The service allows {maximum} {noun}. {remedy}"
    error = ServiceError(status, "limit_exceeded", text, headers)
    error.problem.limit, error.problem.maximum = limit, maximum
    return error


def invalid(message: str) -> ServiceError:
    """Return the error of a request that can be read and not computed."""
    return ServiceError(422, "invalid_request", message)


def stopping() -> ServiceError:
    """Return the error of a service that ends."""
    return ServiceError(503, "stopping", "The service is stopping.")
