"""Functions that set compiler options of XLA on CPUs, and JAX's persistent compilation cache."""

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

# Versions of JAX: the cache is broken from the first one on, and works again from the second on. In
# between, every read from the cache on a CPU prints a page of errors and may fail
# (jax-ml/jax#38445).
_BROKEN_CACHE_VERSIONS = (0, 8, 2), (0, 10, 2)
# With an empty text as its value, this option disables YNNPACK, a library that recent versions of
# XLA use for sums. YNNPACK is slower on small arrays than XLA's own loops: with small batches, its
# sums took a quarter of the time of a training step.
_YNNPACK_OPTION = "xla_cpu_experimental_ynn_fusion_type"
# For batches with at least this number of steps, YNNPACK stays enabled, because it is faster. It
# becomes faster than the loops at a number of steps between 1000 and 6000.
_MIN_YNNPACK_STEPS = 4096
# Size limit of the cache, above which JAX deletes the files that were not used for longest.
_MAX_COMPILATION_CACHE_BYTES = 200_000_000


def compile_two_batch_sizes(function: Callable[..., Any]) -> Callable[[int], Callable[..., Any]]:
    """Compile a function of a batch in two versions, for small and for large batches."""
    # The result is a function that takes the number of steps of a batch, and returns the version
    # for this number. The argument `padded_length` of the function is static: each value is
    # compiled anew.
    jit = functools.partial(jax.jit, function, static_argnames="padded_length")
    small_batch_function = jit(compiler_options=_find_small_batch_compiler_options())
    large_batch_function = jit()
    return lambda num_steps: (
        small_batch_function if num_steps < _MIN_YNNPACK_STEPS else large_batch_function
    )


@functools.cache
def _find_small_batch_compiler_options() -> dict[str, str]:
    """Return the compiler option that disables YNNPACK, or no option if it cannot be set."""
    # the user may have set the option in the environment variable of XLA
    is_set_by_user = _YNNPACK_OPTION in os.environ.get("XLA_FLAGS", "")
    if jax.default_backend() != "cpu" or is_set_by_user:
        return {}
    options = {_YNNPACK_OPTION: ""}
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:  # this version of XLA does not have the option
        return {}
    return options


@functools.cache
def enable_compilation_cache() -> None:
    """Enable JAX's persistent compilation cache, in the user's cache folder, where it works."""
    # JAX's own settings take precedence: jax_compilation_cache_dir sets another folder, and
    # jax_enable_compilation_cache turns the cache off
    configured = jax.config.values.get("jax_compilation_cache_dir")
    if configured is not None or keras.backend.backend() != "jax":
        return
    if _BROKEN_CACHE_VERSIONS[0] <= jax.__version_info__ < _BROKEN_CACHE_VERSIONS[1]:
        return
    # Several machines with different CPUs may share a home folder, and compiled code needs the type
    # and the instruction set of its CPU. So the name of the folder is a hash of these, and of the
    # number of cores.
    properties = [platform.machine(), platform.processor(), str(os.cpu_count())]
    with contextlib.suppress(OSError):  # only Linux has this file
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        # the instructions are "flags" on x86 and "Features" on ARM, with a line for each core
        prefixes = "flags", "Features", "model name"
        properties += sorted({line for line in lines if line.startswith(prefixes)})
    fingerprint = hashlib.sha256("\n".join(properties).encode()).hexdigest()[:16]
    folder = Path(platformdirs.user_cache_dir("refold", appauthor=False)) / "xla" / fingerprint
    try:
        # only for this user, because JAX runs the code in the folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return
    # without a writable folder, functions are compiled in each process
    if not os.access(folder, os.W_OK):
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", _MAX_COMPILATION_CACHE_BYTES)
    # By default, JAX caches a function only if its compilation takes at least a second. Most
    # functions of Refold take less.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
