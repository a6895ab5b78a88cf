"""What comes after a sequence, how sure that is, and how it compares with the last value again."""

from refold.forecasting._forecast import Forecast as Forecast
from refold.forecasting._mixin import ForecastMixin as ForecastMixin

__all__ = ["Forecast", "ForecastMixin"]
