"""Result of `forecast`: the next steps and their bounds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from refold.errors import SchemaError
from refold.sequences import Sequences


@dataclass(frozen=True)
class Forecast:
    """Forecast of the next steps of sequences.

    Attributes
    ----------
    sequences : Sequences of shape (n_sequences,)
        Next steps, with the ids of the sequences that they continue.
    alpha : float or None
        Largest share of values outside the bounds, for each step and column, on average over the
        draw of the calibration sequences; None if there are no bounds.
    lower, upper : array of shape (n_sequences, n_steps, n_columns) or None
        Bounds in the units of the data. They are NaN for columns that are not numeric, and infinite
        if too few calibration sequences had a value; both are null in a table.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(80, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(
    ...     latent_dim=4, forecast_steps=5, units=8, latent_steps=0, max_epochs=2, random_state=0
    ... ).fit(sines[:40])
    >>> ae = ae.calibrate(sines[40:])
    >>> ahead = ae.forecast(sines[:2], alpha=0.2)
    >>> ahead.values[0].shape, ahead.upper.shape, bool((ahead.upper > ahead.lower).all())
    ((5,), (2, 5, 1), True)
    >>> ahead.to_table().column_names
    ['id', 'step', 'x0', 'x0_lower', 'x0_upper']
    """

    sequences: Sequences
    alpha: float | None = None
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None

    @property
    def ids(self) -> np.ndarray:
        """Ids of the sequences, array (n,)."""
        return self.sequences.ids

    @property
    def values(self) -> list[Any]:
        """Next steps of each sequence, in the layout of the training data."""
        return self.sequences.to_list()

    def to_table(self, id: str = "id") -> pa.Table:  # noqa: A002
        """Return one row per step: id, number of the step from 1, columns and bounds.

        Parameters
        ----------
        id : str
            Name of the id column.

        Returns
        -------
        pyarrow.Table

        Raises
        ------
        DataError
            If an id occurs twice.
        SchemaError
            If a column has the name of the id column, of ``step``, or of another column's bound.
        """
        schema = self.sequences.schema
        table = self.sequences.to_table(id=id, time="step")
        num_steps = table.num_rows // max(1, len(self.sequences))
        found = {name: table[name] for name in table.column_names}
        found["step"] = pa.array(np.tile(np.arange(1, num_steps + 1), len(self.sequences)))
        if self.lower is None or self.upper is None:
            return pa.table(found)
        for column in np.flatnonzero(schema.numeric):
            for bound, values in (("lower", self.lower), ("upper", self.upper)):
                name = f"{schema.names[column]}_{bound}"
                if name in schema.names:
                    raise SchemaError(
                        f"The column {name!r} has the name of a bound of "
                        f"{schema.names[column]!r}. Give it another."
                    )
                found[name] = _column(values[:, :, column])
        order = [id, "step"]
        for name in schema.names:
            order += [n for n in (name, f"{name}_lower", f"{name}_upper") if n in found]
        return pa.table({name: found[name] for name in dict.fromkeys(order)})


def _column(values: np.ndarray) -> pa.Array:
    return pa.array(np.where(np.isfinite(values), values, np.nan).ravel(), from_pandas=True)
