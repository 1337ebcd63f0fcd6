"""## build_datasets: an author's own words become something to train on

Reads the cleaned snapshot in Qdrant, writes a versioned dataset of each author: instructions answered by the author's
text, split by document and by time, with a card that counts what was removed and why.

Trigger it with an author to build now. By itself it looks after every micro-batch and once a day
(`LLMTWIN_DATASET_SCHEDULE`), and builds only for authors of whom `LLMTWIN_DATASET_MIN_CHANGES` documents have changed,
not more often than every `LLMTWIN_DATASET_MIN_HOURS`. Nobody is due: the run ends with `build` skipped.

| Task | Does |
|---|---|
| `choose` | takes the author of the form; by hand without one, all authors; else those who are due |
| `build` | one mapped task an author: builds, logs to Comet or an archive, updates the asset `datasets` |

### Runbook
- **The teacher was down, or the task was killed.** Clear the task: what the teacher answered before is kept, and costs
  nothing again. Without a teacher: trigger with *Teacher* off.
- **"Gave no usable answer".** The teacher is too weak for JSON, or was broken: name another one in
  `LLMTWIN_TEACHER_MODEL`.
- **"Too few", "none of … documents holds anything to learn from".** The message counts what was removed. Crawl more.
- **What is in it?** `llmtwin datasets show NAME`, or the card in the dataset's folder.
- **A dataset should be built more often, or less.** The three settings above.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from llmtwin.settings import get_settings
from llmtwin_airflow import forms
from llmtwin_airflow.assets import CLEANED_DOCUMENTS, DATASETS

SETTINGS = get_settings()


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable(SETTINGS.dataset_schedule, timezone="UTC"), assets=[CLEANED_DOCUMENTS]
    ),
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own default time zone
    catchup=False,
    max_active_runs=1,
    params=forms.DATASET,
    default_args={"owner": "llmtwin", "retries": 2, "retry_delay": timedelta(minutes=1)},
    doc_md=__doc__,
    tags=["llmtwin", "twin"],
    is_paused_upon_creation=False,
)
def build_datasets() -> None:
    @task(inlets=[CLEANED_DOCUMENTS])
    def choose() -> list[str]:
        """Return the authors whose dataset this run builds."""
        from llmtwin import datasets

        context = get_current_context()
        if author := context["params"]["author"]:
            return [author]
        if context["dag_run"].run_type == "manual":
            return sorted(datasets.authors(SETTINGS).values())
        return datasets.due_authors(SETTINGS)

    # One at a time: a build takes a core, and a teacher on this machine all of them.
    @task(outlets=[DATASETS], map_index_template="{{ author[:250] }}", max_active_tis_per_dag=1)
    def build(author: str) -> dict[str, Any]:
        """Build one dataset; return its reference, its counts and what the teacher cost."""
        from llmtwin import datasets
        from llmtwin.errors import DatasetError, TeacherError

        context = get_current_context()
        context["author"] = author  # what map_index_template shows
        given = {name: context["params"][name] for name in ("seed", "teacher", "rag_share", "extract_tokens")}
        try:
            dataset = datasets.build(SETTINGS, author, datasets.Options.of(SETTINGS, given))
        except TeacherError:
            raise  # it may be up again a minute later
        except DatasetError as error:
            raise AirflowFailException(str(error)) from error
        summary = datasets.summary(dataset) | {"experiment": datasets.record(SETTINGS, dataset)}
        print((dataset.folder / "README.md").read_text())  # noqa: T201 - a task's output is its log
        context["outlet_events"][DATASETS].extra = summary
        return summary

    build.expand(author=choose())


build_datasets()
