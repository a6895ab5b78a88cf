"""The demo with hardly any training: everything it leaves in the folder."""

import numpy as np

import refold
from refold.cli import main
from refold.cli._code_reader import read_codes
from refold.sequences import read


def test_the_demo_leaves_models_codes_sequences_and_a_page(tmp_path, capsys):
    folder = tmp_path / "new" / "demo"
    assert main(["demo", "--output", str(folder), "--max-epochs", "1", "--quiet"]) == 0
    shown = capsys.readouterr()
    (remark,) = shown.err.splitlines()
    assert remark.startswith("Remark: 1 of 370 sequences is longer than the longest in training")
    rows = [line.split() for line in shown.out.splitlines()]
    assert rows[0][0] == "data"
    assert rows[1][:4] == ["Moving", "ones", "1,000", "4"]
    assert rows[2][:4] == ["Japanese", "vowels", "370", "16"]

    for name, num, size in (("moving-ones", 1000, 4), ("japanese-vowels", 370, 16)):
        model = refold.load(folder / f"{name}.refold")
        held_out = read(folder / f"{name}.parquet")
        codes, ids = read_codes(folder / f"{name}-codes.parquet")
        assert codes.shape == (num, size)
        assert ids.tolist() == held_out.ids.tolist()
        np.testing.assert_allclose(codes, model.transform(held_out), atol=1e-6)
        back = read(folder / f"{name}-reconstructed.parquet")
        assert back.ids.tolist() == ids.tolist()
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count("plotly.js v") == 1
    assert page.count('class="plot"') >= 16
    assert "Moving ones" in page
    assert "Colours are of speaker" in page
    assert len(list(folder.iterdir())) == 9
