"""The explorer in a browser: time until its points can be used, and time of a drag.

``python -m benchmarks.explore`` takes about three minutes on two cores. It needs the extra
``serve``, Playwright and Chromium. It measures a server with a million codes and an exported page
with 100,000. Without a graphics card the browser renders in software, which takes most of the time
to open a page. ``--codes`` measures other numbers of codes, and writes no results.
"""

import argparse
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from playwright.sync_api import sync_playwright

import refold
from benchmarks._results import PACKAGES, table, write_page
from refold.explore import Atlas, exploring, export_page

CODES = (1_000_000, 100_000)
ROUNDS, MOVES = 3, 150
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


class Measured(NamedTuple):
    """Seconds to make and to open a page, milliseconds of each move, and megabytes of a file."""

    made: float
    opened: float
    moves: list[float]
    megabytes: float = 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the times, and write ``results/explore.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--codes", type=int, nargs=2, metavar=("SERVER", "PAGE"), help="numbers of codes"
    )
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")

    base = refold.datasets.noisy_sines(2000, seed=1, max_steps=80)
    ae = refold.SequenceAutoencoder(8, max_epochs=5, latent_steps=0, random_state=0, verbose=0)
    ae.fit(base[:600])
    path = Path(tempfile.mkdtemp()) / "sines.refold"
    ae.save(path)
    rows = []
    measures = {"server": served, "page in a file": exported}
    for (title, measure), count in zip(measures.items(), options.codes or CODES, strict=True):
        rounds = [measure(path, ae, base, count) for _ in range(ROUNDS)]
        moves = sorted(time for one in rounds for time in one.moves)
        made, opened = (statistics.median(one[i] for one in rounds) for i in (0, 1))
        rows.append(
            [
                title,
                f"{count:,}",
                f"{made:.2f}",
                f"{opened:.2f}",
                f"{statistics.median(one.made + one.opened for one in rounds):.2f}",
                f"{statistics.median(moves):.1f}",
                f"{moves[int(0.95 * len(moves))]:.1f}",
                f"{rounds[0].megabytes:.0f} MB" if rounds[0].megabytes else "",
            ]
        )
        print(" | ".join(rows[-1]), flush=True)
    if options.codes is None:
        write_page("explore", "The explorer", [TEXT, table(HEADER, rows)], packages=PACKAGES)


HEADER = ["", "codes", "start, s", "open, s", "sum, s", "drag, ms", "95 %, ms", "size"]
TEXT = (
    "A model of 8 latent dimensions and noisy sines of up to 80 steps. *Start* is the time from "
    "codes in memory to a server that listens, or to a written file. *Open* is the time from "
    "opening the address to a colored map that reacts, in Chromium at 1440 x 900 pixels, which "
    f"renders in software. Both are medians of {ROUNDS} rounds. *Drag* is the time from a move of "
    "the pointer to the drawn sequence, with the request, the decoding, the response and the "
    f"drawing: the median and the 95th percentile of {ROUNDS * MOVES} moves. A page in a file "
    "decodes without a server."
)


def noisy_codes(ae: Any, base: Any, count: int) -> tuple[np.ndarray, Any, dict[str, Any]]:
    """Return noisy codes of the sequences, the sequences, and a field to color them by."""
    rng = np.random.default_rng(0)
    pick = rng.integers(0, len(base), count)
    codes = ae.transform(base)[pick]
    codes += 0.1 * rng.normal(size=codes.shape).astype(np.float32)
    return codes, base[pick], {"group": pick % 7}


def served(path: Path, ae: Any, base: Any, count: int) -> Measured:
    """Measure a server."""
    codes, sequences, fields = noisy_codes(ae, base, count)
    began = time.perf_counter()
    atlas = Atlas(ae, sequences, codes=codes, fields=fields)
    with exploring(path, atlas) as url:
        made = time.perf_counter() - began
        return Measured(made, *in_browser(url))


def exported(path: Path, ae: Any, base: Any, count: int) -> Measured:
    """Measure a page that works without a server."""
    codes, sequences, fields = noisy_codes(ae, base, count)
    page = path.with_suffix(".html")
    began = time.perf_counter()
    atlas = Atlas(ae, sequences, codes=codes, fields=fields)
    size = export_page(atlas, page, max_megabytes=1000)
    made = time.perf_counter() - began
    return Measured(made, *in_browser(page.as_uri()), size / 1e6)


def in_browser(url: str) -> tuple[float, list[float]]:
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
        times = page.evaluate(DRAG, [x, y, MOVES])
        page.mouse.up()
        browser.close()
    return opened, times


if __name__ == "__main__":
    main()
