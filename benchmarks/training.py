"""Training, next to Keras: ``python -m benchmarks.training``.

It takes about half an hour on two cores, needs ``tensorflow-cpu`` (dependency group ``backends``)
and 5 GB of disk.  ``--parts question ragged`` measures only these parts.  Every measurement runs in
its own process, one after the other.  Failures are named in the results.
"""

import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks._process import measure, measure_command
from benchmarks._results import PACKAGES, run_parts, section, table
from benchmarks._series import FEATURES, equal, log_normal, sines

QUESTION_SEQUENCES, QUESTION_BATCH = 1200, 100
BATCH = 64
FILE_FEATURES = 48


class Sizes(NamedTuple):
    """How much is measured."""

    epochs: int = 1500
    rounds: int = 3
    ragged: int = 10_000
    padded: int = 640
    gigabytes: float = 4.0
    file_sequences: int = 10_000


QUICK = Sizes(4, 1, 200, 64, 0.01, 200)


def question(sizes: Sizes, folder: Path) -> str:
    """Train the model of the question "LSTM Autoencoder" on its data, with three programs."""
    del folder
    rows, ours = [], None
    for title, train, backend, rounds in (
        ("Refold", question_with_refold, "jax", sizes.rounds),
        ("Keras on JAX", question_with_keras, "jax", sizes.rounds),
        ("Keras on TensorFlow", question_with_keras, "tensorflow", 1),
    ):
        losses, steps, totals = [], [], []
        for seed in range(rounds):
            started = time.perf_counter()
            curve, seconds = measure(train, sizes.epochs, seed, backend=backend)
            totals.append(time.perf_counter() - started)
            losses.append(curve)
            # the first quarter of the epochs includes compilation
            steps.append(
                statistics.median(seconds[len(seconds) // 4 :])
                / (QUESTION_SEQUENCES // QUESTION_BATCH)
            )
        step, total = statistics.median(steps), statistics.median(totals)
        ours = ours or (step, total)
        rows.append(
            [
                title,
                f"{1e3 * step:.3g}",
                f"{step / ours[0]:.1f}",
                f"{total:.1f}",
                f"{total / ours[1]:.1f}",
                ", ".join(f"{curve[-1]:.4f}" for curve in losses),
            ]
        )
    relative, whole = "time relative to Refold", f"seconds for {sizes.epochs} epochs"
    header = ["program", "ms per step", relative, whole, relative, "final losses"]
    text = (
        f"The data is {QUESTION_SEQUENCES} one-hot sequences of 10 steps, in batches of "
        f"{QUESTION_BATCH}. Seconds are those of a whole process, including its start. Each run "
        "has another seed."
    )
    return section('The model of the question "LSTM Autoencoder"', text, table(header, rows))


def question_with_refold(epochs: int, seed: int) -> tuple[list[float], list[float]]:
    """Return the losses and the seconds of all epochs."""
    import keras

    import refold
    from refold.datasets import padded_moving_ones
    from refold.models import classic

    def architecture(*, steps: int, features: int, latent_dim: int, outputs: int) -> object:
        del outputs
        models = classic.make_reshape_models(
            steps=steps, features=features, latent_dim=latent_dim, output_activation="sigmoid"
        )
        models.autoencoder.compile(loss="binary_crossentropy")
        return models

    data, _ = padded_moving_ones(QUESTION_SEQUENCES)
    ae = refold.SequenceAutoencoder(
        latent_dim=20,
        architecture=architecture,
        scale=None,
        optimizer=keras.optimizers.Adam(),
        batch_size=QUESTION_BATCH,
        max_epochs=epochs,
        validation_fraction=0,
        random_state=seed,
    ).fit(data)
    return ae.history_["loss"], list(np.diff(ae.history_["seconds"], prepend=0.0))


def question_with_keras(epochs: int, seed: int) -> tuple[list[float], list[float]]:
    """Return the losses and the seconds of all epochs of ``keras.Model.fit``."""
    import keras

    from refold.datasets import padded_moving_ones

    data, _ = padded_moving_ones(QUESTION_SEQUENCES)
    keras.utils.set_random_seed(seed)
    sequence = keras.Input((10, 5))
    encoder = keras.Model(sequence, keras.layers.LSTM(20)(sequence))
    code = keras.Input((20,))
    steps = keras.layers.Reshape((10, 2))(code)
    written = keras.layers.LSTM(5, return_sequences=True, activation="sigmoid")(steps)
    autoencoder = keras.Model(sequence, keras.Model(code, written)(encoder(sequence)))
    autoencoder.compile(loss="binary_crossentropy", optimizer="adam")
    return _fit_by_keras(autoencoder, data, data, epochs, QUESTION_BATCH)


def _fit_by_keras(
    model: Any, x: Any, y: Any, epochs: int, batch_size: int
) -> tuple[list[float], list[float]]:
    import keras

    ends = [time.perf_counter()]
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter()))
    fitted = model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0, callbacks=[clock])
    return fitted.history["loss"], list(np.diff(ends))


def ragged(sizes: Sizes, folder: Path) -> str:
    """Train on sequences of very unequal lengths."""
    del folder
    ours = measure(ragged_with_refold, sizes.ragged, sizes.rounds)
    seconds, longest = measure(ragged_with_keras, sizes.padded)
    whole = seconds * sizes.ragged / sizes.padded
    padded = f"Keras on JAX, padded to {longest} steps, extrapolated from {sizes.padded} sequences"
    rows = [
        [title, f"{took:.2f}", f"{ours['ragged'] / took:.2f}"]
        for title, took in (
            ("Refold, `patch=1`", ours["ragged"]),
            (f"Refold, default (`patch={ours['patch']}`)", ours["default"]),
            ("Refold, `patch=1`, as many steps in sequences of equal length", ours["equal"]),
            (padded, whole),
        )
    ]
    text = (
        f"The data is {sizes.ragged} sequences of log-normal length, 5 to {ours['longest']} steps, "
        f"with {ours['num_steps']} steps in total. Refold pads them to {ours['num_shapes']} "
        f"lengths, with {ours['padding']:.0%} padding."
    )
    header = ["program", "seconds per epoch", "speed relative to the first row"]
    return section("Unequal lengths", text, table(header, rows))


def ragged_with_refold(num_sequences: int, rounds: int) -> dict[str, Any]:
    """Return the seconds of an epoch on each data set, and the share of padding."""
    import refold
    from refold.sequences import BucketedBatches

    data = log_normal(num_sequences)
    level = equal(num_sequences, int(data.offsets[-1]))
    variants = {"ragged": (data, 1), "equal": (level, 1), "default": (data, "auto")}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    settings = {"batch_size": BATCH, "max_epochs": 4, "validation_fraction": 0, "random_state": 0}
    patch = 1
    for _ in range(rounds):
        for name, (sequences, patch) in variants.items():
            ae = refold.SequenceAutoencoder(patch=patch, **settings).fit(sequences)
            seconds[name] += list(np.diff(ae.history_["seconds"]))
            patch = ae.model_.network.specification.patch
    batches = BucketedBatches(data.lengths, BATCH)
    bucket_lengths = np.array([bucket.num_steps for bucket in batches.buckets])
    padded = bucket_lengths[np.searchsorted(bucket_lengths, batches.lengths)]
    return {
        **{name: statistics.median(epochs) for name, epochs in seconds.items()},
        "num_steps": int(data.offsets[-1]),
        "longest": int(data.lengths.max()),
        "num_shapes": len(batches.buckets),
        "padding": float(padded.sum() / batches.lengths.sum()) - 1.0,
        "patch": patch,
    }


def ragged_with_keras(num_sequences: int) -> tuple[float, int]:
    """Return the seconds of an epoch on padded sequences, and their length.

    The network is the default one with patches of one step, with Keras's own LSTM layers.
    """
    import keras

    from refold import models
    from refold.sequences import pad

    def with_keras_lstm(layer: Any) -> Any:
        bidirectional = isinstance(layer, keras.layers.Bidirectional)
        inner = layer.forward_layer if bidirectional else layer
        if not isinstance(inner, keras.layers.LSTM):
            return type(layer).from_config(layer.get_config())
        config = {name: one for name, one in inner.get_config().items() if name != "engine"}
        copy = keras.layers.LSTM.from_config(config)
        return keras.layers.Bidirectional(copy, name=layer.name) if bidirectional else copy

    data = log_normal(num_sequences)
    longest = int(data.lengths.max())
    parts = models.make_default_models(["numeric"] * FEATURES, latent_dim=16, max_steps=longest)
    encoder, decoder = (
        keras.models.clone_model(part, clone_function=with_keras_lstm)
        for part in (parts.encoder, parts.decoder)
    )
    model = models.join_encoder_and_decoder(encoder, decoder)
    x, y = pad(data, np.arange(len(data)), longest)
    model.autoencoder.compile(optimizer="adamw")
    _, seconds = _fit_by_keras(model.autoencoder, x, y, 3, BATCH)
    return min(seconds[1:]), longest


def larger_than_memory(sizes: Sizes, folder: Path) -> str:
    """Train on a folder of Parquet files and encode it, with the command line."""
    data, model, codes = (folder / name for name in ("data", "model.refold", "codes.parquet"))
    files, size, steps = measure(write_files, data, sizes.gigabytes, sizes.file_sequences)
    options = ["--max-epochs", "1", "--validation-fraction", "0", "--no-refit", "--seed", "0"]
    fit = ["-m", "refold", "fit", data, "-o", model, *options, "--quiet"]
    first, second = (measure_command(*fit) for _ in range(2))
    encoded = measure_command("-m", "refold", "encode", model, data, "-o", codes, "--quiet")
    number = min(3, files) * sizes.file_sequences
    epoch_seconds, in_memory = measure(rates, model, data, number)
    rate = steps / epoch_seconds
    rows = [
        ["`refold fit`, one epoch, first run", f"{first.seconds:.0f}", _mb(first.peak)],
        ["`refold fit`, one epoch, second run", f"{second.seconds:.0f}", _mb(second.peak)],
        ["`refold encode`", f"{encoded.seconds:.0f}", _mb(encoded.peak)],
    ]
    text = (
        f"The data is {size / 1e9:.1f} GB in {files} files, with {files * sizes.file_sequences} "
        f"sequences. An epoch processes {rate:.0f} steps per second from files and {in_memory:.0f} "
        f"from memory. The ratio is {rate / in_memory:.2f}. Neither rate includes compilation: the "
        "first is of the second run, and the second of later epochs."
    )
    return section("Larger than memory", text, table(["command", "seconds", "peak memory"], rows))


def write_files(folder: Path, gigabytes: float, num_sequences: int) -> tuple[int, int, int]:
    """Write Parquet files in long layout; return their number, bytes and steps.

    There are 48 numeric columns, and lengths of 20 to 180 steps.
    """
    from refold.sequences import write

    folder.mkdir(parents=True)
    rng, size, number, steps = np.random.default_rng(0), 0, 0, 0
    while size < gigabytes * 1e9:
        lengths = rng.integers(20, 181, num_sequences)
        file = folder / f"part-{number:04d}.parquet"
        write(sines(lengths, rng, FILE_FEATURES, number * num_sequences), file, layout="long")
        size, number = size + file.stat().st_size, number + 1
        steps += int(lengths.sum())
    return number, size, steps


def rates(model: Path, folder: Path, num_sequences: int) -> tuple[float, float]:
    """Return the seconds of the last epoch of a model file, and a rate in memory.

    The rate is that of steps in training on the first sequences, without compilation.
    """
    import refold
    from refold.sequences import read

    data = read(folder)[np.arange(num_sequences)]
    ae = refold.SequenceAutoencoder(
        max_epochs=3, validation_fraction=0, refit=False, random_state=0
    ).fit(data)
    in_memory = int(data.offsets[-1]) / float(np.diff(ae.history_["seconds"]).mean())
    return refold.load(model).history.epochs["seconds"][-1], in_memory


def _mb(size: float) -> str:
    return f"{size / 1e6:.0f} MB"


def main() -> None:
    """Measure, and write the tables."""
    parts = {"question": question, "ragged": ragged, "folder": larger_than_memory}
    packages = (*PACKAGES, "jaxlib", "tensorflow-cpu")
    sizes = Sizes(), QUICK
    run_parts("training", "Training", parts, sizes, about=__doc__, packages=packages, in_docs=True)


if __name__ == "__main__":
    main()
