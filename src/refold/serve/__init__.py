"""A service that encodes, decodes and more over HTTP, in JSON or Arrow, with limits and metrics.

It needs the extra ``serve``, and neither Keras nor JAX.
"""

# ruff: noqa: E402 - the packages are checked before other modules import them

from refold._support.optional_imports import import_optional

for _package in ("httptools", "prometheus_client", "starlette", "uvicorn"):
    import_optional(_package, extra="serve", purpose="refold.serve")

from refold.serve._app import create_app
from refold.serve._bodies import to_json as to_json
from refold.serve._server import run_app as run_app
from refold.serve._server import running, serve
from refold.serve._server import running_app as running_app
from refold.serve._settings import ServeSettings, named_indexes, named_paths, read_settings

__all__ = [
    "ServeSettings",
    "create_app",
    "named_indexes",
    "named_paths",
    "read_settings",
    "running",
    "serve",
]
