"""Draw the pictures of tutorials and how-to pages: ``python scripts/tutorial_pictures.py``.

The script runs the Python blocks of each page in a temporary folder, and copies the pictures that
they save, if the page shows them. Arguments are pages, such as ``how-to/size.md``; by default all
of ``PAGES``. Pictures have a white background, so that they are readable on white and on dark
pages. Then run ``scripts/small_pictures.py``, which makes the files smaller.
"""

import contextlib
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
IMAGES = DOCS / "images"
PAGES = (
    "tutorials/machines.md",
    "tutorials/find-anomalies.md",
    "tutorials/without-a-fit.md",
    "how-to/anomalies.md",
    "how-to/clusters.md",
    "how-to/generation.md",
    "how-to/long-signals.md",
    "how-to/search.md",
    "how-to/size.md",
    "how-to/streams.md",
    "how-to/training.md",
    "how-to/windows.md",
)
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Settings of matplotlib for the pictures.
STYLE = {"savefig.dpi": 130, "figure.facecolor": "white", "savefig.facecolor": "white"}


def main(pages: list[str]) -> None:
    """Run the blocks of each page, and copy the pictures."""
    for page in pages or PAGES:
        draw(DOCS / page)


def draw(page: Path) -> None:
    """Run the blocks of a page, and copy the pictures that it shows."""
    text = page.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": page.stem}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), mpl.rc_context(STYLE):
        for code in PYTHON_BLOCK.findall(text):
            exec(compile(code, page.name, "exec"), names)  # noqa: S102
        for picture in sorted(Path.cwd().glob("*.png")):
            if f"images/{picture.name}" in text:
                shutil.copy(picture, IMAGES)


if __name__ == "__main__":
    main(sys.argv[1:])
