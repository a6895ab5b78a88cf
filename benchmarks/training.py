"""Training and encoding, next to Keras and sequitur: ``python -m benchmarks.training``.

It takes about half an hour on two cores.  ``--parts question encoding`` measures only these parts.
It needs ``tensorflow-cpu``, ``torch`` and ``sequitur`` (dependency groups ``backends`` and
``peers``) and 5 GB of disk.  Every measurement runs in its own process, one after the other.
Failures are named in the results.  If all parts ran, tables are written to ``results/training.md``
and to the documentation, and otherwise to a temporary folder.
"""

import argparse
import math
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks._results import (
    DOCS,
    FOLDER,
    PACKAGES,
    environment,
    replace_results,
    table,
    write_page,
)
from benchmarks.training_peers.process import MeasurementError, run
from benchmarks.training_peers.question import BATCH, NUM_SEQUENCES

PICTURE = "training.png"
NUM_RAGGED, NUM_PADDED, NUM_SEQUITUR = 10_000, 640, 1000
EPOCHS = 1500
GIGABYTES = 4.0
# Each of these is doubled twice, while the others keep their values.
BASE = {"sequences": 1000, "steps": 50, "units": 64, "latent dimensions": 16}


def question(folder: Path) -> str:
    """Train the question's own model on its data, with three programs."""
    measured, losses, last = {}, {}, {}
    for title, which, backend, rounds in (
        ("Refold", "refold", "jax", 3),
        ("Keras on JAX", "keras", "jax", 3),
        ("Keras on TensorFlow", "keras", "tensorflow", 1),
    ):
        runs = [run("question", which, EPOCHS, seed, backend=backend) for seed in range(rounds)]
        measured[title] = [
            statistics.median(one[name] for one in runs)
            for name in ("step_seconds", "total_seconds")
        ]
        losses[title] = runs[0]["losses"]
        last[title] = [one["losses"][-1] for one in runs]
    _draw_losses(losses, folder / PICTURE)
    ours = measured["Refold"]
    rows = [
        [
            title,
            f"{1e3 * step:.3g}",
            f"{step / ours[0]:.1f}",
            f"{total:.1f}",
            f"{total / ours[1]:.1f}",
            ", ".join(f"{loss:.4f}" for loss in last[title]),
        ]
        for title, (step, total) in measured.items()
    ]
    header = [
        "program",
        "ms per step",
        "time relative to Refold",
        f"seconds for {EPOCHS} epochs",
        "time relative to Refold",
        "final losses",
    ]
    text = (
        f"The data is {NUM_SEQUENCES} one-hot sequences of 10 steps, in batches of {BATCH}. "
        "Seconds are those of a whole process, including its start. Each run has another seed."
    )
    heading = '## The model of the question "LSTM Autoencoder"'
    return "\n\n".join([heading, text, table(header, rows)])


def ragged(folder: Path) -> str:
    """Train on sequences of very unequal lengths."""
    del folder
    ours = run("ragged", "refold", NUM_RAGGED)
    theirs = run("ragged", "keras", NUM_PADDED)
    padded = theirs["padded"] * NUM_RAGGED / NUM_PADDED
    rows = [
        ["Refold, `patch=1`", f"{ours['ragged']:.2f}", "1"],
        _compared(f"Refold, default (`patch={ours['patch']}`)", ours["default"], ours["ragged"]),
        _compared(
            "Refold, `patch=1`, as many steps in sequences of equal length",
            ours["equal"],
            ours["ragged"],
        ),
        _compared(
            f"Keras on JAX, padded to {theirs['longest']} steps, "
            f"extrapolated from {NUM_PADDED} sequences",
            padded,
            ours["ragged"],
        ),
    ]
    text = (
        f"The data is {NUM_RAGGED} sequences of log-normal length, 5 to {ours['longest']} steps, "
        f"with {ours['num_steps']} steps in total. Refold pads them to {ours['num_shapes']} "
        f"lengths, with {ours['padding']:.0%} padding."
    )
    header = ["program", "seconds per epoch", "speed relative to the first row"]
    return "\n\n".join(["## Unequal lengths", text, table(header, rows)])


def encoding(folder: Path) -> str:
    """Measure encoding."""
    del folder
    ours = run("encoding", "refold", NUM_RAGGED)
    keras = run("encoding", "keras", NUM_PADDED)
    sequitur = run("encoding", "sequitur", NUM_SEQUITUR, backend="torch")
    rows = [
        [title, f"{rate:.0f}", f"{ours['rate'] / rate:.1f}", f"{ours['default_rate'] / rate:.1f}"]
        for title, rate in (
            ("Refold, `patch=1`", ours["rate"]),
            (f"Refold, default (`patch={ours['patch']}`)", ours["default_rate"]),
            (f"`keras.Model.predict`, padded, batches of {keras['batch_size']}", keras["rate"]),
            ("sequitur's encoder", sequitur["rate"]),
        )
    ]
    text = (
        f"With `patch=1`, the LSTM alone takes {ours['lstm_share']:.0%} of Refold's time on the "
        "same batches."
    )
    header = [
        "program",
        "sequences per second",
        "speed of `patch=1` relative to this row",
        "speed of the default relative to this row",
    ]
    return "\n\n".join(["## Encoding", table(header, rows), text])


def larger_than_memory(folder: Path) -> str:
    """Train on a folder of Parquet files and encode it, with the command line."""
    data = folder / "data"
    made = run("folder", "make", data, GIGABYTES)
    first, files = (run("folder", "fit", data) for _ in range(2))
    encoded = run("folder", "encode", data)
    memory = run("folder", "memory", data)
    rates = {
        name: one["num_steps"] / one["epoch_seconds"]
        for name, one in (("files", files), ("memory", memory))
    }
    rows = [
        ["`refold fit`, one epoch, first run", f"{first['seconds']:.0f}", _mb(first["peak"])],
        ["`refold fit`, one epoch, second run", f"{files['seconds']:.0f}", _mb(files["peak"])],
        ["`refold encode`", f"{encoded['seconds']:.0f}", _mb(encoded["peak"])],
    ]
    text = (
        f"The data is {made['bytes'] / 1e9:.1f} GB in {made['num_files']} files, with "
        f"{made['num_sequences']} sequences. An epoch processes {rates['files']:.0f} steps per "
        f"second from files and {rates['memory']:.0f} from memory. The ratio is "
        f"{rates['files'] / rates['memory']:.2f}. Neither rate includes compilation: the first is "
        "of the second run, and the second of later epochs."
    )
    header = ["command", "seconds", "peak memory"]
    return "\n\n".join(["## Larger than memory", text, table(header, rows)])


def cost(folder: Path) -> str:
    """Measure time and memory against four sizes, with the exponent of each."""
    del folder
    rows = []
    for name, value in BASE.items():
        sizes = [value, 2 * value, 4 * value]
        runs = [run("cost", *(BASE | {name: size}).values()) for size in sizes]
        exponent = math.log(runs[-1]["seconds"] / runs[0]["seconds"], 4)
        for size, one in zip(sizes, runs, strict=True):
            shown = f"{exponent:.2f}" if size == sizes[-1] else ""
            rows.append([name, str(size), f"{one['seconds']:.3g}", _mb(one["peak"]), shown])
    others = ", ".join(f"{value} {name}" for name, value in BASE.items())
    text = (
        f"Each size is varied alone. The others are {others}. The time grows as the size to the "
        "power of the exponent. `patch` is 1, and a larger patch makes long sequences faster."
    )
    header = ["varied", "size", "seconds per epoch", "peak memory", "exponent"]
    return "\n\n".join(["## What an epoch costs", text, table(header, rows)])


PARTS: dict[str, Callable[[Path], str]] = {
    "question": question,
    "ragged": ragged,
    "encoding": encoding,
    "folder": larger_than_memory,
    "cost": cost,
}


def main(arguments: Sequence[str] = ()) -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    options = parser.parse_args(arguments)
    texts, failed = [], False
    with tempfile.TemporaryDirectory(prefix="refold-training-") as scratch:
        for name in options.parts:
            print(f"{name} ...", flush=True)
            try:
                texts.append(PARTS[name](Path(scratch)))
            except MeasurementError as error:
                texts.append(f"**Did not run:** {error}")
                failed = True
        whole = len(options.parts) == len(PARTS) and not failed
        folder = FOLDER if whole else Path(tempfile.mkdtemp(prefix="refold-training-"))
        picture = Path(scratch, PICTURE)
        if picture.exists():
            (DOCS / "images" if whole else folder).joinpath(PICTURE).write_bytes(
                picture.read_bytes()
            )
    packages = (*PACKAGES, "jaxlib", "tensorflow-cpu", "torch", "sequitur")
    write_page("training", "Training and encoding", texts, packages=packages, folder=folder)
    if whole:
        text = "\n\n".join([environment(packages), *texts])
        page = DOCS / "explanation" / "performance.md"
        replace_results(page, text.replace("## ", "### "), name="training")
    print(f"{folder / 'training.md'} is written")


def _draw_losses(losses: dict[str, list[float]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
    ax = figure.add_subplot(xlabel="epoch", ylabel="binary cross-entropy")
    for title, curve in losses.items():
        ax.plot(range(1, len(curve) + 1), curve, label=title, linewidth=1.2)
    ax.legend(frameon=False)
    figure.savefig(path)


def _compared(title: str, seconds: float, ours: float) -> list[str]:
    return [title, f"{seconds:.2f}", f"{ours / seconds:.2f}"]


def _mb(size: float) -> str:
    return f"{size / 1e6:.0f} MB"


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
