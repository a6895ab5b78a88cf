"""One of several processes that train together: index, count, port, source, output, options."""

import json
import sys

import jax
import numpy as np

import refold


def main(index, count, port, source, output, options):
    if count > 1:
        jax.distributed.initialize(f"127.0.0.1:{port}", count, index)
    options_dict = json.loads(options)
    ae = refold.SequenceAutoencoder(**options_dict.pop("parameters"))
    fitted = refold.cluster.fit_together(ae, source, num_parts=2, **options_dict)
    history, arrays = fitted.history_, fitted.model_.network.arrays()
    np.savez(
        f"{output}-{count}-{index}.npz",
        loss=history["loss"],
        val_loss=[loss or 0.0 for loss in history.get("val_loss", [])],
        weights=np.concatenate([array.ravel() for _, array in sorted(arrays.items())]),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
