"""The body of a request, within its limit, decompressed."""

import zlib
from typing import Any

from refold.serve._service_errors import ServiceError, exceeded


class Disconnected(Exception):  # noqa: N818  (not an error of the server)
    """The client has gone before its request was complete."""


async def read_body(receive: Any, headers: dict[bytes, bytes], most: int) -> bytes:
    """Return the body of a request of at most some bytes, also after decompression."""
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding not in (b"identity", b"gzip", b""):
        raise ServiceError(415, "unsupported_encoding", "Content-Encoding must be gzip or absent.")
    if headers.get(b"content-length", b"0").isdigit():
        _check(int(headers.get(b"content-length", b"0")), most)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    body = message.get("body", b"")
    if message.get("more_body"):
        parts, size = [body], len(body)
        while message.get("more_body"):
            _check(size, most)
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            parts.append(message.get("body", b""))
            size += len(parts[-1])
        body = b"".join(parts)
    _check(len(body), most)
    return _decompressed(body, most) if encoding == b"gzip" else body


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
