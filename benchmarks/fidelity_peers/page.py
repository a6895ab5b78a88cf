"""The page of results: a table with a row for each cell, the targets, and failed runs."""

import math
from typing import Any

from benchmarks._results import table
from benchmarks.fidelity_peers.cells import Cell, Outcome, judge
from benchmarks.fidelity_peers.data import DATA
from benchmarks.fidelity_peers.methods import METHODS, OURS
from benchmarks.fidelity_peers.plan import BRIEF_SECONDS, Selection
from benchmarks.fidelity_peers.store import failed

__all__ = ["about", "page"]

Records = list[dict[str, Any]]

EXPLAINED = """\
*NMSE* is squared error over power: 0 is perfect, and 1 is the error of predicting the mean. *Exact*
is the share of sequences that are reconstructed exactly, with the share of right categories in
parentheses. All sequences are held out. Refold has its default settings, and its value is the
median of three seeds. It decodes the lengths from the code; the other methods are told them. For
categorical data, and for fewer than 2000 training sequences, Refold's codes include latent
optimization; all others encode in one pass. The best result of a row is bold, and NaN and failed
runs count as worst. An NMSE above 100 is shown as *diverged*, and curves end at 2 and at 0.0001.
*Relative to PCA* is Refold's NMSE divided by that of PCA. *Wrong lengths* is the largest share of
wrong lengths of Refold's seeds. *Seconds* is the time of Refold's `fit`. Defaults were chosen on
the data sets from PLAID to German words. On the sets after them, results are only reported."""
ELSEWHERE = " Results with a ° were trained on another machine than Refold in the same row."
# Larger errors are shown as "diverged".
DIVERGED = 100.0


def page(cells: list[Cell], used: Records, selection: Selection, picture: str) -> list[str]:
    """Return the parts of the page."""
    parts = [
        "![Held-out error by latent dimensions, with one panel for each data set and one curve for "
        f"each method]({picture})",
        f"{EXPLAINED} A fit has at most {selection.seconds} seconds"
        + (
            f", {BRIEF_SECONDS} for the sets from PLAID on"
            if any(part.brief for part in selection.parts.values())
            else ""
        )
        + (
            f", and {selection.long_seconds} for sentences and for words with 64 or 128 dimensions."
            if any(part.long for part in selection.parts.values())
            else "."
        )
        + (ELSEWHERE if any(cell.elsewhere for cell in cells) else ""),
        _table(cells, selection),
    ]
    if verdicts := judge(cells):
        rows = [
            [one.what, one.wanted, one.got, "yes" if one.holds else "**no**"] for one in verdicts
        ]
        parts += ["## Targets", table(["target", "wanted", "measured", "met"], rows)]
    if notes := _notes(used):
        parts += ["## Not run", notes]
    return parts


def about(used: Records, selection: Selection) -> str:
    """Return the dates, the machines, the versions and the number of the results."""
    dates = sorted({record["date"] for record in used})
    machines = sorted({record["machine"] for record in used})
    versions = {part for record in used for part in record["versions"].split(", ")}
    wanted, got = len(selection.runs()), sum(not failed(record) for record in used)
    missing = "" if got == wanted else f" **{got} of {wanted} runs have results.**"
    days = " to ".join(dates[:: max(1, len(dates) - 1)])
    lines = [
        f"{days}, {'; '.join(machines)}",
        ", ".join(sorted(versions, key=str.lower)),
        f"Refold's code: {_codes(used)}.{missing}",
    ]
    return "  \n".join(lines)


def _codes(used: Records) -> str:
    """Return the versions of Refold's code, with their results if there are several."""
    made: dict[str, dict[str, list[str]]] = {}
    for one in used:
        if one["method"] == OURS:
            sizes = made.setdefault(one["code"], {}).setdefault(DATA[one["data"]].title, [])
            if str(one["size"]) not in sizes:
                sizes.append(str(one["size"]))
    if len(made) < 2:
        return ", ".join(made) or "none"
    places = {
        code: "; ".join(f"{title} at {', '.join(sizes)}" for title, sizes in data.items())
        for code, data in made.items()
    }
    return ", ".join(f"{code} ({places[code]})" for code in sorted(made))


def _table(cells: list[Cell], selection: Selection) -> str:
    names = [name for name in METHODS if name in selection.methods]
    titles = [METHODS[name].title for name in names]
    header = [
        "data",
        "latent dimensions",
        *titles,
        "best",
        "relative to PCA",
        "wrong lengths",
        "seconds",
    ]
    rows, last = [], None
    for cell in cells:
        data = DATA[cell.data]
        words = {"nmse": "NMSE", "exact": "exact", "accuracy": "right categories"}[data.error]
        title = f"{data.title}, {data.about}; {words}" if cell.data != last else ""
        shown = [_shown(cell.outcomes.get(name), data.error) for name in names]
        shown = [
            (f"**{text}**" if name in cell.best else text) + " °" * (name in cell.elsewhere)
            for name, text in zip(names, shown, strict=True)
        ]
        best = ", ".join(METHODS[name].title for name in cell.best)
        ratio = "" if cell.ratio is None else _ratio(cell.ratio)
        ours = cell.outcomes.get(OURS)
        seconds = "" if ours is None else f"{ours.took:.0f}"
        off = "" if cell.wrong_lengths is None else f"{100 * cell.wrong_lengths:.1f} %"
        rows.append([title, str(cell.size), *shown, best, ratio, off, seconds])
        last = cell.data
    return table(header, rows)


def _shown(outcome: Outcome | None, error: str) -> str:
    if outcome is None or outcome.note:
        return outcome.note if outcome else ""
    if error == "nmse" and outcome.error > DIVERGED:
        return "diverged"
    if error == "nmse":
        return f"{outcome.error:.4f}" if outcome.error < 0.1 else f"{outcome.error:.3f}"
    share = f"{100 * (1 - outcome.error):.1f} %"
    return share if error == "accuracy" else f"{share} ({100 * (1 - outcome.wrong):.1f})"


def _ratio(ratio: float) -> str:
    return f"{ratio:.3f}" if math.isfinite(ratio) and ratio < 100 else "large"


def _notes(used: Records) -> str:
    rows = {
        f"- {METHODS[one['method']].title}, {DATA[one['data']].title}, {one['size']} dimensions: "
        f"{one.get('failed') or one['not_possible']}"
        for one in used
        if failed(one) or "not_possible" in one
    }
    return "\n".join(sorted(rows))
