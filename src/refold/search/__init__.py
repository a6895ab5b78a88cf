"""Search among the codes of sequences, and clusters of codes.

An `Index` is a LanceDB table on disk, or in a store with a URL, and needs the extra ``search``.
Clusters need scikit-learn only.
"""

from refold.search._clusters import Clusters as Clusters
from refold.search._clusters import cluster as cluster
from refold.search._exact import nearest as nearest
from refold.search._exact import squared_norms as squared_norms
from refold.search._hits import Hits as Hits
from refold.search._index import Index as Index
from refold.search._pictures import draw as draw
from refold.search._store import load_lancedb as load_lancedb
