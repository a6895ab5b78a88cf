"""The explorer in a browser: time until a million points can be used, and time of a drag.

Run ``python benchmarks/explore.py``. It needs the extra ``serve``, Playwright and Chromium. Without
a graphics card the browser renders in software, which takes most of the time of the first figure.

- *server*: seconds from codes in memory to a server that listens.
- *page*: seconds from opening the address to a colored map that reacts.
- *drag*: milliseconds from a move of the pointer to the drawn sequence. This includes the request,
  the decoding, the response and the drawing.

With ``--exported``, the page is a file that works without a server: *export* is seconds to write
it, and the drag decodes in the page.
"""

import argparse
import shutil
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

import refold
from refold.explore import Atlas, exploring, export_page

# Moves the pointer and waits each time until the sequence is drawn; returns the times.
DRAG = """async ([x, y, moves]) => {
    const map = document.querySelector("#overlay");
    const facts = document.querySelector("#facts");
    const times = [];
    for (let i = 0; i < moves; i++) {
        const [radius, angle] = [30 + i, i / 8];
        const [clientX, clientY] = [x + radius * Math.cos(angle), y + radius * Math.sin(angle)];
        const options = { pointerId: 1, button: 0, bubbles: true, clientX, clientY };
        const began = performance.now();
        await new Promise((drawn) => {
            const observer = new MutationObserver(() => (observer.disconnect(), drawn()));
            observer.observe(facts, { childList: true });
            map.dispatchEvent(new PointerEvent("pointermove", options));
        });
        times.push(performance.now() - began);
        await new Promise((next) => requestAnimationFrame(next));
    }
    return times;
}"""


def main():
    """Measure, and print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=1_000_000, help="number of codes")
    parser.add_argument("--moves", type=int, default=150, help="moves of the drag")
    parser.add_argument("--exported", action="store_true", help="measure a page in a file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")

    base = refold.datasets.noisy_sines(2000, seed=1, max_steps=80)
    ae = refold.SequenceAutoencoder(8, max_epochs=5, latent_steps=0, random_state=0, verbose=0)
    ae.fit(base[:600])
    path = Path(tempfile.mkdtemp()) / "sines.refold"
    ae.save(path)
    rng = np.random.default_rng(0)
    pick = rng.integers(0, len(base), options.n)
    codes = ae.transform(base)[pick]
    codes += 0.1 * rng.normal(size=codes.shape).astype(np.float32)
    sequences = base[pick]

    began = time.perf_counter()
    atlas = Atlas(ae, sequences, codes=codes, fields={"group": pick % 7})
    if options.exported:
        page = path.with_suffix(".html")
        size = export_page(atlas, page, max_megabytes=1000) / 1e6
        made = time.perf_counter() - began
        opened, times = in_browser(page.as_uri(), options.moves)
        first = f"export {made:.2f} s, {size:.1f} MB"
    else:
        with exploring(path, atlas) as url:
            made = time.perf_counter() - began
            opened, times = in_browser(url, options.moves)
        first = f"server {made:.2f} s"
    print(f"{options.n:,} codes: {first}, page {opened:.2f} s, total {made + opened:.2f} s")
    times.sort()
    late = times[int(0.95 * len(times))]
    print(f"drag: median {statistics.median(times):.1f} ms, 95 % within {late:.1f} ms")


def in_browser(url, moves):
    """Open a page and drag over its map; return the seconds to open it and the times of moves."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto("about:blank")
        began = time.perf_counter()
        page.goto(url)
        page.wait_for_selector("html[data-ready=true]")
        opened = time.perf_counter() - began
        page.wait_for_function("() => document.querySelector('#facts').innerText !== ''")
        box = page.locator("#overlay").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 20, y)
        page.wait_for_timeout(500)
        times = page.evaluate(DRAG, [x, y, moves])
        page.mouse.up()
        browser.close()
    return opened, times


if __name__ == "__main__":
    main()
