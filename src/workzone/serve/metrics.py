"""What a service counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30)

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Requests of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "workzone_requests",
            "Requests by route, status and problem code (ok: none).",
            ("route", "status", "outcome"),
            registry=self._registry,
        )
        self.request_seconds = Histogram(
            "workzone_request_seconds",
            "From a request's arrival to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )

    def watch(self, name: str, words: str, value: Callable[[], float]) -> None:
        """A gauge that is read when Prometheus asks."""
        Gauge(f"workzone_{name}", words, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)


class ImageMetrics(Metrics):
    """And images, of a service that judges them."""

    def __init__(self) -> None:
        super().__init__()
        self.images = Counter(
            "workzone_images",
            "Images by outcome: roadwork, none, or the problem's code.",
            ("outcome",),
            registry=self._registry,
        )
        self.queue_seconds = self._histogram("queue", "An image's wait for a worker.")
        self.work_seconds = self._histogram("work", "A batch in a worker.")
        self.batch_size = Histogram(
            "workzone_batch_size",
            "Images that are judged together.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self._registry,
        )

    def _histogram(self, name: str, words: str) -> Histogram:
        return Histogram(
            f"workzone_{name}_seconds", words, buckets=_SECONDS, registry=self._registry
        )

    def say_model(self, **labels: str) -> None:
        """The model and its version, as labels of a gauge that is 1."""
        info = Gauge(
            "workzone_model_info", "The loaded model.", tuple(labels), registry=self._registry
        )
        info.labels(**labels).set(1)
