"""Inference on packed rows and with Keras models: ``python -m benchmarks.inference``.

It takes about half an hour on two cores.  ``--parts latency equality`` measures only these parts,
and ``--quick`` checks that everything runs.  ``--baseline COMMIT`` also measures an older version,
from a commit or a checkout.  It needs ``torch`` and ``sequitur`` (dependency groups ``backends``
and ``peers``).  Every measurement runs in its own process, one after the other.  Failures are
named in the results.  If all parts ran in full, tables are written to ``results/inference.md`` and
to the documentation, and otherwise to a temporary folder.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks._results import (
    DOCS,
    FOLDER,
    PACKAGES,
    environment,
    replace_results,
    table,
    write_page,
)
from benchmarks.inference_peers.versions import (
    PACKAGE,
    Version,
    default_environment,
    older_version,
)
from benchmarks.training_peers.process import MeasurementError, run

KINDS = {"log-normal": "log-normal lengths", "equal": "equal lengths"}
PATCHES = ("1", "auto")
PATHS = {"packed": "packed rows", "keras": "Keras models"}
OPERATIONS = {
    "encode": "encode",
    "optimize": "encode with latent optimization",
    "decode": "decode",
}
COMMANDS = {
    "info": "`refold info`",
    "encode": "`refold encode`, test split",
    "one": "Python: load, encode one sequence",
}
TODAY = Version("this version")


class Setup(NamedTuple):
    """Settings of all parts: a folder for data, the options, and the versions to measure."""

    folder: Path
    options: argparse.Namespace
    versions: list[Version]

    @property
    def cache(self) -> Path:
        """Folder for compiled code that processes share."""
        return self.folder / "cache"

    def model(self, version: Version) -> Path:
        """Return the path of a model of JapaneseVowels, which is fitted at the first call."""
        path = self.folder / f"model-{self.versions.index(version)}.refold"
        if not path.exists():
            self.fit(version, path, self.cache)
        return path

    def fit(self, version: Version, path: Path, cache: Path, *, quick: bool = False) -> Any:
        """Fit a model of JapaneseVowels with the command line, and measure the process."""
        size = ["--latent-dim", "16", "--seed", "0", "--quiet"]
        epochs = 1 if quick else self.options.epochs
        limit = ["--max-epochs", epochs] if epochs else []
        data = self.folder / "train.parquet"
        return version.measure("refold", "fit", data, "-o", path, *size, *limit, cache=cache)

    def run(self, module: str, *arguments: object) -> dict[str, Any]:
        """Run a measurement."""
        return run(module, *arguments, package=PACKAGE)


def processes(setup: Setup) -> str:
    """Measure commands from the start of the process to its end."""
    data, one, codes = (
        setup.folder / name for name in ("test.parquet", "one.npy", "codes.parquet")
    )
    cases: dict[tuple[str, str], Callable[[], dict[str, Any]]] = {}
    for what in COMMANDS:
        for version in setup.versions:
            model = setup.model(version)
            rest = {"info": [model], "encode": [model, data, "-o", codes], "one": [model, one]}
            given = [*rest[what], "--quiet"] if what == "encode" else rest[what]
            module = ["refold", what] if what != "one" else [f"{PACKAGE}.one"]
            cases[what, version.title] = _process(setup, version, *module, *given)
            if version is TODAY:
                old = _process(setup, version, f"{PACKAGE}.keras_path", what, *given)
                cases[what, "this version with Keras models"] = old
    found: dict[tuple[str, str], list[dict[str, Any]]] = {case: [] for case in cases}
    for turn in range(setup.options.repeats + 1):
        for case, call in cases.items():
            measured = call()
            if turn:  # the first turn compiles and fills the caches
                found[case].append(measured)
    rows = [[COMMANDS[what], title, *_process_cells(runs)] for (what, title), runs in found.items()]
    text = (
        "The model has 16 latent dimensions and was fitted to the train split of JapaneseVowels. "
        "Each number is the median of "
        f"{setup.options.repeats} processes, from start to end, after one that fills the caches. "
        '"With Keras models" is the same command with the model built in Keras and run in padded '
        "batches."
    )
    header = ["process", "version", "seconds", "seconds of user CPU", "peak memory"]
    return "\n\n".join(["## Processes", text, table(header, rows)])


def latency(setup: Setup) -> str:
    """Measure one sequence at a time."""
    model, data = setup.model(TODAY), setup.folder / "test.parquet"
    rows = []
    found = {path: setup.run("latency", model, data, setup.options.calls, path) for path in PATHS}
    for operation, title in OPERATIONS.items():
        for name, part in ((operation, "estimator"), (f"{operation}, network", "network alone")):
            times = [found[path].get(name, ("", "")) for path in PATHS]
            cells = [f"{value:.3g}" if value else "" for pair in times for value in pair]
            rows.append([title, part, *cells])
    text = (
        "Milliseconds for one sequence of JapaneseVowels, in a process that has encoded and "
        f"decoded before. The percentiles are over {setup.options.calls} calls, which go through "
        "the test split. The estimator's calls are `transform` and `inverse_transform`. The "
        "network alone does not check, scale or convert sequences, and does not predict lengths."
    )
    percentiles = [f"{title}, p{p}" for title in PATHS.values() for p in (50, 95)]
    return "\n\n".join(
        ["## Latency of one sequence", text, table(["operation", "part", *percentiles], rows)]
    )


def throughput(setup: Setup) -> str:
    """Measure many sequences at a time, next to the encoders of other programs."""
    options, paths, peers, texts = setup.options, [], [], []
    predicted = min(options.sequences, options.sequences_of_peers)
    for kind, title in KINDS.items():
        for patch in PATCHES:
            fitted = setup.run("prepare", "series", setup.folder, kind, patch, options.sequences)
            shown = "`patch=1`" if patch == "1" else f"default (`patch={fitted['patch']}`)"
            counts = options.sequences, options.sequences_optimized, predicted
            ours = setup.run("throughput", fitted["path"], kind, *counts, options.repeats)
            for operation, words in OPERATIONS.items():
                rates = ours["rates"][operation]
                cells = [f"{rates['packed']:.0f}", "", ""]
                if "keras" in rates:
                    ratio = rates["packed"] / rates["keras"]
                    cells[1:] = f"{rates['keras']:.0f}", f"{ratio:.2f}"
                paths.append([title, shown, words, *cells])
            rate = ours["rates"]["encode"]["packed"]
            setting = f"padded, batches of {ours['predict_batch']}"
            peers.append([title, f"Refold, {shown}", "", f"{rate:.0f}", "1"])
            name = f"`keras.Model.predict` of `encoder_`, {shown}"
            peers.append([title, name, setting, *_rate_cells(ours["predict"], rate)])
            if patch == "1":
                sizes = fitted["units"], fitted["depth"], options.threads, options.repeats
                plain = rate
                found = {
                    "PyTorch's `nn.LSTM`, packed": ("torch", options.sequences),
                    "sequitur's encoder": ("sequitur", predicted),
                }
                for name, (which, count) in found.items():
                    one = _peer(setup, which, kind, count, *sizes)
                    cells = ["not measured", ""]
                    if one is not None:
                        cells = _rate_cells(one["rate"], plain)
                    peers.append([title, name, "" if one is None else one["setting"], *cells])
        texts.append(
            f"{title.capitalize()}: {ours['shortest']} to {ours['longest']} steps, "
            f"{ours['num_steps']} in total"
        )
    about = (
        f"{options.sequences} sequences with 4 features. {'. '.join(texts)}. The models have 16 "
        f"latent dimensions and {fitted['units']} units, and were trained for one epoch. Both "
        "paths have the same weights and take turns; each number is the median of "
        f"{options.repeats} rounds, after one that compiles. Latent optimization is measured on "
        f"{min(options.sequences, options.sequences_optimized)} of the sequences."
    )
    header = ["data", "model", "operation", *PATHS.values(), "ratio"]
    among = (
        "Encoding next to other programs, in sequences per second, all with at most "
        f"{options.threads} threads. `predict` is given sequences that are already scaled and "
        "padded to the longest. PyTorch runs a bidirectional LSTM with as many units on single "
        "steps, and one dense layer, on packed batches of similar length. sequitur's encoder "
        "reads one sequence at a time. Both are compared with Refold's `patch=1`, and `predict` "
        "with Refold at the same patch. `predict` and sequitur are measured on "
        f"{predicted} of the sequences."
    )
    relative = "speed of Refold relative to this row"
    beside = ["data", "program", "setting", "sequences per second", relative]
    return "\n\n".join(
        [
            "## Throughput",
            f"Sequences per second. {about}",
            table(header, paths),
            among,
            table(beside, peers),
        ]
    )


def fits(setup: Setup) -> str:
    """Measure `refold fit` from the start of the process to the saved model."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    errors = {}
    for version in setup.versions:
        setup.fit(version, setup.folder / "warm.refold", setup.folder / "warm", quick=True)
    for turn in range(setup.options.fits):
        for number, version in enumerate(setup.versions):
            cache, path = (setup.folder / f"fit-{number}-{turn}{end}" for end in ("", ".refold"))
            for state in ("empty", "full"):
                measured = setup.fit(version, path, cache)
                found.setdefault((version.title, state), []).append(measured)
            back = setup.folder / f"back-{number}.parquet"
            data = setup.folder / "test.parquet"
            version.measure("refold", "reconstruct", path, data, "-o", back, "--quiet", cache=cache)
            errors[version.title] = setup.run("prepare", "error", setup.folder, back)["nmse"]
    rows = [
        [title, state, *_process_cells(runs), f"{errors[title]:.4f}"]
        for (title, state), runs in found.items()
    ]
    text = (
        "`refold fit` of the train split of JapaneseVowels with 16 latent dimensions and seed 0, "
        f"from the start of the process to the saved model: medians of {setup.options.fits} "
        "fits. The cache is that of compiled code. NMSE is that of `refold reconstruct` on the "
        "test split."
    )
    header = ["version", "cache", "seconds", "seconds of user CPU", "peak memory", "held-out NMSE"]
    return "\n\n".join(["## From process start to saved model", text, table(header, rows)])


def equality(setup: Setup) -> str:
    """Compare both paths, and check that bits do not depend on order, batches or threads."""
    count = min(setup.options.sequences, 500)
    fitted = setup.run("prepare", "series", setup.folder, "log-normal", "auto", count)
    cases = {
        "JapaneseVowels": (setup.model(TODAY), "vowels"),
        KINDS["log-normal"]: (fitted["path"], "log-normal"),
    }
    rows, differ = [], []
    for title, (model, which) in cases.items():
        one = setup.run("equality", model, which, count)
        for change, same in one["same"].items():
            differ += [] if same else [f"{title}: {change}"]
        bits = ["equal" if same else "**differ**" for same in one["same"].values()]
        off = [f"{one['differences'][name]:.1e}" for name in ("encode", "decode")]
        rows.append([title, str(one["num_sequences"]), *off, *bits])
    text = (
        "The largest difference between packed rows and Keras models with the same weights, in "
        "standard deviations of each latent dimension or output. The last columns show whether "
        "codes and outputs of packed rows have equal bits in another order of the sequences, in "
        "other batches and alone, and with 1, 2 and 5 threads."
    )
    header = ["data", "sequences", "encode", "decode", "order", "batches", "threads"]
    page = "\n\n".join(["## Equality", text, table(header, rows)])
    if differ:
        raise MeasurementError(f"bits depend on {', '.join(differ)}\n\n{page}")
    return page


PARTS: dict[str, Callable[[Setup], str]] = {
    "processes": processes,
    "latency": latency,
    "throughput": throughput,
    "fits": fits,
    "equality": equality,
}
# Sizes for each option: the default, and that of --quick.
SIZES = {
    "sequences": (10_000, 60),
    "sequences-optimized": (2000, 20),
    "sequences-of-peers": (1000, 20),
    "calls": (1000, 20),
    "repeats": (5, 1),
    "fits": (3, 1),
    "epochs": (0, 1),
}


def main(arguments: Sequence[str] = ()) -> None:
    """Measure, and write the tables."""
    options = _options(arguments)
    texts, failed = [], False
    with tempfile.TemporaryDirectory(prefix="refold-inference-") as name:
        scratch = Path(name)
        with default_environment(options.threads, scratch / "cache"):
            versions = [TODAY]
            if options.baseline:
                versions.append(older_version(options.baseline, scratch))
            setup = Setup(scratch, options, versions)
            setup.run("prepare", "vowels", scratch)
            for part in options.parts:
                print(f"{part} ...", flush=True)
                try:
                    texts.append(PARTS[part](setup))
                except MeasurementError as error:
                    texts.append(f"**Did not run:** {part}: {error}")
                    failed = True
            packages = (*PACKAGES, "jaxlib", "torch", "sequitur")
            about = f"{environment(packages)}  \n{_command(options, versions)}"
    whole = not failed and _is_whole(options) and not any("not measured" in t for t in texts)
    folder = FOLDER if whole else Path(tempfile.mkdtemp(prefix="refold-inference-"))
    write_page("inference", "Inference", texts, about=about, folder=folder)
    if whole:
        page = DOCS / "explanation" / "performance.md"
        text = "\n\n".join([about, *texts]).replace("## ", "### ")
        replace_results(page, text, name="inference")
    print(f"{folder / 'inference.md'} is written")
    if failed:
        raise SystemExit(1)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--baseline", metavar="COMMIT", help="commit, or folder of a checkout")
    parser.add_argument(
        "--threads", type=int, default=cores, help="number of cores for all processes"
    )
    parser.add_argument("--quick", action="store_true", help="only check that everything runs")
    for name, (full, quick) in SIZES.items():
        parser.add_argument(
            f"--{name}", type=int, metavar="N", help=f"default {full}, or {quick} with --quick"
        )
    options = parser.parse_args(arguments)
    for name, sizes in SIZES.items():
        entry = name.replace("-", "_")
        if getattr(options, entry) is None:
            setattr(options, entry, sizes[options.quick])
    return options


def _is_whole(options: argparse.Namespace) -> bool:
    """Return whether all parts are measured with the default sizes."""
    sizes = [getattr(options, name.replace("-", "_")) == full for name, (full, _) in SIZES.items()]
    return all(sizes) and len(options.parts) == len(PARTS)


def _command(options: argparse.Namespace, versions: list[Version]) -> str:
    """Return the command of this run, in which a checkout is named by its commit."""
    words = ["python -m benchmarks.inference"]
    words += [f"--baseline {version.title}" for version in versions[1:]]
    words += [f"--threads {options.threads}"]
    for name, (full, _) in SIZES.items():
        value = getattr(options, name.replace("-", "_"))
        words += [f"--{name} {value}"] if value != full else []
    if len(options.parts) < len(PARTS):
        words.append(f"--parts {' '.join(options.parts)}")
    return f"`{' '.join(words)}`"


def _process(setup: Setup, version: Version, *command: object) -> Callable[[], dict[str, Any]]:
    return lambda: version.measure(*map(str, command), cache=setup.cache)


def _process_cells(runs: list[dict[str, Any]]) -> list[str]:
    """Return medians of wall time, user CPU time and peak memory."""
    wall, user, peak = (statistics.median(one[k] for one in runs) for k in ("wall", "user", "peak"))
    return [f"{wall:.2f}", f"{user:.2f}", f"{peak / 1e6:.0f} MB"]


def _rate_cells(rate: float, ours: float) -> list[str]:
    return [f"{rate:.0f}", f"{ours / rate:.1f}"]


def _peer(setup: Setup, which: str, *arguments: object) -> dict[str, Any] | None:
    """Measure the encoder of another program, if it is installed."""
    try:
        return setup.run("peers", which, *arguments)
    except MeasurementError as error:
        print(error)
        return None


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
