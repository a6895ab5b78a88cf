"""Draw the pictures of docs/tutorials/machines.md: ``python scripts/tutorial_pictures.py``.

The script runs the Python blocks of the page in a temporary folder, and copies the pictures that
they save. Pictures have a white background, so that they are readable on white
and on dark pages.
"""

import contextlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorials" / "machines.md"
IMAGES = ROOT / "docs" / "images"
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Settings of matplotlib for the pictures.
STYLE = {"savefig.dpi": 150, "figure.facecolor": "white", "savefig.facecolor": "white"}


def main() -> None:
    """Run the blocks, and copy the pictures."""
    # the blocks share their variables, as in a notebook
    names: dict[str, Any] = {"__name__": "machines"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), mpl.rc_context(STYLE):
        for code in PYTHON_BLOCK.findall(PAGE.read_text(encoding="utf-8")):
            exec(compile(code, PAGE.name, "exec"), names)  # noqa: S102
        for picture in sorted(Path.cwd().glob("*.png")):
            shutil.copy(picture, IMAGES)


if __name__ == "__main__":
    main()
