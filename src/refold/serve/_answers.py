"""Answers: bodies, headers, compression."""

import zlib
from typing import Any

from refold.serve._service_errors import ServiceError

Headers = list[tuple[bytes, bytes]]
JSON = "application/json"
# Bodies below this number of bytes are not compressed.
_LEAST_COMPRESSED = 4096
# Of every answer. The policy allows a page nothing; pages bring their own.
SECURITY: Headers = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


def headers_of(scope: Any) -> dict[bytes, bytes]:
    """Return the headers of a request; of repeated ones, the last."""
    return dict(scope["headers"])


async def answer(
    scope: Any, send: Any, body: bytes, *, media_type: str = JSON, status: int = 200, more: Any = ()
) -> None:
    """Send a body, compressed if the client takes that and it is large."""
    headers = [(b"content-type", media_type.encode()), *more]
    if len(body) >= _LEAST_COMPRESSED:
        headers.append((b"vary", b"accept-encoding"))
        if b"gzip" in headers_of(scope).get(b"accept-encoding", b""):
            body = zlib.compress(body, level=1, wbits=31)
            headers.append((b"content-encoding", b"gzip"))
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *SECURITY]})
    await send({"type": "http.response.body", "body": body})


async def answer_error(scope: Any, send: Any, error: ServiceError) -> None:
    """Send an error as JSON."""
    more = [(name.encode(), value.encode()) for name, value in error.headers.items()]
    await answer(scope, send, error.body(), status=error.status, more=more)
