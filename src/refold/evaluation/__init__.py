"""Reconstruction and forecast errors, the PCA baseline, generated sequences, conformal p-values."""

from typing import TYPE_CHECKING

from refold._support.optional_imports import lazy_names as _lazy_names
from refold.evaluation._conformal import adjusted_p_values as adjusted_p_values
from refold.evaluation._conformal import conformal_margins as conformal_margins
from refold.evaluation._conformal import conformal_p_values as conformal_p_values
from refold.evaluation._conformal import least_calibration as least_calibration
from refold.evaluation._entry_errors import SequenceErrors as SequenceErrors
from refold.evaluation._entry_errors import entry_errors as entry_errors
from refold.evaluation._entry_errors import errors_by_feature as errors_by_feature
from refold.evaluation._entry_errors import errors_by_sequence as errors_by_sequence
from refold.evaluation._exact_accuracy import accuracy as accuracy
from refold.evaluation._exact_accuracy import exact as exact
from refold.evaluation._fidelity import Fidelity as Fidelity
from refold.evaluation._fidelity import as_percent as as_percent
from refold.evaluation._fidelity import fidelity as fidelity
from refold.evaluation._forecast_errors import NAIVE as NAIVE
from refold.evaluation._forecast_errors import ForecastAccuracy as ForecastAccuracy
from refold.evaluation._forecast_errors import ForecastErrors as ForecastErrors
from refold.evaluation._forecast_errors import forecast_errors as forecast_errors
from refold.evaluation._grouped_errors import GroupErrors as GroupErrors
from refold.evaluation._grouped_errors import errors_by_length as errors_by_length
from refold.evaluation._grouped_errors import errors_by_position as errors_by_position
from refold.evaluation._naive_forecasts import last_value as last_value
from refold.evaluation._naive_forecasts import linear_continuation as linear_continuation
from refold.evaluation._naive_forecasts import pick_season as pick_season
from refold.evaluation._naive_forecasts import seasonal_naive as seasonal_naive
from refold.evaluation._ngrams import NGRAM_SIZES as NGRAM_SIZES
from refold.evaluation._nmse import explained_variance as explained_variance
from refold.evaluation._nmse import nmse as nmse

if TYPE_CHECKING:
    from refold.evaluation._generated_sequences import Comparison as Comparison
    from refold.evaluation._generated_sequences import compare as compare
    from refold.evaluation._generated_sequences import copies as copies
    from refold.evaluation._generated_sequences import two_sample_test as two_sample_test
    from refold.evaluation._linear_probe import Probe as Probe
    from refold.evaluation._linear_probe import probe as probe
    from refold.evaluation._pca import PCABaseline as PCABaseline
    from refold.evaluation._pca_cross_fit import pca_cross_fit as pca_cross_fit

# need scikit-learn
__getattr__, __dir__ = _lazy_names(
    __name__,
    {
        "_generated_sequences": ("Comparison", "compare", "copies", "two_sample_test"),
        "_linear_probe": ("Probe", "probe"),
        "_pca": ("PCABaseline",),
        "_pca_cross_fit": ("pca_cross_fit",),
    },
)
