"""A UMAP map that a process computes in the background."""

import json
import logging
import subprocess
import sys
import tempfile
import threading
from typing import IO, Any

import numpy as np

from refold._support.optional_imports import how_to_install, is_installed
from refold._support.umap_layout import MIN_UMAP
from refold.errors import MissingExtraError, ParameterError

logger = logging.getLogger("refold.explore")


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
        command = [sys.executable, "-m", "refold.explore._umap_process"]
        with tempfile.TemporaryFile() as errors:
            process = None
            try:
                process = subprocess.Popen(  # noqa: S603 - the command has no part of a request
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
                )
                with self._lock:
                    self._process = process
                found = self._exchange(process)
                if process.wait() != 0 or found is None:
                    raise ValueError(f"The process ended with status {process.returncode}")
                self._places = found
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

    def _exchange(self, process: Any) -> np.ndarray | None:
        """Send the vectors, follow the progress, and return the places."""
        given: IO[bytes] = process.stdin
        answer: IO[bytes] = process.stdout
        with given, answer:
            given.write(json.dumps(self._vectors.shape).encode() + b"\n")
            given.write(np.ascontiguousarray(self._vectors, np.float32).data)
            given.flush()
            for line in answer:
                said = json.loads(line)
                if "failed" in said:
                    self._failure = said["failed"]
                    return None
                if "bytes" in said:
                    content = answer.read(said["bytes"])
                    return np.frombuffer(content, np.float32).reshape(-1, 2)
                self.done = said["done"]
                self.said = said["said"] or self.said
        return None
