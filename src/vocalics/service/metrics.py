"""What is counted, in the form that Prometheus reads."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

#: Borders of the histograms, seconds.
_BORDERS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The counters of one service."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "vocalics_requests", "Requests answered.", ("route", "status"), registry=registry
        )
        self.request_seconds = Histogram(
            "vocalics_request_seconds",
            "From a request's head to its answer.",
            ("route",),
            buckets=_BORDERS_S,
            registry=registry,
        )
        self.audio_seconds = Counter(
            "vocalics_audio_seconds", "Sound that was heard.", ("route",), registry=registry
        )
        self.queue_seconds = Histogram(
            "vocalics_queue_seconds", "Time that a recording waited.", buckets=_BORDERS_S, registry=registry
        )
        self.work_seconds = Histogram(
            "vocalics_work_seconds",
            "Time that a worker spent on a recording: decoding, resampling, the model.",
            ("route",),
            buckets=_BORDERS_S,
            registry=registry,
        )
        self.queue_length = Gauge("vocalics_queue_length", "Recordings that wait.", registry=registry)
        self.workers = Gauge("vocalics_workers", "Workers that hear recordings.", registry=registry)
        self.worker_restarts = Counter(
            "vocalics_worker_restarts", "Workers that died and were replaced.", registry=registry
        )
        self.streams = Gauge("vocalics_streams", "WebSockets that are open.", registry=registry)
        self.spool_bytes = Gauge("vocalics_spool_bytes", "Uploads on the disk.", registry=registry)

    def expose(self) -> bytes:
        """Return all of them as text."""
        return generate_latest(self._registry)
