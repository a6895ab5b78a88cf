"""Storms with years, long names, and values of all sizes: what the page shows."""

import csv
import io
import json
import re

import httpx
import numpy as np
import pytest

import refold
from explore.test_page import DROP_FILE, OpenPage
from refold._support.messages import format_distinct_numbers, format_number
from refold.cli import main
from refold.explore import Atlas, exploring
from small_data import fit_without_training

NUM_STORMS = 150
NAMES = ["pressure", "wind", "rain"]


def storms():
    """Return tracks of storms, and the year, the wind and the date of each."""
    rng = np.random.default_rng(0)
    tracks = []
    for i in range(NUM_STORMS):
        steps, strong = np.arange(rng.integers(5, 9)), 1 + i % 3
        columns = [
            1020.4 - 9 * strong * np.sin(steps / 3) + rng.normal(0, 0.3, len(steps)),
            25 * strong + 9 * np.sin(steps / 2) + rng.normal(0, 2, len(steps)),
            0.000123 * strong + rng.normal(0, 1e-5, len(steps)),
        ]
        tracks.append(np.stack(columns, axis=1))
    numbers = np.arange(NUM_STORMS)
    fields = {
        "year": 1980 + numbers % 40,
        "wind": (1000.4 + numbers).round(1).astype(str),  # as `read_labels` returns numbers
        "date": 20040817 + numbers,
        "rate": (0.000123 + numbers * 1e-6).round(6).astype(str),
    }
    ids = [f"storm-of-the-northern-atlantic-basin-{i:03}" for i in range(NUM_STORMS)]
    return refold.sequences.Sequences.from_list(tracks, names=NAMES, ids=ids), fields


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the data and the model."""
    folder = tmp_path_factory.mktemp("storms")
    data, _ = storms()
    refold.sequences.write(data, folder / "storms.parquet")
    fit_without_training(data, calibration_fraction=0.7).save(folder / "storms.refold")
    return folder


@pytest.fixture(scope="module")
def storm_atlas(folder):
    data, fields = storms()
    return Atlas(refold.load(folder / "storms.refold"), data, fields=fields)


@pytest.fixture(scope="module")
def served(folder, storm_atlas):
    with exploring(folder / "storms.refold", storm_atlas) as url:
        yield url


# A number, and its text in full and with three digits.
CASES = [
    (20040817, "20040817", "20040817"),
    (np.float32(1020.4).item(), "1020.4", "1020.4"),
    (-1234.25, "-1234.3", "-1234.3"),
    (0.0123456, "0.012346", "0.0123"),
    (0.00001, "0.00001", "0.00001"),
    (9.999999e-7, "1e-6", "1e-6"),
    (9.99996, "10", "10"),
    (1.234567e15, "1.2346e+15", "1.23e+15"),
    (-0.0, "0", "0"),
    (None, "–", "–"),
    (-np.inf, "-∞", "-∞"),
]
PAIRS = [((1013.2501, 1013.2502), ["1013.2501", "1013.2502"]), ((0.1, 0.1), ["0.1", "0.1"])]
FORMAT_IN_PAGE = """async ([values, pairs]) => {
    const { numberText, numberTexts } = await import("/page/numbers.js");
    return [
        values.map((value) => [numberText(value), numberText(value, 3)]),
        pairs.map((pair) => numberTexts(pair)),
    ];
}"""


def test_numbers_and_fields_are_shown_with_their_exact_values(browser, served, storm_atlas):
    texts = [[format_number(value), format_number(value, 3)] for value, _, _ in CASES]
    pairs = [format_distinct_numbers(*pair) for pair, _ in PAIRS]
    assert texts == [[full, short] for _, full, short in CASES]
    assert pairs == [expected for _, expected in PAIRS]
    open_page = OpenPage(browser, served, "#color=year&row=24")
    inputs = [[value for value, _, _ in CASES], [pair for pair, _ in PAIRS]]
    assert open_page.page.evaluate(FORMAT_IN_PAGE, inputs) == [texts, pairs]
    open_page.wait("#facts", "year")
    facts_text = open_page.text("#facts")
    assert "year 2004 · wind 1024.4 · date 20040841 · rate 0.000147" in facts_text
    for name, ends in (("rate", "0.000126\n0.000269"), ("wind", "1003.4\n1146.4")):
        open_page.page.select_option("#color", name)
        open_page.wait(".legend-title", name)
        assert open_page.text(".gradient-ends") == ends
    open_page.page.mouse.move(*open_page.screen_position(storm_atlas, 24))
    open_page.page.wait_for_selector("#tip:not([hidden])")
    assert re.search(r"wind 1\d\d\d\.4$", open_page.text("#tip"))
    open_page.page.locator(".gradient-limits input").first.fill("50")
    assert open_page.text(".gradient-limits .count") == "1075.4 to 1149.4"
    open_page.close()


@pytest.mark.parametrize("num_clusters", [None, 0, 9])
def test_clusters_are_those_of_the_command(num_clusters, folder, served, tmp_path):
    table = tmp_path / "clusters.csv"
    options = ["--num-clusters", str(num_clusters)] if num_clusters else []
    options += ["--method", "hdbscan"] * (num_clusters == 0)
    files = [str(folder / "storms.refold"), str(folder / "storms.parquet"), "-o", str(table)]
    assert main(["cluster", *files, *options, "-q"]) == 0
    with table.open() as file:
        expected = [row["cluster"] or "noise" for row in csv.DictReader(file)]
    response = httpx.post(f"{served}/explore/clusters", json={"number": num_clusters})
    assert response.status_code == 200
    while (answer := httpx.get(f"{served}/explore/fields/cluster")).status_code == 202:
        pass
    assert answer.status_code == 200
    rows = list(range(NUM_STORMS))
    text = httpx.post(f"{served}/explore/tables/table", json={"rows": rows}).text
    assert [row["cluster"] for row in csv.DictReader(io.StringIO(text))] == expected
    assert len({*expected}) > 2


def test_the_verdict_has_the_alpha_of_detect(browser, served, storm_atlas):
    p_values = storm_atlas.get_field("anomaly p-value").result(max_seconds=60)
    row = int(np.abs(p_values - 0.036).argmin())
    assert 0.01 < p_values[row] < 0.05
    open_page = OpenPage(browser, served, f"#row={row}")
    open_page.wait("#reasons", "at alpha")
    verdict = open_page.text("#reasons")
    assert f"p = {format_number(100 * p_values[row], 3)} %, not anomalous at alpha 1 %." in verdict
    assert "not adjusted for multiple tests" in verdict
    values = storm_atlas.sequences.values
    ends = np.stack([values.min(axis=0), values.max(axis=0)]).astype(float)
    extreme_storm = dict(zip(NAMES, ends[[0, 1, 0, 1, 0, 1]].T.tolist(), strict=True))
    open_page.page.evaluate(DROP_FILE, ["new.json", json.dumps([extreme_storm])])
    open_page.wait("#name", "Added: 0")
    assert re.match(r"p = 0\.\d+ %, anomalous at alpha 1 %\.", open_page.text("#reasons"))
    new = [np.stack([*extreme_storm.values()], axis=1)]
    assert storm_atlas.model.detect(new).anomalous.tolist() == [True]
    open_page.close()
