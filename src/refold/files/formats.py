"""What a file format is, and the bytes of a file: its first bytes, compression and text."""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from refold.errors import FileFormatError, SchemaError
from refold.files.paths import access_error
from refold.sequences._sequences import Sequences

# Takes the bytes of a file and its name; returns the names of its columns.
Columns = Callable[[bytes, str], list[str]]
# Takes the bytes of a file, its name, the label column, and the id column or None; returns ids and
# labels, one of each per sequence, with None for a missing label.
Labels = Callable[[bytes, str, str, str | None], tuple[list, list]]

# Arrow's codecs by the second suffix of a text file, as in .csv.gz.
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
# Most bytes of a compressed file, so that a small one cannot fill the memory.
_MOST_BYTES = 1 << 30
_BLOCK_BYTES = 1 << 22
# First bytes of known file types. A zip archive may be an .npz file or something else.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "a Parquet file"),
    (b"\x93NUMPY", "an .npy file"),
    (b"PK\x03\x04", "a zip archive or .npz file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"BZh91AY&SY", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"ARROW1", "an Arrow or Feather file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"MATLAB", "a MATLAB file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file"),
    (b"\x89PNG", "a PNG picture"),
    (b"%PDF", "a PDF document"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
    *((bytes([0x80, i]), "a Python pickle, which is never loaded") for i in range(2, 6)),
)
_NO_TEXT = "an unknown binary file"


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
    columns: Columns | None = None
    labels: Labels | None = None

    @property
    def is_text(self) -> bool:
        """Whether files are text, which may be compressed."""
        return not self.magic


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


def check_content(data: bytes, expected: Format, name: str, advice: str = "") -> None:
    """Raise ``FileFormatError`` if the first bytes are not of the expected format."""
    magic, seems = expected.magic, _likely_type(data)
    if magic:
        if data.startswith(magic):
            return
        if magic.startswith(data):
            raise FileFormatError(f"{name} is cut short: it holds only {len(data)} bytes.{advice}")
    elif seems in {"text", _NO_TEXT} and b"\0" not in data[:4096]:
        return  # decoding names the line of bytes that are not UTF-8
    elif seems == "JSON" and not expected.is_table:
        return
    article = "an" if expected.name[0] == "n" else "a"
    text = "" if magic or seems == "JSON" else ", which is text"
    raise FileFormatError(
        f"{name} is not {article} {expected.name} file{text}. It seems to be {seems}.{advice}"
    )


def _likely_type(data: bytes) -> str:
    """Return what the bytes seem to be, for a message."""
    for signature, meaning in _SIGNATURES:
        if data.startswith(signature):
            return meaning
    begin = data[:4096]
    if b"\0" in begin:
        return _NO_TEXT
    if begin.lstrip()[:1] in {b"{", b"["}:
        return "JSON"
    try:
        begin.decode("utf-8")
    except UnicodeDecodeError as error:
        # The limit may cut the last character in two; an earlier error means it is not text.
        if error.start < len(begin) - 4:
            return _NO_TEXT
    return "text"


def _decompressed(data: bytes, expected: Format, name: str) -> bytes:
    """Return the bytes of a compressed file, and other bytes unchanged."""
    if data.startswith(b"\x1f\x8b"):
        codec = "gzip"
    elif data.startswith(b"\x28\xb5\x2f\xfd"):
        codec = "zstd"
    # Text may begin with BZh, so the signature of the first block is checked, too.
    elif data.startswith(b"BZh") and data[4:10] == b"1AY&SY":
        codec = "bz2"
    else:
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
            f"{name} is not a {expected.name} file that can be read. It seems to be a "
            f"{'bzip2' if codec == 'bz2' else codec} file, cut short or damaged ({reason})."
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
