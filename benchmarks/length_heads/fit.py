"""One fit with one model of the length, as a process; see `benchmarks.lengths`."""

import json
import sys
import time
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import refold
from benchmarks.length_heads import heads, visible
from benchmarks.training_peers.process import answer
from refold.evaluation import nmse
from refold.network.keras import build
from refold.network.packed import network
from refold.network.packed.lbfgs import minimize_rows
from refold.sequences import Scaler, Sequences, read
from refold.training import _held_out_error
from refold.training.loop import _compiled_steps


def use_head(kind: str, lengths: np.ndarray) -> None:
    """Replace the model of the length in everything that is imported."""
    found = heads.components_of(kind, lengths)
    build.length_model = lambda latent_dim, **_: heads.keras_model(found, latent_dim)
    _compiled_steps.length_loss = heads.loss_of(found)
    network.length_model = partial(heads.Length, components=found)
    network.LatentObjective = heads.Objective


def use_visible_error() -> None:
    """Measure the visible error in validation, at the end of a fit, and of optimized codes."""
    network.PackedNetwork.reconstruction_error = visible.reconstruction_error
    measure = _held_out_error.fidelity

    def fidelity(original: Sequences, reconstructed: Sequences, scaler: Scaler) -> Any:
        found = measure(original, reconstructed, scaler)
        return replace(found, nmse=visible.visible_nmse(original, reconstructed, scaler))

    _held_out_error.fidelity = fidelity
    network.minimize_rows = minimize_visibly


def minimize_visibly(objective: Any, codes: np.ndarray, steps: int, **options: Any) -> np.ndarray:
    """Minimize as usual, and keep the new code of a sequence if its visible error is smaller."""
    after = minimize_rows(objective, codes, steps, **options)
    layout, length = objective._layout, objective._length
    if length is None:
        return after
    observed = objective._weight[layout.rows] > 0
    targets = np.where(observed, objective._targets[layout.rows], np.nan)
    sums = [
        visible.squared_sums(objective._decoder, length(one), one, targets, layout.offsets)
        for one in (codes, after)
    ]
    return np.where((sums[1] < sums[0])[:, None], after, codes)


def of_searches(ae: Any, test: Sequences, units: Scaler) -> dict[str, Any]:
    """Return the errors after other latent optimizations of the same model."""
    found = {}
    for name, part, other in (
        ("earlier", "LatentObjective", heads.EarlierObjective),
        ("kept", "minimize_rows", minimize_visibly),
    ):
        own = getattr(network, part)
        setattr(network, part, other)
        found[name] = measure(ae, test, units)
        setattr(network, part, own)
    return found


def measure(ae: Any, test: Sequences, units: Scaler, *, median: bool = False) -> dict[str, Any]:
    """Return the errors of held-out sequences, with predicted and with true lengths."""
    codes = ae.transform(test)
    length = ae.model_.network.length
    length.rule = "median" if median else "mode"
    back, told = (
        Sequences.from_list(ae.inverse_transform(codes, lengths), schema=test.schema)
        for lengths in (None, test.lengths)
    )
    length.rule = "mode"
    away = back.lengths - test.lengths
    return {
        "wrong": float((away != 0).mean()),
        "off": float(np.abs(away).mean()),
        "longer": float((away > 0).mean()),
        "nmse": nmse(test, back, units),
        "visible": visible.visible_nmse(test, back, units),
        "told": nmse(test, told, units),
    }


def main(folder: Path, options: dict[str, Any]) -> None:
    """Fit, measure and answer."""
    warnings.simplefilter("ignore")
    train, test = (read(folder / f"{part}.parquet") for part in ("train", "test"))
    test = test.align(train.schema)
    variant = options["variant"]
    if variant in ("mixture", "classes"):
        use_head(variant, train.lengths)
    elif variant == "visible":
        use_visible_error()
    started, used = time.perf_counter(), time.process_time()
    ae = refold.SequenceAutoencoder(
        options["size"],
        max_epochs=options["most"],
        refit=False,
        random_state=options["seed"],
        length_dim=int(variant == "dimension"),
    ).fit(train)
    took, used = time.perf_counter() - started, time.process_time() - used
    units = Scaler.fit(train)
    found, steps = measure(ae, test, units), ae.latent_steps_
    if variant in ("mixture", "classes"):
        found["median"] = measure(ae, test, units, median=True)
    if variant == "now":
        found |= of_searches(ae, test, units)
    ae.set_params(latent_steps=0)
    answer(
        took=round(took, 1),
        processor=round(used, 1),
        epochs=len(ae.history_["loss"]),
        latent_steps=steps,
        **found,
        encoder=measure(ae, test, units),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
