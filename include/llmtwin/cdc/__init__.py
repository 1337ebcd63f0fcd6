"""Change data capture: every change in MongoDB becomes an event in RabbitMQ, at least once, in order per document."""

from llmtwin.cdc.backfill import repair
from llmtwin.cdc.changes import Poison, event_from_change, event_from_snapshot
from llmtwin.cdc.service import CdcService
from llmtwin.cdc.state import CdcState

__all__ = ["CdcService", "CdcState", "Poison", "event_from_change", "event_from_snapshot", "repair"]
