"""How close reconstructions come: masked errors, recoveries of symbols, and the PCA yardstick."""

from refold.evaluation._errors import explained_variance as explained_variance
from refold.evaluation._errors import nmse as nmse
from refold.evaluation._errors import squared_errors as squared_errors
from refold.evaluation._pca import PCABaseline as PCABaseline
from refold.evaluation._symbols import accuracy as accuracy
from refold.evaluation._symbols import exact as exact
