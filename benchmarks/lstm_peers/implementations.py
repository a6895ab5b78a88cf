"""The implementations: their packages, and the settings to try."""

import importlib.util
import os
from typing import Any, NamedTuple

from benchmarks.lstm_peers.cases import Case

__all__ = ["IMPLEMENTATIONS", "Candidate", "Implementation", "candidates", "missing"]

# Unrolled loops are tried up to this many steps. Longer ones take XLA long to compile.
LONGEST_UNROLL = 10
LONGEST_UNROLL_WITHOUT_XLA = 30


class Implementation(NamedTuple):
    """An implementation; the module of its name in this folder runs it."""

    name: str
    title: str
    needs: str
    install: str
    backend: str
    peer: bool = True


IMPLEMENTATIONS = (
    Implementation("refold_lstm", "Refold", "refold", "refold", "jax", peer=False),
    Implementation("keras_jax", "Keras on JAX", "jax", "jax", "jax"),
    Implementation(
        "keras_tensorflow", "Keras on TensorFlow", "tensorflow", "tensorflow-cpu", "tensorflow"
    ),
    Implementation("torch_lstm", "PyTorch", "torch", "torch", "torch"),
    Implementation("keras_torch", "Keras on PyTorch", "torch", "torch", "torch"),
)


class Candidate(NamedTuple):
    """One setting of an implementation: the cores of its process, and its arguments."""

    name: str
    cores: str
    setting: dict[str, Any]

    @property
    def words(self) -> str:
        """The setting as shown in tables, without settings that are defaults of the framework."""
        threads = self.setting.get("threads")
        words = [] if threads is None else [f"{threads} thread{'s' * (threads != 1)}"]
        words += ["1 core"] if self.cores == "1" else []
        for argument in ("jit_compile", "unroll"):
            words += [argument] if self.setting.get(argument) else []
        if "onednn" in self.setting:
            words.append("oneDNN" if self.setting["onednn"] else "without oneDNN")
        return ", ".join(words)


def missing() -> list[Implementation]:
    """Return the implementations whose package is not installed in this interpreter."""
    return [one for one in IMPLEMENTATIONS if importlib.util.find_spec(one.needs) is None]


def candidates(name: str, case: Case) -> list[Candidate]:
    """Return the settings to try; the first is the default, and the only one of Refold."""
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = ["all", "1"] if hasattr(os, "sched_setaffinity") and num_cores != 1 else ["all"]
    threads = sorted({1, num_cores or 1}, reverse=True)
    unroll = [False, True] if case.steps <= LONGEST_UNROLL else [False]
    short_without_xla = case.steps <= LONGEST_UNROLL_WITHOUT_XLA
    if name == "refold_lstm":
        return [Candidate(name, "all", {})]
    if name == "keras_jax":
        return [Candidate(name, c, {"unroll": u}) for c in cores for u in unroll]
    if name == "keras_tensorflow":
        return [
            Candidate(name, c, {"jit_compile": j, "unroll": u})
            for c in cores
            for j in (False, True)
            for u in ([False, True] if not j and short_without_xla else unroll)
        ]
    if name == "torch_lstm":
        return [
            Candidate(name, "all", {"threads": t, "onednn": o})
            for t in threads
            for o in (True, False)
        ]
    return [Candidate(name, "all", {"threads": t}) for t in threads]
