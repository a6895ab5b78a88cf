"""Cards of the errors of Refold and PCA, by feature, by length and by position."""

import numpy as np

from refold.evaluation import errors_by_feature, errors_by_length, errors_by_position
from refold.plots.charts import error_bars, length_error_bars, position_error_lines
from refold.report._page import Card, Plot
from refold.report._plotly_style import draw
from refold.report._report_data import ReportData
from refold.sequences import Schema

MAX_FEATURES = 40


def error_cards(material: ReportData) -> list[Card]:
    """Draw the errors; figures with one group are left out, and one card says if there are none."""
    schema, sequences = material.model.schema, material.sequences
    units = material.model.error_scaler
    groups = [
        group
        for group, columns in (("numeric", schema.numeric), ("categorical", ~schema.numeric))
        if columns.any()
    ]
    by_feature, by_length, by_position = {}, {}, {}
    for name, back in material.methods.items():
        by_feature[name] = errors_by_feature(sequences, back, units)
        by_length[name] = errors_by_length(sequences, back, units)
        by_position[name] = errors_by_position(sequences, back, units)
    if not any(np.nansum(one) > 0 for one in by_feature.values()):
        return [_no_errors(list(by_feature))]
    unit = _unit(groups)
    cards = []
    if schema.num_columns > 1:
        views = [_features(by_feature, schema, group) for group in groups]
        more = ""
        if max(int(schema.numeric.sum()), int((~schema.numeric).sum())) > MAX_FEATURES:
            more = f" The {MAX_FEATURES} with the largest errors are shown."
        cards.append(Card("Error by feature", f"{unit}{more}", views, switch=True))
    if len(by_length["Refold"].first) > 1:
        views = [draw(length_error_bars(by_length, group), 320, group) for group in groups]
        caption = (
            "Sequences are grouped by length, with about as many in each group. Longer ones are "
            f"harder, because more has to fit into a code of the same size. {unit}"
        )
        cards.append(Card("Error by length", caption, views, switch=True))
    if len(by_position["Refold"].first) > 1:
        views = [draw(position_error_lines(by_position, group), 320, group) for group in groups]
        caption = "The error at each step of the sequences."
        if material.sequences.lengths.min() < material.sequences.lengths.max():
            caption += " Fewer sequences have the last steps, so the lines are less certain there."
        cards.append(Card("Error by position", f"{caption} {unit}", views, switch=True))
    return cards


def _no_errors(methods: list[str]) -> Card:
    """Return a card without a figure, for data without an error."""
    by = " and by ".join(methods)
    return Card(
        "Errors",
        f"All values are reconstructed exactly by {by}, so there are no errors to draw by feature, "
        "length or position. Steps beyond the end of the original do not count here.",
        (),
    )


def _unit(groups: list[str]) -> str:
    units = {
        "numeric": "Squared errors are in units of the variance of the training data: predicting "
        "the mean has an error of 1.",
        "categorical": "A binary or categorical value is wrong if it differs from the original or "
        "is missing.",
    }
    return " ".join(units[group] for group in groups)


def _features(errors: dict[str, np.ndarray], schema: Schema, group: str) -> Plot:
    chosen = np.flatnonzero(schema.numeric if group == "numeric" else ~schema.numeric)
    if len(chosen) > MAX_FEATURES:
        worst = np.argsort(-np.nan_to_num(errors["Refold"][chosen]), kind="stable")
        chosen = np.sort(chosen[worst[:MAX_FEATURES]])
    names = [schema.names[i] for i in chosen]
    chosen_errors = {method: values[chosen] for method, values in errors.items()}
    chart = error_bars(chosen_errors, names, group, horizontal=True)
    return draw(chart, 110 + 26 * max(2, len(chosen)), group)
