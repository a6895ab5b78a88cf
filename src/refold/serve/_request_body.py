"""The body of a request, within its limit, decompressed; and the bytes of all bodies."""

import zlib
from typing import Self

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from refold.serve._service_errors import ServiceError, exceeded


class Bodies:
    """The bytes of the bodies of all open requests, and their limit."""

    def __init__(self, limit: int) -> None:
        self.size = 0
        self.limit = limit


class HeldBody:
    """The bytes of the body of one request, which count until the end of a ``with`` block."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies, self._size = bodies, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bodies.size -= self._size

    def add(self, size: int) -> None:
        """Count bytes that have come; refuse the request if there are too many."""
        limit = self._bodies.limit
        if self._bodies.size + size > limit:
            message = (
                f"The bodies of the open requests have {limit} bytes, the limit. Try again later."
            )
            raise exceeded("total_body", limit, message)
        self._bodies.size += size
        self._size += size


async def read_body(
    receive: Receive, headers: dict[bytes, bytes], limit: int, held: HeldBody
) -> bytes:
    """Return the body of a request of at most some bytes, also after decompression."""
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding not in (b"identity", b"gzip", b""):
        raise ServiceError(415, "unsupported_encoding", "Content-Encoding must be gzip or absent.")
    length = headers.get(b"content-length", b"0")
    if length.isdigit():
        _check(int(length), limit)
    parts, size, is_open = [], 0, True
    while is_open:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        held.add(len(parts[-1]))
        size += len(parts[-1])
        _check(size, limit)
        is_open = message.get("more_body", False)
    body = b"".join(parts)
    if encoding != b"gzip":
        return body
    content = _decompressed(body, limit)
    held.add(len(content))
    return content


def _decompressed(body: bytes, limit: int) -> bytes:
    """Return the content of a gzip stream of at most some bytes."""
    stream = zlib.decompressobj(wbits=31)
    try:
        content = stream.decompress(body, limit + 1)
    except zlib.error:
        raise ServiceError(422, "invalid_gzip", "The body is not gzip.") from None
    _check(len(content), limit)
    if not stream.eof or stream.unused_data:
        raise ServiceError(422, "invalid_gzip", "The body is not one whole gzip stream.")
    return content


def _check(size: int, limit: int) -> None:
    """Refuse a body that is too large."""
    if size > limit:
        raise exceeded("body", limit, f"The body has more than {limit} bytes, the limit.")
