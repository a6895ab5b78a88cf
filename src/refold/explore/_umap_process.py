"""A process of its own that computes a UMAP map, so that the server keeps answering."""

import contextlib
import json
import os
import sys
from collections.abc import Callable

import numpy as np

from refold._support.optional_imports import optional
from refold._support.sampling import evenly_spaced
from refold._support.umap_layout import umap_layout
from refold.errors import RefoldError

# Most vectors that UMAP arranges; the others are placed between their nearest ones among these.
MOST_ARRANGED = 50_000
# Vectors that are placed at once, their neighbors, and the principal axes that these are found on.
_BLOCK, _NEIGHBORS, _AXES = 10_000, 4, 10


def umap_places(
    vectors: np.ndarray, say: Callable[[float, str], None], most: int = MOST_ARRANGED
) -> np.ndarray:
    """Return places (n, 2) of vectors (n, n_dimensions), from about -1 to 1."""
    count = len(vectors)
    chosen = evenly_spaced(count, most)
    end = 0.98 if count <= most else 0.6
    say(0.02, "finding neighbors")
    places = umap_layout(
        vectors[chosen], progress=lambda share: say(0.2 + (end - 0.2) * share, "arranging")
    )
    low, high = np.quantile(places, [0.005, 0.995], axis=0)
    places -= (low + high) / 2
    places /= max(float(np.quantile(np.abs(places).max(axis=1), 0.99)), 1e-12)
    places = places.astype(np.float32)
    if count <= most:
        return places
    return _with_the_others(
        vectors,
        chosen,
        places,
        lambda share: say(end + share * (1 - end), "placing the others"),
    )


def _with_the_others(
    vectors: np.ndarray, chosen: np.ndarray, places: np.ndarray, say: Callable[[float], None]
) -> np.ndarray:
    """Place all vectors: those that were not chosen between their neighbors that were."""
    found = np.empty((len(vectors), 2), np.float32)
    found[chosen] = places
    others = np.setdiff1d(np.arange(len(vectors)), chosen)
    _, axes = np.linalg.eigh(np.cov(vectors[chosen], rowvar=False).reshape(vectors.shape[1], -1))
    axes = axes[:, ::-1][:, :_AXES].astype(np.float32)
    package = optional("sklearn.neighbors", extra="umap", purpose="UMAP")
    index = package.KDTree(vectors[chosen] @ axes)
    for begin in range(0, len(others), _BLOCK):
        rows = others[begin : begin + _BLOCK]
        distances, near = index.query(vectors[rows] @ axes, k=_NEIGHBORS)
        weights = 1.0 / np.maximum(distances, 1e-9 + 1e-3 * distances[:, -1:]) ** 2
        weights /= weights.sum(axis=1, keepdims=True)
        # neighbors in another part of the map would pull a vector into the gap between
        first = places[near[:, :1]]
        apart = np.linalg.norm(places[near] - first, axis=2)
        weights[apart > 0.1] = 0.0
        weights /= weights.sum(axis=1, keepdims=True)
        found[rows] = np.einsum("ij,ijk->ik", weights, places[near])
        say(min(1.0, (begin + len(rows)) / len(others)))
    return found


def main() -> None:
    """Read vectors, write progress and places."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer

    def say(done: float, what: str = "") -> None:
        out.write(json.dumps({"done": round(done, 3), "said": what}).encode() + b"\n")
        out.flush()

    # Standard input has a line of JSON with the shape, and then the vectors. Standard output gets
    # lines of JSON with the progress, and at last a line with the number of bytes and the places.
    shape = json.loads(sys.stdin.buffer.readline())
    content = sys.stdin.buffer.read(4 * shape[0] * shape[1])
    vectors = np.frombuffer(content, np.float32).reshape(shape)
    try:
        found = umap_places(vectors, say).tobytes()
    except RefoldError as error:
        out.write(json.dumps({"failed": str(error)}).encode() + b"\n")
    else:
        out.write(json.dumps({"bytes": len(found)}).encode() + b"\n" + found)
    out.close()


if __name__ == "__main__":
    main()
