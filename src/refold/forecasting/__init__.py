"""What comes after a sequence, how sure that is, and how it compares with the last value again."""

from refold.forecasting._forecast_methods import ForecastMixin as ForecastMixin
from refold.forecasting._forecast_result import Forecast as Forecast

__all__ = ["Forecast", "ForecastMixin"]
