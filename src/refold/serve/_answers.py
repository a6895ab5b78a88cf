"""Answers: bodies, headers, compression."""

import http
import zlib
from collections.abc import Iterable

from starlette.types import Scope, Send

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
_SECURITY_LINES = b"".join(b"%s: %s\r\n" % header for header in SECURITY)
_STATUS_LINES = {
    int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n".encode()
    for status in http.HTTPStatus
}


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers of a request; of repeated ones, the last."""
    return dict(scope["headers"])


async def answer(
    scope: Scope,
    send: Send,
    body: bytes,
    *,
    media_type: str = JSON,
    status: int = 200,
    more: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Send a body, compressed if the client takes that and it is large."""
    body, encoding = _compressed(headers_of(scope), body)
    headers = [
        (b"content-type", media_type.encode()),
        *more,
        *encoding,
        (b"content-length", b"%d" % len(body)),
        *SECURITY,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def answer_error(scope: Scope, send: Send, error: ServiceError) -> None:
    """Send an error as JSON."""
    await answer(scope, send, error.body(), status=error.status, more=more_headers(error))


def more_headers(error: ServiceError) -> Headers:
    """Return the headers of an error."""
    return [(name.encode(), value.encode()) for name, value in error.headers.items()]


def as_bytes(
    asked: dict[bytes, bytes],
    body: bytes,
    *,
    media_type: str = JSON,
    status: int = 200,
    more: Iterable[tuple[bytes, bytes]] = (),
) -> bytes:
    """Return the bytes of an answer to a request with these headers."""
    body, encoding = _compressed(asked, body)
    lines = b"".join([b"%s: %s\r\n" % header for header in (*more, *encoding)])
    return b"%scontent-type: %s\r\ncontent-length: %d\r\n%s%s\r\n%s" % (
        _STATUS_LINES[status], media_type.encode(), len(body), lines, _SECURITY_LINES, body,
    )  # fmt: skip


def _compressed(asked: dict[bytes, bytes], body: bytes) -> tuple[bytes, Headers]:
    """Compress a large body if the client takes that; return it and the headers for it."""
    if len(body) < _LEAST_COMPRESSED:
        return body, []
    vary = (b"vary", b"accept-encoding")
    if b"gzip" not in asked.get(b"accept-encoding", b""):
        return body, [vary]
    return zlib.compress(body, level=1, wbits=31), [vary, (b"content-encoding", b"gzip")]
