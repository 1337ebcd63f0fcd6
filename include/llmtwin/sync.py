"""The micro-batch, step by step: drain → clean → chunk → embed. The DAG, the CLI and the tests all call these.

Each step reads the previous step's file, writes its own, and can be repeated at any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from llmtwin import events, staging, vectors
from llmtwin.documents import Event
from llmtwin.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

CLEAN, CHUNK, EMBED = "stg_documents", "int_chunks", "fct_embeddings"
# While so many batches fail, the queue keeps what comes; Airflow maps a run over 1,024 at the most.
MOST_PENDING = 100


@dataclass(frozen=True)
class Drained:
    """What a drain did and what is now to be worked on."""

    messages: int
    events: int
    dead: int
    pending: list[str]
    """Ids of the batches that are not finished, oldest first: the new one and any that an earlier run left."""


def drain(settings: Settings) -> Drained:
    """Take what is in the queue into a new batch, unless Qdrant is down or ``MOST_PENDING`` batches are unfinished:
    then events wait where they are safe.

    Raises:
        VectorStoreError: Qdrant is down. Nothing was taken.
        BrokerError: RabbitMQ is down. What was not acknowledged is delivered again.
        OSError: The disk is full. Nothing was acknowledged.
    """
    with vectors.connect(settings, timeout_seconds=10):
        pass
    limits = events.DrainLimits(settings.drain_max_messages, settings.drain_max_bytes, settings.drain_max_seconds)

    def stage(batch: Sequence[Event]) -> None:
        staging.create_batch(settings.batches, event_table(batch))

    result = events.DrainResult()
    if len(staging.pending_batches(settings.batches)) < MOST_PENDING:
        with events.connect(settings.rabbitmq) as channel:
            result = events.drain(channel, limits, stage)
    staging.prune_batches(settings.batches, settings.keep_batches)
    pending = [batch.id for batch in staging.pending_batches(settings.batches)]
    return Drained(result.messages, result.events, result.dead, pending[:MOST_PENDING])


def clean(batch_id: str, settings: Settings) -> dict[str, Any]:
    """Clean a batch's documents and write the cleaned snapshot to Qdrant; return counts."""
    batch = staging.open_batch(settings.batches, batch_id)
    built = _build(batch, CLEAN, settings)
    with _one_writer(settings):
        published = vectors.publish_cleaned(batch.read(CLEAN), settings)
    return {**built, **asdict(published)}


def chunk(batch_id: str, settings: Settings) -> dict[str, Any]:
    """Cut a batch's documents into chunks; return counts."""
    return _build(staging.open_batch(settings.batches, batch_id), CHUNK, settings)


def embed(batch_id: str, settings: Settings) -> dict[str, Any]:
    """Embed a batch's chunks, write them to Qdrant, and mark the batch as done; return counts."""
    batch = staging.open_batch(settings.batches, batch_id)
    built = _build(batch, EMBED, settings)
    with _one_writer(settings):
        published = vectors.publish_embedded(batch.read(CLEAN), batch.read(CHUNK), batch.read(EMBED), settings)
    batch.complete()
    return {**built, **asdict(published)}


def run_batch(batch_id: str, settings: Settings) -> None:
    """Do all steps of one batch."""
    clean(batch_id, settings)
    chunk(batch_id, settings)
    embed(batch_id, settings)


def event_table(batch: Sequence[Event]) -> pa.Table:
    """Return events as the staging source ``cdc_events``, documents as JSON text."""
    import orjson
    import pyarrow as pa

    from llmtwin.staging.contract import arrow_schema

    schema = arrow_schema(staging.load_project().nodes[staging.batch.SOURCE].spec)
    columns = {
        "event_id": [str(event.event_id) for event in batch],
        "op": [event.op.value for event in batch],
        "kind": [event.kind.value for event in batch],
        "document_id": [str(event.document_id) for event in batch],
        "version": [event.version for event in batch],
        "document": [None if event.document is None else orjson.dumps(event.document).decode() for event in batch],
        "emitted_at": [event.emitted_at for event in batch],
    }
    return pa.table(columns, schema=schema)


def _build(batch: staging.Batch, model: str, settings: Settings) -> dict[str, Any]:
    result = staging.build(staging.load_project(), batch, model, staging.Context(settings))
    return {
        "batch_id": batch.id,
        "path": str(batch.path(model)),
        "rows_in": sum(result.rows_in.values()),
        "rows_out": result.rows_out,
        "quarantined": result.quarantined,
        "seconds": round(result.execution_time, 3),
    }


@contextmanager
def _one_writer(settings: Settings) -> Iterator[None]:
    # Publishing reads versions and then writes; two at once could both find nothing newer.
    from filelock import FileLock

    with FileLock(settings.batches / ".writer.lock"):
        yield
