"""Experiments that lie at Comet, through its own client."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from llmtwin.errors import TrackingError
from llmtwin.settings import Settings
from llmtwin.tracking.client import prepare
from llmtwin.tracking.contents import OWN_METRICS, OWN_PARAMETERS, Experiment, Point, is_logged


def experiments(settings: Settings) -> list[Experiment]:
    """Return all experiments of the project.

    Raises:
        TrackingError: Comet does not answer, or refuses the key.
    """
    with _client(settings) as api:
        workspace = settings.comet_workspace or api.get_default_workspace()
        return [_read(found) for found in api.get_experiments(workspace, settings.comet_project) or ()]


def find(settings: Settings, key: str) -> Experiment | None:
    """Return the experiment of a key; None where there is none.

    Raises:
        TrackingError: Comet does not answer, or refuses the key of the settings.
    """
    with _client(settings) as api:
        found = api.get_experiment_by_key(key)
        return _read(found) if found else None


@contextmanager
def _client(settings: Settings) -> Iterator[Any]:
    prepare()
    import comet_ml
    from comet_ml.exceptions import CometException
    from requests import RequestException

    if settings.comet_api_key is None:
        raise TrackingError("there is no key of Comet: set LLMTWIN_COMET_API_KEY")
    client: Any = comet_ml  # typed, but not all of its functions are
    try:
        yield client.API(api_key=settings.comet_api_key.get_secret_value(), cache=False)
    except (CometException, RequestException) as error:
        raise TrackingError(f"Comet does not answer, or refuses the key: {error}") from error


def _read(remote: Any) -> Experiment:
    assets: dict[str, Callable[[], bytes]] = {
        row["fileName"]: partial(remote.get_asset, row["assetId"]) for row in remote.get_asset_list()
    }
    return Experiment(
        key=str(remote.id),
        name=str(remote.get_name() or remote.id),
        project=str(remote.project_name),
        tags=tuple(sorted(remote.get_tags())),
        started_at=_time(remote.start_server_timestamp),
        parameters={
            name: str(value) for name, value in _summary(remote.get_parameters_summary()) if name not in OWN_PARAMETERS
        },
        metrics=_metrics(remote.get_metrics() or ()),
        others={name: value for name, value in _summary(remote.get_others_summary()) if is_logged(name)},
        assets=assets,
        source=str(remote.url),
    )


def _summary(rows: Any) -> Iterator[tuple[str, Any]]:
    return ((row["name"], row["valueCurrent"]) for row in rows or ())


def _metrics(rows: Any) -> dict[str, tuple[Point, ...]]:
    series: dict[str, list[Point]] = defaultdict(list)
    for row in rows:
        if row["metricName"] in OWN_METRICS:
            continue
        series[row["metricName"]].append(Point(row["step"], float(row["metricValue"]), _time(row["timestamp"])))
    order = {name: sorted(points, key=lambda point: (point.at, point.step or 0)) for name, points in series.items()}
    return {name: tuple(points) for name, points in order.items()}


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
