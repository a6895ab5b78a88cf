"""A UMAP map that a process of its own computes, so that the server keeps answering."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from refold._support.arrays import evenly_spaced
from refold._support.optional_imports import how_to_install, is_installed
from refold._support.umap_layout import MIN_UMAP, umap_layout
from refold.errors import MissingExtraError, ParameterError, RefoldError

logger = logging.getLogger("refold.explore")
# Most vectors that UMAP arranges; the others are placed between their nearest ones among these.
MOST_ARRANGED = 50_000
# Vectors that are placed at once, their neighbors, and the principal axes that these are found on.
_BLOCK, _NEIGHBORS, _AXES = 10_000, 4, 10


class UmapJob:
    """Places (n, 2) of vectors (n, n_dimensions) by UMAP, computed once and on request."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.done, self.said = 0.0, "starting"  # the share that is done, and what is being done
        self._vectors = vectors
        self._places: np.ndarray | None = None
        self._failure = ""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def places(self, wait: float = 0.0) -> np.ndarray | None:
        """Return the places, or None if they are not ready; the first call starts the process."""
        if self._places is not None:
            return self._places
        if len(self._vectors) < MIN_UMAP:
            raise ParameterError(
                f"A UMAP map needs at least {MIN_UMAP} sequences. There are {len(self._vectors)}."
            )
        if not is_installed("umap"):
            raise MissingExtraError(
                "A UMAP map needs the package 'umap-learn', which is not installed. "
                f"{how_to_install('umap')}. Then choose UMAP again."
            )
        with self._lock:
            thread = self._thread
            if thread is None:
                thread = self._thread = threading.Thread(target=self._run, daemon=True)
                thread.start()
        thread.join(wait)
        if self._failure:
            raise ParameterError(self._failure)
        return self._places

    def stop(self) -> None:
        """End the process, if it runs; a later call of `places` starts another one."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._thread = None
                self.done, self.said = 0.0, "starting"
                self._process.kill()

    def _run(self) -> None:
        with tempfile.TemporaryDirectory() as name, tempfile.TemporaryFile() as errors:
            process = None
            try:
                np.save(Path(name, "vectors.npy"), self._vectors)
                command = [sys.executable, "-m", "refold.explore._umap", name]
                process = subprocess.Popen(  # noqa: S603 - the command has no part of a request
                    command, stdout=subprocess.PIPE, stderr=errors
                )
                with self._lock:
                    self._process = process
                self._follow(process.stdout)
                if process.wait() != 0:
                    raise ValueError(f"The process ended with status {process.returncode}")
                self._places = np.load(Path(name, "places.npy"))
                self.done = 1.0
            except (OSError, ValueError) as error:
                if process is not None:
                    process.kill()
                    process.wait()
                if self._thread is not threading.current_thread():  # it was stopped
                    return
                errors.seek(0)
                logger.warning("No UMAP map: %s. %s", error, errors.read().decode(errors="replace"))
                self._failure = self._failure or (
                    "The UMAP map could not be computed. The log of the server says why."
                )

    def _follow(self, lines: Any) -> None:
        """Follow the progress, which is a line of JSON for each change, until the process ends."""
        with lines:
            for line in lines:
                said = json.loads(line)
                if "failed" in said:
                    self._failure = said["failed"]
                    raise ValueError(self._failure)
                self.done = said["done"]
                self.said = said["said"] or self.said


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
    from scipy.spatial import KDTree

    found = np.empty((len(vectors), 2), np.float32)
    found[chosen] = places
    others = np.setdiff1d(np.arange(len(vectors)), chosen)
    _, axes = np.linalg.eigh(np.cov(vectors[chosen], rowvar=False).reshape(vectors.shape[1], -1))
    axes = axes[:, ::-1][:, :_AXES].astype(np.float32)
    tree = KDTree(vectors[chosen] @ axes)
    for begin in range(0, len(others), _BLOCK):
        rows = others[begin : begin + _BLOCK]
        distances, near = map(np.asarray, tree.query(vectors[rows] @ axes, _NEIGHBORS))
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


def main(folder: Path) -> None:
    """Read ``vectors.npy`` of a folder, print the progress, and write ``places.npy``."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no progress

    def say(**values: Any) -> None:
        print(json.dumps(values), file=out, flush=True)

    try:
        places = umap_places(
            np.load(folder / "vectors.npy"),
            lambda done, what="": say(done=round(done, 3), said=what),
        )
    except RefoldError as error:
        say(failed=str(error))
    else:
        np.save(folder / "places.npy", places)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
