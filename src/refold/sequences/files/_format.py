"""The record of a file format, and a check of the first bytes of a file."""

from collections.abc import Callable
from dataclasses import dataclass

from refold.errors import FileFormatError
from refold.sequences._sequences import Sequences

# Arrow's codecs by the second suffix of a text file, as in .csv.gz.
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}

# Takes the bytes of a file and its name; returns the names of its columns.
Columns = Callable[[bytes, str], list[str]]
# Takes the bytes of a file, its name, the label column, and the id column or None; returns ids and
# labels, one of each per sequence, with None for a missing label.
Labels = Callable[[bytes, str, str, str | None], tuple[list, list]]


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


# First bytes of known file types. A zip archive may be an .npz file or something else.
SIGNATURES: tuple[tuple[bytes, str], ...] = (
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


def check_content(data: bytes, expected: Format, name: str) -> None:
    """Raise ``FileFormatError`` if the first bytes are not of the expected format."""
    magic = expected.magic
    wanted = f"{name} is not {'an' if expected.name[0] == 'n' else 'a'} {expected.name} file"
    if magic:
        if data.startswith(magic):
            return
        if magic.startswith(data):
            raise FileFormatError(f"{name} is cut short: it holds only {len(data)} bytes.")
        raise FileFormatError(f"{wanted}. It seems to be {likely_type(data)}.")
    if data.startswith(tuple(begin for begin, _ in SIGNATURES)) or b"\0" in data[:4096]:
        raise FileFormatError(f"{wanted}, which is text. It seems to be {likely_type(data)}.")
    if expected.is_table and data.lstrip()[:1] in {b"{", b"["}:
        raise FileFormatError(f"{wanted}. It seems to be JSON.")


def likely_type(data: bytes) -> str:
    """Return what the bytes seem to be, for a message."""
    for signature, meaning in SIGNATURES:
        if data.startswith(signature):
            return meaning
    if b"\0" in data[:4096]:
        return "an unknown binary file"
    if data.lstrip()[:1] in {b"{", b"["}:
        return "JSON"
    try:
        data[:4096].decode("utf-8")
    except UnicodeDecodeError as error:
        # The limit may cut the last character in two; an earlier error means it is not text.
        if error.start < len(data[:4096]) - 4:
            return "an unknown binary file"
    return "text"
