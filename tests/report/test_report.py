"""Reports of models with very little training show the measured values, with escaped text."""

import html
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from plotly import graph_objects

import refold
from refold.datasets import moving_ones
from refold.errors import DataError, SchemaError
from refold.evaluation import PCABaseline, accuracy, cross_validated_pca, exact, nmse
from refold.model import History, Model
from refold.report import Result, Score, _cards, make_report_section, report, write_page
from refold.report._cards import make_comparison_text_rows
from refold.report._page import Card, Plot, Section, Table, TextGroup, TextView
from refold.sequences import Column, Schema, Sequences
from small_data import TINY, fit_without_training

HOSTILE_TEXT = '</script><img src=x onerror="document.title=1">%{x}<b>'
PAGE_COLUMN = Column("page", "categorical", ("a", HOSTILE_TEXT))
MIXED = Schema((Column("heat", "numeric"), Column("on", "binary"), PAGE_COLUMN))


def mixed(num_sequences=40):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, num_sequences)
    steps = lengths.sum()
    columns = [rng.normal(size=steps), rng.integers(0, 2, steps), rng.integers(0, 2, steps)]
    values = np.stack(columns, axis=1).astype(float)
    values[rng.random(values.shape) < 0.1] = np.nan
    return Sequences(values, np.concatenate([[0], np.cumsum(lengths)]), schema=MIXED)


def curves(num_sequences=50):
    rng = np.random.default_rng(1)
    rows = [rng.normal(size=(n, 3)).cumsum(axis=0) for n in rng.integers(4, 9, num_sequences)]
    return Sequences.from_list(rows, names=["one", "two", "three"])


def words(num_sequences=50):
    rng = np.random.default_rng(2)
    lengths = rng.integers(0, 9, num_sequences)
    return Sequences.from_list(["".join(rng.choice(list("abc "), n)) for n in lengths])


DATA = {"curves": curves, "words": words, "mixed": mixed, "ones": lambda: moving_ones(40, seed=0)}


@pytest.fixture(scope="module")
def reports():
    """Return a function that builds data, a model and a section on demand."""
    cache = {}

    def make(name):
        if name not in cache:
            data = DATA[name]()
            model = fit_without_training(data[:30], latent_dim=4, refit=True).model_
            if name == "curves":  # as if it were trained
                history = History({"loss": [2.0, 1.0], "val_loss": [2.0, 1.5]}, 1.8)
                model = replace(model, history=history)
            drawn = make_report_section(model, data[30:], title=name, train=data[:30])
            cache[name] = data, model, drawn
        return cache[name]

    return make


def titles(report_section):
    return [card.title for card in report_section.cards]


def find_card(report_section, title):
    return next(card for card in report_section.cards if card.title == title)


def plots(report_section):
    return [view for card in report_section.cards for view in card.views if isinstance(view, Plot)]


@pytest.mark.parametrize("name", DATA)
def test_cards_exist_figures_are_valid_for_plotly_and_measurements_agree(reports, name):
    data, model, report_section = reports(name)
    all_titles = ["Data", "Architecture", "Losses by epoch"]
    all_titles += ["Error by feature", "Error by length", "Error by position"]
    all_titles += ["Best, median and worst", "Map of the codes"]
    all_titles += ["Latent dimensions", "Sweeps along latent dimensions"]
    if name == "words":  # one column
        all_titles.remove("Error by feature")
    if name != "curves":  # untrained
        all_titles.remove("Losses by epoch")
    assert titles(report_section) == all_titles
    for view in plots(report_section):
        assert graph_objects.Figure({"data": view.traces, "layout": view.narrow_layout})
        figure = graph_objects.Figure({"data": view.traces, "layout": view.layout})
        assert figure.layout.height == view.layout["height"]
    held_out, scaler = data[30:], model.error_scaler
    pca = PCABaseline(4).fit(data[:30], scaler).reconstruct(held_out)
    measures = {
        "nmse": lambda back: nmse(held_out, back, scaler),
        "accuracy": lambda back: accuracy(held_out, back),
        "exact": lambda back: exact(held_out, back),
    }
    by_data = {"curves": ["nmse"], "mixed": ["nmse", "accuracy"]}
    quantities = by_data.get(name, ["exact", "accuracy"])
    assert [score.quantity for score in report_section.result.scores] == quantities
    for score in report_section.result.scores:
        expected = [measures[score.quantity](back) for back in (model.reconstruct(held_out), pca)]
        assert [score.value, score.pca] == pytest.approx(expected, rel=1e-5)
    assert report_section.result.num_sequences == len(held_out)
    assert report_section.result.code_size == 4


def test_categorical_sequences_are_text_with_marked_differences(reports):
    data, model, report_section = reports("words")
    view = find_card(report_section, "Best, median and worst").views[0]
    assert isinstance(view, TextView)
    worst = view.groups[-1]
    row = int(worst.title.removeprefix("Worst: ").split()[0])
    (_, original), (_, refold_tokens), *_ = worst.rows
    assert "".join(symbol for symbol, _ in original) == data[row]
    decoded = "".join(symbol for symbol, _ in refold_tokens).rstrip("–")
    assert decoded == model.reconstruct(data[[row]])[0]
    for k, (symbol, marked) in enumerate(refold_tokens):
        assert marked == (k >= len(data[row]) or symbol != data[row][k])


@pytest.mark.usefixtures("skip_epochs")
def test_pca_is_fitted_to_the_training_part():
    data = curves()
    options = TINY | {"latent_dim": 4, "calibration_fraction": 0.4, "forecast_steps": 2}
    model = refold.SequenceAutoencoder(**options).fit(data)
    held_back = model.held_back(data)
    assert held_back.sum() == 20
    scaler = model.error_scaler_
    report_section = make_report_section(model, data, title="x", train=data)
    assert "fitted on 30 sequences of the training data" in report_section.summary
    assert "which forecasts, is not shown" in find_card(report_section, "Architecture").caption
    pca = PCABaseline(4).fit(data[~held_back], scaler).reconstruct(data)
    assert report_section.result.scores[0].pca == pytest.approx(nmse(data, pca, scaler), rel=1e-5)
    cross_fitted = make_report_section(model, data, title="x")
    note = "on 4 of 5 parts of these sequences and measured on the part left out"
    assert note in cross_fitted.summary
    assert "not fitted on 20 of them, because they were held back" in cross_fitted.summary
    pca = cross_validated_pca(data, 4, scaler, ~held_back, folds=5, seed=0)
    assert cross_fitted.result.scores[0].pca == pytest.approx(nmse(data, pca, scaler), rel=1e-5)


def test_large_data_is_sampled_and_the_page_says_so(reports):
    data, model, _ = reports("curves")
    options = {"title": "x", "max_sequences": 20, "labels": np.arange(50) % 3}
    report_section = make_report_section(model, data, **options)
    assert report_section.result.num_sequences == 20
    assert "20 sequences drawn at random" in find_card(report_section, "Data").caption
    assert ("50", "sequences") in report_section.key_figures
    assert make_report_section(model, data, **options) == report_section


def test_without_errors_one_card_says_so(reports, monkeypatch):
    data, model, _ = reports("ones")
    monkeypatch.setattr(Model, "reconstruct", lambda *_, **__: data[30:].to_list())
    monkeypatch.setattr(PCABaseline, "reconstruct", lambda *_: data[30:])
    report_section = make_report_section(model, data[30:], title="ones", train=data[:30])
    errors = find_card(report_section, "Errors")
    examples = find_card(report_section, "Best, median and worst")
    assert errors.caption.startswith("All values are reconstructed exactly by Refold and by PCA")
    assert not errors.views
    assert not any(title.startswith("Error by") for title in titles(report_section))
    assert "All sequences are reconstructed exactly." in examples.caption


def test_variational_dimensions_and_rocket_features_are_distinguished(monkeypatch):
    data = curves()
    data = data[data.lengths == 5]  # one length, so that little is compiled
    model = fit_without_training(data, latent_dim=4, rocket_dim=2, length_dim=1)
    report_section = make_report_section(model, data, title="x")
    bars = find_card(report_section, "Latent dimensions").views[0].traces
    num_bars = {trace["name"]: len(trace["x"]) for trace in bars}
    assert num_bars == {"learned": 1, "length": 1, "ROCKET features": 2}
    architecture = find_card(report_section, "Architecture")
    assert "Dimension 1 of the code holds the length" in architecture.caption
    model = fit_without_training(data, latent_dim=4, variational=True)
    monkeypatch.setattr(_cards, "MIN_ACTIVE_VARIANCE", np.inf)
    card = find_card(make_report_section(model, data, title="x"), "Latent dimensions")
    assert {trace["name"]: len(trace["x"]) for trace in card.views[0].traces} == {"inactive": 4}
    active = f"{model.active_dimensions_} of 4 dimensions of this variational model were active"
    assert active in card.caption


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sequences": curves()[:0]}, DataError, "no sequence with a step to report"),
        ({"sequences": Sequences.from_list([np.ones((2, 1))])}, SchemaError, "fitted on 3"),
        ({"labels": [None] * 50}, DataError, "There is only one label: 'None'"),
    ],
)
def test_wrong_arguments_are_refused(reports, tmp_path, change, error, message):
    data, model, _ = reports("curves")
    arguments = {"sequences": data, "path": tmp_path / "page.html"} | change
    with pytest.raises(error, match=message):
        report(model, **arguments)
    assert list(tmp_path.iterdir()) == []


def code_map(reports, **options):
    data, model, _ = reports("curves")
    return find_card(make_report_section(model, data, title="x", **options), "Map of the codes")


def test_a_point_shows_id_length_label_and_error(reports, monkeypatch):
    data, _, _ = reports("curves")
    labels = [f"k{i % 2}" for i in range(50)]
    traces = code_map(reports, labels=labels, label_name="kind").views[0].traces
    assert [trace["name"] for trace in traces] == ["k0", "k1"]
    text = traces[1]["hovertext"][0]
    assert text.startswith(f"<b>1</b><br>{data.lengths[1]} steps<br>kind: k1<br>error ")
    traces = code_map(reports, labels=[HOSTILE_TEXT, "b"] * 25).views[0].traces
    assert not any("<" in trace["name"] or "%{" in trace["name"] for trace in traces)
    # without labels, and of very many points
    monkeypatch.setattr(_cards, "MAX_MAP_POINTS", 15)
    sampled_map = code_map(reports)
    assert sampled_map.views[0].layout["legend"]["title"] == {"text": "steps"}
    assert {trace["name"] for trace in sampled_map.views[0].traces} <= {"4", "5", "6", "7", "8"}
    assert sum(len(trace["x"]) for trace in sampled_map.views[0].traces) == 15
    assert "15 of 50 codes are drawn, chosen at random." in sampled_map.caption


def test_a_browser_draws_every_figure_and_runs_nothing_else(reports, browser, tmp_path):
    data, model, _ = reports("mixed")
    data = data.with_ids([f"{HOSTILE_TEXT}{i}" for i in range(40)])
    labels = [HOSTILE_TEXT, "b", "c", "d"] * 10
    path = tmp_path / "page.html"
    report(model, data, path, labels=labels, label_name=HOSTILE_TEXT, title=HOSTILE_TEXT)
    page, events = browser.new_page(), []
    page.on("pageerror", lambda error: events.append(str(error)))
    page.on("request", lambda request: events.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_function(
        "() => [...document.querySelectorAll('.plot')].every((div) => div.querySelector('svg'))"
    )
    assert page.locator(".plot").count() > 8
    assert page.locator("img").count() == 0
    assert page.title() == HOSTILE_TEXT
    assert any("</script><img" in text for text in page.locator(".legendtext").all_text_contents())
    assert events == [path.as_uri()]
    # on a phone, nothing is wider than the screen
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("() => document.querySelector('.plot .main-svg').clientWidth < 390")
    page.wait_for_timeout(500)
    is_too_wide = "(e) => e.scrollWidth > e.clientWidth + 1"
    assert not page.evaluate(f"() => ({is_too_wide})(document.documentElement)")
    assert not page.evaluate(f"() => [...document.querySelectorAll('.scroll')].some({is_too_wide})")
    outside = """() => [...document.querySelectorAll('.plot text')]
        .map((text) => [text.textContent, text.getBoundingClientRect()])
        .filter(([_, box]) => box.left < 0 || box.right > 390).map(([text]) => text)"""
    assert page.evaluate(outside) == []
    page.close()


def test_columns_of_different_scales_and_runs_of_categories(reports):
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(n, 3)) * [1, 1, 400] + [0, 1, 1e5] for n in rng.integers(4, 9, 30)]
    data = Sequences.from_list(rows, names=["one", "two", "pressure"])
    report_section = make_report_section(fit_without_training(data, latent_dim=2), data, title="x")
    examples = find_card(report_section, "Best, median and worst")
    assert "Columns of different scales have axes of their own." in examples.caption
    [view] = examples.views
    axes = {trace["yaxis"]: set() for trace in view.traces}
    for trace in view.traces:
        axes[trace["yaxis"]] |= {trace["name"]} - {"", "PCA"}
    assert [*axes.values()] == 3 * [{"one", "two"}, {"pressure"}]
    assert max(view.traces, key=lambda trace: trace["legendrank"])["name"] == "PCA"
    assert view.layout["grid"]["subplots"] == [["xy", "x3y3", "x5y5"], ["x2y2", "x4y4", "x6y6"]]
    assert len(view.narrow_layout["grid"]["subplots"]) == 6  # one below the other on a phone
    _, _, report_section = reports("mixed")
    strips, text = find_card(report_section, "Best, median and worst").views[1:]
    assert isinstance(text, TextView)  # of the binary column
    assert {trace["type"] for trace in strips.traces} == {"bar"}
    assert len({trace["name"] for trace in strips.traces if trace["showlegend"]}) > 1


def test_binary_values_of_pca_are_rounded_as_they_are_scored():
    schema = Schema((Column("x", "numeric"), Column("on", "binary")))
    before = Sequences([[0.0, 1.0], [0.0, 0.0], [0.0, 1.0]], [0, 3], schema=schema)
    back = before.with_values(np.array([[0.0, 1.6], [0.0, -0.7], [0.0, 0.2]]))
    (_, original), (_, pca) = make_comparison_text_rows(before, {"PCA": back}, [1])
    assert "".join(text for text, _ in original) == "101"
    assert pca == [("1", False), ("0", False), ("0", True)]
    shorter = Sequences(back.values[:2], [0, 2], schema=schema)
    _, (_, pca) = make_comparison_text_rows(before, {"PCA": shorter}, [1])
    assert pca[2:] == [("–", True)]  # a step that it lacks


# Pages of any content

DOT = Plot([{"type": "scatter", "y": [1, 2], "name": HOSTILE_TEXT}], {"height": 200}, "dots")
RESULT = Result("Ones", 1000, 4, 4, (Score("exact", 0.9996, 0.25),), 12.34)


def shown_text(page):
    without_tags = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)
    return html.unescape(" ".join(without_tags.split()))


@pytest.fixture
def make_page(tmp_path):
    def write(*sections, **options):
        write_page(tmp_path / "index.html", sections, **options)
        return (tmp_path / "index.html").read_text(encoding="utf-8")

    return write


def test_all_contents_are_on_the_page(make_page):
    cards = [
        Card("Dot", "One dot.", [DOT]),
        Card("Columns", "What they are.", [Table(["column"], [["height"]])]),
        Card("Words", "Two.", [TextView([TextGroup("Best: 7", [("Refold", [("a", False)])])])]),
    ]
    ones_section = Section("Ones", "A one that moves.", [("4", "numbers")], cards, RESULT)
    downloads = [("ones.refold", "the model")]
    options = {"title": "A try", "introduction": "To begin with.", "downloads": downloads}
    page_text = shown_text(make_page(ones_section, ones_section, **options))
    words = ["A try", "To begin with.", "A one that moves.", "One dot.", "the model"]
    for word in [*words, "height", "Best: 7"]:
        assert word in page_text
    assert page_text.index("numbers") < page_text.index("A one that moves.")  # caveats follow
    assert "Ones 1,000 4 99.9 % exact 25.0 % exact 12.3 s" in page_text


def test_text_is_escaped(make_page):
    group = TextGroup(HOSTILE_TEXT, [(HOSTILE_TEXT, [(HOSTILE_TEXT, True)])])
    views = [DOT, Table([HOSTILE_TEXT], [[HOSTILE_TEXT]]), TextView([group])]
    cards = [Card(HOSTILE_TEXT, HOSTILE_TEXT, views)]
    key_figures = [(HOSTILE_TEXT, HOSTILE_TEXT)]
    text = make_page(Section(HOSTILE_TEXT, HOSTILE_TEXT, key_figures, cards), title=HOSTILE_TEXT)
    assert "<img" not in text
    assert shown_text(text).count(HOSTILE_TEXT) > 8
    match = re.search(r'<script type="application/json" id="plots">(.*?)</script>', text)
    assert json.loads(match[1])[0]["data"][0]["name"] == HOSTILE_TEXT


def test_the_better_of_two_results_is_marked(make_page):
    def marks(value, pca, quantity):
        result = Result("x", 1, 1, 1, (Score(quantity, value, pca),))
        text = make_page(Section("x", "", result=result), Section("y", ""))
        cells = text.split("<td")[1:]
        return [cell.split(">")[1].split("<")[0] for cell in cells if "best" in cell]

    assert marks(0.1, 0.2, "nmse") == ["NMSE 0.1"]
    assert marks(0.1, 0.2, "exact") == ["20.0 % exact"]
    assert marks(1.0, 1.0, "exact") == ["100 % exact", "100 % exact"]
    assert marks(0.99999, None, "exact") == []  # never rounded to better than it is
    assert Score("exact", 0.99999, None).text(0.99999) == "99.9 % exact"
