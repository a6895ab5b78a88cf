"""A process for one run: ``... worker METHOD FOLDER SIZE SECONDS SEED``.

The method is given only the training split.  The test split is read after the fit.
"""

import importlib
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fidelity_peers.channels import NotPossibleError
from benchmarks.fidelity_peers.methods import METHODS
from benchmarks.training_peers.process import answer


def main(name: str, folder: Path, size: int, seconds: float, seed: int) -> dict[str, Any]:
    """Fit, reconstruct, and measure."""
    from refold.sequences import read

    method = METHODS[name]
    module = importlib.import_module(f"{__package__}.{method.module}")
    train = read(folder / "train.parquet")
    began = time.perf_counter()
    try:
        reconstruct = module.fit(train, size=size, seconds=seconds, seed=seed, **method.options)
    except NotPossibleError as error:
        return {"not_possible": str(error)}
    took = time.perf_counter() - began
    test = read(folder / "test.parquet").align(train.schema)
    return {"took": took, **_errors(train, test, reconstruct(test))}


def _errors(train: Any, test: Any, back: Any) -> dict[str, float]:
    """Return the errors of a reconstruction; they are NaN if ``back`` is None."""
    if back is not None:
        lengths = np.array([len(one) for one in back])
        return {
            **_values(train, test, back),
            "wrong_lengths": float((lengths != test.lengths).mean()),
        }
    return _values(train, test, back)


def _values(train: Any, test: Any, back: Any) -> dict[str, float]:
    from refold.evaluation import accuracy, exact, nmse
    from refold.sequences import Scaler

    if train.schema.numeric.all():
        return {"nmse": math.nan if back is None else nmse(test, back, Scaler.fit(train))}
    if back is None:
        return {"exact": math.nan, "accuracy": math.nan}
    return {"exact": exact(test, back), "accuracy": accuracy(test, back)}


if __name__ == "__main__":
    which, where, *numbers = sys.argv[1:]
    answer(**main(which, Path(where), int(numbers[0]), float(numbers[1]), int(numbers[2])))
