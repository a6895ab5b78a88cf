"""`Format` describes a file format, and functions read, check and decode the bytes of files."""

import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from refold._support.atomic_files import make_access_error
from refold.errors import FileFormatError, SchemaError, argument
from refold.sequences._sequences import Sequences

# The codec of Arrow for each suffix of a compressed text file, as in .csv.gz.
CODEC_BY_SUFFIX = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
# The first bytes of compressed files, by codec. A bzip2 file begins with BZh and a digit, but so
# may a text. So the pattern of bzip2 includes the bytes that begin the first block.
_CODEC_SIGNATURES = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "bz2": re.compile(rb"BZh.1AY&SY", re.DOTALL),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
}
# The maximum size of a compressed file after it is unpacked. Without a limit, a small file could
# fill the memory.
_MAX_UNPACKED_BYTES = 1 << 30
# The number of bytes that are unpacked between two checks of this limit.
_UNPACK_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class Format:
    """A file format of sequences."""

    name: str  # what users write for ``format=`` and ``--format``
    suffixes: tuple[str, ...]  # of file names, with the dot; the usual one first
    # reader(content, file_name, **options) takes the bytes of a file
    reader: Callable[..., Sequences]
    read_options: frozenset[str] = frozenset()  # names of the options of `reader`
    # writer(sequences, **options) returns the bytes of a file; None if Refold only reads the format
    writer: Callable[..., bytes] | None = None
    write_options: frozenset[str] = frozenset()  # which of "id", "time" and "layout" it takes
    layouts: tuple[str, ...] = ()  # what ``layout`` of `write` can be, the default first
    signature: bytes = b""  # the first bytes of every file; empty for text
    is_table: bool = False  # whether every file is a table with named columns
    # column_reader(content, file_name) returns the column names. It is None if files have no names,
    # and for Parquet, whose names `read_parquet_column_names` reads from the end of a file.
    column_reader: Callable[[bytes, str], list[str]] | None = None
    # label_reader(content, file_name, label_column, id_column) returns a table with these columns
    label_reader: Callable[[bytes, str, str, str | None], pa.Table] | None = None
    # table_reader(content, file_name, schema=..., as_text=...) returns all rows and columns of a
    # table. If `as_text`, cells of CSV stay text, except those of the features in the schema.
    table_reader: Callable[..., pa.Table] | None = None

    @property
    def is_text(self) -> bool:
        """Whether files are text, which may be compressed."""
        return not self.signature


# In all functions, `content` is the bytes of a file, and `file_name` is its name in messages.


def read_decompressed_bytes(
    path_or_stream: str | os.PathLike[str] | BinaryIO, expected_format: Format, file_name: str
) -> bytes:
    """Return the bytes of a file or a binary stream; compressed text is decompressed."""
    if isinstance(path_or_stream, str | os.PathLike):
        try:
            content = Path(path_or_stream).read_bytes()
        except OSError as error:
            raise make_access_error(path_or_stream, error, writing=False) from error
    else:
        content = path_or_stream.read()
    # compressed text is recognized by its first bytes, so its file needs no suffix such as .gz
    signatures = _CODEC_SIGNATURES.items() if expected_format.is_text else ()
    codec = next((codec for codec, signature in signatures if signature.match(content)), None)
    if codec is not None:
        unpacked = io.BytesIO()
        try:
            with pa.input_stream(pa.BufferReader(content), compression=codec) as stream:
                while chunk := stream.read(_UNPACK_CHUNK_BYTES):
                    unpacked.write(chunk)
                    if unpacked.tell() > _MAX_UNPACKED_BYTES:
                        raise FileFormatError(
                            f"{file_name} unpacks to more than {_MAX_UNPACKED_BYTES >> 30} GiB. If "
                            "that is right, unpack it first, and read the result."
                        )
        except OSError as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise FileFormatError(
                f"{file_name} is not a {expected_format.name} file that can be read. It seems to "
                f"be a {codec} file, cut short or damaged ({reason})."
            ) from error
        content = unpacked.getvalue()
    if not content:
        raise FileFormatError(f"{file_name} is empty: it holds no bytes.")
    check_first_bytes(content, expected_format, file_name)
    return content


def check_first_bytes(content: bytes, expected_format: Format, file_name: str) -> None:
    """Raise ``FileFormatError`` if the first bytes are not of the expected format."""
    if expected_format.is_text:
        # Most binary files have zero bytes near their start, and text has none. Zero bytes are
        # valid UTF-8, so they are checked here. `decode_utf8` finds all other wrong bytes.
        if b"\0" not in content[:4096]:
            return
        problem = "it holds zero bytes, and text does not"
    elif content.startswith(expected_format.signature):
        return
    elif expected_format.signature.startswith(content):  # the file ends within the signature
        raise FileFormatError(f"{file_name} is cut short: it holds only {len(content)} bytes.")
    else:
        problem = f"it begins with {content[:12]!r}"
    article = "an" if expected_format.name[0] == "n" else "a"  # "an npy file"
    raise FileFormatError(
        f"{file_name} is not {article} {expected_format.name} file: {problem}. Write it again, "
        f"or name its format with {argument('format=')}."
    )


def decode_utf8(content: bytes, file_name: str, first_line_number: int = 1) -> str:
    """Return UTF-8 text without a byte-order mark; an error names the line of a wrong byte."""
    # ``first_line_number`` is the line of the file in which ``content`` begins.
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line_number = content.count(b"\n", 0, error.start) + first_line_number
        raise FileFormatError(
            f"{file_name}, line {line_number}: byte 0x{content[error.start]:02x} is not UTF-8. "
            "Save the file as UTF-8."
        ) from error


def check_no_categorical_columns(sequences: Sequences, format_with_article: str) -> None:
    """Raise ``SchemaError`` if a column is categorical; it names the format, such as "an .npy"."""
    categorical = sequences.schema.categorical_indices  # the indices of these columns
    if len(categorical):
        raise SchemaError(
            f"Column {sequences.schema.names[categorical[0]]!r} is categorical, and "
            f"{format_with_article} file holds numbers only. Write .npz or .parquet."
        )
