"""Conversions between `Sequences` and the formats of aeon, sktime and tslearn.

Owns their documentation; the modules they call do the conversion.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from refold.sequences._constructors import Constructors
from refold.sequences.conversion._libraries import (
    parts_from_aeon,
    parts_from_sktime,
    parts_from_tslearn,
    to_numbers,
)
from refold.sequences.schema._column_types import ColumnTypes
from refold.sequences.schema._parts import Parts, with_unique_ids


class LibraryConversions(Constructors):
    """Base class of `Sequences` with conversions from and to aeon, sktime and tslearn."""

    if TYPE_CHECKING:

        def _parts(self) -> Parts: ...

        def __len__(self) -> int: ...

        def to_padded(self, value: float = np.nan) -> np.ndarray: ...

        def to_table(self, id: str = "id", time: str = "time") -> pa.Table: ...  # noqa: A002

    @classmethod
    def from_aeon(
        cls,
        X: object,
        *,
        column_types: ColumnTypes = None,
        names: Sequence[str] | None = None,
        ids: Any = None,
    ) -> Self:
        """Convert a collection in aeon's format, channels before time points.

        Parameters
        ----------
        X : array of shape (n_cases, n_channels, n_timepoints) or (n_cases, n_timepoints), or list
            A list holds one array of shape (n_channels, n_timepoints) per case; lengths may
            differ. In an array, trailing time points that are NaN in all channels count as
            padding, as in `from_array`.
        column_types, names, ids
            As in `from_list`.

        Returns
        -------
        Sequences

        Raises
        ------
        DataError
            If the shape is wrong, or there is no case.
        SchemaError
            If cases differ in the number of channels, as they do if the axes are swapped.

        Warns
        -----
        UserWarning
            If the positions of NaN suggest that the axes are swapped.

        Examples
        --------
        >>> import numpy as np
        >>> from refold.sequences import Sequences
        >>> Sequences.from_aeon([np.zeros((2, 5)), np.ones((2, 3))]).lengths
        array([5, 3])
        """
        parts = parts_from_aeon(X, column_types=column_types, names=names, ids=ids)
        return cls(*with_unique_ids(parts))

    @classmethod
    def from_sktime(cls, X: object, *, column_types: ColumnTypes = None) -> Self:
        """Convert an sktime panel.

        Parameters
        ----------
        X : array, list of pandas.DataFrame, or pandas.DataFrame
            An array of shape (instances, variables, time points) (``numpy3D``); a list of frames
            with one row per time point (``df-list``); a frame with an index of instance and time
            point (``pd-multiindex``); or a frame whose cells are series (``nested_univ``). Column
            names become feature names; instances of the index become ids.
        column_types : str, list of str or dict, optional
            As in `from_list`.

        Returns
        -------
        Sequences

        Raises
        ------
        DataError
            If the input has another form, or times do not ascend.
        SchemaError
            If instances differ in their variables, or variables of an instance in their lengths.

        Examples
        --------
        >>> import pandas as pd
        >>> from refold.sequences import Sequences
        >>> index = pd.MultiIndex.from_tuples([("a", 0), ("a", 1), ("b", 0)])
        >>> sequences = Sequences.from_sktime(pd.DataFrame({"x": [1.0, 2.0, 3.0]}, index=index))
        >>> sequences.ids.tolist(), sequences.lengths.tolist()
        (['a', 'b'], [2, 1])
        """
        return cls(*parts_from_sktime(X, column_types=column_types))

    @classmethod
    def from_tslearn(
        cls,
        X: object,
        *,
        column_types: ColumnTypes = None,
        names: Sequence[str] | None = None,
        ids: Any = None,
    ) -> Self:
        """Convert a tslearn data set, padded with NaN.

        Parameters
        ----------
        X : array of shape (n_ts, sz, d)
            Trailing steps that are NaN in all features count as padding, as in tslearn.
        column_types, names, ids
            As in `from_list`.

        Returns
        -------
        Sequences

        Raises
        ------
        DataError
            If the shape is wrong, or there is no series.

        Warns
        -----
        UserWarning
            If the positions of NaN suggest that the axes are swapped.

        Examples
        --------
        >>> import numpy as np
        >>> from refold.sequences import Sequences
        >>> Sequences.from_tslearn(np.array([[[1.0], [2.0]], [[3.0], [np.nan]]])).lengths
        array([2, 1])
        """
        parts = parts_from_tslearn(X, column_types=column_types, names=names, ids=ids)
        return cls(*with_unique_ids(parts))

    def to_aeon(self) -> np.ndarray | list[np.ndarray]:
        """Return a collection in aeon's format, channels before time points.

        Returns
        -------
        array of float64 of shape (n_cases, n_channels, n_timepoints), or list
            A list of arrays of shape (n_channels, n_timepoints) if lengths differ. Missing values
            are NaN.

        Raises
        ------
        SchemaError
            If a column has text categories.

        Examples
        --------
        >>> from refold.sequences import Sequences
        >>> [case.shape for case in Sequences.from_list([[1.0, 2.0], [3.0]]).to_aeon()]
        [(1, 2), (1, 1)]
        """
        parts = self._parts()
        cases = np.split(to_numbers(parts, "aeon").T, parts.offsets[1:-1], axis=1)[: len(self)]
        return np.stack(cases) if len({case.shape for case in cases}) == 1 else cases

    def to_sktime(self, id: str = "instance", time: str = "time") -> Any:  # noqa: A002
        """Return an sktime panel: a pandas frame with an index of instance and time point.

        Parameters
        ----------
        id, time : str
            Names of the two levels of the index.

        Returns
        -------
        pandas.DataFrame
            sktime's ``pd-multiindex``; missing values are ``None`` or NaN.

        Raises
        ------
        DataError, SchemaError
            As in `Sequences.to_table`.

        Warns
        -----
        UserWarning
            If there are empty sequences: they have no rows and are left out.

        Examples
        --------
        >>> from refold.sequences import Sequences
        >>> Sequences.from_list([[1.0, 2.0], [3.0]]).to_sktime().index.tolist()
        [(0, 0), (0, 1), (1, 0)]
        """
        return self.to_table(id, time).to_pandas().set_index([id, time])

    def to_tslearn(self) -> np.ndarray:
        """Return a tslearn data set, padded with NaN.

        Returns
        -------
        array of float64 of shape (n_ts, sz, d)
            ``sz`` is the maximum length, at least 1.

        Raises
        ------
        SchemaError
            If a column has text categories.

        Examples
        --------
        >>> from refold.sequences import Sequences
        >>> Sequences.from_list([[1.0, 2.0], [3.0]]).to_tslearn()[:, :, 0]
        array([[ 1.,  2.],
               [ 3., nan]])
        """
        parts = self._parts()
        return type(self)(to_numbers(parts, "tslearn"), parts.offsets).to_padded()
