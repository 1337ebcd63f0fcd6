"""## crawl_sources: an author's writing comes into MongoDB

Trigger it with an author and links to register and crawl them; on schedule, every registered source is crawled again.
Unchanged documents are not written, changed ones are updates, vanished ones deletes, so a second crawl costs nothing.

Each link is one mapped task. A domain always falls into the same one of the `crawl_<n>` pools (`dags/pools.json`),
whose slots bound how many crawls of it run at once; Airflow cannot choose a pool for each mapped task.

### Runbook
- **A link failed.** Its task says why; the others went on. Time-outs and dropped connections are retried, a 404 is not.
- **The link is a private address or a path of this machine.** Allow it on purpose: `LLMTWIN_CRAWL_ALLOW_PRIVATE=true`,
  `LLMTWIN_CRAWL_ALLOW_LOCAL=true`, then restart the stack.
- **Documents disappeared.** Their source no longer has them: see the `deleted` count in `summarize`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowFailException

from llmtwin.settings import get_settings
from llmtwin_airflow.assets import RAW_DOCUMENTS

SETTINGS = get_settings()
POOLS = [f"crawl_{number}" for number in range(4)]
PARAMS = {
    "author": Param(None, type=["null", "string"], title="Author", description="Full name; empty: all registered"),
    "links": Param(
        None, type=["null", "array"], items={"type": "string"}, title="Links", description="One link a line"
    ),
}


@dag(
    schedule=SETTINGS.crawl_schedule,
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own default time zone
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    default_args={"owner": "llmtwin", "retries": 2, "retry_delay": timedelta(seconds=30)},
    doc_md=__doc__,
    tags=["llmtwin", "sources"],
    is_paused_upon_creation=False,
)
def crawl_sources() -> None:
    @task
    def list_sources() -> dict[str, list[dict[str, str]]]:
        """Register the links of this run, if it was given any; return what to crawl, by pool."""
        from llmtwin import crawling
        from llmtwin_airflow.connections import retrying_only_unreachable, warehouse

        params = get_current_context()["params"]
        with warehouse(SETTINGS) as database, retrying_only_unreachable():
            sources = crawling.sources_to_crawl(database, params["author"], params["links"] or [], SETTINGS)
        return crawling.by_pool(sources, POOLS)

    @task(outlets=[RAW_DOCUMENTS], map_index_template="{{ task.op_kwargs['source']['link'] }}")
    def crawl(source: dict[str, str]) -> dict[str, Any]:
        """Crawl one link into MongoDB; return counts."""
        from llmtwin import crawling
        from llmtwin.warehouse import find_source
        from llmtwin_airflow.connections import retrying_only_unreachable, warehouse

        with warehouse(SETTINGS) as database, retrying_only_unreachable():
            result = crawling.crawl_source(database, find_source(database, source["id"]), SETTINGS)
        get_current_context()["outlet_events"][RAW_DOCUMENTS].extra = {"link": source["link"], **result}
        return result

    @task(trigger_rule="all_done")
    def summarize() -> list[dict[str, Any]]:
        """Count successful and total crawls by domain; fail when one failed, so that the run shows it."""
        from llmtwin import crawling
        from llmtwin_airflow.connections import warehouse

        context = get_current_context()
        if (pools := context["ti"].xcom_pull(task_ids="list_sources")) is None:
            raise AirflowFailException("list_sources failed, so nothing was crawled; its log says why")
        ids = [source["id"] for pool in pools.values() for source in pool]
        with warehouse(SETTINGS) as database:
            summary = crawling.summarize(database, ids, since=context["dag_run"].start_date)
        print(crawling.summary_text(summary))  # noqa: T201 - a task's output is its log
        context["ti"].xcom_push("summary", summary)
        if failed := [reason for row in summary for reason in row["failed"]]:
            raise AirflowFailException(f"{len(failed)} failures: {'; '.join(failed)}")
        return summary

    @task
    def choose(sources: dict[str, list[dict[str, str]]], pool: str) -> list[dict[str, str]]:
        """Return the links of the domains that fall into a pool; one mapped task each."""
        return sources[pool]

    @task_group
    def domains(sources: dict[str, list[dict[str, str]]], pool: str) -> None:
        crawl.override(pool=pool).expand(source=choose(sources, pool))

    sources = list_sources()
    [domains.override(group_id=pool)(sources, pool) for pool in POOLS] >> summarize()


crawl_sources()
