"""Draw the picture of a report in the documentation: ``docs/images/report.png``.

``python scripts/report_picture.py`` fits one model of the JapaneseVowels data with the default
settings, writes a page with three of the cards of its report, and takes a screenshot of the page
with Chromium, which must be installed.
"""

import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import refold
from refold.report import make_report_section, write_page

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "report.png"
# Titles of the cards of the report in the picture.
CARD_TITLES = ("Error by position", "Best, median and worst", "Map of the codes")
# Width and height of the browser window in pixels. The page with these cards has this height.
WINDOW_SIZE = (900, 2130)


def main() -> None:
    """Fit, write the page and take the screenshot."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("Chromium is needed for the screenshot. Install it.")
    vowels = refold.datasets.japanese_vowels()
    ae = refold.SequenceAutoencoder(latent_dim=16, random_state=0).fit(vowels.train)
    labels = {"labels": vowels.test_labels, "label_name": "speaker"}
    report = make_report_section(ae, vowels.test, title="", train=vowels.train, **labels)
    cards = [card for card in report.cards if card.title in CARD_TITLES]
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        # without the training time, which differs from run to run
        shortened = replace(report, summary="", key_figures=report.key_figures[:-1], cards=cards)
        write_page(page, [shortened], title="Report")
        command = [chromium, "--headless", "--no-sandbox", "--hide-scrollbars"]
        command += [f"--screenshot={PICTURE}", "--window-size={},{}".format(*WINDOW_SIZE)]
        command += ["--virtual-time-budget=10000", f"--user-data-dir={folder}/profile"]
        subprocess.run([*command, page.as_uri()], check=True, capture_output=True)  # noqa: S603


if __name__ == "__main__":
    main()
