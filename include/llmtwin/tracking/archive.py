"""The archive of an offline experiment, as Comet writes it.

A zip with ``experiment.json`` (key, project, times in ms, tags), ``messages.json`` (one JSON object a line, in the
order in which things were logged) and the assets under names that messages give. Comet reads it only to send it.
"""

from __future__ import annotations

import json
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from llmtwin.errors import TrackingError
from llmtwin.tracking.contents import OWN_METRICS, OWN_PARAMETERS, Experiment, Point, is_logged

_EXPERIMENT = "experiment.json"
_MESSAGES = "messages.json"


def is_complete(path: Path) -> bool:
    """Tell whether a file is an archive that was written to its end."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {_EXPERIMENT, _MESSAGES} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def archives(folder: Path) -> list[Path]:
    """Return the complete archives of a folder, the oldest first; none where there is no folder."""
    found = [path for path in folder.glob("*.zip") if is_complete(path)]
    return sorted(found, key=lambda path: (path.stat().st_mtime, path.name))


def read_archive(path: Path) -> Experiment:
    """Return what an archive holds.

    Raises:
        TrackingError: There is none, or it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read(_EXPERIMENT))
            messages = [json.loads(line) for line in archive.read(_MESSAGES).splitlines()]
    except FileNotFoundError:
        raise TrackingError(f"there is no archive {path}") from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise TrackingError(f"{path} is no archive of an offline experiment, or damaged: {error}") from error
    others = {body["key"]: body["value"] for body in _bodies(messages, "log_other")}
    return Experiment(
        key=str(about["offline_id"]),
        name=str(others.get("Name", about["offline_id"])),
        project=about["project_name"],
        tags=tuple(sorted(about["tags"] or ())),
        started_at=_time(about["start_time"]),
        parameters=dict(_parameters(messages)),
        metrics=_metrics(messages),
        others={name: value for name, value in others.items() if is_logged(name)},
        assets={name: partial(_asset, path, member) for name, member in _assets(messages)},
        source=str(path),
    )


def _bodies(messages: list[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    return (message["payload"] for message in messages if message["type"] == kind)


def _parameters(messages: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for body in _bodies(messages, "parameter_msg"):
        given = body.get("param") or body.get("params")
        if given and given["paramName"] not in OWN_PARAMETERS:
            yield _named(body, given["paramName"]), str(given["paramValue"])


def _metrics(messages: list[dict[str, Any]]) -> dict[str, tuple[Point, ...]]:
    series: dict[str, list[Point]] = defaultdict(list)
    for body in _bodies(messages, "metric_msg"):
        metric = body["metric"]
        if metric["metricName"] in OWN_METRICS:
            continue
        point = Point(metric["step"], float(metric["metricValue"]), _time(body["local_timestamp"]))
        series[_named(body, metric["metricName"])].append(point)
    return {name: tuple(points) for name, points in series.items()}


def _assets(messages: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for body in _bodies(messages, "file_upload"):
        yield body["additional_params"]["fileName"], body["file_path"]


def _asset(path: Path, member: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(member)


def _named(body: dict[str, Any], name: str) -> str:
    return f"{body['context']}_{name}" if body.get("context") else name


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
