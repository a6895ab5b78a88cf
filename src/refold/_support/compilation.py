"""How XLA compiles for us, and where what it has compiled is kept.

On a CPU, XLA of late hands sums to a library of its own (YNNPACK), which is fast on large arrays
and on small ones takes longer than the loops that XLA writes itself.  And what was compiled once is
kept on disk, so that a second run of the same shapes starts at once.
"""

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

__all__ = ["compiled_by_size", "compiled_for_small", "keep_compiled"]

# From this release to before that one, every read from JAX's cache on a CPU prints a page of
# errors, and may be refused (jax-ml/jax#38445).
_WRONG = (0, 8, 2), (0, 10, 2)
# Nothing is left to YNNPACK.
_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}
# Steps of a batch from which YNNPACK makes up for its calls: 1000 are far too few, 6000 enough.
_LARGE = 4096
# Bytes from which the oldest files go, until there is half as much.
_MOST_BYTES = 200_000_000


def compiled_for_small(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Return what ``jax.jit`` makes of a function, compiled as is best for small arrays.

    Parameters
    ----------
    function : callable
    **options
        As ``jax.jit`` takes them.

    Returns
    -------
    callable

    Examples
    --------
    >>> float(compiled_for_small(lambda x: 2 * x)(3.0))
    6.0
    """
    return jax.jit(function, compiler_options=_known_options(), **options)


def compiled_by_size(function: Callable[..., Any]) -> Callable[[int], Callable[..., Any]]:
    """Compile a function of batches as is best for their size.

    Parameters
    ----------
    function : callable
        Its argument ``num_steps`` is static.

    Returns
    -------
    callable
        Called with the steps of a whole batch, returns the compiled function for it.

    Examples
    --------
    >>> doubled = compiled_by_size(lambda x, num_steps: num_steps * x)
    >>> float(doubled(10)(3.0, num_steps=2)), float(doubled(10_000)(3.0, num_steps=2))
    (6.0, 6.0)
    """
    small = compiled_for_small(function, static_argnames="num_steps")
    large = jax.jit(function, static_argnames="num_steps")
    return lambda steps: small if steps < _LARGE else large


@functools.cache
def _known_options() -> dict[str, str]:
    """Return those of our options that this XLA knows, and that nobody has set otherwise."""
    if jax.default_backend() != "cpu":
        return {}
    known = {}
    for name, value in _OPTIONS.items():
        if name in os.environ.get("XLA_FLAGS", ""):
            continue
        probe = jax.jit(lambda x: x, compiler_options={name: value})
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            probe.lower(0.0).compile()
            known[name] = value
    return known


@functools.cache
def keep_compiled() -> None:
    """Have JAX keep what it compiles in the user's cache folder, unless it keeps it elsewhere.

    JAX's own settings win: ``jax_compilation_cache_dir`` names another folder, and
    ``jax_enable_compilation_cache`` turns the cache off.  Releases whose cache cannot be relied on
    are left without.
    """
    named = jax.config.values.get("jax_compilation_cache_dir")
    if named is not None or keras.backend.backend() != "jax":
        return
    if _WRONG[0] <= jax.__version_info__ < _WRONG[1]:
        return
    folder = Path(platformdirs.user_cache_dir("refold", appauthor=False)) / "xla" / _machine()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _tidy(folder)
    except OSError:
        return
    if not os.access(folder, os.W_OK):
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # small functions too: a network's random first weights are twenty of them, and a second
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _machine() -> str:
    """Return a name for what code is compiled for; a home folder can be seen by many machines."""
    known = [platform.machine(), platform.processor(), str(os.cpu_count())]
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        kept = (line for line in lines if line.startswith(("flags", "Features", "model name")))
        known += sorted(set(kept))
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:16]


def _tidy(folder: Path) -> None:
    """Remove the files that were not used for longest where there are too many."""
    files = [(path, path.stat()) for path in folder.iterdir()]
    size = sum(status.st_size for _, status in files)
    if size <= _MOST_BYTES:
        return
    for path, status in sorted(files, key=lambda file: file[1].st_atime):
        if size <= _MOST_BYTES // 2:
            break
        path.unlink(missing_ok=True)
        size -= status.st_size
