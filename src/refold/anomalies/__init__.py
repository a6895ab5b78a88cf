"""Anomaly scores of sequences and steps, and p-values from normal sequences."""

from typing import TYPE_CHECKING

from refold._support.optional_imports import lazy_names as _lazy_names
from refold.anomalies._anomaly_methods import AnomalyMixin as AnomalyMixin
from refold.anomalies._anomaly_scores import reference_errors as reference_errors
from refold.anomalies._calibration_split import set_aside as set_aside
from refold.anomalies._detection import Detection as Detection
from refold.anomalies._detection import Reason as Reason
from refold.anomalies._drift import Drift as Drift
from refold.anomalies._training_fingerprints import check_untrained as check_untrained
from refold.anomalies._training_fingerprints import describe_trained as describe_trained
from refold.anomalies._training_fingerprints import merge_fingerprints as merge_fingerprints
from refold.anomalies._training_fingerprints import trained_fingerprints as trained_fingerprints
from refold.anomalies._training_fingerprints import warn_of_trained as warn_of_trained

if TYPE_CHECKING:
    from refold.anomalies._reference_statistics import remember as remember

__all__ = [
    "AnomalyMixin",
    "Detection",
    "Drift",
    "Reason",
    "check_untrained",
    "describe_trained",
    "merge_fingerprints",
    "reference_errors",
    "remember",
    "set_aside",
    "trained_fingerprints",
    "warn_of_trained",
]

# needs scikit-learn
__getattr__, __dir__ = _lazy_names(
    __name__, {"_reference_statistics": ("remember",)}, purpose="Training"
)
