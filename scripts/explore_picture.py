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
# Selector of a page that has loaded its data.
READY_SELECTOR = "html[data-ready=true]"
# Frames of the animation: one turn around the middle of the map.
NUM_FRAMES = 20
# Colors of the animation. Fewer colors make a smaller file.
NUM_COLORS = 24
# Time for which a frame is shown.
FRAME_MILLISECONDS = 180


def main() -> None:
    """Fit both models and draw both pictures."""
    warnings.simplefilter("ignore")
    vowels = refold.datasets.japanese_vowels()
    sines = refold.datasets.noisy_sines(600, seed=0, max_steps=80)
    settings = {"calibration_fraction": 0.4, "random_state": 0, "verbose": 0}
    vowel_model = refold.SequenceAutoencoder(16, max_epochs=40, **settings).fit(vowels.train)
    sine_model = refold.SequenceAutoencoder(8, max_epochs=10, latent_steps=0, **settings).fit(sines)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
        )
        path = Path(folder) / "vowels.refold"
        vowel_model.save(path)
        atlas = Atlas(vowel_model, vowels.test, fields={"speaker": vowels.test_labels})
        with exploring(path, atlas) as url:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(f"{url}/#row=12")
            page.wait_for_selector("#neighbors button")
            page.wait_for_timeout(1000)
            page.screenshot(path=IMAGES / "explore.png")
        path = Path(folder) / "sines.refold"
        sine_model.save(path)
        new_sines = refold.datasets.noisy_sines(2000, seed=1, max_steps=80)
        with exploring(path, Atlas(sine_model, new_sines)) as url:
            page = browser.new_page(viewport={"width": 1040, "height": 520})
            page.goto(f"{url}/#color=length&view=0,0,3.5")
            page.wait_for_selector(READY_SELECTOR)
            page.wait_for_timeout(1000)
            _write_animation(_record_drag(page))
        browser.close()


def _record_drag(page: Any) -> list[Image.Image]:
    """Drag the mouse around the middle of the map, and return a frame for each position."""
    box = page.locator("#overlay").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x + 110, y)
    page.mouse.down()
    frames = []
    for i in range(NUM_FRAMES):
        angle = 2 * math.pi * i / NUM_FRAMES
        radius = 110 - 30 * math.sin(2 * angle)
        position = x + radius * math.cos(angle), y - radius * math.sin(angle)
        page.mouse.move(*position)
        page.wait_for_timeout(120)
        screenshot = page.screenshot()
        frames.append(Image.open(io.BytesIO(screenshot)).convert("RGB"))
    return frames


def _write_animation(frames: list[Image.Image]) -> None:
    """Write the frames as an animation, all with the colors of the first frame."""
    palette = frames[0].quantize(NUM_COLORS, method=Image.Quantize.MAXCOVERAGE)
    palette_frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    palette_frames[0].save(
        IMAGES / "explore.gif",
        save_all=True,
        append_images=palette_frames[1:],
        duration=FRAME_MILLISECONDS,
        loop=0,
        optimize=True,
    )


if __name__ == "__main__":
    main()
