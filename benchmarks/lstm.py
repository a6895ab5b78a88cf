"""One LSTM layer, next to Keras on its three backends, PyTorch, and a large matrix product.

``python -m benchmarks.lstm`` takes about 9 minutes on two cores.  It needs ``tensorflow-cpu`` and
``torch`` (dependency group ``backends``).  If one of them is missing, it says so and measures the
others.

Every implementation runs in its own process on the same arrays.  First its best setting and number
of threads are found.  Then the implementations take turns for several rounds, so that disturbances
affect all of them, and the median over rounds is reported.  Their results must agree.  Tables are
written to ``results/lstm.md``, and the picture and the main table to
``docs/explanation/performance.md``.  If an implementation is missing, or with ``--quick`` or
``--rows``, everything is written to a temporary folder.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks._results import DOCS, FOLDER, PACKAGES, replace_results, write_page
from benchmarks.lstm_peers.cases import ROWS, SWEEP, Case
from benchmarks.lstm_peers.implementations import IMPLEMENTATIONS, missing
from benchmarks.lstm_peers.measure import Measured, measure
from benchmarks.lstm_peers.picture import draw
from benchmarks.lstm_peers.pool import Pool
from benchmarks.lstm_peers.tables import main_table, page
from benchmarks.lstm_peers.targets import SAME

SHOWN = """\
![Rate against units: one curve per implementation, and the matrix product](../images/lstm.png)

*Forward and backward pass of one layer: floating-point operations of its matrix products per
second. Higher is faster. The dashed line is one large matrix product on the same machine.*

The table shows milliseconds for the forward and backward pass in float32, with gradients of the
weights and of the input. T is the number of steps, B the batch size, F the number of features and H
the number of units. Each implementation runs alone, with its best setting and number of threads.
The last two columns compare Refold with the rate of a large matrix product on this machine: for
single calls, and for ten steps in one compiled loop. `SequenceAutoencoder` trains in such a loop,
which allocates memory once and not in every call.

{table}

[All results](../../benchmarks/results/lstm.md), with machine and versions, also have the forward
pass alone, batches of unequal lengths, and a whole model trained by Keras's `fit`.
"""
QUICK_SWEEP = tuple(case for case in SWEEP if case.units in {8, 64, 256})


def main(arguments: Sequence[str] = ()) -> None:
    """Measure, and write the tables and the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lstm", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only check that everything runs")
    parser.add_argument(
        "--rows",
        nargs="+",
        type=_case,
        metavar="T,B,F,H",
        help="measure only these shapes, without the sweep and the model of the question",
    )
    options = parser.parse_args(arguments)
    absent = missing()
    notes = [
        f"**{one.title} is missing:** {one.needs} is not installed (`pip install {one.install}`)."
        for one in absent
    ]
    names = [one.name for one in IMPLEMENTATIONS if one not in absent]
    log = _Clock(notes)
    for note in notes:
        log(note)

    rounds, seconds = (2, 0.03) if options.quick else (7, 0.1)
    sweep = () if options.rows else QUICK_SWEEP if options.quick else SWEEP
    with Pool(rounds=rounds, seconds=seconds, log=log.note) as pool:
        measured = measure(
            pool,
            names,
            rows=tuple(options.rows or ROWS),
            sweep=sweep,
            question=not options.rows,
            num_settings=1 if options.quick else None,
            log=log,
        )

    whole = not (options.quick or options.rows or absent)
    folder = FOLDER if whole else Path(tempfile.mkdtemp(prefix="refold-lstm-"))
    write_page(
        "lstm",
        "One LSTM layer",
        page(measured, notes),
        packages=(*PACKAGES, "jaxlib", "tensorflow-cpu", "tensorflow", "torch"),
        folder=folder,
    )
    if measured.sweep:
        draw(measured, DOCS / "images" / "lstm.png" if whole else folder / "lstm.png")
    if whole:
        text = SHOWN.format(table=main_table(measured))
        replace_results(DOCS / "explanation" / "performance.md", text, name="lstm")
    log(f"{folder / 'lstm.md'} is written")
    _check(measured)


class _Clock:
    """Prints progress messages with the seconds since the start."""

    def __init__(self, notes: list[str]) -> None:
        self._started, self._notes = time.perf_counter(), notes

    def __call__(self, text: str) -> None:
        print(f"{time.perf_counter() - self._started:4.0f} s  {text}", flush=True)

    def note(self, text: str) -> None:
        """Print a message, and add it to the page of results."""
        self._notes.append(f"Did not run: {text}")
        self(text)


def _check(measured: Measured) -> None:
    for row in measured.rows:
        for name, difference in row.differences.items():
            if not difference <= SAME:
                raise SystemExit(f"{name} at ({row.case.title}) differs by {difference:.1e}.")


def _case(text: str) -> Case:
    try:
        steps, batch, features, units = (int(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected four whole numbers, such as 100,64,8,128. Got {text!r}."
        ) from None
    return Case(steps, batch, features, units)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
