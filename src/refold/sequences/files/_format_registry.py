"""Which file formats there are, and what a file's first bytes say that it is."""

import os
from pathlib import Path

from refold.errors import FileFormatError, ParameterError

__all__ = ["COMPRESSIONS", "FORMATS", "TEXT_FORMATS", "check_content", "format_of"]

FORMATS: dict[str, tuple[str, ...]] = {
    "parquet": (".parquet", ".pq"),
    "csv": (".csv",),
    "tsv": (".tsv",),
    "jsonl": (".jsonl", ".ndjson"),
    "json": (".json",),
    "npz": (".npz",),
    "npy": (".npy",),
    "txt": (".txt",),
    "ts": (".ts",),
}
# Of text alone: a second suffix, as in .csv.gz, and the codec of Arrow.
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
BINARY = {"parquet": b"PAR1", "npz": b"PK\x03\x04", "npy": b"\x93NUMPY"}
TEXT_FORMATS = tuple(name for name in FORMATS if name not in BINARY)

# What a file seems to be by its first bytes. A zip archive is an npz file, or many another.
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
)
PICKLES = tuple(bytes([0x80, version]) for version in range(2, 6))


def format_of(source: object, given: str | None) -> str:
    """Return the format that is asked for by name, or by the suffix of the file.

    A suffix of compression behind that of a text format is passed over.

    Raises
    ------
    ParameterError
        If the format is unknown, or a stream comes without one.
    FileFormatError
        If the suffix is unknown.
    """
    if given is not None:
        given = _without_compression(given)
        if given not in FORMATS:
            raise ParameterError(f"The format {given!r} is unknown. Known: {', '.join(FORMATS)}.")
        return given
    if not isinstance(source, str | os.PathLike):
        raise ParameterError(f"A stream needs format=, one of: {', '.join(FORMATS)}.")
    path = Path(source)
    plain = Path(_without_compression(path.name))
    for name, suffixes in FORMATS.items():
        if plain.suffix.lower() in suffixes:
            return name
    known = ", ".join(suffix for suffixes in FORMATS.values() for suffix in suffixes)
    shown = f"the unknown suffix {path.suffix!r}" if path.suffix else "no suffix"
    raise FileFormatError(
        f"{path} has {shown}. Known: {known}, and text with {', '.join(COMPRESSIONS)} behind it; "
        "or name the format."
    )


def _without_compression(name: str) -> str:
    """Return ``data.csv`` for ``data.csv.gz``, and anything else as it is."""
    stem, dot, suffix = name.rpartition(".")
    kind = stem.rpartition(".")[2].lower()
    text = any(f".{kind}" in FORMATS[one] for one in TEXT_FORMATS)
    return stem if dot and f".{suffix}".lower() in COMPRESSIONS and text else name


def check_content(data: bytes, expected: str, name: str) -> None:
    """Raise ``FileFormatError`` if the bytes are not what the format says.

    Only the first bytes are looked at (and, for text, whether there is a zero byte early on).
    """
    magic = BINARY.get(expected)
    wanted = f"{name} is not {'an' if expected[0] == 'n' else 'a'} {expected} file"
    if magic is not None:
        if data.startswith(magic):
            return
        if magic.startswith(data):
            raise FileFormatError(f"{name} is cut short: it holds only {len(data)} bytes.")
        raise FileFormatError(f"{wanted}. It seems to be {seems(data)}.")
    binary = any(data.startswith(signature) for signature, _ in SIGNATURES)
    if binary or data.startswith(PICKLES) or b"\0" in data[:4096]:
        raise FileFormatError(f"{wanted}, which is text. It seems to be {seems(data)}.")
    if expected in {"csv", "tsv"} and data.lstrip()[:1] in {b"{", b"["}:
        raise FileFormatError(f"{wanted}. It seems to be JSON.")


def seems(data: bytes) -> str:
    """Say what bytes seem to be, for a message."""
    for signature, meaning in SIGNATURES:
        if data.startswith(signature):
            return meaning
    if data.startswith(PICKLES):
        return "a Python pickle, which is never loaded"
    if b"\0" in data[:4096]:
        return "a binary file of another kind"
    if data.lstrip()[:1] in {b"{", b"["}:
        return "JSON"
    try:
        data[:4096].decode("utf-8")
    except UnicodeDecodeError as error:
        # A character may be cut in two by the limit; anything earlier is not text.
        if error.start < len(data[:4096]) - 4:
            return "a binary file of another kind"
    return "text"
