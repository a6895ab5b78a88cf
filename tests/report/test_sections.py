"""Sections and results from models that were hardly trained."""

import re

import numpy as np
import pytest

import refold
from refold.datasets import moving_ones, noisy_sines
from refold.evaluation import exact, nmse
from refold.report import measure, section, write_page
from refold.sequences import Scaler


@pytest.fixture(scope="module", params=["exact", "nmse"])
def fitted(request):
    """A model, its training data, held-out data, and the quantity that measures it."""
    data = (moving_ones if request.param == "exact" else noisy_sines)(60, seed=0)
    model = refold.SequenceAutoencoder(3, units=4, max_epochs=2, random_state=0).fit(data[:40])
    return model, data[:40], data[40:], request.param


@pytest.fixture(scope="module")
def result(fitted):
    model, train, held_out, _ = fitted
    return measure(model, train, held_out, name="A set", seconds=2.5)


def test_measured_is_what_the_evaluation_says_of_held_out_sequences(fitted, result):
    model, train, held_out, quantity = fitted
    back = model.reconstruct(held_out)
    expected = (
        exact(held_out, back) if quantity == "exact" else nmse(held_out, back, Scaler.fit(train))
    )
    assert result.quantity == quantity
    assert result.value == pytest.approx(expected)
    assert 0 <= result.pca <= 1
    assert (result.num_sequences, result.code_size, result.seconds) == (20, 3, 2.5)


def test_a_section_shows_four_pictures_that_fit_on_one_page(fitted, result, tmp_path, outline):
    model, _, held_out, _ = fitted
    part = section(model, held_out, result, summary="Some sequences.")
    assert [figure.title.split()[0] for figure in part.figures] == [
        "Architecture",
        "Losses",
        "Map",
        "Originals",
    ]
    write_page(tmp_path / "index.html", [part], results=[result])
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    seen = outline(text)
    assert seen.open == []
    ids = [name for name in seen.ids if name]
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'(?:url\(|href=")#([^)"]+)', text)) <= set(ids)
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", text)
    shortest = held_out.ids[int(np.argmin(held_out.lengths))]
    assert f"{shortest}" in seen.text


def test_text_in_the_pictures_has_the_colour_of_the_page(fitted, result):
    model, _, held_out, _ = fitted
    part = section(model, held_out, result, summary="", labels=["a", "b"] * 10, label_name="kind")
    for figure in part.figures:
        assert "currentColor" in figure.svg
        assert "#010203" not in figure.svg
    assert "kind" in part.figures[2].svg
