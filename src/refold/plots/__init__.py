"""Figures of data, training, codes, errors, reconstructions and models, on matplotlib axes.

Every function draws on the given axes, or on new ones, and returns them. None uses pyplot, so
nothing is shown and no global state changes. Needs the extra ``plots``.
"""

from refold.plots import _packages as _packages

# isort: split
from refold.plots._architecture import architecture as architecture
from refold.plots._architecture import architecture_boxes as architecture_boxes
from refold.plots._codes import code_map as code_map
from refold.plots._codes import code_plane as code_plane
from refold.plots._codes import latent_dimensions as latent_dimensions
from refold.plots._codes import sweep as sweep
from refold.plots._measurements import error_by_feature as error_by_feature
from refold.plots._measurements import error_by_length as error_by_length
from refold.plots._measurements import error_by_position as error_by_position
from refold.plots._measurements import error_by_size as error_by_size
from refold.plots._measurements import lengths as lengths
from refold.plots._measurements import loss_curves as loss_curves
from refold.plots._sequences import anomalies as anomalies
from refold.plots._sequences import forecast as forecast
from refold.plots._sequences import reconstruction as reconstruction
from refold.plots._sequences import reconstructions as reconstructions
from refold.plots._sequences import search_hits as search_hits
from refold.plots.charts import PALETTE as PALETTE
from refold.plots.charts import RAMP as RAMP
