"""HTML report about a model: data, architecture, losses, errors, reconstructions and codes.

The page is a single file that needs no network connection. Needs the extra ``plots``.
"""

from refold.report._page import Result as Result
from refold.report._page import Score as Score
from refold.report._page import write_page as write_page
from refold.report._report import make_report_section as make_report_section
from refold.report._report import report as report
