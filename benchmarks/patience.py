"""Early stopping: rules for the patience, applied to validation losses of small data sets.

``python -m benchmarks.patience --record`` fits every data set once with the longest patience, and
stores the validation losses in ``results/patience.json``.  ``--confirm`` looks at the data sets on
which the chosen rule stops before the best epoch.  It fits them with both rules and with a refit,
on 70 % of the sequences in three random splits, and measures the error on the other 30 %.  Each of
the two takes about an hour on two cores, and continues where it was stopped.

``python -m benchmarks.patience`` applies the rules to the losses, and writes
``results/patience.md`` in a second.

The rule was chosen on the data sets of `CHOOSE` in `_small_sets.py`, and is reported on those of
`REPORT`.  This division was fixed before the first fit.  Only training splits are used.
"""

import argparse
import statistics
import time
from typing import Any

import numpy as np

from benchmarks._records import read_records, write_records
from benchmarks._results import FOLDER, machine, table, today, version_of, write_page
from benchmarks._small_sets import CHOOSE, REPORT, SETS

RECORDS = FOLDER / "patience.json"
REFITS = FOLDER / "patience_refits.json"
SIZES = (4, 16)
DRAWS = (0, 1, 2)
# A rule waits the schedule divided by this number. Losses are recorded with the first rule.
SHARES = {"a quarter": 4, "an eighth": 8, "a tenth": 10, "a sixteenth": 16, "20 epochs": 10**9}
CHOSEN = "Refold's"


def length_of_schedule(lengths: np.ndarray, seed: int) -> int:
    """Return the number of epochs that Refold schedules for sequences of these lengths."""
    from refold.sequences import Batches
    from refold.training._settings import pick_batch_size
    from refold.training.data._validation_split import validation_split
    from refold.training.loop._schedule import pick_max_epochs

    chosen, _ = validation_split(lengths, 0.1, seed=seed)
    batches = Batches(lengths, min(pick_batch_size(len(chosen)), len(chosen)), None)
    return pick_max_epochs(batches.num_batches(chosen))


def record(name: str, size: int) -> dict[str, Any]:
    """Fit a model to a data set, and return its validation losses."""
    import refold
    from refold._support.argument_checks import draw_seed
    from refold.sequences import as_sequences

    data = as_sequences(SETS[name]())
    max_epochs = length_of_schedule(data.lengths, draw_seed(0))
    patience = epochs_to_wait("a quarter", max_epochs)
    ae = refold.SequenceAutoencoder(size, refit=False, patience=patience, random_state=0)
    started = time.perf_counter()
    ae.fit(data)
    return {
        "set": name,
        "size": size,
        "sequences": len(data),
        "max_epochs": max_epochs,
        "seconds": round(time.perf_counter() - started, 1),
        **environment(),
        "start": ae.initial_loss_,
        "losses": [float(f"{loss:.6g}") for loss in ae.history_["val_loss"]],
    }


def confirm(name: str, size: int, draw: int) -> dict[str, Any]:
    """Fit 70 % of a data set with a refit, with the longest patience and with the chosen rule."""
    import refold
    from refold._support.argument_checks import draw_seed
    from refold.evaluation import nmse
    from refold.sequences import Scaler, as_sequences

    data = as_sequences(SETS[name]())
    order = np.random.default_rng(draw).permutation(len(data))
    given, held = (data[np.sort(part)] for part in np.split(order, [round(0.7 * len(data))]))
    max_epochs = length_of_schedule(given.lengths, draw_seed(draw))
    found: dict[str, Any] = {"set": name, "size": size, "draw": draw, **environment()}
    for rule in ("a quarter", CHOSEN):
        ae = refold.SequenceAutoencoder(
            size, patience=epochs_to_wait(rule, max_epochs), random_state=draw
        )
        ae.fit(given)
        losses = [loss for loss in ae.history_["val_loss"] if loss is not None]
        found[rule] = {
            "epoch": best_epoch([ae.initial_loss_ or np.inf, *losses]),
            "error": nmse(held, ae.reconstruct(held), Scaler.fit(given)),
        }
    return found


def environment() -> dict[str, Any]:
    """Return the date, the machine and the versions of a result."""
    versions = {name: version_of(name) for name in ("refold", "keras", "jax", "numpy")}
    return {"date": today(), "machine": machine(), "versions": versions}


def epochs_to_wait(rule: str, max_epochs: int) -> int | None:
    """Return the patience of a rule, or None for the rule of Refold."""
    return None if rule == CHOSEN else max(20, max_epochs // SHARES[rule])


def best_epoch(losses: list[float]) -> int:
    """Return the first epoch with the smallest loss; 0 is the initialization."""
    return int(np.argmin(losses))


def apply_rule(rule: str, one: dict[str, Any]) -> tuple[int, float]:
    """Return the epochs that a rule trains, and the relative excess of its best loss."""
    from refold.training.loop._early_stopping import out_of_patience

    losses = [np.inf if one["start"] is None else one["start"], *one["losses"]]
    schedule, best, epoch = one["max_epochs"], 0, 0
    patience = epochs_to_wait(rule, schedule)
    while epoch < len(losses) - 1:
        epoch += 1
        if losses[epoch] < losses[best]:
            best = epoch
        if out_of_patience(losses[1 : epoch + 1], best, max_epochs=schedule, patience=patience):
            break
    return epoch, losses[best] / min(losses) - 1


def record_all() -> None:
    """Record the losses that are missing."""
    records = read_records(RECORDS)
    done = {(one["set"], one["size"]) for one in records}
    for name in SETS:
        for size in SIZES:
            if (name, size) not in done:
                records.append(record(name, size))
                write_records(RECORDS, records)
                print(name, size, records[-1]["seconds"], "s", flush=True)


def confirm_all() -> None:
    """Measure the refits that are missing, for fits whose best epoch the chosen rule misses."""
    refits = read_records(REFITS)
    done = {(one["set"], one["size"], one["draw"]) for one in refits}
    for one in read_records(RECORDS):
        for draw in DRAWS:
            key = one["set"], one["size"], draw
            if apply_rule(CHOSEN, one)[1] > 0 and key not in done:
                refits.append(confirm(*key))
                write_records(REFITS, refits)
                print(*key, refits[-1]["a quarter"], refits[-1][CHOSEN], flush=True)


def summary(names: list[str]) -> str:
    """Return a table of the rules on some data sets."""
    records = [one for one in read_records(RECORDS) if one["set"] in names]
    everything = sum(one["seconds"] for one in records)
    needed = sum(best_epoch([one["start"] or np.inf, *one["losses"]]) for one in records)
    rows = []
    for rule in (*SHARES, CHOSEN):
        ends = [apply_rule(rule, one) for one in records]
        spent = (
            one["seconds"] * epoch / len(one["losses"])
            for one, (epoch, _) in zip(records, ends, strict=True)
        )
        missed = [above for _, above in ends if above > 0]
        wasted = sum(epoch for epoch, _ in ends) - needed
        rows.append([
            rule,
            f"{needed + wasted}",
            f"{wasted}",
            f"{100 * sum(spent) / everything:.0f} %",
            f"{len(missed)} of {len(ends)}",
            f"{100 * max(missed, default=0.0):.1f} %",
            f"{100 * statistics.mean(above for _, above in ends):.2f} %",
        ])  # fmt: skip
    header = ["patience", "epochs", "epochs after the best", "time"]
    header += ["fits that miss the best epoch"]
    return table([*header, "largest excess loss", "mean excess loss"], rows)


def main() -> None:
    """Write ``results/patience.md``."""
    records = read_records(RECORDS)
    newest = max(records, key=lambda one: one["date"])
    versions = ", ".join(f"{name} {found}" for name, found in newest["versions"].items())
    rows = []
    for one in records:
        start = [np.inf if one["start"] is None else one["start"]]
        rows.append([
            one["set"], str(one["size"]), str(one["sequences"]), str(one["max_epochs"]),
            str(len(one["losses"])), str(apply_rule(CHOSEN, one)[0]),
            str(best_epoch(start + one["losses"])),
            f"{100 * apply_rule(CHOSEN, one)[1]:.1f} %",
        ])  # fmt: skip
    header = ["data", "latent dimensions", "sequences", "schedule", "epochs with a quarter"]
    header += [f"epochs with {CHOSEN} rule", "best epoch", "excess loss"]
    refits = [
        [
            one["set"], str(one["size"]), str(one["draw"]),
            *(f"{one[rule]['error']:.4g} (epoch {one[rule]['epoch']})"
              for rule in ("a quarter", CHOSEN)),
        ]
        for one in read_records(REFITS)
    ]  # fmt: skip
    write_page(
        "patience",
        "Early stopping",
        [
            "The rules are applied to the validation losses of fits with default settings, one "
            "seed and no refit. The patience of a rule is a share of the scheduled epochs, but at "
            "least 20 epochs. Refold's rule waits a tenth, or a quarter if that is at most 50 "
            "epochs. While the loss falls, it waits up to a quarter. Epoch 0 is the "
            "initialization. The excess loss is the relative difference between the best loss of "
            "a rule and the smallest loss. The time of a rule is computed from its share of the "
            "epochs.",
            "## Data sets on which the rule was chosen",
            summary(list(CHOOSE)),
            "## Data sets on which it is reported",
            summary(list(REPORT)),
            "## Each fit",
            table(header, rows),
            "## Fits whose best epoch the chosen rule misses",
            "NMSE on 30 % of the training split of fits to the other 70 %, with a refit.",
            table(["data", "latent dimensions", "split", "a quarter", CHOSEN], refits),
        ],
        about=f"{newest['date']}, {newest['machine']}  \n{versions}",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="record validation losses")
    parser.add_argument("--confirm", action="store_true", help="measure refits")
    arguments = parser.parse_args()
    if arguments.record:
        record_all()
    if arguments.confirm:
        confirm_all()
    main()
