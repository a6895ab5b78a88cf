"""Writer of ``.ts`` files, with the shortest decimal that restores each number."""

import numpy as np

from refold.errors import DataError, SchemaError
from refold.sequences._sequences import Sequences

__all__ = ["write_ts"]


def write_ts(sequences: Sequences) -> bytes:
    r"""Return one case per line, without labels; a missing value is ``?``.

    Raises
    ------
    SchemaError
        If a column is categorical.
    DataError
        If there is no sequence, or one is empty, which other readers would reject.

    Examples
    --------
    >>> print(write_ts(Sequences.from_list([[0.5, None], [2.0]])).decode().partition("@data\n")[2])
    0.5,?
    2.0
    <BLANKLINE>
    """
    schema, lengths = sequences.schema, sequences.lengths
    if len(schema.categorical):
        column = schema.columns[schema.categorical[0]]
        raise SchemaError(
            f"Column {column.name!r} is categorical, and a .ts file holds numbers only. "
            "Write .npz or .parquet."
        )
    if not len(lengths):
        raise DataError("There is no sequence, and a .ts file needs at least one case.")
    if not lengths.all():
        identity = sequences.ids[lengths == 0][0]
        raise DataError(
            f"The sequence with id {identity!s} is empty, which a .ts file cannot hold. "
            "Leave it out, or write .npz or .parquet."
        )
    equal = lengths.min() == lengths.max()
    header = [
        "@problemName sequences",
        "@timeStamps false",
        f"@missing {_word(bool(np.isnan(sequences.values).any()))}",
        f"@univariate {_word(schema.num_columns == 1)}",
        *([f"@dimensions {schema.num_columns}"] if schema.num_columns > 1 else []),
        f"@equalLength {_word(bool(equal))}",
        *([f"@seriesLength {lengths[0]}"] if equal else []),
        "@classLabel false",
        "@data",
    ]
    columns = [column.astype(str).tolist() for column in sequences.values.T]
    cells = [["?" if cell == "nan" else cell for cell in column] for column in columns]
    bounds = zip(sequences.offsets[:-1].tolist(), sequences.offsets[1:].tolist(), strict=True)
    cases = [":".join(",".join(column[start:stop]) for column in cells) for start, stop in bounds]
    return "".join(f"{line}\n" for line in [*header, *cases]).encode()


def _word(value: bool) -> str:  # noqa: FBT001
    return "true" if value else "false"
