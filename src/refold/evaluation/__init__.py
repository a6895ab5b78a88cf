"""How close reconstructions come: errors, recoveries, the PCA yardstick; and conformal p-values."""

from refold.evaluation._conformal import conformal_margins as conformal_margins
from refold.evaluation._conformal import conformal_p_values as conformal_p_values
from refold.evaluation._conformal import least_calibration as least_calibration
from refold.evaluation._errors import explained_variance as explained_variance
from refold.evaluation._errors import nmse as nmse
from refold.evaluation._errors import squared_errors as squared_errors
from refold.evaluation._forecasts import ForecastErrors as ForecastErrors
from refold.evaluation._forecasts import forecast_errors as forecast_errors
from refold.evaluation._generated import copies as copies
from refold.evaluation._generated import told_apart as told_apart
from refold.evaluation._naive import last_value as last_value
from refold.evaluation._naive import pick_season as pick_season
from refold.evaluation._naive import seasonal_naive as seasonal_naive
from refold.evaluation._pca import PCABaseline as PCABaseline
from refold.evaluation._probe import Probe as Probe
from refold.evaluation._probe import probe as probe
from refold.evaluation._symbols import accuracy as accuracy
from refold.evaluation._symbols import exact as exact
