"""Commands that run the default model in Keras: ``... keras_path info|encode|one ...``.

Loading a model builds its Keras models. They run in padded batches. Everything else is unchanged.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

__all__ = ["load", "loads_keras_models"]


@contextlib.contextmanager
def loads_keras_models() -> Iterator[None]:
    """Make Refold load default models as Keras models."""
    from refold.model import _file
    from refold.network.keras.network import KerasNetwork, keras_models

    usual = _file._network
    _file._network = lambda *given: KerasNetwork(keras_models(usual(*given)))
    try:
        yield
    finally:
        _file._network = usual


def load(path: str) -> Any:
    """Load a model as Keras models."""
    import refold

    with loads_keras_models():
        return refold.SequenceAutoencoder.load(path)


def main(what: str, *arguments: str) -> None:
    """Run a command of Refold, or encode one sequence."""
    from benchmarks.inference_peers import one
    from refold.cli import main as command

    with loads_keras_models():
        if what == "one":
            one.main(*arguments)
        elif code := command([what, *arguments]):
            raise SystemExit(f"the command exited with code {code}")


if __name__ == "__main__":
    main(*sys.argv[1:])
