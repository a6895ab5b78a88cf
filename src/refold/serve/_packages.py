"""A check that the packages of the extra are installed, before the other modules import them."""

from refold._support.optional_imports import optional

for _package in ("httptools", "prometheus_client", "starlette", "uvicorn"):
    optional(_package, extra="serve", purpose="refold.serve")
