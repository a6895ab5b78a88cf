"""The explorer: a page with a map of codes, in which every place decodes to a sequence.

A local server serves the page, or a single file holds it with its data.

The explorer needs the extra ``serve``, and neither Keras nor JAX.
"""

from refold import serve as _serve  # noqa: F401  (raises the error that names the extra)

# isort: split
from refold.explore._atlas import Atlas as Atlas
from refold.explore._exported_page import check_exportable as check_exportable
from refold.explore._exported_page import export_page as export_page
from refold.explore._server import explore as explore
from refold.explore._server import exploring as exploring

__all__ = ["Atlas", "check_exportable", "explore", "exploring", "export_page"]
