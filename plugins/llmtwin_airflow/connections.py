"""Settings and servers as Airflow's connections give them, and errors as Airflow understands them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

if TYPE_CHECKING:
    from pymongo.database import Database

    from llmtwin.settings import Settings


# What the next try would find just so: it fails at once. A human who did not answer is not asked a second time.
FINAL = ExceptionRetryPolicy(
    [
        RetryRule(
            [
                "llmtwin.errors.SettingsError",
                "llmtwin.errors.DatasetError",
                "llmtwin.errors.RecipeError",
                "llmtwin.errors.RegistryError",
                "llmtwin.errors.EvaluationError",
                "llmtwin.errors.PromotionError",
                "airflow.providers.standard.exceptions.HITLTimeoutError",
            ],
            RetryAction.FAIL,
        )
    ]
)


def task_settings(rabbitmq_conn_id: str = "rabbitmq_default") -> Settings:
    """Return the settings of this installation with the broker of the Airflow connection."""
    from llmtwin.settings import get_settings
    from llmtwin_airflow.hooks import RabbitMQHook

    return get_settings().model_copy(update={"rabbitmq_url": RabbitMQHook(rabbitmq_conn_id).url})


@contextmanager
def warehouse(settings: Settings, mongo_conn_id: str = "mongo_default") -> Iterator[Database[dict[str, Any]]]:
    """Open the warehouse on the MongoDB of the Airflow connection. ``crawling`` brings its schema up to date."""
    from airflow.providers.mongo.hooks.mongo import MongoHook

    from llmtwin.warehouse import open_database

    with MongoHook(mongo_conn_id) as hook:
        yield open_database(hook.get_conn(), settings)


@contextmanager
def retrying_only_unreachable() -> Iterator[None]:
    """Let a time-out or a refused connection be retried, and every other failure of a link or setting fail at once.

    Raises:
        AirflowFailException: The next try would fail in the same way.
    """
    from airflow.sdk.exceptions import AirflowFailException

    from llmtwin.errors import SettingsError, SourceError, UnreachableError

    try:
        yield
    except UnreachableError:
        raise
    except (SettingsError, SourceError) as error:
        raise AirflowFailException(str(error)) from error
