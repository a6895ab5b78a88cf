"""Card with the best, the median and the worst reconstruction, as lines, strips or text."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from refold._support.display import short_number
from refold.plots.charts import (
    ACCENT,
    Chart,
    by_variance,
    in_steps,
    reconstruction_cells,
    reconstruction_lines,
    wrong_values,
)
from refold.report._page import Card, Row, Text, TextGroup, Token
from refold.report._plotly import draw
from refold.report._report_data import ReportData
from refold.sequences import Schema, Sequences, split_at

MAX_COLUMNS = 12
MAX_SHOWN = 3  # columns that are visible at first
MAX_STRIP = 400  # steps of a strip
MAX_TEXT_COLUMNS, MAX_TEXT_STEPS = 4, 160
MISSING_STEP = -1.0


class Example(NamedTuple):
    """A sequence that is shown: its index, its rank and id, and its length and error."""

    row: int
    title: str
    subtitle: str


def reconstructions(material: ReportData) -> list[Card]:
    """Draw three examples; no card if nothing was observed."""
    examples = _examples(material)
    if not examples:
        return []
    schema = material.model.schema
    num_numeric = int(schema.numeric.sum())
    views: list[Any] = []
    caption = "Three sequences, chosen by their error and decoded from their codes alone."
    if num_numeric:
        standardized = material.model.error_scaler.transform(material.sequences)
        columns = by_variance(standardized)[:MAX_COLUMNS]
        views.append(draw([_lines(material, one, columns) for one in examples], 380, columns=3))
        caption += (
            " The original is the wide, pale line, the reconstruction the thin one. Click on a "
            "name to hide or show it."
        )
        if num_numeric > MAX_COLUMNS:
            caption += f" {MAX_COLUMNS} of {num_numeric} numeric columns are included."
        if num_numeric > MAX_SHOWN:
            caption += f" At first, the {MAX_SHOWN} columns with the largest variance are shown."
    if len(schema.binary) == schema.num_columns:
        height = int(np.clip(30 * schema.num_columns + 150, 220, 600))
        views.append(draw(_strips(material, examples), height, columns=3))
        caption += (
            " The original is above, the reconstruction below. Wrong values are red; a missing 1 "
            "is pale red."
        )
    elif num_numeric < schema.num_columns:
        views.append(Text([_text(material, example) for example in examples]))
        caption += " Wrong values are underlined."
    score = material.scores[0]
    if score.quantity == "exact" and score.value == 1:
        caption += " All sequences are reconstructed exactly."
    return [Card("Best, median and worst", caption, views)]


def _examples(material: ReportData) -> list[Example]:
    """Return the best, the median and the worst reconstruction."""
    sequences, back = material.sequences, material.methods["Refold"]
    errors = material.errors
    extra = np.maximum(0, back.lengths - sequences.lengths)
    rank = errors.numeric
    if not material.model.schema.numeric.any():
        # each extra step of a reconstruction counts as a wrong one
        rank = np.nan_to_num(errors.categorical) + extra / np.maximum(1, sequences.lengths)
        rank[sequences.lengths == 0] = np.nan
    # if errors are equal, the shorter sequence is the better one
    order = np.lexsort((sequences.lengths, rank))[: int(np.isfinite(rank).sum())]
    examples: dict[int, Example] = {}
    for name, place in (("Best", 0), ("Median", len(order) // 2), ("Worst", len(order) - 1)):
        if not len(order) or order[place] in examples:
            continue
        i = int(order[place])
        text = f"error {short_number(rank[i])}"
        if not material.model.schema.numeric.any():
            text = f"{np.nan_to_num(errors.categorical[i]):.0%} wrong"
            text += f", {in_steps(int(extra[i]), 'extra step')}" if extra[i] else ""
        steps = in_steps(int(sequences.lengths[i]))
        examples[i] = Example(i, f"{name}: {sequences.ids[i]}", f"{steps} · {text}")
    return list(examples.values())


def _lines(material: ReportData, example: Example, columns: list[int]) -> Chart:
    backs = {method: back[[example.row]] for method, back in material.methods.items()}
    original, shown = material.sequences[[example.row]], columns[:MAX_SHOWN]
    chart = reconstruction_lines(original, backs, sorted(columns), shown)
    return replace(chart, title=example.title, subtitle=example.subtitle)


def _strips(material: ReportData, examples: list[Example]) -> list[Chart]:
    rows = [example.row for example in examples]
    parts = (material.sequences[rows], material.methods["Refold"][rows])
    before, after = (split_at(part, np.minimum(part.lengths, MAX_STRIP))[0] for part in parts)
    longest = int(max(before.lengths.max(), after.lengths.max()))
    charts = []
    for i, example in enumerate(examples):
        chart = reconstruction_cells(before[[i]], after[[i]], longest, ACCENT)
        charts.append(replace(chart, title=example.title, subtitle=example.subtitle))
    return charts


def _text(material: ReportData, example: Example) -> TextGroup:
    backs = {method: back[[example.row]] for method, back in material.methods.items()}
    rows = pair_rows(material.sequences[[example.row]], backs)
    return TextGroup(f"{example.title} · {example.subtitle}", rows)


def pair_rows(original: Sequences, backs: dict[str, Sequences]) -> list[Row]:
    """Write a sequence and its reconstructions as text, with wrong values marked."""
    schema = original.schema
    rows: list[Row] = []
    for column in np.flatnonzero(~schema.numeric)[:MAX_TEXT_COLUMNS].tolist():
        name = f"{schema.names[column]}, " if schema.num_columns > 1 else ""
        x = original.values[:, column]
        rows.append((f"{name}original", tokens_of(x, schema, column)))
        for method, back in backs.items():
            # PCA returns any number
            y = schema.columns[column].column_type.clean(back.values[:, column])
            # a dash stands for a step that a reconstruction lacks
            lacking = np.full(max(0, len(x) - len(y)), MISSING_STEP)
            wrong = np.append(wrong_values(x, y), lacking < 0)
            tokens = tokens_of(np.append(y, lacking), schema, column, wrong)
            rows.append((f"{name}{method}", tokens))
    return rows


def tokens_of(
    values: np.ndarray, schema: Schema, column: int, wrong: np.ndarray | None = None
) -> list[Token]:
    """Return one column of a sequence as tokens, with a dot for each missing value."""
    names = [str(name) for name in schema.columns[column].categories] or ["0", "1"]
    gap = "" if all(len(name) == 1 for name in names) else " "
    tokens = []
    for step, value in enumerate(values[:MAX_TEXT_STEPS].tolist()):
        if np.isnan(value):
            text = "·"
        elif value == MISSING_STEP:
            text = "–"
        else:
            text = names[round(value)] if round(value) < len(names) else "?"
        tokens.append((text, bool(wrong is not None and wrong[step])))
        if gap:
            tokens.append((gap, False))
    if len(values) > MAX_TEXT_STEPS:
        tokens.append((f" … {len(values) - MAX_TEXT_STEPS} more", False))
    return tokens
