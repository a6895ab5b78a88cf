"""Find sequences that are similar to others with an `Index`, and clusters with `cluster`.

An `Index` is an Arrow file on a local disk. `cluster` needs scikit-learn.
"""

from refold.search._clusters import Clusters as Clusters
from refold.search._clusters import cluster as cluster
from refold.search._index import Hits as Hits
from refold.search._index import Index as Index
from refold.search._index import Nearest as Nearest
from refold.search._index import nearest as nearest
from refold.search._index import plot_hits as plot_hits
from refold.search._index import squared_norms as squared_norms
