"""Numbers about the service, in the format of Prometheus."""

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.process_collector import ProcessCollector

MEDIA_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_STEPS = (10, 100, 1000, 2500, 5000, 10000, 20000, 50000, 100000, 200000)


class Metrics:
    """Counters and histograms of one server."""

    def __init__(self, waiting: Callable[[], int], open_requests: Callable[[], int]) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "refold_requests", "Requests", ["operation", "status"], registry=registry
        )
        self._seconds = Histogram(
            "refold_request_seconds", "Time to the answer", ["operation"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._refused = Counter(
            "refold_refused", "Requests beyond a limit", ["limit"], registry=registry
        )
        self._batches = Histogram(
            "refold_batch_requests", "Requests computed together",
            buckets=_REQUESTS, registry=registry,
        )  # fmt: skip
        self._steps = Histogram(
            "refold_batch_steps", "Steps computed together", buckets=_STEPS, registry=registry
        )
        self._reloads = Counter(
            "refold_reloads", "Reloads of models", ["result"], registry=registry
        )
        Gauge("refold_waiting_requests", "Requests that wait", registry=registry).set_function(
            waiting
        )
        Gauge("refold_open_requests", "Requests that are open", registry=registry).set_function(
            open_requests
        )
        self._known: dict[Any, Any] = {}

    def request(self, operation: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        key = operation, status
        if key not in self._known:
            count = self._requests.labels(operation, str(status))
            self._known[key] = count, self._seconds.labels(operation)
        count, histogram = self._known[key]
        count.inc()
        histogram.observe(seconds)

    def refused(self, limit: str) -> None:
        """Count a request beyond a limit."""
        self._refused.labels(limit).inc()

    def batch(self, requests: int, steps: int) -> None:
        """Count a batch."""
        self._batches.observe(requests)
        self._steps.observe(steps)

    def reload(self, *, failed: bool) -> None:
        """Count a reload of the models."""
        self._reloads.labels("failed" if failed else "done").inc()

    def text(self) -> bytes:
        """Return all numbers."""
        return generate_latest(self._registry)
