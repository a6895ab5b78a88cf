"""Train a classifier on the encoder: ``python classify.py vowels [--seeds 0 1 2]``.

Prints the test accuracy for several numbers of labels, by seed and as a median: with the encoder
frozen, fine-tuned, and with the same layers from scratch. Learning rate and epoch are chosen on a
quarter of the labeled sequences, never on the test set.
"""

import argparse
from typing import NamedTuple

import refold  # before Keras, which then runs on JAX

# isort: split
import keras
import numpy as np
from sklearn.datasets import load_digits

# Learning rates to choose from.
RATES = {"frozen": (1e-2, 3e-2), "fine-tuned": (1e-4, 1e-3), "from scratch": (1e-3, 3e-3)}


class Data(NamedTuple):
    """Training and test sequences with their classes, from 0."""

    train: refold.Sequences
    train_labels: np.ndarray
    test: refold.Sequences
    test_labels: np.ndarray


def main(arguments: list[str] | None = None) -> None:
    """Print the test accuracies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=["vowels", "digits"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--labels", type=int, nargs="+", default=[5, 10, 30], help="labels per class"
    )
    parser.add_argument("--max-epochs", type=int, default=60, help="epochs of the autoencoder")
    parser.add_argument("--epochs", type=int, default=100, help="epochs of a classifier")
    options = parser.parse_args(arguments)
    data = vowels() if options.data == "vowels" else digits()
    print(f"{len(data.train)} sequences to train, {len(data.test)} to test")
    print(f"{'labels':>12}  {'':12}  test accuracy, seeds {options.seeds}")

    found: dict[tuple[int, str], list[float]] = {}
    for seed in options.seeds:
        ae = refold.SequenceAutoencoder(
            latent_dim=32, max_epochs=options.max_epochs, random_state=seed
        ).fit(data.train)
        for labels in options.labels:
            accuracies = measure(ae, data, labels, epochs=options.epochs, seed=seed)
            for way, accuracy in accuracies.items():
                found.setdefault((labels, way), []).append(accuracy)
    for (labels, way), accuracies in found.items():
        each = "  ".join(f"{accuracy:.1%}" for accuracy in accuracies)
        print(f"{labels:>2} per class  {way:12}  {each}   median {np.median(accuracies):.1%}")


def measure(
    ae: refold.SequenceAutoencoder, data: Data, labels: int, *, epochs: int, seed: int
) -> dict[str, float]:
    """Train all variants with some labels per class, and return their test accuracies."""
    x, y = ae.encoder_inputs(data.train), data.train_labels
    num_classes = int(y.max()) + 1
    rng = np.random.default_rng(seed)
    chosen, held_out = [], []
    for label in range(num_classes):
        rows = rng.permutation(np.flatnonzero(y == label))[:labels]
        few = max(1, len(rows) // 4)
        held_out.extend(rows[:few])
        chosen.extend(rows[few:])

    def best(way: str, start: keras.Model) -> keras.Model:
        """Train with each learning rate, and return the model with the best validation loss."""
        lowest, found = np.inf, start
        for rate in RATES[way]:
            keras.utils.set_random_seed(seed)
            model = keras.models.clone_model(start)
            model.set_weights(start.get_weights())
            model.compile(
                keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
            )
            history = model.fit(
                x[chosen],
                y[chosen],
                batch_size=16,
                epochs=epochs,
                validation_data=(x[held_out], y[held_out]),
                callbacks=[keras.callbacks.EarlyStopping(patience=20, restore_best_weights=True)],
                verbose=0,
            )
            if (loss := min(history.history["val_loss"])) < lowest:
                lowest, found = loss, model
        return found

    keras.utils.set_random_seed(seed)
    fitted, fresh = (classifier(ae.encoder_, num_classes) for _ in range(2))
    fitted.get_layer("encoder").set_weights(ae.encoder_.get_weights())
    fitted.get_layer("encoder").trainable = False
    models = {"frozen": best("frozen", fitted)}
    fitted.set_weights(models["frozen"].get_weights())  # fine-tuning continues from there
    fitted.get_layer("encoder").trainable = True
    models["fine-tuned"] = best("fine-tuned", fitted)
    models["from scratch"] = best("from scratch", fresh)
    test = ae.encoder_inputs(data.test)
    return {
        way: model.evaluate(test, data.test_labels, verbose=0)[1] for way, model in models.items()
    }


def classifier(encoder: keras.Model, num_classes: int) -> keras.Model:
    """Build a classifier from the layers of an encoder, with fresh weights."""
    own = keras.models.clone_model(encoder)  # leaves the estimator's encoder unchanged
    own.name = "encoder"
    sequence = keras.Input((None, encoder.input_shape[-1]))  # any number of steps
    code = keras.layers.BatchNormalization()(own(sequence))
    outputs = keras.layers.Dense(num_classes, activation="softmax")(code)
    return keras.Model(sequence, outputs)


def vowels() -> Data:
    """Load JapaneseVowels: nine speakers, 7 to 29 steps of 12 features."""
    given = refold.datasets.japanese_vowels()
    train_labels, test_labels = (
        (labels - 1).astype("int32")  # JAX has no int64 by default
        for labels in (given.train_labels, given.test_labels)
    )
    return Data(given.train, train_labels, given.test, test_labels)


def digits() -> Data:
    """Load the digits of scikit-learn; each row of an image is one of 8 steps."""
    images, labels = load_digits(return_X_y=True)
    labels = labels.astype("int32")
    lines = refold.sequences.as_sequences(images.reshape(-1, 8, 8))
    order = np.random.default_rng(0).permutation(len(lines))
    train, test = order[:1297], order[1297:]
    return Data(lines[train], labels[train], lines[test], labels[test])


if __name__ == "__main__":
    main()
