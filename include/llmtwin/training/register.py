"""From a finished run to a candidate in the registry."""

from __future__ import annotations

from llmtwin.errors import TrainingError
from llmtwin.registry import Lineage, Registry, Version
from llmtwin.settings import Settings
from llmtwin.training.run import Run, Status


def register(run: Run, settings: Settings) -> Version:
    """Copy the adapter of a run into the registry, as a candidate with its lineage; return the version.

    A run that is registered already stays the one version.

    Raises:
        TrainingError: The run is not finished.
        AdapterError: The adapter is damaged, or does not fit what is served.
        RegistryError: The registry is damaged, or another writer does not end.
    """
    if run.status is not Status.FINISHED:
        why = f" ({run.error})" if run.error else ""
        go_on = f"`llmtwin train --resume {run.run_id}` goes on with it"
        raise TrainingError(f"run {run.run_id} is {run.status}{why}: {go_on}")
    registry = Registry(settings.registry)
    version = next((found for found in registry.versions() if _is_of(found, run)), None)
    if version is None:
        version = registry.register(run.adapter, settings.base_model, settings.vllm_max_lora_rank, lineage(run))
    run.changed(version=version.version)
    return version


def lineage(run: Run) -> Lineage:
    """Return where a run's adapter came from."""
    return Lineage(
        author=run.author,
        dataset=run.dataset,
        dataset_digest=run.dataset_digest,
        recipe=run.recipe,
        recipe_digest=run.recipe_digest,
        code_revision=run.code_revision,
        base_model_revision=run.facts.base_model_revision if run.facts else None,
        experiment=run.experiment,
        run_id=run.run_id,
        metrics=run.metrics,
    )


def _is_of(version: Version, run: Run) -> bool:
    return version.lineage is not None and (version.lineage.run_id, version.digest) == (run.run_id, run.adapter_digest)
