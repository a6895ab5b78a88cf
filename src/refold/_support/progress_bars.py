"""Progress bars on standard error and in notebooks."""

import io
import time
from typing import Any

from rich.console import Console
from rich.progress import Progress, ProgressColumn

# Seconds between two updates of a notebook's bar.
_INTERVAL = 0.1
# Width of a notebook's bar in characters.
_WIDTH = 100


def progress_bar(*columns: str | ProgressColumn, disable: bool = False) -> Progress:
    """Return a progress bar for a terminal or a notebook; without columns, those of rich."""
    console = Console(stderr=True)
    if console.is_jupyter and not disable:
        return _NotebookBar(*columns, auto_refresh=False)
    # a bar that refreshes itself starts a thread, even if it is not shown
    return Progress(*columns, console=console, disable=disable, auto_refresh=not disable)


# rich's own bars need ipywidgets in a notebook and are not saved in the file
class _NotebookBar(Progress):
    """A progress bar that IPython displays and updates in place."""

    _display: Any = None
    _latest = 0.0

    def start(self) -> None:
        from IPython.display import display

        self._latest = time.monotonic()
        self._display = display(self, display_id=True)

    def stop(self) -> None:
        self._latest = 0.0
        self.refresh()
        self._display = None

    def refresh(self) -> None:
        if self._display is not None and time.monotonic() - self._latest >= _INTERVAL:
            self._latest = time.monotonic()
            self._display.update(self)

    def update(self, *args: Any, **kwargs: Any) -> None:
        super().update(*args, **kwargs)
        self.refresh()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        page = Console(
            record=True, file=io.StringIO(), force_jupyter=False, force_terminal=True, width=_WIDTH
        )
        page.print(self.get_renderable())
        text = page.export_text(clear=False).rstrip()
        line = page.export_html(inline_styles=True, code_format="<pre>{code}</pre>")
        return {"text/plain": text, "text/html": line}
