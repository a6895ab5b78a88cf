"""Forecasts of the next steps of sequences, with bounds and errors."""

from refold.forecasting._forecast_methods import ForecastMixin as ForecastMixin
from refold.forecasting._forecast_result import Forecast as Forecast

__all__ = ["Forecast", "ForecastMixin"]
