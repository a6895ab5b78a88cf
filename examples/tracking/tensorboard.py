"""Log losses to TensorBoard without TensorFlow: ``python tensorboard.py [runs]``.

``tensorboard --logdir runs`` shows them. If TensorFlow is installed, Keras's own callback,
``keras.callbacks.TensorBoard(folder)``, logs them, too.
"""

import argparse
from typing import Any

import refold  # before Keras, which then runs on JAX

# isort: split
import keras
from tensorboardX import SummaryWriter


class LossLogger(keras.callbacks.Callback):
    """Log the losses of every epoch, with separate names for the refit."""

    def __init__(self, writer: SummaryWriter) -> None:
        super().__init__()
        self.writer = writer

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Log the values that Keras passes to callbacks."""
        for name, value in (logs or {}).items():
            self.writer.add_scalar(f"{self.params['phase']}/{name}", value, epoch)


def main(arguments: list[str] | None = None) -> None:
    """Fit JapaneseVowels, and log losses, arguments and codes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="runs")
    parser.add_argument("--max-epochs", type=int)
    options = parser.parse_args(arguments)

    vowels = refold.datasets.japanese_vowels()
    ae = refold.SequenceAutoencoder(latent_dim=16, max_epochs=options.max_epochs, random_state=0)
    with SummaryWriter(options.folder) as writer:
        ae.fit(vowels.train, callbacks=[LossLogger(writer)])
        writer.add_text("arguments", str(ae.get_params()))
        writer.add_embedding(ae.transform(vowels.test), metadata=vowels.test_labels.tolist())
    print(
        f"{ae.history_['phase'].count('validated')} epochs, then "
        f"{ae.history_['phase'].count('refit')} on all sequences: in {options.folder}"
    )


if __name__ == "__main__":
    main()
