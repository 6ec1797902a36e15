"""What Prometheus is told."""

from __future__ import annotations

import os

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Counters of one process; of several workers they are added up when they are read."""

    def __init__(self) -> None:
        own = self._own = CollectorRegistry()
        self.requests = Counter(
            "headrace_requests", "Requests, by what came of them", ["model", "status"], registry=own
        )
        self.seconds = Histogram(
            "headrace_request_seconds",
            "Seconds from the request to its answer",
            ["model"],
            buckets=SECONDS,
            registry=own,
        )
        self.predictions = Counter(
            "headrace_predictions",
            "Rows scored; role shadow: nobody acts on it",
            ["model", "version", "role"],
            registry=own,
        )
        self.stale = Counter(
            "headrace_stale_lookups", "Looked-up values of window features that were no longer those of now",
            ["model", "feature_table"], registry=own,
        )  # fmt: skip
        self.missing = Counter(
            "headrace_missing_lookups",
            "Keys that the online store does not have",
            ["model", "feature_table"],
            registry=own,
        )
        self.skipped = Counter(
            "headrace_challenger_skipped", "Rows that the champion answered in place of another", ["model", "role"],
            registry=own,
        )  # fmt: skip
        self.dropped = Counter("headrace_log_dropped", "Requests that the inference log had no room for", registry=own)
        self.version = Gauge(
            "headrace_model_version", "The version behind an alias", ["model", "alias"], registry=own,
            multiprocess_mode="mostrecent",
        )  # fmt: skip
        self.healthy = Gauge(
            "headrace_healthy", "1: what is served is what the registry says", ["model"], registry=own,
            multiprocess_mode="min",
        )  # fmt: skip
        self.online = Gauge(
            "headrace_online_as_of_seconds", "The time of which looked-up values are, in seconds since 1970", ["model"],
            registry=own, multiprocess_mode="mostrecent",
        )  # fmt: skip

    def text(self) -> bytes:
        """As Prometheus reads it."""
        if not os.environ.get(MULTIPROCESS):
            return generate_latest(self._own)
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together)
