"""Reading experiments, from archives of this machine and from Comet alike."""

from __future__ import annotations

import re
from pathlib import Path

from llmtwin.errors import TrackingError
from llmtwin.settings import Settings
from llmtwin.tracking import cloud
from llmtwin.tracking.archive import archives, read_archive
from llmtwin.tracking.contents import Experiment


def read_experiment(settings: Settings, key_or_path: str) -> Experiment:
    """Return one experiment.

    Args:
        settings: The folder of archives; Comet's key, for what is not there.
        key_or_path: A key, the beginning of one, an experiment's name, or the path of an archive.

    Raises:
        TrackingError: There is none, several fit, the archive is damaged, or Comet does not answer.
    """
    if key_or_path.endswith(".zip"):
        return read_archive(Path(key_or_path).expanduser())
    by_key = [path for path in archives(settings.experiments) if path.stem.startswith(key_or_path)]
    if len(by_key) == 1:
        return read_archive(by_key[0])
    is_key = re.fullmatch(r"[A-Za-z0-9]{32,50}", key_or_path)
    if is_key and settings.comet_api_key is not None and (remote := cloud.find(settings, key_or_path)):
        return remote
    named = [found for found in experiments(settings) if found.name == key_or_path or found.key.startswith(key_or_path)]
    if len({found.key for found in named}) == 1:
        return named[-1]
    if named:
        keys = ", ".join(found.key for found in named)
        raise TrackingError(f"several experiments fit {key_or_path!r}: give one of the keys {keys}")
    where = f"in {settings.experiments}" + ("" if settings.comet_api_key is None else " or at Comet")
    raise TrackingError(f"there is no experiment {key_or_path!r} {where}")


def experiments(settings: Settings) -> list[Experiment]:
    """Return all experiments of the project, the oldest first; with a key of Comet those that lie there too.

    One that lies in both places is Comet's.

    Raises:
        TrackingError: Comet does not answer.
    """
    found = {experiment.key: experiment for experiment in map(read_archive, archives(settings.experiments))}
    if settings.comet_api_key is not None:
        found |= {experiment.key: experiment for experiment in cloud.experiments(settings)}
    return sorted(found.values(), key=lambda experiment: experiment.started_at)
