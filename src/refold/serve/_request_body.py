"""The body of a request, within its limit, decompressed; and the bytes of all bodies."""

import zlib

from starlette.types import Receive

from refold.serve._service_errors import ServiceError, exceeded


class Disconnected(Exception):  # noqa: N818  (not an error of the server)
    """The client has gone before its request was complete."""


class Bodies:
    """The bytes of the bodies of all open requests, at most ``most``."""

    def __init__(self, most: int) -> None:
        self.size = 0
        self._most = most

    def add(self, size: int) -> None:
        """Count bytes; refuse the request if they are too many."""
        if self.size + size > self._most:
            raise exceeded(
                "total_body",
                self._most,
                f"The bodies of the open requests have {self._most} bytes, the limit. Try again "
                "later.",
            )
        self.size += size


class Held:
    """The bytes of the body of one request, until it is answered."""

    __slots__ = ("_bodies", "_size")

    def __init__(self, bodies: Bodies) -> None:
        self._bodies, self._size = bodies, 0

    def add(self, size: int) -> None:
        """Count bytes that have come."""
        self._bodies.add(size)
        self._size += size

    def release(self) -> None:
        """Forget the body."""
        self._bodies.size -= self._size
        self._size = 0


async def read_body(receive: Receive, headers: dict[bytes, bytes], most: int, held: Held) -> bytes:
    """Return the body of a request of at most some bytes, also after decompression."""
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding not in (b"identity", b"gzip", b""):
        raise ServiceError(415, "unsupported_encoding", "Content-Encoding must be gzip or absent.")
    if headers.get(b"content-length", b"0").isdigit():
        _check(int(headers.get(b"content-length", b"0")), most)
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        parts.append(part)
        held.add(len(part))
        size += len(part)
        _check(size, most)
        more = message.get("more_body", False)
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    if encoding != b"gzip":
        return body
    whole = _decompressed(body, most)
    held.add(len(whole))
    return whole


def _decompressed(body: bytes, most: int) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    try:
        whole = stream.decompress(body, most + 1)
    except zlib.error:
        raise ServiceError(422, "invalid_gzip", "The body is not gzip.") from None
    _check(len(whole), most)
    if not stream.eof or stream.unused_data:
        raise ServiceError(422, "invalid_gzip", "The body is not one whole gzip stream.")
    return whole


def _check(size: int, most: int) -> None:
    if size > most:
        raise exceeded("body", most, f"The body has more than {most} bytes, the limit.")
