"""The ways into `Sequences` from the layouts of time series libraries, and back.

Owns what users read about them; the work is done in the modules they call.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from refold.sequences.conversion._aeon_tslearn import parts_from_aeon, parts_from_tslearn, to_cases
from refold.sequences.conversion._sktime import parts_from_sktime
from refold.sequences.schema._column_types import Kinds
from refold.sequences.schema._parts import Parts
from refold.sequences.schema._schema import Schema


class LibraryWays:
    """Base of `Sequences` that knows the layouts of aeon, sktime and tslearn."""

    if TYPE_CHECKING:

        def __init__(
            self, values: Any, offsets: Any, ids: Any = None, schema: Schema | None = None
        ) -> None: ...

        def _parts(self) -> Parts: ...

        def to_table(self, id: str = "id", time: str = "time") -> pa.Table: ...  # noqa: A002

    @classmethod
    def from_aeon(
        cls,
        X: Any,
        *,
        column_types: Kinds = None,
        names: Sequence[str] | None = None,
        ids: Any = None,
    ) -> Self:
        """Convert a collection in aeon's layout, channels before time points.

        Parameters
        ----------
        X : array of shape (n_cases, n_channels, n_timepoints) or (n_cases, n_timepoints), or list
            A list holds one array of shape (n_channels, n_timepoints) a case, whose lengths may
            differ and are taken as they are. In an array, trailing time points that are NaN in
            all channels are padding, as in `from_array`.
        column_types, names, ids
            As in `from_list`.

        Returns
        -------
        Sequences

        Raises
        ------
        DataError
            If it has another shape, or no case.
        SchemaError
            If cases differ in their channels, as they do where the axes are swapped.

        Warns
        -----
        UserWarning
            If the axes seem to be swapped, by where NaN lies.

        Examples
        --------
        >>> import numpy as np
        >>> from refold.sequences import Sequences
        >>> Sequences.from_aeon([np.zeros((2, 5)), np.ones((2, 3))]).lengths
        array([5, 3])
        """
        return cls(*parts_from_aeon(X, column_types=column_types, names=names, ids=ids))

    @classmethod
    def from_sktime(cls, X: Any, *, column_types: Kinds = None) -> Self:
        """Convert a panel of sktime's.

        Parameters
        ----------
        X : array, list of pandas.DataFrame, or pandas.DataFrame
            An array of shape (instances, variables, time points) (``numpy3D``); a list of frames
            with one row a time point (``df-list``); a frame with an index of instance and time
            point (``pd-multiindex``); or a frame whose cells are series (``nested_univ``). The
            columns of frames give the names, and the instances of the index the ids.
        column_types : str, list of str or dict, optional
            As in `from_list`.

        Returns
        -------
        Sequences

        Raises
        ------
        DataError
            If it is none of these, or times do not ascend.
        SchemaError
            If the instances differ in their variables, or the variables of one in their lengths.

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
        X: Any,
        *,
        column_types: Kinds = None,
        names: Sequence[str] | None = None,
        ids: Any = None,
    ) -> Self:
        """Convert a data set of tslearn's, padded with NaN.

        Parameters
        ----------
        X : array of shape (n_ts, sz, d)
            Trailing steps that are NaN in all features are padding, as in tslearn.
        column_types, names, ids
            As in `from_list`.

        Returns
        -------
        Sequences

        Raises
        ------
        DataError
            If the array has another shape, or no series.

        Warns
        -----
        UserWarning
            If the axes seem to be swapped, by where NaN lies.

        Examples
        --------
        >>> import numpy as np
        >>> from refold.sequences import Sequences
        >>> Sequences.from_tslearn(np.array([[[1.0], [2.0]], [[3.0], [np.nan]]])).lengths
        array([2, 1])
        """
        return cls(*parts_from_tslearn(X, column_types=column_types, names=names, ids=ids))

    def to_aeon(self) -> np.ndarray | list[np.ndarray]:
        """Return a collection in aeon's layout, channels before time points.

        Returns
        -------
        array of float64 of shape (n_cases, n_channels, n_timepoints), or list
            A list of arrays of shape (n_channels, n_timepoints) where lengths differ. NaN is
            missing.

        Raises
        ------
        SchemaError
            If a column has labels that are text.

        Examples
        --------
        >>> from refold.sequences import Sequences
        >>> [case.shape for case in Sequences.from_list([[1.0, 2.0], [3.0]]).to_aeon()]
        [(1, 2), (1, 1)]
        """
        cases = [case.T for case in to_cases(self._parts(), "aeon")]
        return np.stack(cases) if len({case.shape for case in cases}) == 1 else cases

    def to_sktime(self, id: str = "instance", time: str = "time") -> Any:  # noqa: A002
        """Return a panel of sktime's, a pandas frame with an index of instance and time point.

        Parameters
        ----------
        id, time : str
            Names of the two levels of the index.

        Returns
        -------
        pandas.DataFrame
            sktime's ``pd-multiindex``; ``None`` or NaN is missing.

        Raises
        ------
        DataError, SchemaError
            As in `Sequences.to_table`.

        Warns
        -----
        UserWarning
            Where there are empty sequences: they have no row and are left out.

        Examples
        --------
        >>> from refold.sequences import Sequences
        >>> Sequences.from_list([[1.0, 2.0], [3.0]]).to_sktime().index.tolist()
        [(0, 0), (0, 1), (1, 0)]
        """
        return self.to_table(id, time).to_pandas().set_index([id, time])

    def to_tslearn(self) -> np.ndarray:
        """Return a data set of tslearn's, padded with NaN.

        Returns
        -------
        array of float64 of shape (n_ts, sz, d)
            ``sz`` is the greatest length, at least 1.

        Raises
        ------
        SchemaError
            If a column has labels that are text.

        Examples
        --------
        >>> from refold.sequences import Sequences
        >>> Sequences.from_list([[1.0, 2.0], [3.0]]).to_tslearn()[:, :, 0]
        array([[ 1.,  2.],
               [ 3., nan]])
        """
        parts = self._parts()
        cases = to_cases(parts, "tslearn")
        num_steps = max([1, *map(len, cases)])
        padded = np.full((len(cases), num_steps, parts.schema.num_columns), np.nan)
        for row, case in zip(padded, cases, strict=True):
            row[: len(case)] = case
        return padded
