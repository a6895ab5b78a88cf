"""Errors as JSON that names the limit, and never a path, a stack trace or training data."""

from typing import Any

import msgspec

from refold.errors import DataError, MissingExtraError, ParameterError

# Status of an answer to a request that exceeds a limit; a setting with the prefix max_ has it.
STATUSES = {
    "body": 413,
    "sequences": 422,
    "steps": 422,
    "time": 503,
    "concurrency": 503,
    "connections": 503,
    "queue": 429,
    "total_body": 503,
}


class ServiceError(Exception):
    """An answer other than success."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        limit: str | None = None,
        maximum: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status  # of HTTP
        self.code = code  # a word for programs
        self.limit = limit  # name of the limit that was exceeded
        self.maximum = maximum  # its value
        self.headers = headers or {}

    def body(self) -> bytes:
        """Return the answer as JSON."""
        error: dict[str, Any] = {"code": self.code, "message": str(self)}
        if self.limit is not None:
            error |= {"limit": self.limit, "maximum": self.maximum}
        return msgspec.json.encode({"error": error})


def exceeded(limit: str, maximum: float, message: str) -> ServiceError:
    """Return the error of a limit; the client may try again later where that helps."""
    status = STATUSES[limit]
    headers = {"retry-after": "1"} if status in (429, 503) else None
    return ServiceError(
        status, "limit_exceeded", message, limit=limit, maximum=maximum, headers=headers
    )


def invalid(message: str) -> ServiceError:
    """Return the error of a request that can be read and not computed."""
    return ServiceError(422, "invalid_request", message)


def not_found(message: str) -> ServiceError:
    """Return the error of a path or a model that there is not."""
    return ServiceError(404, "not_found", message)


def internal() -> ServiceError:
    """Return the answer to an error that the client can do nothing about."""
    return ServiceError(500, "internal", "The server failed. Its log says why.")


def stopping() -> ServiceError:
    """Return the answer of a service that ends."""
    return ServiceError(503, "stopping", "The service is stopping.")


def as_service_error(error: BaseException) -> ServiceError:
    """Return the answer to an error; only an error about what the client sent shows its text."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, MissingExtraError):
        return ServiceError(501, "not_installed", "This server lacks a package for this.")
    if isinstance(error, DataError | ParameterError):
        return invalid(str(error))
    return internal()
