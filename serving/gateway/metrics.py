"""What Prometheus reads at ``/metrics``; tokens, queues and caches are in vLLM's own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The gateway's own figures, in a registry of their own so that a process can hold two apps."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter("gateway_requests", "Requests", ["path", "status"], registry=self.registry)
        self.in_flight = Gauge("gateway_requests_in_flight", "Requests being answered", registry=self.registry)
        self.seconds = Histogram(
            "gateway_request_seconds", "Until the last byte", ["path"], buckets=_SECONDS, registry=self.registry
        )
        self.first_token = Histogram(
            "gateway_first_token_seconds", "Until an answer begins", ["model"], buckets=_SECONDS, registry=self.registry
        )
        self.steps = Histogram(
            "gateway_step_seconds", "Steps before the model", ["step"], buckets=_SECONDS, registry=self.registry
        )
        self.passages = Counter("gateway_passages", "Passages put into prompts", registry=self.registry)
        self.traces = Counter(
            "gateway_traces", "Traces and feedback: kept, dropped or failed", ["outcome"], registry=self.registry
        )
        self.without_passages = Counter(
            "gateway_retrieval_failures", "Questions for which nothing could be looked up", registry=self.registry
        )
