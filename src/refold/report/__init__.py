"""One page that shows what a model does: results, architecture, losses, codes, reconstructions.

The page is a single HTML file that needs no network. Needs the extra ``plots``.
"""

from refold.report._measure import Result as Result
from refold.report._measure import measure as measure
from refold.report._page import Figure as Figure
from refold.report._page import Section as Section
from refold.report._page import write_page as write_page
from refold.report._sections import section as section

__all__ = ["Figure", "Result", "Section", "measure", "section", "write_page"]
