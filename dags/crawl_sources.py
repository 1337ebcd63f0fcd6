"""## crawl_sources: an author's writing comes into MongoDB

Trigger it with an author and links to register and crawl them; on schedule, every registered source is crawled again,
and so is what `sources.yaml` names. Unchanged documents are not written, changed ones are updates, vanished ones
deletes after two misses, so a second crawl costs nothing.

Exports (LinkedIn, Medium, Substack, X, or a folder of texts) are imported once: put them into the folder of imports
(`LLMTWIN_IMPORTS_DIR`) and give their names. A run with exports and no links crawls nothing else.

Each link is one mapped task, and so is each export. A domain always falls into the same one of the `crawl_<n>` pools
(`dags/pools.json`), whose slots bound how many crawls of it run at once; Airflow cannot choose a pool for each mapped
task.

### Runbook
- **A link failed.** Its task says why; the others went on. Time-outs and dropped connections are retried, a 404 is not.
- **The link is a private address or a path of this machine.** Allow it on purpose: `LLMTWIN_CRAWL_ALLOW_PRIVATE=true`,
  `LLMTWIN_CRAWL_ALLOW_LOCAL=true`, then restart the stack.
- **An export failed.** Its task names the file in it. "Leads out of the folder of imports": give a name in that folder.
- **Documents disappeared.** Their source no longer has them: see the `missed` and `deleted` counts in `summarize`.
- **A link should be crawled no more.** `llmtwin sources --forget LINK`, or remove it from `sources.yaml`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import dag, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowFailException

from llmtwin.settings import get_settings
from llmtwin_airflow import forms
from llmtwin_airflow.assets import RAW_DOCUMENTS

SETTINGS = get_settings()
POOLS = [f"crawl_{number}" for number in range(4)]


@dag(
    schedule=SETTINGS.crawl_schedule,
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own default time zone
    catchup=False,
    max_active_runs=1,
    params=forms.CRAWL,
    default_args={"owner": "llmtwin", "retries": 2, "retry_delay": timedelta(seconds=30)},
    doc_md=__doc__,
    tags=["llmtwin", "sources"],
    is_paused_upon_creation=False,
)
def crawl_sources() -> None:
    @task
    def list_sources() -> dict[str, list[Any]]:
        """Register the links of this run, if it was given any; return what to crawl, by pool, and what to import."""
        from llmtwin import crawling
        from llmtwin_airflow.connections import retrying_only_unreachable, warehouse

        params = get_current_context()["params"]
        given = {name: params[name] for name in ("author", "links", "exports")}
        with warehouse(SETTINGS) as database, retrying_only_unreachable():
            return crawling.work_of_run(database, SETTINGS, POOLS, **given)

    # PostgreSQL takes no longer name.
    @task(outlets=[RAW_DOCUMENTS], map_index_template="{{ task.op_kwargs['source']['link'][:250] }}")
    def crawl(source: dict[str, str]) -> dict[str, Any]:
        """Crawl one link into MongoDB; return counts."""
        from llmtwin import crawling
        from llmtwin.warehouse import find_source
        from llmtwin_airflow.connections import retrying_only_unreachable, warehouse

        with warehouse(SETTINGS) as database, retrying_only_unreachable():
            result = crawling.crawl_source(database, find_source(database, source["id"]), SETTINGS)
        get_current_context()["outlet_events"][RAW_DOCUMENTS].extra = {"link": source["link"], **result}
        return result

    @task(outlets=[RAW_DOCUMENTS], map_index_template="{{ task.op_kwargs['path'][:250] }}")
    def import_export(path: str) -> dict[str, Any]:
        """Read one export into MongoDB; return its row of the summary."""
        from llmtwin import crawling
        from llmtwin_airflow.connections import warehouse

        context = get_current_context()
        options = {name: context["params"][name] for name in ("author", "drafts", "podcasts", "site")}
        with warehouse(SETTINGS) as database:
            row = crawling.import_row(database, path, SETTINGS, **options)
        context["ti"].xcom_push("row", row)
        if row["failed"] and not row["found"]:
            raise AirflowFailException("; ".join(row["failed"]))
        return row

    @task(trigger_rule="all_done")
    def summarize() -> list[dict[str, Any]]:
        """Count crawls by domain, and imports; fail when one failed, so that the run shows it."""
        from llmtwin import crawling
        from llmtwin_airflow.connections import warehouse

        context = get_current_context()
        if (listed := context["ti"].xcom_pull(task_ids="list_sources")) is None:
            raise AirflowFailException("list_sources failed, so nothing was crawled; its log says why")
        ids = [source["id"] for pool in POOLS for source in listed[pool]]
        imports = {"task_ids": "import_export", "key": "row", "map_indexes": range(len(listed["exports"]))}
        with warehouse(SETTINGS) as database:
            summary = crawling.summarize(database, ids, since=context["dag_run"].start_date)
        summary += crawling.summarize_imports(listed["exports"], context["ti"].xcom_pull(**imports))
        print(crawling.summary_text(summary))  # noqa: T201 - a task's output is its log
        context["ti"].xcom_push("summary", summary)
        if failed := [reason for row in summary for reason in row["failed"]]:
            raise AirflowFailException(f"{len(failed)} failures: {'; '.join(failed)}")
        return summary

    @task
    def choose(sources: dict[str, list[Any]], pool: str) -> list[Any]:
        """Return the links of the domains that fall into a pool, or the exports; one mapped task each."""
        return sources[pool]

    @task_group
    def domains(sources: dict[str, list[Any]], pool: str) -> None:
        crawl.override(pool=pool).expand(source=choose(sources, pool))

    sources = list_sources()
    imports = import_export.expand(path=choose.override(task_id="choose_exports")(sources, "exports"))
    [imports, *(domains.override(group_id=pool)(sources, pool) for pool in POOLS)] >> summarize()


crawl_sources()
