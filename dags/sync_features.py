"""## sync_features: MongoDB's changes become searchable

Every run drains the events that wait in RabbitMQ into a **batch** (a folder of Parquet files), then cleans, chunks and
embeds it into Qdrant. No events within the window: the run is skipped.

| Task | Reads | Writes |
|---|---|---|
| `wait_for_events` | the queue's depth; consumes nothing | |
| `drain` | the queue | `cdc_events.parquet`, then acknowledges |
| `clean` | `cdc_events` | `stg_documents`, Qdrant `cleaned_*` |
| `chunk` | `stg_documents` | `int_chunks` |
| `embed` | `int_chunks` | `fct_embeddings`, Qdrant `embedded_*`, `_SUCCESS` |

### Runbook
- **A task failed.** Nothing is lost: the next run picks the batch up again. To do it now, clear the task; it replays
  exactly that stage.
- **A table test failed.** `run_results.json` in the batch's folder has its SQL; mend the model, then
  `llmtwin staging build --batch <id> --select <model>` tries it.
- **Rows in quarantine.** `llmtwin staging quarantine` shows them with reasons.
- **Events wait and nothing is drained.** A hundred batches are unfinished: mend what the oldest one's task says.
- **Messages nobody can read** are in the dead-letter queue: `llmtwin dead-letters list`, then `requeue`.
- **Qdrant or RabbitMQ down.** Nothing is drained; events wait in the queue. Start the server; runs go on by themselves.
- **Does Qdrant hold what MongoDB says?** `llmtwin verify`; `--repair` publishes what differs.
- **Faster than every minute.** `LLMTWIN_SYNC_SCHEDULE=@continuous`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import dag, get_current_context, task, task_group

from llmtwin.settings import get_settings
from llmtwin_airflow.assets import CDC_EVENTS, CLEANED_DOCUMENTS, EMBEDDED_CHUNKS
from llmtwin_airflow.sensors import QueueDepthSensor

SETTINGS = get_settings()
# The two stages that write to Qdrant: one at a time, because which version wins is read before it is written.
ONE_WRITER = {"max_active_tis_per_dag": 1}


@dag(
    schedule=SETTINGS.sync_schedule,
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own default time zone
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "llmtwin", "retries": 2, "retry_delay": timedelta(seconds=10)},
    doc_md=__doc__,
    tags=["llmtwin", "features"],
    is_paused_upon_creation=False,
)
def sync_features() -> None:
    wait_for_events = QueueDepthSensor(
        task_id="wait_for_events", window_seconds=SETTINGS.sync_window_seconds, poll_seconds=SETTINGS.sync_poll_seconds
    )

    @task(inlets=[CDC_EVENTS])
    def drain() -> list[str]:
        """Take events off the queue; return the ids of the batches to work on."""
        from llmtwin import sync
        from llmtwin_airflow.connections import task_settings

        drained = sync.drain(task_settings())
        print(drained)  # noqa: T201 - a task's output is its log
        return drained.pending

    @task(outlets=[CLEANED_DOCUMENTS], map_index_template="{{ batch_id }}", **ONE_WRITER)
    def clean(batch_id: str) -> dict[str, Any]:
        """Check documents against their contract, normalise their text, write the cleaned snapshot."""
        from llmtwin import sync

        get_current_context()["batch_id"] = batch_id  # what map_index_template shows
        return sync.clean(batch_id, SETTINGS)

    @task(map_index_template="{{ batch_id }}")
    def chunk(cleaned: dict[str, Any]) -> dict[str, Any]:
        """Cut documents into pieces that fit the embedding model."""
        from llmtwin import sync

        get_current_context()["batch_id"] = cleaned["batch_id"]
        return sync.chunk(cleaned["batch_id"], SETTINGS)

    @task(outlets=[EMBEDDED_CHUNKS], map_index_template="{{ batch_id }}", **ONE_WRITER)
    def embed(chunked: dict[str, Any]) -> dict[str, Any]:
        """Embed the pieces and write them; the batch is done."""
        from llmtwin import sync

        get_current_context()["batch_id"] = chunked["batch_id"]
        return sync.embed(chunked["batch_id"], SETTINGS)

    @task_group
    def batch(batch_id: str) -> None:
        embed(chunk(clean(batch_id)))

    drained = drain()
    wait_for_events >> drained
    batch.expand(batch_id=drained)


sync_features()
