"""The methods, and digests of the code on which their results depend."""

import ast
import functools
import hashlib
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks._results import version_of

__all__ = ["METHODS", "OURS", "PCA", "Method"]

OURS, PCA = "refold", "pca"
HERE = Path(__file__).parent
REFOLD = HERE.parents[1] / "src" / "refold"
SHARED = (
    *(HERE / name for name in ("channels.py", "budget.py", "worker.py")),
    *(
        REFOLD / "evaluation" / name
        for name in ("_nmse.py", "_step_matching.py", "_exact_accuracy.py")
    ),
)
# Parts of Refold on which no result depends.
NOT_OURS = {
    "cli",
    "datasets",
    "explore",
    "export",
    "plots",
    "report",
    "search",
    "serve",
    "__main__.py",
}


class Method(NamedTuple):
    """A method: its title, module, backend of Keras, packages, arguments, and seeds."""

    title: str
    module: str
    backend: str
    packages: tuple[str, ...]
    options: dict[str, Any] = {}  # noqa: RUF012  (never modified)
    seeds: tuple[int, ...] = (0,)
    trained: bool = True

    @property
    def versions(self) -> str:
        """Versions of Python and of the installed packages."""
        found = [f"{name} {number}" for name in self.packages if (number := _version(name))]
        return ", ".join([f"Python {platform.python_version()}", *found])

    @property
    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [name for name in self.packages if not _version(name)]

    @property
    def code(self) -> str:
        """Digest of the code without comments and docstrings."""
        return _digest((HERE / f"{self.module}.py", *SHARED, *self._own))

    @property
    def _own(self) -> Iterator[Path]:
        if self.module == "principal_components":
            yield REFOLD / "evaluation" / "_pca.py"
        elif self.module == "refold_default":
            for path in sorted(REFOLD.rglob("*")):
                inside = path.relative_to(REFOLD).parts[0] not in NOT_OURS
                if inside and path.suffix in {".py", ".h", ".cpp"}:
                    yield path


JAX = ("keras", "jax", "numpy")

METHODS = {
    OURS: Method(
        "Refold", "refold_default", "jax", (*JAX, "jaxlib", "scikit-learn"), seeds=(0, 1, 2)
    ),
    PCA: Method("PCA", "principal_components", "jax", ("numpy", "scikit-learn"), trained=False),
    "repeat_tanh": Method("`RepeatVector`", "classic", "jax", JAX, {"decoder": "repeat"}),
    "repeat_relu": Method(
        "`RepeatVector`, relu",
        "classic",
        "jax",
        JAX,
        {"decoder": "repeat", "activation": "relu"},
    ),
    "reshape": Method("`Reshape`", "classic", "jax", JAX, {"decoder": "reshape"}),
    "dense": Method("all steps at once", "classic", "jax", JAX, {"decoder": "dense"}),
    "sequitur": Method("sequitur", "sequitur_lstm", "torch", ("sequitur", "torch", "numpy")),
    "aeon": Method(
        "aeon's AEFCN",
        "aeon_autoencoder",
        "tensorflow",
        ("aeon", "tensorflow", "keras", "numpy"),
    ),
}


def _version(name: str) -> str | None:
    found = version_of(name)
    return version_of("tensorflow-cpu") if found is None and name == "tensorflow" else found


@functools.cache
def _digest_of(path: Path, changed: int) -> bytes:  # noqa: ARG001  (a changed file is read again)
    data = path.read_bytes()
    if path.suffix == ".py":
        tree = ast.parse(data)
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [one for one in body if not _is_text(one)]
        data = ast.dump(tree).encode()
    return hashlib.sha256(data).digest()


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _digest(paths: tuple[Path, ...]) -> str:
    whole = hashlib.sha256()
    for path in paths:
        whole.update(path.name.encode() + _digest_of(path, path.stat().st_mtime_ns))
    return whole.hexdigest()[:8]
