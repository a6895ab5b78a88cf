"""`forecast` and `forecast_errors`, the forecasting methods of the estimator."""

from typing import Any

import numpy as np

from refold._estimator_base import EstimatorBase
from refold._support.argument_checks import check_rate, check_whole
from refold._support.scikit_learn_protocol import check_fitted
from refold.anomalies import warn_of_trained
from refold.errors import DataError, ParameterError, argument, spelled
from refold.evaluation import (
    ForecastErrors,
    conformal_margins,
    forecast_errors,
    least_calibration,
)
from refold.forecasting._forecast_result import Forecast
from refold.inference import Specification, continued, split_last
from refold.sequences import Sequences, split_at, stored_model
from refold.storage import Residuals

# Cap on residuals that a model stores; minimum number of sequences for them.
_MOST_RESIDUALS, _FEWEST = 1 << 21, 256
# Bounds are wider by this share, because equal forecasts may differ by rounding.
_ROUNDING = 1e-4


class ForecastMixin(EstimatorBase):
    """Methods for forecasting, for an estimator that encodes and forecasts.

    Examples
    --------
    >>> import refold
    >>> issubclass(refold.SequenceAutoencoder, ForecastMixin)
    True
    """

    def forecast(
        self,
        X: Any,
        steps: int | None = None,
        *,
        alpha: float | None = None,
        context: int | None = None,
        clip: bool = False,
    ) -> Forecast:
        """Forecast the next steps of sequences. The model must be fitted with ``forecast_steps``.

        Bounds come from split-conformal calibration: if sequences from the distribution of the
        calibration sequences are cut before their last ``forecast_steps`` steps, at most a share
        ``alpha`` of the values of each step and column lies outside the bounds, on average.

        Parameters
        ----------
        X : Sequences, list of arrays, array or table
            Data with the columns of the training data.
        steps : int, optional
            Number of steps. The default and maximum is the ``forecast_steps`` of the model.
        alpha : float, optional
            Share of values outside the bounds. The default is 0.1 if there are enough calibration
            sequences for it; otherwise there are no bounds.
        context : int, optional
            Maximum number of last steps to read. The default is ``max_steps_ - forecast_steps``,
            the longest input before a full forecast in training. Other values give no bounds,
            because bounds are measured with the default.
        clip : bool, default=False
            Clip each numeric column to its range in the training data. Bounds are not clipped, and
            always contain the forecast.

        Returns
        -------
        Forecast

        Raises
        ------
        ParameterError
            If the model was not fitted to forecast, or for fewer steps; if ``alpha`` or ``context``
            is invalid; or if ``alpha`` is given and there can be no bounds.
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
        check_fitted(self)
        steps = _steps(self, steps)
        margins, alpha = _margins(self, alpha, steps, context)
        _refuse_codes(self, X)
        sequences = self._in_memory(X)
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
        self,
        X: Any,
        steps: int | None = None,
        *,
        season: int | None = None,
        context: int | None = None,
    ) -> ForecastErrors:
        """Forecast the last steps of sequences from the earlier ones, and measure the errors.

        Sequences are cut before their last ``forecast_steps`` steps, as half of them are in
        training. The first ``steps`` of the forecast are measured.

        Parameters
        ----------
        X : Sequences, list of arrays, array or table
            Sequences that were not trained on. Those with at most ``forecast_steps`` steps are left
            out.
        steps : int, optional
            Number of forecast steps to measure; by default all.
        context : int, optional
            As for ``forecast``.
        season : int, optional
            Number of steps in a season, for the seasonal baseline. By default
            `refold.evaluation.pick_season` finds it.

        Returns
        -------
        ForecastErrors

        Raises
        ------
        ParameterError
            If the model was not fitted to forecast, or an argument is invalid.
        DataError
            If no sequence is longer than the forecast.

        Warns
        -----
        UserWarning
            If the model was trained on some of the sequences, or many values are far outside of the
            training data.

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
        check_fitted(self)
        steps = _steps(self, steps)
        if season is not None:
            season = check_whole("season", season)
        sequences = self._in_memory(X)
        warn_of_trained(sequences, self._fitted.trained, "forecast")
        trained = self._network.specification.forecast_steps
        longer, before, after = split_last(sequences, trained)
        if not len(longer):
            raise DataError(
                f"Forecasting the last {trained} steps needs longer sequences, and the longest of "
                f"{len(sequences)} has {int(sequences.lengths.max(initial=0))}. Give longer ones."
            )
        after, _ = split_at(after, steps)
        ahead = self._continued(_latest(before, context, self._network.specification))
        return forecast_errors(before, after, ahead, self._fitted.units, season=season)

    def _continued(self, before: Sequences) -> Sequences:
        return continued(before, self._network, self.scaler_, verbose=self.verbose)

    def _residuals(self, sequences: Sequences) -> Residuals:
        """Return the absolute errors of forecasts of the last steps of sequences."""
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


def _steps(estimator: EstimatorBase, steps: Any) -> int:
    """Check the number of steps to forecast; the default is that of the fit."""
    trained = estimator._network.specification.forecast_steps
    if not trained:
        raise ParameterError(
            "This model was fitted to reconstruct, not to forecast. Fit one with "
            f"{argument(forecast_steps=10)}, for ten steps."
        )
    steps = trained if steps is None else check_whole("steps", steps)
    if steps > trained:
        raise ParameterError(
            f"steps is {steps}, and the model was fitted to forecast {trained}. Ask for no more, "
            f"or fit one with {argument(forecast_steps=steps)}."
        )
    return steps


def _refuse_codes(estimator: EstimatorBase, X: Any) -> None:
    """Say what codes lack for a forecast, if these are codes and not sequences."""
    specification = estimator._network.specification
    recent = specification.recent_steps
    # rows of an array may be sequences of a single column
    several = estimator.schema_.num_columns > 1
    plain = several and isinstance(X, np.ndarray) and X.shape[1:] == (specification.latent_dim,)
    if recent and (plain or stored_model(X) is not None):
        raise DataError(
            f"A forecast reads the last {recent} step{'s' * (recent > 1)} of each sequence beside "
            "its code, and codes do not have them. Pass the sequences instead of their codes."
        )


def _margins(
    estimator: EstimatorBase, alpha: Any, steps: int, context: Any
) -> tuple[Any, float | None]:
    """Return the margins by step and column, and the share of values outside them.

    If no share is requested and there can be no bounds, both are None.
    """
    asked = alpha is not None
    alpha = check_rate("alpha", alpha if asked else 0.1, "a share of values outside the bounds,")
    residuals = estimator._fitted.residuals
    specification = estimator._network.specification
    reason = None
    if not estimator.schema_.numeric.any():
        reason = "Bounds need numbers, and no column is numeric. Leave alpha out."
    elif _context(context, specification) != _context(None, specification):
        reason = (
            "Bounds are measured with the default context, and hold for this alone. Leave out "
            "context or alpha."
        )
    elif residuals is None:
        reason = (
            "Bounds of a forecast need sequences that were not trained on, and there are none. Fit "
            f"with {argument(calibration_fraction=0.2)}, or "
            f"{spelled('give some to calibrate()', 'give --normal DATA')}."
        )
    elif (there := len(residuals.absolute)) < (needed := least_calibration(alpha)):
        reason = (
            f"{argument(alpha=alpha)} needs at least {needed} calibration sequences that are "
            f"longer than the forecast, and there {'is' if there == 1 else 'are'} {there}. "
            "Give more" + (", or ask for a larger share." if there else ".")
        )
    if reason is None and residuals is not None:
        margins = conformal_margins(residuals.absolute[:, :steps], alpha)
        return margins * (1.0 + _ROUNDING), alpha
    if asked:
        raise ParameterError(reason)
    return None, None


def _context(context: Any, specification: "Specification") -> int:
    """Return how many of the last steps to read; by default the longest input in training."""
    if context is None:
        return specification.max_steps - specification.forecast_steps
    return check_whole("context", context)


def _latest(sequences: Sequences, context: Any, specification: "Specification") -> Sequences:
    """Return the last steps of each sequence, which are to be read."""
    first = np.maximum(0, sequences.lengths - _context(context, specification))
    return split_at(sequences, first)[1] if first.any() else sequences
