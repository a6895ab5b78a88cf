"""Cards of the errors: by feature, by length and by position, Refold beside PCA."""

from typing import Any

import numpy as np

from refold.evaluation import (
    GroupErrors,
    errors_by_feature,
    errors_by_length,
    errors_by_position,
)
from refold.report._page import Card, Plot
from refold.report._plotly_style import ACCENT, MUTED, layout, numbers, plain
from refold.report._report_data import ReportData

__all__ = ["error_cards"]

COLOURS = {"Refold": ACCENT, "PCA": MUTED}
UNITS = {"numeric": "squared error", "symbols": "share of wrong symbols"}
BUTTONS = {"numeric": "numbers", "symbols": "symbols"}
MOST_FEATURES = 40


def error_cards(material: ReportData) -> list[Card]:
    """Draw the errors; what has but one group is left out, and one card says if there are none."""
    schema, sequences = material.model.schema_, material.sequences
    units = material.model.error_scaler_
    column_types = [
        kind
        for kind, there in (("numeric", schema.numeric), ("symbols", ~schema.numeric))
        if there.any()
    ]
    by_feature, by_length, by_position = {}, {}, {}
    for name, back in material.methods.items():
        by_feature[name] = errors_by_feature(sequences, back, units)
        by_length[name] = errors_by_length(sequences, back, units)
        by_position[name] = errors_by_position(sequences, back, units)
    if not any(np.nansum(one) > 0 for one in by_feature.values()):
        return [_all_recovered(list(by_feature), column_types)]
    unit = _unit(column_types)
    cards = []
    if schema.num_columns > 1:
        views = [_features(by_feature, schema, kind) for kind in column_types]
        more = ""
        if max(int(schema.numeric.sum()), int((~schema.numeric).sum())) > MOST_FEATURES:
            more = f" The {MOST_FEATURES} with the largest errors are shown."
        cards.append(Card("Error by feature", f"{unit}{more}", views, switch=True))
    if len(by_length["Refold"].first) > 1:
        views = [_lengths(by_length, kind) for kind in column_types]
        says = "Sequences of like length together, about as many in each group. Long ones are"
        cards.append(
            Card("Error by length", f"{says} harder where more has to go into a code of the same "
                 f"size. {unit}", views, switch=True)
        )  # fmt: skip
    if len(by_position["Refold"].first) > 1:
        views = [_positions(by_position, kind) for kind in column_types]
        says = "Where in a sequence errors are, from its first step on."
        if material.sequences.lengths.min() < material.sequences.lengths.max():
            says += " Towards the end there are fewer sequences, so the lines are less sure."
        cards.append(Card("Error by position", f"{says} {unit}", views, switch=True))
    return cards


def _all_recovered(methods: list[str], column_types: list[str]) -> Card:
    """Say that there is no error to draw."""
    what = {"numeric": "values", "symbols": "symbols"}
    recovered = what[column_types[0]] if len(column_types) == 1 else "values and symbols"
    by = " and by ".join(methods)
    return Card(
        "Errors",
        f"All {recovered} are recovered exactly by {by}, so there are no errors to draw by "
        "feature, length or position. Steps beyond the end of the original do not count here.",
        (),
    )


def _unit(column_types: list[str]) -> str:
    says = {
        "numeric": "Squared errors are in units of the training data: 1 is the variance, which is "
        "the error of the mean.",
        "symbols": "A symbol is wrong that is another than the original's, or lacking.",
    }
    return " ".join(says[kind] for kind in column_types)


def _features(errors: dict[str, np.ndarray], schema: Any, kind: str) -> Plot:
    chosen = np.flatnonzero(schema.numeric if kind == "numeric" else ~schema.numeric)
    if len(chosen) > MOST_FEATURES:
        worst = np.argsort(-np.nan_to_num(errors["Refold"][chosen]), kind="stable")
        chosen = np.sort(chosen[worst[:MOST_FEATURES]])
    names = [plain(schema.names[i]) for i in chosen]
    traces = [
        {
            "type": "bar", "orientation": "h", "name": name, "y": list(range(len(chosen))),
            "x": numbers(one[chosen]), "marker": {"color": COLOURS[name]}, "hoverinfo": "text",
            "hovertext": [
                f"{column}<br>{name}: {_text(value)}"
                for column, value in zip(names, one[chosen], strict=True)
            ],
        }
        for name, one in errors.items()
    ]  # fmt: skip
    axes = {
        "xaxis": {"title": {"text": UNITS[kind]}, "rangemode": "tozero"},
        "yaxis": {
            "autorange": "reversed", "tickmode": "array", "tickvals": list(range(len(chosen))),
            "ticktext": names, "showgrid": False,
        },
        "bargap": 0.25,
    }  # fmt: skip
    return Plot(traces, layout(110 + 26 * max(2, len(chosen)), **axes), BUTTONS[kind])


def _lengths(groups: dict[str, GroupErrors], kind: str) -> Plot:
    names = groups["Refold"].names
    traces = [
        {
            "type": "bar", "name": name, "x": list(range(len(names))),
            "y": numbers(getattr(one, kind)), "marker": {"color": COLOURS[name]},
            "hoverinfo": "text",
            "hovertext": [
                f"{name}: {_text(value)}<br>{steps} steps, {num:,} sequences"
                for value, steps, num in zip(
                    getattr(one, kind), names, one.num_sequences.tolist(), strict=True
                )
            ],
        }
        for name, one in groups.items()
    ]  # fmt: skip
    axes = {
        "xaxis": {
            "title": {"text": "steps in the sequence"}, "showgrid": False, "tickmode": "array",
            "tickvals": list(range(len(names))), "ticktext": names,
        },
        "yaxis": {"title": {"text": UNITS[kind]}, "rangemode": "tozero"},
        "bargap": 0.3,
    }  # fmt: skip
    return Plot(traces, layout(320, **axes), BUTTONS[kind])


def _positions(groups: dict[str, GroupErrors], kind: str) -> Plot:
    traces = []
    for name, one in groups.items():
        steps = [
            f"step {low}" if low == high else f"steps {low} to {high}"
            for low, high in zip(one.first.tolist(), one.last.tolist(), strict=True)
        ]
        values = getattr(one, kind)
        traces.append(
            {
                "type": "scatter", "mode": "lines" if len(steps) > 12 else "lines+markers",
                "name": name, "x": numbers((one.first + one.last) / 2), "y": numbers(values),
                "line": {"color": COLOURS[name], "width": 2}, "hoverinfo": "text",
                "hovertext": [
                    f"{name}: {_text(value)}<br>{where}, {num:,} sequences"
                    for value, where, num in zip(
                        values, steps, one.num_sequences.tolist(), strict=True
                    )
                ],
            }
        )  # fmt: skip
    axes = {
        "xaxis": {"title": {"text": "step"}, "showgrid": False},
        "yaxis": {"title": {"text": UNITS[kind]}, "rangemode": "tozero"},
    }
    return Plot(traces, layout(320, **axes), BUTTONS[kind])


def _text(value: float) -> str:
    return "never observed" if np.isnan(value) else f"{value:.3g}"
