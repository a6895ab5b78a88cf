"""Figures of data, training, codes, errors, reconstructions and models, on matplotlib axes.

Every function draws on the given axes, or on new ones, and returns them. None uses pyplot, so
nothing is shown and no global state changes. Needs the extra ``plots``.
"""

from refold.plots import _packages as _packages

# isort: split
from refold.plots._anomalies import anomalies as anomalies
from refold.plots._architecture import architecture as architecture
from refold.plots._architecture import layer_table as layer_table
from refold.plots._architecture import shape_text as shape_text
from refold.plots._code_map import code_map as code_map
from refold.plots._code_plane import code_plane as code_plane
from refold.plots._code_sweeps import latent_dimensions as latent_dimensions
from refold.plots._code_sweeps import strips_of as strips_of
from refold.plots._code_sweeps import sweep as sweep
from refold.plots._error_bars import error_by_feature as error_by_feature
from refold.plots._error_bars import error_by_length as error_by_length
from refold.plots._error_bars import error_by_position as error_by_position
from refold.plots._forecasts import forecast as forecast
from refold.plots._length_histogram import lengths as lengths
from refold.plots._loss_curves import loss_curves as loss_curves
from refold.plots._reconstructions import reconstruction as reconstruction
from refold.plots._reconstructions import reconstructions as reconstructions
from refold.plots._search_hits import search_hits as search_hits
from refold.plots._size_curve import error_by_size as error_by_size
from refold.plots._style import PALETTE as PALETTE
from refold.plots._style import RAMP as RAMP

__all__ = [
    "PALETTE",
    "RAMP",
    "anomalies",
    "architecture",
    "code_map",
    "code_plane",
    "error_by_feature",
    "error_by_length",
    "error_by_position",
    "error_by_size",
    "forecast",
    "latent_dimensions",
    "layer_table",
    "lengths",
    "loss_curves",
    "reconstruction",
    "reconstructions",
    "search_hits",
    "shape_text",
    "strips_of",
    "sweep",
]
