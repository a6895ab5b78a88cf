"""What an estimator can say of what comes next, if it was fitted to continue sequences."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from refold._support.argument_checks import check_rate, check_whole
from refold.errors import DataError, ParameterError
from refold.evaluation import (
    ForecastErrors,
    conformal_margins,
    forecast_errors,
    least_calibration,
)
from refold.forecasting._forecast_result import Forecast
from refold.inference import continued, split_last
from refold.models import Specification
from refold.sequences import Sequences, as_sequences, split_at
from refold.storage import Residuals

__all__ = ["ForecastMixin"]

# Residuals at most that a model keeps, and sequences that have them all the same.
_MOST_RESIDUALS, _FEWEST = 1 << 21, 256
# A share by which equal forecasts may differ by rounding alone, and bounds are wider for it.
_ROUNDING = 1e-4


class ForecastMixin:
    """``forecast`` and ``forecast_errors``, of an estimator that encodes and continues.

    Examples
    --------
    >>> import refold
    >>> issubclass(refold.SequenceAutoencoder, ForecastMixin)
    True
    """

    def calibrate(self: Any, normal: Any) -> Any:
        """Learn from sequences not trained on how odd normal ones are, and how far forecasts err.

        ``fit`` does it by itself where ``calibration_fraction`` sets some aside. ``detect``
        measures others by them, and ``forecast`` gives bounds.

        Parameters
        ----------
        normal : Sequences, list of arrays, array or table
            Sequences as they should be. They must not have been trained on: those come back better
            than new ones, which would then all look odd. For a rate ``alpha`` of false alarms, or
            of values beyond the bounds of a forecast, it takes at least ``1 / alpha - 1`` of them.

        Returns
        -------
        SequenceAutoencoder

        Raises
        ------
        DataError
            If there is none, they cannot be used, or they are the training sequences.
        ParameterError
            If the model's file keeps no codes of its training data.

        Warns
        -----
        UserWarning
            If some of them are training sequences.
        """
        check_is_fitted(self)
        sequences = self._aligned(as_sequences(normal))
        self._check_untrained(sequences)
        return self._measure_normal(sequences)

    def _measure_normal(self: Any, sequences: Sequences) -> Any:
        """Calibrate by sequences that were checked."""
        self._calibrate(sequences)
        if self._network.forecaster is not None and self.schema_.numeric.any():
            self._fitted = self._fitted._replace(residuals=self._residuals(sequences))
        return self

    def forecast(
        self: Any,
        X: Any,
        steps: int | None = None,
        *,
        alpha: float | None = None,
        context: int | None = None,
        clip: bool = False,
    ) -> Forecast:
        """Continue sequences, of a model that was fitted with ``forecast_steps``.

        The bounds are those of split-conformal calibration: of sequences drawn as the calibration's
        were and cut before their last ``forecast_steps`` steps, a share of ``alpha`` at most of the
        values of any one step and column lies outside of them, on average.

        Parameters
        ----------
        X : Sequences, list of arrays, array or table
            With the columns of the training data.
        steps : int, optional
            How many steps; by default, and at most, as many as the model was fitted for.
        alpha : float, optional
            Share of values beyond the bounds; by default 0.1 where the model was calibrated by
            enough sequences for that, and else no bounds.
        context : int, optional
            Read no more than so many of the last steps; by default ``max_steps_ -
            forecast_steps``, the most that there were in training before all that is forecast.
            With another there are no bounds, since they are measured with this one.
        clip : bool, default=False
            Keep each numeric column within the range that it had in training. Bounds are not
            clipped, and reach at least to the forecast.

        Returns
        -------
        Forecast

        Raises
        ------
        ParameterError
            If the model was not fitted to forecast, or not for so many steps; if ``alpha`` or
            ``context`` cannot be, or bounds are asked for that cannot be had.
        DataError
            If the sequences cannot be used.

        Examples
        --------
        >>> import refold
        >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
        >>> ae = refold.SequenceAutoencoder(
        ...     4, forecast_steps=5, units=8, latent_steps=0, max_epochs=2, random_state=0
        ... ).fit(sines)
        >>> [ahead.shape for ahead in ae.forecast(sines[:2], steps=3).values]
        [(3,), (3,)]
        """
        check_is_fitted(self)
        steps = _steps(self, steps)
        margins, alpha = _margins(self, alpha, steps, context)
        sequences = self._aligned(as_sequences(X))
        sequences = _latest(sequences, context, self._network.specification)
        ahead = self._continued(sequences)
        ahead, _ = split_at(ahead, steps)
        written = self.scaler_.clip(ahead) if clip else ahead
        if margins is None:
            return Forecast(written)
        shape = len(ahead), steps, self.schema_.num_columns
        inner, values = (
            np.where(self.schema_.numeric, one.values.astype(float).reshape(shape), np.nan)
            for one in (written, ahead)
        )
        lower, upper = np.minimum(values - margins, inner), np.maximum(values + margins, inner)
        return Forecast(written, alpha, lower, upper)

    def forecast_errors(
        self: Any,
        X: Any,
        steps: int | None = None,
        *,
        season: int | None = None,
        context: int | None = None,
    ) -> ForecastErrors:
        """Forecast the last steps of sequences from those before, and measure how well.

        Sequences are cut before their last ``forecast_steps`` steps, as half of them are in
        training, and of those the first ones count.

        Parameters
        ----------
        X : Sequences, list of arrays, array or table
            Not trained on. Those that are no longer than what is forecast are left out.
        steps : int, optional
            How many of the steps count; by default all.
        context : int, optional
            As of ``forecast``.
        season : int, optional
            Steps of a season, for the seasonal forecast beside it; by default as
            `refold.evaluation.pick_season` finds it.

        Returns
        -------
        ForecastErrors

        Raises
        ------
        ParameterError
            If the model was not fitted to forecast, or an argument cannot be used.
        DataError
            If no sequence is longer than what is forecast.

        Examples
        --------
        >>> import refold
        >>> sines = refold.datasets.noisy_sines(80, seed=0, max_steps=30)
        >>> ae = refold.SequenceAutoencoder(
        ...     4, forecast_steps=5, units=8, latent_steps=0, max_epochs=2, random_state=0
        ... ).fit(sines[:40])
        >>> ae.forecast_errors(sines[40:]).num_sequences
        40
        """
        check_is_fitted(self)
        steps = _steps(self, steps)
        if season is not None:
            season = check_whole("season", season)
        sequences = self._aligned(as_sequences(X))
        trained = self._network.specification.forecast_steps
        longer, before, after = split_last(sequences, trained)
        if not len(longer):
            raise DataError(
                f"To forecast the last {trained} steps takes a longer sequence, and the longest of "
                f"{len(sequences)} has {int(sequences.lengths.max(initial=0))}. Give longer ones."
            )
        after, _ = split_at(after, steps)
        ahead = self._continued(_latest(before, context, self._network.specification))
        return forecast_errors(before, after, ahead, self._fitted.units, season=season)

    def _continued(self: Any, before: Sequences) -> Sequences:
        return continued(before, self._network, self.scaler_, verbose=self.verbose)

    def _residuals(self: Any, sequences: Sequences) -> Residuals:
        """Return how far forecasts of the last steps of sequences lie from those."""
        trained = self._network.specification.forecast_steps
        longer, before, after = split_last(sequences, trained)
        most = max(_FEWEST, _MOST_RESIDUALS // (trained * self.schema_.num_columns))
        if len(longer) > most:
            rng = np.random.default_rng(0xF04E)
            chosen = np.sort(rng.choice(len(longer), most, replace=False))
            before, after = before[chosen], after[chosen]
        ahead = self._continued(_latest(before, None, self._network.specification))
        errors = np.abs(np.asarray(after.values, float) - ahead.values)
        errors = np.where(self.schema_.numeric, errors, np.nan)
        return Residuals(errors.reshape(len(before), trained, self.schema_.num_columns))


def _steps(estimator: Any, steps: Any) -> int:
    """Return how many steps to forecast: as many as the model was fitted for, or fewer."""
    trained = estimator._network.specification.forecast_steps
    if not trained:
        raise ParameterError(
            "This model was fitted to reconstruct, not to forecast. Fit one with "
            "forecast_steps=10, for ten steps."
        )
    steps = trained if steps is None else check_whole("steps", steps)
    if steps > trained:
        raise ParameterError(
            f"steps is {steps}, and the model was fitted to forecast {trained}. Ask for no more, "
            f"or fit one with forecast_steps={steps}."
        )
    return steps


def _margins(estimator: Any, alpha: Any, steps: int, context: Any) -> tuple[Any, float | None]:
    """Return the width of the bounds by step and column, and the share that lies beyond them.

    Where no share is asked for, there are bounds if they can be had.
    """
    asked = alpha is not None
    alpha = check_rate("alpha", alpha if asked else 0.1, "a share of values beyond the bounds,")
    residuals = estimator._fitted.residuals
    specification = estimator._network.specification
    why = None
    if not estimator.schema_.numeric.any():
        why = "Bounds are of numbers, and no column is numeric. Leave alpha out."
    elif _context(context, specification) != _context(None, specification):
        why = (
            "Bounds are measured on forecasts of the default context, and hold for these alone. "
            "Leave out context or alpha."
        )
    elif residuals is None:
        why = (
            "Bounds of a forecast are measured on sequences that were not trained on, and there "
            "are none. Fit with calibration_fraction=0.2, or give some to calibrate()."
        )
    elif (there := len(residuals.absolute)) < (needed := least_calibration(alpha)):
        why = (
            f"alpha={alpha:g} needs at least {needed} sequences to calibrate by that are longer "
            f"than what is forecast, and there {'is' if there == 1 else 'are'} {there}. Give more"
            + (", or ask for a larger share." if there else ".")
        )
    if why is None and residuals is not None:
        margins = conformal_margins(residuals.absolute[:, :steps], alpha)
        return margins * (1.0 + _ROUNDING), alpha
    if asked:
        raise ParameterError(why)
    return None, None


def _context(context: Any, specification: Specification) -> int:
    """Return how many of the last steps to read: those asked for, or as many as in training."""
    if context is None:
        return specification.max_steps - specification.forecast_steps
    return check_whole("context", context)


def _latest(sequences: Sequences, context: Any, specification: Specification) -> Sequences:
    """Leave of each sequence the steps that are to be read."""
    first = np.maximum(0, sequences.lengths - _context(context, specification))
    return split_at(sequences, first)[1] if first.any() else sequences
