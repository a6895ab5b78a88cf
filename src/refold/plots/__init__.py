"""Figures of training, codes, sizes, reconstructions, odd steps and models, on matplotlib axes.

Every function draws on the axes that it is given, or on new ones, and returns them. pyplot is
never touched, so nothing is shown, kept open or changed behind the caller's back. Needs the
extra ``plots``.
"""

from refold.plots._anomalies import anomalies as anomalies
from refold.plots._architecture import architecture as architecture
from refold.plots._codes import code_map as code_map
from refold.plots._forecasts import forecast as forecast
from refold.plots._losses import loss_curves as loss_curves
from refold.plots._reconstructions import reconstruction as reconstruction
from refold.plots._reconstructions import reconstructions as reconstructions
from refold.plots._sizes import error_by_size as error_by_size

__all__ = [
    "anomalies",
    "architecture",
    "code_map",
    "error_by_size",
    "forecast",
    "loss_curves",
    "reconstruction",
    "reconstructions",
]
