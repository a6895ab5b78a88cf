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

# Learning rates to choose from, for each variant of the classifier.
LEARNING_RATES = {"frozen": (1e-2, 3e-2), "fine-tuned": (1e-4, 1e-3), "from scratch": (1e-3, 3e-3)}


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
    data = load_vowels() if options.data == "vowels" else load_digit_sequences()
    print(f"{len(data.train)} sequences to train, {len(data.test)} to test")
    print(f"{'labels':>12}  {'':12}  test accuracy, seeds {options.seeds}")

    results: dict[tuple[int, str], list[float]] = {}
    for seed in options.seeds:
        ae = refold.SequenceAutoencoder(
            latent_dim=32, max_epochs=options.max_epochs, random_state=seed
        ).fit(data.train)
        for labels in options.labels:
            accuracies = measure_accuracies(ae, data, labels, num_epochs=options.epochs, seed=seed)
            for variant, accuracy in accuracies.items():
                results.setdefault((labels, variant), []).append(accuracy)
    for (labels, variant), accuracies in results.items():
        by_seed = "  ".join(f"{accuracy:.1%}" for accuracy in accuracies)
        print(
            f"{labels:>2} per class  {variant:12}  {by_seed}   median {np.median(accuracies):.1%}"
        )


def measure_accuracies(
    ae: refold.SequenceAutoencoder, data: Data, num_labels: int, *, num_epochs: int, seed: int
) -> dict[str, float]:
    """Train all variants with a number of labels per class, and return their test accuracies."""
    x, y = ae.encoder_inputs(data.train), data.train_labels
    num_classes = int(y.max()) + 1
    rng = np.random.default_rng(seed)
    train_rows, validation_rows = [], []
    for label in range(num_classes):
        rows = rng.permutation(np.flatnonzero(y == label))[:num_labels]
        num_validation = max(1, len(rows) // 4)
        validation_rows.extend(rows[:num_validation])
        train_rows.extend(rows[num_validation:])

    def train_best(variant: str, initial_model: keras.Model) -> keras.Model:
        """Train with each learning rate, and return the model with the best validation loss."""
        lowest, best_model = np.inf, initial_model
        for learning_rate in LEARNING_RATES[variant]:
            keras.utils.set_random_seed(seed)
            model = keras.models.clone_model(initial_model)
            model.set_weights(initial_model.get_weights())
            model.compile(
                keras.optimizers.Adam(learning_rate),
                "sparse_categorical_crossentropy",
                metrics=["accuracy"],
            )
            history = model.fit(
                x[train_rows],
                y[train_rows],
                batch_size=16,
                epochs=num_epochs,
                validation_data=(x[validation_rows], y[validation_rows]),
                callbacks=[keras.callbacks.EarlyStopping(patience=20, restore_best_weights=True)],
                verbose=0,
            )
            if (loss := min(history.history["val_loss"])) < lowest:
                lowest, best_model = loss, model
        return best_model

    keras.utils.set_random_seed(seed)
    pretrained, untrained = (build_classifier(ae.encoder_, num_classes) for _ in range(2))
    pretrained.get_layer("encoder").set_weights(ae.encoder_.get_weights())
    pretrained.get_layer("encoder").trainable = False
    models = {"frozen": train_best("frozen", pretrained)}
    # fine-tuning starts from the classifier with the frozen encoder
    pretrained.set_weights(models["frozen"].get_weights())
    pretrained.get_layer("encoder").trainable = True
    models["fine-tuned"] = train_best("fine-tuned", pretrained)
    models["from scratch"] = train_best("from scratch", untrained)
    test = ae.encoder_inputs(data.test)
    return {
        variant: model.evaluate(test, data.test_labels, verbose=0)[1]
        for variant, model in models.items()
    }


def build_classifier(encoder: keras.Model, num_classes: int) -> keras.Model:
    """Build a classifier from the layers of an encoder, with fresh weights."""
    encoder_copy = keras.models.clone_model(encoder)  # leaves the estimator's encoder unchanged
    encoder_copy.name = "encoder"
    sequence = keras.Input((None, encoder.input_shape[-1]))  # any number of steps
    code = keras.layers.BatchNormalization()(encoder_copy(sequence))
    outputs = keras.layers.Dense(num_classes, activation="softmax")(code)
    return keras.Model(sequence, outputs)


def load_vowels() -> Data:
    """Load JapaneseVowels: nine speakers, 7 to 29 steps of 12 features."""
    data = refold.datasets.japanese_vowels()
    train_labels, test_labels = (
        (labels - 1).astype("int32")  # JAX has no int64 by default
        for labels in (data.train_labels, data.test_labels)
    )
    return Data(data.train, train_labels, data.test, test_labels)


def load_digit_sequences() -> Data:
    """Load the digits of scikit-learn; each row of an image is one of 8 steps."""
    images, labels = load_digits(return_X_y=True)
    labels = labels.astype("int32")
    sequences = refold.sequences.as_sequences(images.reshape(-1, 8, 8))
    order = np.random.default_rng(0).permutation(len(sequences))
    train, test = order[:1297], order[1297:]  # 1,297 to train and 500 to test
    return Data(sequences[train], labels[train], sequences[test], labels[test])


if __name__ == "__main__":
    main()
