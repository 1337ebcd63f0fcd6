"""What waits for a run that nobody asks for, and how one such run leads to the next.

Events of assets only say when to look. Airflow (3.3) keeps one row for all that come while a run is active, and the run
that it makes of them sees those up to the first. So a run takes what has waited longest, and triggers the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowSkipException

from llmtwin_airflow.assets import CANDIDATES

if TYPE_CHECKING:
    from airflow.sdk import Context


def is_by_hand(context: Context, field: str) -> bool:
    """Tell whether somebody asked for this run, or for what it is to be about in a field of the form."""
    return bool(context["params"][field]) or context["dag_run"].run_type == "manual"


def take_up_candidate(context: Context) -> str:
    """Return the version that has waited longest, and note that this run has taken it up; the same for every try.

    Raises:
        AirflowSkipException: None waits.
    """
    from llmtwin.registry import Registry
    from llmtwin.settings import get_settings

    found = Registry(get_settings().registry).take_up(_registered(context), context["run_id"])
    if found is None:
        raise AirflowSkipException("no candidate waits")
    return found.version


def candidate_waits(context: Context) -> bool:
    """Tell whether a candidate waits that no run has taken up."""
    from llmtwin.registry import Registry
    from llmtwin.settings import get_settings

    return bool(Registry(get_settings().registry).waiting(_registered(context)))


def dataset_waits(context: Context) -> bool:
    """Tell whether a dataset waits that has no run and that this run's recipe can be trained on."""
    from llmtwin import training
    from llmtwin.settings import get_settings

    recipe = training.read_recipe(context["params"]["recipe"], context["params"]["changes"])
    return bool(training.waiting(recipe, get_settings()))


class NextRunOperator(TriggerDagRunOperator):
    """Triggers the next run of its DAG if something waits for it; skipped otherwise, and in runs that were asked for.

    It may come early: with one active run, the next one waits until this one has ended, whatever becomes of it.

    Args:
        field: Of the form, that names what a run is to be about.
        waits: Tells whether something waits.
    """

    def __init__(self, *, field: str, waits: Callable[[Context], bool], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._field = field
        self._waits = waits

    def execute(self, context: Context) -> Any:
        """Trigger it, or skip."""
        if is_by_hand(context, self._field):
            raise AirflowSkipException("somebody asked for this run: what waits is left to those that nobody asked for")
        if not self._waits(context):
            raise AirflowSkipException("nothing waits")
        return super().execute(context)


def _registered(context: Context) -> set[str]:
    """Return all versions that `train_twin` ever registered; what came in by hand is promoted by hand."""
    return {str(event.extra.get("version")) for event in context["inlet_events"][CANDIDATES]}
