"""The ways into `Sequences`: one class method for each form that data comes in.

Owns what users read about them; the work is done in the modules they call.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

from refold.sequences.conversion._arrays import parts_from_array, parts_from_padded
from refold.sequences.conversion._list_tables import parts_from_arrow
from refold.sequences.conversion._lists import parts_from_list
from refold.sequences.conversion._long_tables import parts_from_table
from refold.sequences.schema._column_types import Kinds
from refold.sequences.schema._schema import Layout, Schema


class WaysIn:
    """Base of `Sequences` that holds its other ways in."""

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
        column_types: Kinds = None,
        names: Sequence[str] | None = None,
        ids: Any = None,
        schema: Schema | None = None,
        layout: Layout | None = None,
    ) -> Self:
        """Convert a list with one entry a sequence.

        Parameters
        ----------
        sequences : list
            Arrays of shape (length, features) or (length,), lists of numbers, lists of tokens,
            strings (one character a step), or one table a sequence.
        column_types : str, list of str or dict, optional
            Kind of all columns, of each, or of those named; the rest are inferred: text is
            categorical, columns of 0 and 1 are binary, anything else is numeric.
        names : list of str, optional
            Names of the features.
        ids : array of shape (n,), optional
            One integer or text a sequence.
        schema : Schema, optional
            A schema to read the data under, such as that of a fitted model; see `align`.
        layout : str, optional
            What a sequence looks like on the way back, where that differs from what came in.

        Returns
        -------
        Sequences

        Raises
        ------
        DataError
            If the list is empty, or an entry is not what its column holds.
        SchemaError
            If the sequences differ in their features, or from ``schema``.

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
        return cls(*parts) if schema is None else cls(*parts).align(schema)

    @classmethod
    def from_array(
        cls,
        x: Any,
        lengths: Any = None,
        *,
        column_types: Kinds = None,
        names: Sequence[str] | None = None,
        ids: Any = None,
    ) -> Self:
        """Convert a 3-D array, or a 2-D array whose rows are series of one feature.

        Parameters
        ----------
        x : array of shape (n, T, F) or (n, T)
            With ``lengths``, what lies beyond each length is left out. Without, trailing steps
            that are NaN in all features are padding.
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
            If the array has another shape, or a length is not in 0 to ``T``.

        Examples
        --------
        >>> import numpy as np
        >>> from refold.sequences import Sequences
        >>> Sequences.from_array(np.zeros((3, 4, 2)), lengths=[4, 0, 2]).lengths
        array([4, 0, 2])
        """
        return cls(*parts_from_array(x, lengths, column_types=column_types, names=names, ids=ids))

    @classmethod
    def from_padded(
        cls,
        x: Any,
        padding_value: float | str = 0.0,
        *,
        padding: str = "post",
        column_types: Kinds = None,
        names: Sequence[str] | None = None,
        ids: Any = None,
    ) -> Self:
        """Convert an array padded with a value, as Keras's ``pad_sequences`` returns it.

        Lengths are read from the values here, which is a guess: with a remark (a warning) where
        the data speak against it.

        Parameters
        ----------
        x : array of shape (n, T, F) or (n, T)
            Padded sequences.
        padding_value : float or str, default=0.0
            What padded steps hold in all features.
        padding : {"post", "pre"}, default="post"
            The side of the padding. Keras pads in front unless told otherwise.
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
        return cls(
            *parts_from_padded(
                x, padding_value, padding=padding, column_types=column_types, names=names, ids=ids
            )
        )

    @classmethod
    def from_table(
        cls,
        table: Any,
        id: str,  # noqa: A002
        time: str | None = None,
        columns: Sequence[str] | None = None,
        column_types: Kinds = None,
        *,
        sort: bool = False,
    ) -> Self:
        """Convert a long table: one row a step, one column a feature.

        Parameters
        ----------
        table : pandas, polars or Arrow table, or dict of columns
            Anything that speaks the Arrow stream interface.
        id : str
            The column that says which sequence a row belongs to. Sequences come in the order of
            their first row.
        time : str, optional
            The column of times: numbers or dates, ascending and each once within an id; rows of
            different ids may be interleaved. Without, those of one id must be together.
        columns : list of str, optional
            The features; all other columns if left out.
        column_types : str, list of str or dict, optional
            As in `from_list`.
        sort : bool, default=False
            Sort the steps of each sequence by time. Without it, times that do not ascend are an
            error.

        Returns
        -------
        Sequences

        Raises
        ------
        SchemaError
            If a column is not there, or of a type that no feature can have, or ``sort`` is set
            and ``time`` is not.
        DataError
            If the table is empty, an id or time is missing, a time comes twice or after a later
            one within an id, rows of one id are apart though no time is given, or an entry is not
            what its column holds.

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
        return cls(*parts_from_table(table, id, time, columns, column_types, sort=sort))

    @classmethod
    def from_arrow(
        cls,
        table: Any,
        id: str | None = None,  # noqa: A002
        columns: Sequence[str] | None = None,
        column_types: Kinds = None,
    ) -> Self:
        """Convert a table with one row a sequence, its features in list columns.

        Parameters
        ----------
        table : Arrow, pandas or polars table or column
            With lists of numbers or labels, one column a feature; with one column of lists of
            lists, (length, features) each; or with one column of text, one character a step.
        id : str, optional
            The column of ids; a column named ``"id"`` if there is one.
        columns : list of str, optional
            The features; all list columns if left out.
        column_types : str, list of str or dict, optional
            As in `from_list`.

        Returns
        -------
        Sequences

        Raises
        ------
        SchemaError
            If a column is not there, or none holds lists.
        DataError
            If the lists of one row differ in length, or an entry is not what its column holds.

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
