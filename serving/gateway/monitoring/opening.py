"""Which destination the settings mean."""

from __future__ import annotations

from llmtwin.settings import Settings
from serving.gateway.metrics import Metrics
from serving.gateway.monitoring.destination import Destination, LocalDestination
from serving.gateway.monitoring.monitor import Monitor


def open_monitor(settings: Settings, metrics: Metrics) -> Monitor:
    """Return the monitor that the settings describe. It runs inside ``async with``.

    Raises:
        SettingsError: They name Opik, and its client is not installed.
    """
    return Monitor(settings, destination_of(settings), metrics)


def destination_of(settings: Settings) -> Destination:
    """Return Opik where it is configured, else this machine.

    Raises:
        SettingsError: Opik is configured, and its client is not installed.
    """
    if settings.opik_url or settings.opik_api_key:
        from serving.gateway.monitoring.opik import OpikDestination

        return OpikDestination(settings)
    return LocalDestination(settings)
