"""Search among the codes of sequences, and clusters of codes.

An `Index` is a LanceDB table on disk, or in a store with a URL, and needs the extra ``search``.
Clusters need scikit-learn only.
"""

from typing import TYPE_CHECKING

from refold._support.optional_imports import lazy_names as _lazy_names
from refold.search._exact import nearest as nearest
from refold.search._exact import squared_norms as squared_norms
from refold.search._hits import Hits as Hits

if TYPE_CHECKING:
    from refold.search._clusters import Clusters as Clusters
    from refold.search._clusters import cluster as cluster
    from refold.search._index import Index as Index
    from refold.search._pictures import draw as draw

# need scikit-learn, LanceDB and matplotlib
__getattr__, __dir__ = _lazy_names(
    __name__,
    {"_clusters": ("Clusters", "cluster"), "_index": ("Index",), "_pictures": ("draw",)},
)
