"""What the demo measures while data travels from a link to a search result."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pymongo.database import Database

from llmtwin import events, staging
from llmtwin.cdc.changes import seconds_of
from llmtwin.documents import KIND_OF_COLLECTION, Kind
from llmtwin.settings import Settings
from llmtwin.staging.artifacts import read_results
from llmtwin.vectors import aliases, cleaned_alias, embedded_alias

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


@dataclass(frozen=True)
class BatchSummary:
    """One micro-batch: documents in, chunks out."""

    id: str
    events: int
    documents: int
    chunks: int
    embedded: int
    quarantined: int
    seconds: float
    """Of building its models."""
    is_complete: bool


@dataclass
class Progress:
    """Where the data is at one moment."""

    documents: dict[Kind, int] = field(default_factory=dict)
    """In MongoDB."""
    waiting: int = 0
    """Events in the queue."""
    batches: list[BatchSummary] = field(default_factory=list)
    """Since the demo began."""
    points: dict[str, int] = field(default_factory=dict)
    """In Qdrant, by alias."""

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way. Whether all arrived is what ``vectors.compare`` tells."""
        return self.waiting == 0 and all(batch.is_complete for batch in self.batches)


def look(database: Database[dict[str, Any]], qdrant: QdrantClient, settings: Settings, since: datetime) -> Progress:
    """Return where the data is now."""
    progress = Progress()
    for collection, kind in KIND_OF_COLLECTION.items():
        progress.documents[kind] = database[collection].estimated_document_count()
    with events.connect(settings.rabbitmq) as channel:
        progress.waiting = events.queue_depth(channel)
    for batch in batches_since(settings, since):
        progress.batches.append(summarize(batch))
    readable = aliases(qdrant)
    for kind in Kind:
        for alias in (cleaned_alias(kind), embedded_alias(kind)):
            if alias in readable:
                progress.points[alias] = qdrant.count(alias, exact=True).count
    return progress


def batches_since(settings: Settings, since: datetime) -> list[staging.Batch]:
    """Return the batches created since a time; their ids begin with it."""
    first = f"{since.astimezone(UTC):%Y%m%dT%H%M%S%fZ}"
    return [batch for batch in staging.batches(settings.batches) if batch.id >= first]


def summarize(batch: staging.Batch) -> BatchSummary:
    """Return a batch's numbers from its ``run_results.json``."""
    results = {entry["unique_id"].rsplit(".", 1)[-1]: entry for entry in read_results(batch)}
    rows = {name: entry["rows_out"] for name, entry in results.items()}
    first = results.get("stg_documents", {}).get("rows_in", {})
    return BatchSummary(
        id=batch.id,
        events=first.get("cdc_events", 0),
        documents=rows.get("stg_documents", 0),
        chunks=rows.get("int_chunks", 0),
        embedded=rows.get("fct_embeddings", 0),
        quarantined=sum(entry["quarantined"] for entry in results.values()),
        seconds=sum(entry["execution_time"] for entry in results.values()),
        is_complete=batch.is_complete,
    )


def seconds_to_searchable(settings: Settings, since: datetime) -> list[float]:
    """Return, for each document written and embedded since a time, the seconds between both.

    From MongoDB's cluster time (whole seconds) to the batch's ``_SUCCESS``; snapshots are left out, for theirs is the
    time of the snapshot.
    """
    delays = []
    for batch in batches_since(settings, since):
        if batch.is_complete:
            done = (batch.folder / "_SUCCESS").stat().st_mtime
            rows = batch.read(staging.batch.SOURCE).select(["op", "version"]).to_pylist()
            delays += [max(0.0, done - seconds_of(row["version"])) for row in rows if row["op"] != "snapshot"]
    return delays


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """Return median and 95th percentile."""
    if len(seconds) < 2:
        return (seconds[0], seconds[0]) if seconds else (0.0, 0.0)
    return statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1]
