"""The files that the demo writes, with very little training."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import refold
from refold.cli import main
from refold.cli._codes import read_codes
from refold.cli.commands.demo import DATA_SETS
from refold.sequences import read

FULL = {"moving-ones": (4000, 1000), "japanese-vowels": (270, 370)}
SMALL = {"moving-ones": (40, 50), "japanese-vowels": (40, 60)}


def first(split, num_train, num_held_out):
    """Return a loader that keeps only the first sequences of both splits."""

    def run(seed):
        parts = split(seed)
        labels = parts.labels if parts.labels is None else parts.labels[:num_held_out]
        return replace(
            parts,
            train=parts.train[:num_train],
            held_out=parts.held_out[:num_held_out],
            labels=labels,
        )

    return run


def test_the_data_of_the_demo():
    for subject in DATA_SETS:
        parts = subject.split(0)
        assert (len(parts.train), len(parts.held_out)) == FULL[subject.name]
    assert (parts.held_out.lengths > parts.train.lengths.max()).sum() == 1
    assert (parts.label_name, len(parts.labels)) == ("speaker", 370)


@pytest.mark.parametrize(
    ("counts", "settings"),
    [(SMALL, {"units": 8, "latent_steps": 0}), pytest.param(FULL, {}, marks=pytest.mark.slow)],
)
def test_the_demo_leaves_models_codes_sequences_and_a_page(
    tmp_path, capsys, monkeypatch, counts, settings
):
    subjects = tuple(
        replace(subject, split=first(subject.split, *counts[subject.name])) for subject in DATA_SETS
    )
    monkeypatch.setattr("refold.cli.commands.demo.DATA_SETS", subjects)
    estimator = partial(refold.SequenceAutoencoder, **settings)
    monkeypatch.setattr(refold, "SequenceAutoencoder", estimator)
    nums = {name: held_out for name, (_, held_out) in counts.items()}
    folder = tmp_path / "new" / "demo"
    assert main(["demo", "--output", str(folder), "--max-epochs", "1", "--quiet"]) == 0
    shown = capsys.readouterr()
    longer = nums["japanese-vowels"]
    (warning,) = shown.err.splitlines()
    assert warning.startswith(
        f"Warning: 1 of {longer} sequences is longer than the longest in training"
    )
    rows = [line.split() for line in shown.out.splitlines()]
    assert rows[0][0] == "data"
    assert rows[1][:4] == ["Moving", "ones", f"{nums['moving-ones']:,}", "4"]
    assert rows[2][:4] == ["Japanese", "vowels", f"{nums['japanese-vowels']}", "16"]

    for name, size in (("moving-ones", 4), ("japanese-vowels", 16)):
        num = nums[name]
        model = refold.load(folder / f"{name}.refold")
        held_out = read(folder / f"{name}.parquet")
        codes, ids = read_codes(folder / f"{name}-codes.parquet")
        assert codes.shape == (num, size)
        assert ids.tolist() == held_out.ids.tolist()
        np.testing.assert_allclose(codes, model.encode(held_out), atol=1e-6)
        back = read(folder / f"{name}-reconstructed.parquet")
        assert back.ids.tolist() == ids.tolist()
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count("plotly.js v") == 1
    assert page.count('class="plot"') >= 16
    assert "Moving ones" in page
    assert "Colors show speaker" in page
    assert len(list(folder.iterdir())) == 9
