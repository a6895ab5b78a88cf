"""Store the pictures of the documentation with few colors: ``python scripts/small_pictures.py``.

A picture in ``docs/images`` then has at most 256 colors, which makes its file about a third as
large. Run this after a script that draws a picture. Pictures that have few colors already stay.
"""

from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).parents[1] / "docs" / "images"
COLORS = 256


def main() -> None:
    """Reduce the colors of all PNG files."""
    for path in sorted(IMAGES.glob("*.png")):
        with Image.open(path) as picture:
            if picture.mode == "P":
                continue
            reduced = picture.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
        reduced.save(path, optimize=True)


if __name__ == "__main__":
    main()
