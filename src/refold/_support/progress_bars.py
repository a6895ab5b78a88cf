"""Progress bars on standard error and in notebooks."""

import io
import time
from typing import Any

from rich.console import Console
from rich.progress import Progress, ProgressColumn

# Minimum time between two updates of a bar in a notebook. Shorter times look smoother, but send
# more messages to the page.
_NOTEBOOK_UPDATE_SECONDS = 0.1
# Width of a bar in a notebook. Without a terminal, rich cannot find out the width of the page.
_NOTEBOOK_BAR_CHARACTERS = 100


def progress_bar(*columns: str | ProgressColumn, disable: bool = False) -> Progress:
    """Return a progress bar for a terminal or a notebook; by default, with the columns of rich."""
    console = Console(stderr=True, quiet=disable)  # rich 13 ends disabled bars with an empty line
    if console.is_jupyter and not disable:
        # it is drawn at each update, not by a thread
        return _NotebookBar(*columns, auto_refresh=False)
    # a bar that refreshes itself starts a thread, even if it is disabled
    return Progress(*columns, console=console, disable=disable, auto_refresh=not disable)


# In a notebook, rich's own bars need ipywidgets, and the file of the notebook does not keep them.
class _NotebookBar(Progress):
    """A progress bar that IPython displays and updates in place."""

    _display: Any = None  # IPython's handle while the bar is displayed
    _last_update_time = 0.0  # a time of the monotonic clock, in seconds

    def start(self) -> None:
        from IPython.display import display  # only a notebook is sure to have it

        self._last_update_time = time.monotonic()
        self._display = display(self, display_id=True)

    def stop(self) -> None:
        self._last_update_time = 0.0  # so that the last refresh is not skipped
        self.refresh()
        self._display = None

    def refresh(self) -> None:
        is_due = time.monotonic() - self._last_update_time >= _NOTEBOOK_UPDATE_SECONDS
        if self._display is not None and is_due:
            self._last_update_time = time.monotonic()
            self._display.update(self)

    def update(self, *args: Any, **kwargs: Any) -> None:
        super().update(*args, **kwargs)
        self.refresh()

    # IPython calls this method to display the bar
    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        recorder = Console(
            record=True,
            file=io.StringIO(),  # the console prints nowhere
            force_jupyter=False,
            force_terminal=True,  # with colors
            width=_NOTEBOOK_BAR_CHARACTERS,
        )
        recorder.print(self.get_renderable())
        text = recorder.export_text(clear=False).rstrip()
        html = recorder.export_html(inline_styles=True, code_format="<pre>{code}</pre>")
        return {"text/plain": text, "text/html": html}
