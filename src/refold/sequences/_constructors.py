"""Constructors of `Sequences`: one class method for each form of input.

Owns their documentation; the modules they call do the conversion.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

from refold.sequences.conversion._arrays import parts_from_array, parts_from_padded
from refold.sequences.conversion._list_tables import parts_from_arrow
from refold.sequences.conversion._lists import parts_from_list
from refold.sequences.conversion._long_tables import parts_from_table
from refold.sequences.schema._column_types import ColumnTypes
from refold.sequences.schema._parts import with_unique_ids
from refold.sequences.schema._schema import Layout, Schema


class Constructors:
    """Base class of `Sequences` with the alternative constructors."""

    if TYPE_CHECKING:

        def __init__(
            self, values: Any, offsets: Any, ids: Any = None, schema: Schema | None = None
        ) -> None: ...

        def align(self, schema: Schema) -> Self: ...

    @classmethod
    def from_list(
        cls,
        sequences: Iterable[Any],
        *,
        column_types: ColumnTypes = None,
        names: Sequence[str] | None = None,
        ids: Any = None,
        schema: Schema | None = None,
        layout: Layout | None = None,
    ) -> Self:
        """Convert a list with one entry per sequence.

        Parameters
        ----------
        sequences : list
            Arrays of shape (length, features) or (length,), lists of numbers, lists of tokens,
            strings (one character per step), or one table per sequence.
        column_types : str, list of str or dict, optional
            Type of all columns, of each column, or of the named columns. The rest are inferred:
            text is categorical, columns of 0 and 1 are binary, all others are numeric.
        names : list of str, optional
            Names of the features.
        ids : array of shape (n,), optional
            One integer or string per sequence, each only once.
        schema : Schema, optional
            A schema to align the data with, such as that of a fitted model; see `align`.
        layout : str, optional
            Form of a decoded sequence, if it should differ from the input; see `Schema`.

        Returns
        -------
        Sequences

        Raises
        ------
        DataError
            If the list is empty, an id repeats, or an entry does not fit its column.
        SchemaError
            If the sequences differ in their features, or do not fit ``schema``.

        Examples
        --------
        >>> from refold.sequences import Sequences
        >>> sequences = Sequences.from_list([["view", "buy"], ["view"]])
        >>> sequences.schema.columns[0].categories
        ('buy', 'view')
        """
        parts = parts_from_list(
            sequences, column_types=column_types, names=names, ids=ids, layout=layout
        )
        sequences = cls(*with_unique_ids(parts))
        return sequences if schema is None else sequences.align(schema)

    @classmethod
    def from_array(
        cls,
        x: Any,
        lengths: Any = None,
        *,
        column_types: ColumnTypes = None,
        names: Sequence[str] | None = None,
        ids: Any = None,
    ) -> Self:
        """Convert a 3-D array, or a 2-D array whose rows are series of one feature.

        Parameters
        ----------
        x : array of shape (n, T, F) or (n, T)
            With ``lengths``, steps beyond each length are dropped. Without, trailing steps that
            are NaN in all features count as padding.
        lengths : array of int of shape (n,), optional
            Number of steps of each sequence.
        column_types, names, ids
            As in `from_list`.

        Returns
        -------
        Sequences

        Raises
        ------
        DataError
            If the array has another shape, or a length is outside 0 to ``T``.

        Examples
        --------
        >>> import numpy as np
        >>> from refold.sequences import Sequences
        >>> Sequences.from_array(np.zeros((3, 4, 2)), lengths=[4, 0, 2]).lengths
        array([4, 0, 2])
        """
        parts = parts_from_array(x, lengths, column_types=column_types, names=names, ids=ids)
        return cls(*with_unique_ids(parts))

    @classmethod
    def from_padded(
        cls,
        x: Any,
        padding_value: float | str = 0.0,
        *,
        padding: str = "post",
        column_types: ColumnTypes = None,
        names: Sequence[str] | None = None,
        ids: Any = None,
    ) -> Self:
        """Convert an array padded with a value, as Keras's ``pad_sequences`` returns it.

        Lengths are inferred from the values. A warning is issued where the padding is ambiguous.

        Parameters
        ----------
        x : array of shape (n, T, F) or (n, T)
            Padded sequences.
        padding_value : float or str, default=0.0
            What padded steps hold in all features.
        padding : {"post", "pre"}, default="post"
            Side of the padding. Keras pads in front ("pre") by default.
        column_types, names, ids
            As in `from_list`.

        Returns
        -------
        Sequences

        Raises
        ------
        DataError
            If the array has another shape.

        Examples
        --------
        >>> from refold.sequences import Sequences
        >>> padded = [[[1.0], [2.0], [0.0]], [[3.0], [4.0], [5.0]]]
        >>> Sequences.from_padded(padded).lengths
        array([2, 3])
        """
        parts = parts_from_padded(
            x, padding_value, padding=padding, column_types=column_types, names=names, ids=ids
        )
        return cls(*with_unique_ids(parts))

    @classmethod
    def from_table(
        cls,
        table: Any,
        id: str,  # noqa: A002
        time: str | None = None,
        columns: Sequence[str] | None = None,
        column_types: ColumnTypes = None,
        *,
        sort: bool = False,
        time_gaps: bool = False,
    ) -> Self:
        """Convert a long table: one row per step, one column per feature.

        Parameters
        ----------
        table : pandas, polars or Arrow table, or dict of columns
            Anything that supports the Arrow stream interface.
        id : str
            Name of the column of sequence ids. Sequences are ordered by their first row.
        time : str, optional
            Name of the column of times: numbers or dates, strictly ascending within an id. Rows
            of different ids may be interleaved. Without it, the rows of an id must be contiguous.
        columns : list of str, optional
            Names of the features; by default all other columns.
        column_types : str, list of str or dict, optional
            As in `from_list`.
        sort : bool, default=False
            Sort the steps of each sequence by time. Otherwise, times must ascend.
        time_gaps : bool, default=False
            Add the numeric column ``"time_gap"``: the time since the previous step of the sequence,
            0 for the first one. In seconds for dates and times, else in the unit of ``time``.

        Returns
        -------
        Sequences

        Raises
        ------
        SchemaError
            If a column does not exist or has an unsupported type, ``columns`` names that of the
            ids, or ``sort`` or ``time_gaps`` is set without ``time``.
        DataError
            If the table is empty, an id or time is missing, times repeat or do not ascend within
            an id, rows of an id are not contiguous and no time is given, or an entry does not fit
            its column.

        Examples
        --------
        >>> from refold.sequences import Sequences
        >>> table = {"who": ["a", "b", "a"], "day": [1, 1, 2], "x": [0.1, 5.0, 0.2]}
        >>> sequences = Sequences.from_table(table, id="who", time="day")
        >>> sequences[0][:, 0], sequences.ids.tolist()
        (array([0.1, 0.2]), ['a', 'b'])
        >>> table = {"who": ["a", "a"], "day": [2, 1], "x": [0.2, 0.1]}
        >>> Sequences.from_table(table, id="who", time="day", sort=True)[0][:, 0]
        array([0.1, 0.2])
        """
        parts = parts_from_table(
            table, id, time, columns, column_types, sort=sort, with_gaps=time_gaps
        )
        return cls(*parts)

    @classmethod
    def from_arrow(
        cls,
        table: Any,
        id: str | None = None,  # noqa: A002
        columns: Sequence[str] | None = None,
        column_types: ColumnTypes = None,
    ) -> Self:
        """Convert a table with one row per sequence and features in list columns.

        Parameters
        ----------
        table : Arrow, pandas or polars table or column
            Columns of lists of numbers or tokens, one per feature; or one column of lists of
            lists, each (length, features); or one column of text, one character per step.
        id : str, optional
            Name of the column of ids; by default ``"id"`` if there is such a column.
        columns : list of str, optional
            Names of the features; by default all list columns.
        column_types : str, list of str or dict, optional
            As in `from_list`.

        Returns
        -------
        Sequences

        Raises
        ------
        SchemaError
            If a column does not exist, or none holds lists.
        DataError
            If the lists of a row differ in length, or an entry does not fit its column.

        Examples
        --------
        >>> import pyarrow as pa
        >>> from refold.sequences import Sequences
        >>> table = pa.table({"x": [[1.0, 2.0], [3.0]], "on": [[True, False], [True]]})
        >>> Sequences.from_arrow(table)[0]
        array([[1., 1.],
               [2., 0.]])
        """
        return cls(*parts_from_arrow(table, id, columns, column_types))
