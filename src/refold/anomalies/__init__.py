"""Anomaly scores of sequences and steps, and p-values from normal sequences."""

from refold.anomalies._anomaly_methods import AnomalyMixin as AnomalyMixin
from refold.anomalies._anomaly_scores import remember as remember
from refold.anomalies._calibration_split import set_aside as set_aside
from refold.anomalies._detection import Detection as Detection
from refold.anomalies._detection import Reason as Reason
from refold.anomalies._training_fingerprints import check_untrained as check_untrained
from refold.anomalies._training_fingerprints import trained_fingerprints as trained_fingerprints

__all__ = [
    "AnomalyMixin",
    "Detection",
    "Reason",
    "check_untrained",
    "remember",
    "set_aside",
    "trained_fingerprints",
]
