"""Inference with a fitted model: ``python -m benchmarks.inference``.

It takes about half an hour on two cores.  ``--parts latency`` measures only this part.  It needs
``torch`` and ``onnxruntime`` (dependency group ``backends``).  Every
measurement runs in its own process, one after the other.  Failures are named in the results.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks._process import MeasurementError, measure, measure_command, num_cores
from benchmarks._results import PACKAGES, run_parts, section, table
from benchmarks._series import FEATURES, equal, log_normal

KINDS = {"log-normal": "log-normal lengths", "equal": "equal lengths"}
LATENT_DIM = 16
LATENT_STEPS = 10  # the default for fewer than 2000 training sequences
PREDICT_BATCHES = (32, 256)
PEER_BATCHES = (64, 256, 1024)
ONNX_BATCH = 64
SETTLE = 0.02  # seconds until the threads of the previous call stop spinning
ONE = """
import sys, numpy, refold
codes = refold.load(sys.argv[1]).encode([numpy.load(sys.argv[2])])
assert len(codes) == 1 and numpy.isfinite(codes).all()
"""


class Sizes(NamedTuple):
    """How much is measured; ``epochs`` limits the fit of JapaneseVowels."""

    sequences: int = 10_000
    optimized: int = 2000
    of_peers: int = 1000
    calls: int = 1000
    repeats: int = 5
    epochs: int | None = None


QUICK = Sizes(60, 20, 20, 20, 1, 1)


def processes(sizes: Sizes, folder: Path) -> str:
    """Measure commands from the start of the process to its end."""
    _prepare(folder, sizes.epochs)
    train, test, codes = (folder / f"{name}.parquet" for name in ("train", "test", "codes"))
    model, other, one = folder / "vowels.refold", folder / "other.refold", folder / "one.npy"
    limit = [] if sizes.epochs is None else ["--max-epochs", sizes.epochs]
    size = ["--latent-dim", LATENT_DIM, "--seed", "0", "--quiet", *limit]
    command = ["-m", "refold"]
    commands = {
        "`refold info`": [*command, "info", model],
        "`refold encode`, test split": [*command, "encode", model, test, "-o", codes, "--quiet"],
        "Python: load, encode one sequence": ["-c", ONE, model, one],
    }
    fit = [*command, "fit", train, "-o", other, *size]
    usages: dict[str, list[Any]] = {title: [] for title in commands}
    for turn in range(sizes.repeats + 1):
        for title, words in commands.items():
            usage = measure_command(*words)
            if turn:  # the first turn fills the caches
                usages[title].append(usage)
    usages["`refold fit`, train split, empty cache of compiled code"] = empty = []
    usages["`refold fit`, train split, full cache"] = full = []
    for turn in range(min(3, sizes.repeats)):
        for results in (empty, full):
            results.append(measure_command(*fit, XDG_CACHE_HOME=str(folder / f"cache-{turn}")))
    rows = []
    for title, results in usages.items():
        wall, user, peak = (statistics.median(column) for column in zip(*results, strict=True))
        rows.append([title, f"{wall:.2f}", f"{user:.2f}", f"{peak / 1e6:.0f} MB"])
    text = (
        f"The model has {LATENT_DIM} latent dimensions and was fitted to the train split of "
        f"JapaneseVowels. Each number is the median of {sizes.repeats} processes (three for "
        "`refold fit`), from start to end, after one that does not count."
    )
    header = ["process", "seconds", "seconds of user CPU", "peak memory"]
    return section("Processes", text, table(header, rows))


def _prepare(folder: Path, epochs: int | None) -> None:
    """Fit the model of JapaneseVowels, which two parts share, in a process of its own."""
    if not (folder / "vowels.refold").exists():
        measure(write_vowels, folder, epochs)


def write_vowels(folder: Path, epochs: int | None) -> None:
    """Write both splits of JapaneseVowels, one sequence, and a model."""
    import refold
    from refold.sequences import write

    data = refold.datasets.japanese_vowels()
    write(data.train, folder / "train.parquet")
    write(data.test, folder / "test.parquet")
    np.save(folder / "one.npy", data.test[0])
    limit = {} if epochs is None else {"max_epochs": epochs}
    ae = refold.SequenceAutoencoder(LATENT_DIM, random_state=0, **limit).fit(data.train)
    ae.save(folder / "vowels.refold")


def latency(sizes: Sizes, folder: Path) -> str:
    """Measure one sequence at a time."""
    _prepare(folder, sizes.epochs)
    percentiles = measure(times_of_calls, folder / "vowels.refold", sizes.calls)
    rows = [[title, *(f"{one:.3g}" for one in pair)] for title, pair in percentiles.items()]
    text = (
        "Milliseconds for one sequence of JapaneseVowels, in a process that has encoded and "
        f"decoded before. The percentiles are over {sizes.calls} calls, which go through the test "
        "split. `predict` is given a sequence that is already scaled and padded, and runs the "
        "encoder in Keras."
    )
    header = ["call", "p50", "p95"]
    return section("Latency of one sequence", text, table(header, rows))


def times_of_calls(model: Path, calls: int) -> dict[str, list[float]]:
    """Return the median and the 95th percentile of each call, in milliseconds."""
    import refold

    ae = refold.SequenceAutoencoder.load(model)
    test = refold.datasets.japanese_vowels().test
    listed = [[sequence] for sequence in test.to_list()]
    codes = ae.set_params(latent_steps=0).transform(test)
    longest = int(test.lengths.max())
    padded = [ae.encoder_inputs(one, num_steps=longest) for one in listed]
    predict = ae.encoder_.predict
    calls_of = {
        "`transform`": lambda i: ae.transform(listed[i]),
        "`inverse_transform`": lambda i: ae.inverse_transform(codes[i : i + 1]),
        "`encoder_.predict`": lambda i: predict(padded[i], verbose=0),
    }
    results = {title: _percentiles(call, len(test), calls) for title, call in calls_of.items()}
    ae.set_params(latent_steps=LATENT_STEPS)
    optimized = _percentiles(calls_of["`transform`"], len(test), calls)
    return results | {"`transform`, with latent optimization": optimized}


def _percentiles(call: Callable[[int], Any], count: int, calls: int) -> list[float]:
    """Return percentiles of the times of calls, after a first call with each sequence."""
    for i in range(min(count, calls)):
        call(i)
    times = []
    for i in range(calls):
        started = time.perf_counter()
        call(i % count)
        times.append(1e3 * (time.perf_counter() - started))
    return [float(one) for one in np.percentile(times, [50, 95])]


def throughput(sizes: Sizes, folder: Path) -> str:
    """Measure many sequences at a time, next to the encoders of other programs."""
    ours, peers, ranges, units = [], [], [], 0
    for kind, title in KINDS.items():
        for patch in ("1", "auto"):
            path = folder / f"{kind}-{patch}.refold"
            network = measure(fit_series, path, kind, patch, sizes.sequences)
            rates = measure(our_rates, path, kind, sizes)
            shown = "`patch=1`" if patch == "1" else f"default (`patch={network['patch']}`)"
            cells = [f"{rates[name]:.0f}" for name in ("encode", "optimize", "decode")]
            ours.append([title, shown, *cells])
            programs = {f"`keras.Model.predict` of `encoder_`, {shown}": rates["predict"]}
            if patch == "1":
                units = network["units"]
                sequences = kind, sizes.sequences, units, sizes.repeats
                programs["PyTorch's `nn.LSTM`, packed"] = _peer(torch_rate, *sequences)
            peers.append([title, f"Refold, {shown}", "", cells[0], "1"])
            for name, (setting, rate) in programs.items():
                relative = f"{rates['encode'] / rate:.1f}" if rate else ""
                number = f"{rate:.0f}" if rate else "not measured"
                peers.append([title, name, setting, number, relative])
        ranges.append(f"{title.capitalize()}: {network['lengths']}.")
    about = (
        f"{sizes.sequences} sequences with {FEATURES} features. {' '.join(ranges)} The models have "
        f"{LATENT_DIM} latent dimensions and {units} units, and were trained for one epoch. Each "
        f"number is the median of {sizes.repeats} rounds, after one that does not count. Latent "
        f"optimization is measured on {sizes.optimized} of the sequences."
    )
    header = ["data", "model", "encode", "encode with latent optimization", "decode"]
    among = (
        "Encoding next to other programs, in sequences per second, with at most "
        f"{num_cores()} threads. `predict` is given sequences that are already scaled and padded "
        "to the longest. PyTorch runs a bidirectional LSTM with as many units on single steps, and "
        "one dense layer, on packed batches of similar length. It is compared "
        "with Refold's `patch=1`, and `predict` with Refold at the same patch. `predict` is "
        f"measured on {sizes.of_peers} of the sequences."
    )
    relative = "speed of Refold relative to this row"
    beside = ["data", "program", "setting", "sequences per second", relative]
    return section(
        "Throughput",
        f"Sequences per second. {about}",
        table(header, ours),
        among,
        table(beside, peers),
    )


def _peer(measured: Callable[..., Any], *arguments: Any) -> tuple[str, float]:
    """Measure the encoder of another program, if it is installed."""
    try:
        return measure(measured, *arguments, backend="torch")
    except MeasurementError as error:
        print(error)
        return "", 0.0


def series(kind: str, num_sequences: int) -> Any:
    """Return series of log-normal lengths, or of equal lengths with as many steps in total."""
    ragged = log_normal(num_sequences)
    return ragged if kind == "log-normal" else equal(num_sequences, int(ragged.offsets[-1]))


def fit_series(path: Path, kind: str, patch: str, num_sequences: int) -> dict[str, Any]:
    """Fit and save a model; return the sizes of the network, and the lengths in words."""
    import refold

    data = series(kind, num_sequences)
    ae = refold.SequenceAutoencoder(
        LATENT_DIM,
        patch=patch if patch == "auto" else int(patch),
        max_epochs=1,
        validation_fraction=0,
        refit=False,
        random_state=0,
    ).fit(data)
    ae.save(path)
    network, lengths = ae.model_.network.specification, data.lengths
    words = f"{lengths.min()} to {lengths.max()} steps, {lengths.sum()} in total"
    return {"units": network.units, "patch": network.patch, "lengths": words}


def our_rates(model: Path, kind: str, sizes: Sizes) -> dict[str, Any]:
    """Return the rates of each operation, and setting and rate of `predict`."""
    import refold

    ae = refold.SequenceAutoencoder.load(model)
    data = series(kind, sizes.sequences)
    some = data[: sizes.optimized]
    codes = ae.set_params(latent_steps=0).transform(data)

    def encode(sequences: Any, steps: int) -> None:
        ae.set_params(latent_steps=steps).transform(sequences)

    took = _by_turns(
        {
            "encode": lambda: encode(data, 0),
            "optimize": lambda: encode(some, LATENT_STEPS),
            "decode": lambda: ae.inverse_transform(codes, data.lengths),
        },
        sizes.repeats,
    )
    counts = {"encode": len(data), "optimize": len(some), "decode": len(data)}
    rates: dict[str, Any] = {name: count / took[name] for name, count in counts.items()}

    x = ae.encoder_inputs(data[: sizes.of_peers], num_steps=int(data.lengths.max()))
    predict = ae.encoder_.predict
    calls = {
        f"padded, batches of {n}": lambda n=n: predict(x, batch_size=n, verbose=0)
        for n in PREDICT_BATCHES
    }
    return rates | {"predict": _best(calls, min(sizes.of_peers, len(data)), sizes.repeats)}


def torch_rate(kind: str, num: int, units: int, rounds: int) -> tuple[str, float]:
    """Return setting and rate of ``nn.LSTM`` with the best of several batch sizes."""
    import torch

    tensors = [torch.tensor(one, dtype=torch.float32) for one in series(kind, num).to_list()]
    lstm = torch.nn.LSTM(FEATURES, units, bidirectional=True).eval()
    dense = torch.nn.Linear(2 * units, LATENT_DIM).eval()
    by_length = np.argsort([-len(one) for one in tensors], kind="stable")
    codes = torch.empty(len(tensors), LATENT_DIM)

    def encode(size: int) -> None:
        for start in range(0, len(tensors), size):
            rows = by_length[start : start + size]
            _, (last, _) = lstm(torch.nn.utils.rnn.pack_sequence([tensors[i] for i in rows]))
            codes[torch.from_numpy(rows)] = dense(torch.cat([last[-2], last[-1]], dim=1))

    with torch.inference_mode():
        calls = {f"batches of {n}": lambda n=n: encode(n) for n in PEER_BATCHES}
        return _best(calls, num, rounds)


def _best(calls: dict[str, Callable[[], Any]], num: int, rounds: int) -> tuple[str, float]:
    took = _by_turns(calls, rounds)
    setting = min(took, key=took.__getitem__)
    return setting, num / took[setting]


def _by_turns(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each call; calls take turns, after one that does not count."""
    for call in calls.values():
        call()
    names, times = list(calls), {name: [] for name in calls}
    for turn in range(rounds):
        for i in range(len(names)):
            name = names[(turn + i) % len(names)]
            time.sleep(SETTLE)
            started = time.perf_counter()
            calls[name]()
            times[name].append(time.perf_counter() - started)
    return {name: float(np.median(each)) for name, each in times.items()}


def onnx(sizes: Sizes, folder: Path) -> str:
    """Measure ONNX Runtime next to Refold and Keras."""
    _prepare(folder, sizes.epochs)
    model, rounds = folder / "vowels.refold", 10 * sizes.repeats
    rates = measure(onnx_rates, model, folder / "vowels.onnx", rounds)
    keras = rates["`keras.Model.predict`, Refold's kernel"]
    rows = [[title, f"{rate:,.0f}", f"{rate / keras:.2f}"] for title, rate in rates.items()]
    text = (
        "Sequences per second on the test split of JapaneseVowels, without latent optimization. "
        f"Each number is the median of {rounds} rounds. ONNX Runtime reads padded batches of "
        f"{ONNX_BATCH} sequences of similar length with at most {num_cores()} threads, and "
        "`predict` reads one array in batches of 32 (the default). Both are given sequences that "
        "are already padded."
    )
    header = ["program", "sequences per second", "relative to `predict` with Refold's kernel"]
    return section("ONNX", text, table(header, rows))


def onnx_rates(model: Path, graph: Path, rounds: int) -> dict[str, float]:
    """Export a model; return the rates of ONNX Runtime, of Refold and of Keras with its kernel."""
    import onnxruntime

    import refold
    from refold.export import to_onnx

    ae = refold.SequenceAutoencoder.load(model).set_params(latent_steps=0)
    to_onnx(ae, graph)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_cores()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    test = refold.datasets.japanese_vowels().test
    order = np.argsort(test.lengths, kind="stable")
    parts = [test[order[i : i + ONNX_BATCH]] for i in range(0, len(order), ONNX_BATCH)]
    batches = [
        {"values": part.to_padded(0.0).astype(np.float32), "lengths": part.lengths}
        for part in parts
    ]
    x, predict = ae.encoder_inputs(test), ae.encoder_.predict
    took = _by_turns(
        {
            "ONNX Runtime": lambda: [session.run(None, inputs) for inputs in batches],
            "Refold, `transform`": lambda: ae.transform(test),
            "`keras.Model.predict`, Refold's kernel": lambda: predict(x, verbose=0),
        },
        rounds,
    )
    return {title: len(test) / seconds for title, seconds in took.items()}


def main() -> None:
    """Measure, and write the tables."""
    parts = {one.__name__: one for one in (processes, latency, throughput, onnx)}
    facts = {"about": __doc__, "packages": (*PACKAGES, "jaxlib", "torch", "onnxruntime")}
    run_parts("inference", "Inference", parts, (Sizes(), QUICK), in_docs=True, **facts)


if __name__ == "__main__":
    main()
