"""Settings of the service, and the errors that refuse a request."""

import os
import typing
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from refold._support.atomic_files import require_local_path
from refold._support.rules import check, integer_rule, number_rule
from refold.errors import MissingFileError, ParameterError, argument

# Prefix of the environment variable of a setting, such as REFOLD_SERVE_PORT.
_ENVIRONMENT_PREFIX = "REFOLD_SERVE_"
# Host names by which browsers and programs on the same machine reach the service.
LOCAL_HOST_NAMES = ("localhost", "127.0.0.1", "::1", "[::1]")
# Rule for the allowed values of each setting that is a number.
_NUMBER_SETTING_RULES = {
    "port": integer_rule(0, 65535),
    "max_seconds": number_rule(above=0),
    # without bounds, the rule asks for a positive integer
    **dict.fromkeys(("max_body", "max_total_body", "max_sequences"), integer_rule()),
    **dict.fromkeys(("max_steps", "max_queue", "max_connections"), integer_rule()),
}
# In each pair, the first limit must not exceed the second. Otherwise a request would exceed the
# second limit before it reaches the first: a sequence has at least a byte and usually a step, and a
# body is one of the bodies of all open requests.
_ORDERED_LIMIT_PAIRS = (
    ("max_sequences", "max_steps"),
    ("max_sequences", "max_body"),
    ("max_body", "max_total_body"),
)


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Address, access and limits of the service.

    `read_settings` also reads them from environment variables, such as ``REFOLD_SERVE_MAX_BODY``.
    A request beyond a limit gets the HTTP status in parentheses. By default, ``max_sequences``
    sequences of 100 steps and 3 columns fit in a request, also in JSON.

    Attributes
    ----------
    host : str
        Address to bind. An address that is open to other machines needs a token.
    port : int
        Port; 0 takes a free one.
    token, token_file : str, optional
        Token that clients send as ``Authorization: Bearer TOKEN``, or a file that holds it.
    anonymous : bool
        Serve other machines without a token.
    allowed_hosts : tuple of str
        Names that the Host header may have, beside those of this machine and ``host``.
    max_body, max_total_body : int
        Maximum size in bytes of a body (413), and of the bodies of all open requests (503).
    max_sequences, max_steps : int
        Maximum number of sequences, windows or codes in a request, and of steps in the request, its
        windows or its answer (422).
    max_seconds : float
        Longest time for a request, from its first byte to its answer (503).
    max_queue, max_connections : int
        Maximum number of requests that wait for the model (429), and of connections (503).

    Examples
    --------
    >>> ServeSettings(max_steps=10_000).max_steps
    10000
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    token_file: str | None = None
    anonymous: bool = False
    allowed_hosts: tuple[str, ...] = ()
    max_body: int = 32 << 20
    max_total_body: int = 128 << 20
    max_sequences: int = 4096
    max_steps: int = 500_000
    max_seconds: float = 30.0
    max_queue: int = 128
    max_connections: int = 1024

    def __post_init__(self) -> None:
        for name, rule in _NUMBER_SETTING_RULES.items():
            check(name, getattr(self, name), rule)
        for lower_name, upper_name in _ORDERED_LIMIT_PAIRS:
            lower, upper = getattr(self, lower_name), getattr(self, upper_name)
            if lower > upper:
                raise ParameterError(
                    f"{argument(**{lower_name: lower})} cannot be combined with "
                    f"{argument(**{upper_name: upper})}. Raise {argument(upper_name)} to at least "
                    f"{lower}, or lower {argument(lower_name)}."
                )
        if self.token is not None and self.token_file is not None:
            raise ParameterError("There is a token and a token file. Give one of them.")
        has_token = self.token is not None or self.token_file is not None
        if not (self.host.lower() in LOCAL_HOST_NAMES or has_token or self.anonymous):
            raise ParameterError(
                f"The address {self.host} is open to other machines. Set a token, or set "
                "anonymous to allow access without a token."
            )
        if self.token is not None:
            self.secret()  # raises an error if the token is empty

    def secret(self) -> bytes | None:
        """Return the token as bytes, read from the token file if there is one; None if not set."""
        token, file_note = self.token, ""
        if self.token_file is not None:
            try:
                token = Path(self.token_file).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise MissingFileError(
                    f"There is no token file {self.token_file!r} to read: {error.strerror}. Check "
                    "the path."
                ) from error
            file_note = f"in {self.token_file} "
        if token == "":
            raise ParameterError(f"The token {file_note}is empty. Give a long random one, or none.")
        return None if token is None else token.encode()


def read_settings(**overrides: Any) -> ServeSettings:
    """Return settings: overrides that are not None, then environment variables, then defaults."""
    types = typing.get_type_hints(ServeSettings)
    values: dict[str, Any] = {}
    for name, setting_type in types.items():
        text = os.environ.get(_ENVIRONMENT_PREFIX + name.upper())
        if text is not None and overrides.get(name) is None:
            try:
                value = msgspec.json.decode(text) if name == "allowed_hosts" else text
                values[name] = msgspec.convert(value, setting_type, strict=False)
            except msgspec.DecodeError as error:
                # `from None`, because the first error might show the value, which may be a token
                variable = _ENVIRONMENT_PREFIX + name.upper()
                raise ParameterError(f"{variable} cannot be read: {error}.") from None
    return ServeSettings(
        **values, **{name: value for name, value in overrides.items() if value is not None}
    )


def named_paths(model_arguments: list[str]) -> dict[str, Path]:
    """Return model files by name, from ``MODEL`` or ``NAME=MODEL``."""
    paths: dict[str, Path] = {}
    for text in model_arguments:
        name, separator, path = text.partition("=")
        # in a path such as dir/a=b, "=" is part of the path, because a name holds no slash
        if not separator or "/" in name or "\\" in name:
            name, path = Path(text).stem, text
        if name in paths:
            raise ParameterError(f"Two models have the name {name!r}. Write NAME=MODEL.")
        paths[name] = require_local_path(path)
    return paths


def named_indexes(index_arguments: list[str], model_names: Collection[str]) -> dict[str, str]:
    """Return files of indexes by name, from ``INDEX`` or ``NAME=INDEX``."""
    index_paths: dict[str, str] = {}
    for text in index_arguments:
        name, separator, index_path = text.partition("=")
        if not separator or name not in model_names:
            # without a name, the index is for the only model
            name, index_path = next(iter(model_names)), text
            if len(model_names) > 1:
                raise ParameterError(
                    f"Write the name of a model before the index {text!r}: NAME=INDEX. The models "
                    f"are {', '.join(model_names)}."
                )
        index_paths[name] = index_path
    return index_paths


# For each limit: the HTTP status of the answer to a request beyond the limit, and what the limit
# counts. A limit and its setting have the same name, except for the prefix max_ of the setting.
# Only the setting of "time" has another name: max_seconds.
_LIMIT_STATUSES_AND_NOUNS = {
    "body": (413, "bytes in a body"),
    "sequences": (422, "sequences, windows or codes in a request"),
    "steps": (422, "steps in a request, its windows, and its answer"),
    "queue": (429, "requests that wait"),
    "total_body": (503, "bytes in the bodies of open requests"),
    "time": (503, "seconds for a request"),
}


# The body of an answer with an error. The class name is the name of the schema in OpenAPI.
class Problem(Struct, omit_defaults=True):
    """Why a request was refused."""

    code: str
    message: str
    limit: Annotated[str, Meta(description="Name of the limit.")] = ""
    maximum: Annotated[float, Meta(description="Value of the limit.")] = 0


class ServiceError(Exception):
    """An error that is sent to the client. The message must hold no path and no training data."""

    def __init__(
        self, status: int, error_code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status  # HTTP status
        self.problem = Problem(error_code, message)
        self.headers = headers or {}


def check_limit(limit_name: str, value: float, settings: ServeSettings) -> None:
    """Refuse a request if a value exceeds a limit; ``limit_name`` is any limit but "time"."""
    maximum = getattr(settings, f"max_{limit_name}")
    if value > maximum:
        raise make_limit_error(limit_name, maximum, value)


def make_limit_error(limit_name: str, maximum: float, value: float = 0) -> ServiceError:
    """Return the error for a request beyond a limit."""
    status, noun = _LIMIT_STATUSES_AND_NOUNS[limit_name]
    advice, headers = f"Got {value}. Send several requests.", {}
    # whether these limits are reached depends on other requests, so a second try may succeed
    if status in (429, 503):
        advice, headers = "Try again later.", {"retry-after": "1"}
    text = f"The service allows {maximum} {noun}. {advice}"
    error = ServiceError(status, "limit_exceeded", text, headers)
    error.problem.limit, error.problem.maximum = limit_name, maximum
    return error


def make_request_error(message: str) -> ServiceError:
    """Return the error for a request whose content is wrong."""
    return ServiceError(422, "invalid_request", message)
