"""XLA's compiler options on CPUs, and JAX's persistent compilation cache."""

import contextlib
import functools
import hashlib
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import keras
import platformdirs

# First broken release and first fixed one. In between, every read from JAX's cache on a CPU prints
# a page of errors and may fail (jax-ml/jax#38445).
_BROKEN_CACHE = (0, 8, 2), (0, 10, 2)
# Disables YNNPACK, to which recent versions of XLA delegate sums: it is fast on large arrays, but
# slower than XLA's own loops on small ones. Its sums took a quarter of a training step with small
# batches.
_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}
# Steps per batch from which YNNPACK is faster; the break-even lies between 1000 and 6000.
_LARGE = 4096
# Size limit of the cache, above which JAX deletes the files that were not used for longest.
_MAX_BYTES = 200_000_000


def compiled_by_size(function: Callable[..., Any]) -> Callable[[int], Callable[..., Any]]:
    """Return what compiles a function of batches, whose `num_steps` is static, by their steps."""
    small = jax.jit(function, compiler_options=_known_options(), static_argnames="num_steps")
    large = jax.jit(function, static_argnames="num_steps")
    return lambda steps: small if steps < _LARGE else large


@functools.cache
def _known_options() -> dict[str, str]:
    """Return the options that this XLA knows and that ``XLA_FLAGS`` does not set."""
    if jax.default_backend() != "cpu":
        return {}
    supported = {}
    for name, value in _OPTIONS.items():
        if name in os.environ.get("XLA_FLAGS", ""):
            continue
        probe = jax.jit(lambda x: x, compiler_options={name: value})
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            probe.lower(0.0).compile()
            supported[name] = value
    return supported


@functools.cache
def keep_compiled() -> None:
    """Enable JAX's persistent compilation cache, in the user's cache folder."""
    # JAX's own settings take precedence: jax_compilation_cache_dir sets another folder, and
    # jax_enable_compilation_cache turns the cache off
    configured = jax.config.values.get("jax_compilation_cache_dir")
    if configured is not None or keras.backend.backend() != "jax":
        return
    if _BROKEN_CACHE[0] <= jax.__version_info__ < _BROKEN_CACHE[1]:
        return
    folder = Path(platformdirs.user_cache_dir("refold", appauthor=False)) / "xla" / _machine()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return
    if not os.access(folder, os.W_OK):
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", _MAX_BYTES)
    # by default JAX keeps nothing that compiles in less than a second, as most of our functions do
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _machine() -> str:
    """Return a key for the CPU, because several machines may share a home folder."""
    facts = [platform.machine(), platform.processor(), str(os.cpu_count())]
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        kept = (line for line in lines if line.startswith(("flags", "Features", "model name")))
        facts += sorted(set(kept))
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
