"""What a file format is; the bytes of a file, read and decompressed."""

import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from refold._support.paths import access_error
from refold.errors import FileFormatError, SchemaError, argument
from refold.sequences._sequences import Sequences

# Arrow's codecs by the second suffix of a text file, as in .csv.gz.
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
# First bytes of compressed files. Text may begin with BZh, so bzip2 has those of a block, too.
_COMPRESSED = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "bz2": re.compile(rb"BZh.1AY&SY", re.DOTALL),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
}
# Most bytes of a compressed file, so that a small one cannot fill the memory.
_MOST_BYTES = 1 << 30
_BLOCK_BYTES = 1 << 22


@dataclass(frozen=True)
class Format:
    """A file format of sequences."""

    name: str  # as ``format=`` and ``--format`` take it
    suffixes: tuple[str, ...]  # the usual one first
    reader: Callable[..., Sequences]  # of the bytes, the name of the file for messages, options
    read_options: frozenset[str] = frozenset()  # of `read`
    writer: Callable[..., bytes] | None = None  # of `Sequences` and options
    write_options: frozenset[str] = frozenset()  # some of "id", "time" and "layout"
    layouts: tuple[str, ...] = ()  # values of ``layout`` of `write`, the default first
    magic: bytes = b""  # the first bytes of every file; empty for text
    is_table: bool = False  # every file is a table with named columns
    columns: Callable[[bytes, str], list[str]] | None = None  # of the bytes and the name
    # of the bytes, the name, the label column and that of the ids, if it is named: a table of them
    labels: Callable[[bytes, str, str, str | None], pa.Table] | None = None

    @property
    def is_text(self) -> bool:
        """Whether files are text, which may be compressed."""
        return not self.magic


# Content


def read_content(source: str | os.PathLike[str] | BinaryIO, expected: Format, name: str) -> bytes:
    """Read a whole file or binary stream, and decompress text if its first bytes say so."""
    if isinstance(source, str | os.PathLike):
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise access_error(source, error, writing=False) from error
    else:
        data = source.read()
    if expected.is_text:
        data = _decompressed(data, expected, name)
    if not data:
        raise FileFormatError(f"{name} is empty: it holds no bytes.")
    check_content(data, expected, name)
    return data


def check_content(data: bytes, expected: Format, name: str) -> None:
    """Raise ``FileFormatError`` if the first bytes are not of the expected format."""
    magic = expected.magic
    # decoding names the line of bytes that are not UTF-8, but zeros are UTF-8
    if data.startswith(magic) if magic else b"\0" not in data[:4096]:
        return
    if magic.startswith(data) and magic:
        raise FileFormatError(f"{name} is cut short: it holds only {len(data)} bytes.")
    begin = f"it begins with {data[:12]!r}" if magic else "it holds zero bytes, and text does not"
    article = "an" if expected.name[0] == "n" else "a"
    raise FileFormatError(
        f"{name} is not {article} {expected.name} file: {begin}. Write it again, or name its "
        f"format with {argument('format=')}."
    )


def _decompressed(data: bytes, expected: Format, name: str) -> bytes:
    """Return the bytes of a compressed file, and other bytes unchanged."""
    codec = next((codec for codec, begin in _COMPRESSED.items() if begin.match(data)), None)
    if codec is None:
        return data
    content = io.BytesIO()
    try:
        with pa.input_stream(pa.BufferReader(data), compression=codec) as stream:
            while block := stream.read(_BLOCK_BYTES):
                content.write(block)
                if content.tell() > _MOST_BYTES:
                    raise FileFormatError(
                        f"{name} unpacks to more than {_MOST_BYTES >> 30} GiB. If that is right, "
                        "unpack it first, and read the result."
                    )
    except OSError as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise FileFormatError(
            f"{name} is not a {expected.name} file that can be read. It seems to be a {codec} "
            f"file, cut short or damaged ({reason})."
        ) from error
    return content.getvalue()


def compressed_for(path: object, data: bytes) -> bytes:
    """Compress the bytes to write if the file has the suffix of a compression."""
    suffix = Path(path).suffix.lower() if isinstance(path, str | os.PathLike) else ""
    if suffix not in COMPRESSIONS:
        return data
    buffer = pa.BufferOutputStream()
    with pa.CompressedOutputStream(buffer, COMPRESSIONS[suffix]) as stream:
        stream.write(data)
    return buffer.getvalue().to_pybytes()


def decode_utf8(data: bytes, name: str, first_line: int = 1) -> str:
    """Decode UTF-8 text and drop a byte-order mark."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + first_line
        raise FileFormatError(
            f"{name}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8. "
            "Save the file as UTF-8."
        ) from error


def check_numbers_only(sequences: Sequences, kind: str) -> None:
    """Raise ``SchemaError`` if a column is categorical, which a kind of file cannot hold."""
    for i in sequences.schema.categorical:
        raise SchemaError(
            f"Column {sequences.schema.names[i]!r} is categorical, and {kind} file holds numbers "
            "only. Write .npz or .parquet."
        )
