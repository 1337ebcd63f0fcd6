"""Recording an experiment: Comet's own object, set up to tell nothing of the machine or of who works at it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import structlog

from llmtwin.errors import TrackingError
from llmtwin.settings import Settings
from llmtwin.tracking.archive import is_complete
from llmtwin.tracking.client import prepare

if TYPE_CHECKING:
    from comet_ml import CometExperiment

log = structlog.get_logger(__name__)

# Host name, user, address, command line, output, packages, uncommitted changes: nothing of it makes a run repeatable
# that the run itself does not say.
_PRIVATE: dict[str, Any] = {
    "log_code": False,
    "log_graph": False,
    "log_git_metadata": False,
    "log_git_patch": False,
    "log_env_details": False,
    "log_env_gpu": False,
    "log_env_host": False,
    "log_env_cpu": False,
    "log_env_network": False,
    "log_env_disk": False,
    "parse_args": False,
    "auto_param_logging": False,
    "auto_metric_logging": False,
    "auto_log_co2": False,
    "auto_output_logging": False,
    "display_summary_level": 0,
}
_ILLEGAL_IN_ARTIFACTS = re.compile(r"[^A-Za-z0-9_.-]+")


@contextmanager
def experiment(
    settings: Settings, name: str, tags: Sequence[str] = (), *, key: str | None = None
) -> Iterator[CometExperiment]:
    """Open an experiment, and end it whatever happens; yield Comet's own object (``log_metrics``, ``log_asset``, …).

    Online with a key of Comet; without one, or while Comet does not answer, into an archive under
    ``settings.experiments`` that `read_experiment` reads and ``comet upload`` sends. The archive appears there whole,
    when the block ends, also by an error.

    Args:
        settings: Comet's key, workspace and project, and the folder of archives.
        name: What people call it.
        tags: To find it by.
        key: Of an experiment to go on with, as ``get_key()`` told it. Online, what is logged is added to what is
            there. An archive cannot be added to: a new one takes its place, so log everything again.

    Raises:
        TrackingError: The archive could not be written.
    """
    settings.experiments.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".recording-", dir=settings.experiments) as folder:
        comet = _open(settings, key, Path(folder))
        comet.set_name(name)
        comet.add_tags(list(tags))
        try:
            yield comet
        except BaseException as error:
            comet.log_other("failed", f"{type(error).__name__}: {error}"[:1000])
            try:
                _end(comet, Path(folder))
            except TrackingError as also:
                log.warning(str(also))  # what went wrong first matters more
            raise
        _end(comet, Path(folder))


def log_files(comet: CometExperiment, name: str, kind: str, folder: Path, metadata: dict[str, Any]) -> None:
    """Log all files of a folder: online as a version of an artifact, which others can fetch by name; else as assets.

    Args:
        comet: What `experiment` yielded.
        name: Of the artifact; the folder of the assets.
        kind: ``dataset`` or ``model``, say.
        folder: Its files, those of its subfolders too.
        metadata: Goes with the artifact, or with each asset.
    """
    legal = _ILLEGAL_IN_ARTIFACTS.sub("-", name).strip("-")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not is_online(comet):
        for file in files:
            comet.log_asset(str(file), f"{legal}/{file.relative_to(folder)}", metadata=metadata)
        return
    import comet_ml

    artifact = comet_ml.Artifact(legal, kind, metadata=metadata)
    for file in files:
        artifact.add(str(file), logical_path=str(file.relative_to(folder)))
    comet.log_artifact(artifact)


def is_online(comet: CometExperiment) -> bool:
    """Tell whether what is logged goes to Comet, and not into an archive."""
    import comet_ml

    return not isinstance(comet, comet_ml.OfflineExperiment)


def _open(settings: Settings, key: str | None, folder: Path) -> CometExperiment:
    prepare()
    import comet_ml

    where: dict[str, Any] = {"project_name": settings.comet_project, "workspace": settings.comet_workspace}
    if settings.comet_api_key is not None:
        access: dict[str, Any] = {"api_key": settings.comet_api_key.get_secret_value(), "experiment_key": key, **where}
        kind = comet_ml.ExistingExperiment if key else comet_ml.Experiment
        online: CometExperiment = kind(**access, **_PRIVATE)
        if online.alive:
            return online
        log.warning("Comet does not answer, or refuses the key: the experiment goes into an archive")
    return comet_ml.OfflineExperiment(offline_directory=str(folder), experiment_key=key, **where, **_PRIVATE)


def _end(comet: CometExperiment, folder: Path) -> None:
    """End the experiment; move its archive, which Comet does not write in one go, to where archives are read."""
    comet.end()
    if is_online(comet):
        return
    archive = folder / f"{comet.get_key()}.zip"
    if not is_complete(archive):
        # Comet reports no error, and takes another folder when this one cannot be written to.
        raise TrackingError(f"the experiment could not be written to {folder.parent}: is the disk full?")
    archive.replace(folder.parent / archive.name)
