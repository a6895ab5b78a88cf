"""The results of a run as Markdown tables."""

from collections.abc import Iterable

from benchmarks._results import table
from benchmarks.lstm_peers.implementations import IMPLEMENTATIONS
from benchmarks.lstm_peers.measure import EPOCHS, OURS, Measured
from benchmarks.lstm_peers.pool import Timed
from benchmarks.lstm_peers.targets import SAME, fastest_peer, share, targets

__all__ = ["main_table", "page"]

TITLES = {one.name: one.title for one in IMPLEMENTATIONS}
SHAPE = "T, B, F, H"


def page(measured: Measured, notes: list[str]) -> list[str]:
    """Return the parts of the page of results."""
    rate = max(measured.matmul.values(), default=float("nan")) / 1e9
    products = ", ".join(
        f"{TITLES[name].removeprefix('Keras on ')} {rate / 1e9:.0f}"
        for name, rate in measured.matmul.items()
    )
    parts = [
        f"Refold runs {measured.about}. Each implementation has its own process and its best "
        "setting (second line of a cell). The implementations take turns, and times are medians "
        f"over rounds. Shapes are {SHAPE}: steps, batch size, features, units. All arrays are "
        "float32.",
        *notes,
        f"A product of two 2048 × 2048 matrices reaches these rates in GFLOP/s: {products}. The "
        f"matrix-product rate below is the best of them, {rate:.0f}.",
        "## Targets",
        _targets(measured),
        "## Forward and backward, milliseconds",
        "The time of one layer with all outputs and the gradients of the weights and of the input. "
        "The share of the matrix-product rate is the number of operations (three times those of "
        "the forward products), divided by Refold's time and by the matrix-product rate. The last "
        "column is the share for ten steps in one compiled loop, as in training. The loop "
        "allocates memory once and not in every call.",
        main_table(measured, settings=True),
        "## Forward alone, milliseconds",
        _forward(measured),
    ]
    if any(row.ragged for row in measured.rows):
        parts += [
            "## Unequal lengths",
            "The time of the forward and backward pass for lengths that are uniform from 1 to T, "
            "divided by the time of the full batch above. Sequences are padded on the right. Keras "
            "is given a mask, and PyTorch a packed sequence.",
            _ragged(measured),
        ]
    if measured.question:
        parts += [
            '## The model of the question "LSTM Autoencoder"',
            "Keras compiles and fits `LSTM(20)`, `Reshape((10, 2))`, "
            "`LSTM(5, return_sequences=True)` to 1200 sequences of 10 steps, in batches of 100, "
            f"with {EPOCHS} epochs per call.",
            _question(measured),
        ]
    if measured.sweep:
        case = next(iter(measured.sweep))
        parts += [
            "## Rate by units",
            f"GFLOP/s of the forward and backward pass for T, B, F = {case.steps}, {case.batch}, "
            f"{case.features}. Operations are counted as above.",
            _sweep(measured),
        ]
    parts += [
        "## Agreement of the results",
        "The largest difference between the arrays of an implementation and those of Keras on JAX, "
        "relative to the largest magnitude of the array. The arrays are outputs and gradients, "
        f"also for unequal lengths. The difference must be below {SAME:g}.",
        _differences(measured),
    ]
    return parts


def main_table(measured: Measured, *, settings: bool = False) -> str:
    """Return the table of the forward and backward pass."""
    names = _names(row.both for row in measured.rows)
    header = [SHAPE, *(TITLES[name] for name in names), "× Keras on JAX", "× fastest peer"]
    lines = []
    for row in measured.rows:
        ours = row.both[OURS].seconds
        by_keras = row.both["keras_jax"].seconds / ours if "keras_jax" in row.both else None
        by_fastest = fastest_peer(row.both).seconds / ours if len(row.both) > 1 else None
        cells = [_cell(row.both.get(name), settings=settings) for name in names]
        of_rate = ["", ""]
        if measured.matmul:
            timed = row.both[OURS], row.loop
            of_rate = [f"{share(row.case, each, measured):.0%}" for each in timed]
        lines.append([row.case.title, *cells, _ratio(by_keras), _ratio(by_fastest), *of_rate])
    return table([*header, "share of the matrix-product rate", "share in a compiled loop"], lines)


def _targets(measured: Measured) -> str:
    aimed = targets(measured)
    met = sum(target.met for target in aimed)
    lines = [[t.what, t.wanted, t.got, "yes" if t.met else "**no**"] for t in aimed]
    summary = (
        f"{met} of {len(aimed)} are met. Unless stated otherwise, times are for the forward and "
        "backward pass."
    )
    return summary + "\n\n" + table(["target", "wanted", "measured", "met"], lines)


def _forward(measured: Measured) -> str:
    names = _names(row.forward for row in measured.rows)
    lines = []
    for row in measured.rows:
        cells = [_cell(row.forward.get(name), settings=True) for name in names]
        peers = len(row.forward) > 1
        ratio = fastest_peer(row.forward).seconds / row.forward[OURS].seconds if peers else None
        lines.append([row.case.title, *cells, _ratio(ratio)])
    return table([SHAPE, *(TITLES[name] for name in names), "× fastest peer"], lines)


def _ragged(measured: Measured) -> str:
    rows = [row for row in measured.rows if row.ragged]
    names = _names(row.ragged for row in rows)
    lines = [
        [
            row.case.title,
            *(
                f"{row.ragged[name].seconds / row.both[name].seconds:.2f}"
                if name in row.ragged
                else ""
                for name in names
            ),
        ]
        for row in rows
    ]
    return table([SHAPE, *(TITLES[name] for name in names)], lines)


def _question(measured: Measured) -> str:
    ours = measured.question[OURS].seconds
    lines = [
        [
            "Keras on JAX with `refold.layers.LSTM`" if name == OURS else TITLES[name],
            f"{1 / timed.seconds:.3g}",
            f"{ours / timed.seconds:.2g}",
        ]
        for name, timed in measured.question.items()
    ]
    return table(["", "epochs per second", "relative to Refold"], lines)


def _sweep(measured: Measured) -> str:
    names = _names(measured.sweep.values())
    lines = [
        [
            str(case.units),
            *(
                f"{case.flops / times[name].seconds / 1e9:.3g}" if name in times else ""
                for name in names
            ),
        ]
        for case, times in measured.sweep.items()
    ]
    return table(["units", *(TITLES[name] for name in names)], lines)


def _differences(measured: Measured) -> str:
    names = _names(row.differences for row in measured.rows)
    lines = [
        [row.case.title, *(f"{row.differences[name]:.1e}" for name in names)]
        for row in measured.rows
    ]
    return table([SHAPE, *(TITLES[name] for name in names)], lines)


def _names(results: Iterable[dict]) -> list[str]:
    found = {name for result in results for name in result}
    return [name for name in TITLES if name in found]


def _cell(timed: Timed | None, *, settings: bool) -> str:
    if timed is None:
        return ""
    words = timed.candidate.words if settings else ""
    return f"{1000 * timed.seconds:.3g}" + (f"<br>{words}" if words else "")


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"
