"""Load a model and encode one sequence: ``... one MODEL SEQUENCE``.

The sequence is an array in a .npy file.
"""

import sys

import numpy as np

import refold

__all__ = ["main"]


def main(model: str, sequence: str) -> None:
    """Encode, and check the result."""
    codes = refold.load(model).encode([np.load(sequence)])
    if len(codes) != 1 or not np.isfinite(codes).all():
        raise SystemExit(f"the codes are {codes}")


if __name__ == "__main__":
    main(*sys.argv[1:])
