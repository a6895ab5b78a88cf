"""Draw the pictures of the explorer in the documentation: ``explore.png`` and ``explore.gif``.

Run: ``python scripts/explore_picture.py``. It needs the extra ``serve``, Playwright, Pillow and a
Chromium. The first picture shows utterances of JapaneseVowels; the second one is a drag over a map
of sines.
"""

import io
import math
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

import refold
from refold.explore import Atlas, exploring

IMAGES = Path(__file__).parents[1] / "docs" / "images"
READY = "html[data-ready=true]"
FRAMES, COLORS, MILLISECONDS = 20, 24, 180


def main() -> None:
    """Fit both models and draw both pictures."""
    warnings.simplefilter("ignore")
    vowels = refold.datasets.japanese_vowels()
    sines = refold.datasets.noisy_sines(600, seed=0, max_steps=80)
    asked = {"calibration_fraction": 0.4, "random_state": 0, "verbose": 0}
    first = refold.SequenceAutoencoder(16, max_epochs=40, **asked).fit(vowels.train)
    second = refold.SequenceAutoencoder(8, max_epochs=10, latent_steps=0, **asked).fit(sines)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
        )
        path = Path(folder) / "vowels.refold"
        first.save(path)
        atlas = Atlas(first, vowels.test, fields={"speaker": vowels.test_labels})
        with exploring(path, atlas) as url:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(f"{url}/#row=12")
            page.wait_for_selector("#neighbors button")
            page.wait_for_timeout(1000)
            page.screenshot(path=IMAGES / "explore.png")
        path = Path(folder) / "sines.refold"
        second.save(path)
        more = refold.datasets.noisy_sines(2000, seed=1, max_steps=80)
        with exploring(path, Atlas(second, more)) as url:
            page = browser.new_page(viewport={"width": 1040, "height": 520})
            page.goto(f"{url}/#color=length&view=0,0,3.5")
            page.wait_for_selector(READY)
            page.wait_for_timeout(1000)
            _write(_drag(page))
        browser.close()


def _drag(page: Any) -> list[Image.Image]:
    """Drag around the middle of the map and return a frame for each place."""
    box = page.locator("#overlay").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x + 110, y)
    page.mouse.down()
    frames = []
    for i in range(FRAMES):
        angle = 2 * math.pi * i / FRAMES
        radius = 110 - 30 * math.sin(2 * angle)
        place = x + radius * math.cos(angle), y - radius * math.sin(angle)
        page.mouse.move(*place)
        page.wait_for_timeout(120)
        shot = page.screenshot()
        frames.append(Image.open(io.BytesIO(shot)).convert("RGB"))
    return frames


def _write(frames: list[Image.Image]) -> None:
    palette = frames[0].quantize(COLORS, method=Image.Quantize.MAXCOVERAGE)
    few = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in frames]
    few[0].save(
        IMAGES / "explore.gif",
        save_all=True,
        append_images=few[1:],
        duration=MILLISECONDS,
        loop=0,
        optimize=True,
    )


if __name__ == "__main__":
    main()
