"""Reconstruction of held-out lines of text of 60 to 120 characters.

``python -m benchmarks.lines_of_text`` takes about 15 minutes on two cores.  The lines are the data
set "sentences" of ``fidelity.py``, with 11,000 training lines and 1000 held-out lines.  Refold has
default settings, at most ``SECONDS`` for a fit, and one seed.  PCA of the same size is fitted to
the same lines and is told the lengths.  ``--sizes 32`` measures a single size.  The page shows all
sizes that have been measured.
"""

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import refold
from benchmarks._results import FOLDER, table, write_page
from benchmarks.fidelity_peers.data import sentences
from refold.evaluation import PCABaseline, accuracy, exact
from refold.sequences import Sequences

SIZES = (32, 60, 96, 120)
SECONDS = 120.0
STORE = FOLDER / "lines_of_text.json"


def rounded(codes: np.ndarray) -> dict[str, np.ndarray]:
    """Return codes as float32 and as float16."""
    return {"float32": codes, "float16": codes.astype(np.float16).astype(np.float32)}


def rows_of(size: int, train: Sequences, held: Sequences) -> list[list[str]]:
    """Measure PCA and Refold."""

    def row(name: str, took: str, back: Any) -> list[str]:
        right = (f"{100 * share(held, back):.1f} %" for share in (accuracy, exact))
        return [str(size), name, took, *right]

    pca = PCABaseline(size).fit(train).reconstruct(held)
    rows = [row("PCA, told the lengths", "", pca)]
    began = time.perf_counter()
    ae = refold.SequenceAutoencoder(size, time_budget=SECONDS, random_state=0).fit(train)
    took = f"{time.perf_counter() - began:.0f} s"
    for name, codes in rounded(ae.transform(held)).items():
        rows.append(row(f"Refold, {name}", took, ae.inverse_transform(codes)))
    return rows


def main(arguments: Sequence[str] = ()) -> None:
    """Measure, and write ``results/lines_of_text.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lines_of_text", description=__doc__)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    train, held = sentences()
    found = json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else {}
    for size in parser.parse_args(arguments).sizes:
        found[str(size)] = rows_of(size, train, held)
        STORE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    longest = float((held.lengths == held.lengths.max()).mean())
    write_page(
        "lines_of_text",
        "Lines of text",
        [
            f"{len(train)} lines to train on and {len(held)} held-out lines of "
            f"{held.lengths.min()} to {held.lengths.max()} characters, {held.lengths.mean():.0f} "
            f"on average. {100 * longest:.1f} % of the held-out lines have the largest length. One "
            "latent dimension of Refold holds the length. One seed.",
            table(
                ["latent dimensions", "code", "time of the fit", "right characters", "exact lines"],
                [row for size in sorted(found, key=int) for row in found[size]],
            ),
        ],
    )


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
