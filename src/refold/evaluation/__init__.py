"""How close reconstructions come: errors, recoveries, the PCA yardstick; and conformal p-values."""

from refold.evaluation._conformal import conformal_p_values as conformal_p_values
from refold.evaluation._conformal import least_calibration as least_calibration
from refold.evaluation._cross_fit import pca_cross_fit as pca_cross_fit
from refold.evaluation._entries import SequenceErrors as SequenceErrors
from refold.evaluation._entries import entry_errors as entry_errors
from refold.evaluation._entries import errors_by_feature as errors_by_feature
from refold.evaluation._entries import errors_by_sequence as errors_by_sequence
from refold.evaluation._errors import explained_variance as explained_variance
from refold.evaluation._errors import nmse as nmse
from refold.evaluation._errors import squared_errors as squared_errors
from refold.evaluation._generated import copies as copies
from refold.evaluation._generated import told_apart as told_apart
from refold.evaluation._groups import GroupErrors as GroupErrors
from refold.evaluation._groups import errors_by_length as errors_by_length
from refold.evaluation._groups import errors_by_position as errors_by_position
from refold.evaluation._numbers import DEVIATIONS as DEVIATIONS
from refold.evaluation._numbers import CodeNumbers as CodeNumbers
from refold.evaluation._numbers import code_numbers as code_numbers
from refold.evaluation._numbers import sweep as sweep
from refold.evaluation._pca import PCABaseline as PCABaseline
from refold.evaluation._probe import Probe as Probe
from refold.evaluation._probe import probe as probe
from refold.evaluation._symbols import accuracy as accuracy
from refold.evaluation._symbols import exact as exact
