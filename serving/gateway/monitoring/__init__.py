"""Traces of requests and feedback on them: chosen, stripped of secrets, and written where nobody waits for it."""

from serving.gateway.monitoring.monitor import Monitor
from serving.gateway.monitoring.opening import open_monitor

__all__ = ["Monitor", "open_monitor"]
