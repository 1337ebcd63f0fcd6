"""A run from its beginning to its end; what is computed, the training process computes."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from llmtwin import tracking
from llmtwin.datasets import Dataset, datasets, open_dataset
from llmtwin.errors import DatasetError, LlmtwinError, RecipeError, TrainingError
from llmtwin.files import durable
from llmtwin.registry import read_adapter
from llmtwin.registry.adapter import digest_of
from llmtwin.settings import Settings
from llmtwin.training import checkpoints, process
from llmtwin.training.checks import require_trainable
from llmtwin.training.journal import Line
from llmtwin.training.lock import only_training
from llmtwin.training.recipe import Recipe, write_recipe
from llmtwin.training.revision import code_revision
from llmtwin.training.run import STAGES, Facts, Run, Status, new_run_id, open_run, runs, stages

if TYPE_CHECKING:
    from comet_ml import CometExperiment

Watch = Callable[[Line], None]
_ILLEGAL = re.compile(r"[^A-Za-z0-9._-]+")
# Of a line of the journal: where it belongs, no figures.
_PLACE = {"stage", "step", "of"}


def train(
    recipe: Recipe,
    settings: Settings,
    *,
    dataset: str | None = None,
    run_id: str | None = None,
    watch: Watch | None = None,
) -> Run:
    """Train an adapter; return the finished run. Called again with the same ``run_id``, it goes on with that run.

    Args:
        recipe: What to do.
        settings: Where everything is, and what is served.
        dataset: Name or name@version; default: the recipe's.
        run_id: What the run is to be called, in letters, digits, ``.``, ``_`` and ``-``; others become ``-`` with a
            digest at the end. Default: recipe and time.
        watch: Called with every line of the journal.

    Raises:
        LlmtwinError: As `new_run` and `resume` do.
    """
    return resume(new_run(recipe, settings, dataset=dataset, run_id=run_id), settings, watch)


def new_run(recipe: Recipe, settings: Settings, *, dataset: str | None = None, run_id: str | None = None) -> Run:
    """Return a run that can be gone on with, after checking that its result could be served.

    The run of this name, if there is one already: then it must be the same recipe and dataset.

    Raises:
        RecipeError: What the recipe makes is not what is served, or no dataset is named.
        DatasetError: There is no such dataset or version, it is damaged, or has no examples.
        TrainingError: The run of this name is another one.
    """
    reference = dataset or recipe.dataset
    if not reference:
        raise RecipeError(f"recipe {recipe.name} names no dataset: give one, `llmtwin datasets ls` lists them")
    chosen = open_dataset(settings, reference)
    require_trainable(recipe, chosen, settings)
    now = datetime.now(UTC)
    run_id = _folder_name(run_id) if run_id else new_run_id(recipe, now)
    run = Run(
        run_id=run_id,
        status=Status.CREATED,
        created_at=now,
        author=chosen.author,
        dataset=chosen.reference,
        dataset_digest=chosen.digest,
        recipe=recipe.name,
        recipe_digest=recipe.digest,
        base_model=recipe.base_model,
        code_revision=code_revision(settings.home),
        threads=_threads(),
        folder=settings.runs / run_id,
    )
    if (run.folder / "run.json").is_file():
        found = open_run(settings, run_id)
        if (found.recipe_digest, found.dataset) != (run.recipe_digest, run.dataset):
            raise TrainingError(f"run {run_id} is another one ({found.recipe}, {found.dataset}): choose another name")
        return found
    run.folder.mkdir(parents=True, exist_ok=True)
    with durable(run.folder / "recipe.yaml") as file:
        file.write(write_recipe(recipe.model_copy(update={"dataset": run.dataset})))
    return run.changed()


def next_run(recipe: Recipe, settings: Settings, run_id: str) -> Run | None:
    """Return a run of the dataset that has waited for one longest; None when none waits.

    The run of this name, if there is one already, so that another try is about the same dataset.

    Raises:
        RecipeError: What the recipe makes is not what is served.
        DatasetError: What waits cannot be trained on; where others can, they are taken first.
    """
    if (settings.runs / _folder_name(run_id) / "run.json").is_file():
        return open_run(settings, _folder_name(run_id))
    first = min(_untrained(settings), key=lambda one: not _is_trainable(recipe, one, settings), default=None)
    return new_run(recipe, settings, dataset=first.reference, run_id=run_id) if first else None


def waiting(recipe: Recipe, settings: Settings) -> list[Dataset]:
    """Return the datasets whose newest version has no run, the oldest first.

    One of which a run failed does not wait: it would fail again. Nor does one that this recipe cannot be trained on.

    Raises:
        RecipeError: What the recipe makes is not what is served.
    """
    return [dataset for dataset in _untrained(settings) if _is_trainable(recipe, dataset, settings)]


def resume(run: Run, settings: Settings, watch: Watch | None = None) -> Run:
    """Begin a run, or go on with it from its last complete checkpoint; return it finished.

    Raises:
        TrainingBusyError: Another training runs on this machine.
        TrainingMemoryError: Memory ran out; names the knobs that need less.
        TrainingError: It ended without an adapter; the run says why, and can be gone on with.
        TrackingError: The experiment could not be recorded; the adapter is there, going on records it.
    """
    if run.status is Status.FINISHED:
        return run
    with only_training(settings, run.run_id):
        run = open_run(settings, run.run_id).changed(
            status=Status.RUNNING, started_at=datetime.now(UTC), attempts=run.attempts + 1, error=None
        )
        try:
            return _record(run, settings, watch)
        except BaseException as error:
            why = str(error) if isinstance(error, LlmtwinError) else f"stopped by {type(error).__name__}"
            # On a full disk even this may be too much; then what is raised still says why.
            with suppress(OSError):
                open_run(settings, run.run_id).changed(status=Status.FAILED, error=why)
            raise


def _folder_name(run_id: str) -> str:
    """Return the name of a run as a folder's; two names never become the same one."""
    plain = _ILLEGAL.sub("-", run_id).lstrip(".-_")
    digest = hashlib.sha256(run_id.encode()).hexdigest()[:8]
    return plain if plain == run_id else f"{plain}-{digest}".lstrip("-")


def _untrained(settings: Settings) -> list[Dataset]:
    known = {run.dataset for run in runs(settings)}
    newest = {dataset.name: dataset for dataset in datasets(settings)}.values()
    # What was copied here was built before, somewhere else.
    never = datetime.min.replace(tzinfo=UTC)
    return sorted(
        (dataset for dataset in newest if dataset.reference not in known),
        key=lambda dataset: dataset.built_at or never,
    )


def _is_trainable(recipe: Recipe, dataset: Dataset, settings: Settings) -> bool:
    try:
        require_trainable(recipe, dataset, settings)
    except DatasetError:
        return False
    return True


def _record(run: Run, settings: Settings, watch: Watch | None) -> Run:
    """Train, and record it in Comet."""
    recipe = run.read_recipe()
    stage, checkpoint = _where_to_go_on(run, recipe)
    # Of an experiment online: sent before, also what a checkpoint does not have and is computed again.
    sent = {_what(line) for line in run.journal.lines()} if run.experiment else set()
    with tracking.experiment(settings, run.run_id, [run.recipe, "training"], key=run.experiment) as comet:
        if not tracking.is_online(comet):
            sent = set()
        run = run.changed(experiment=comet.get_key())
        _describe(comet, run, recipe)
        # Closed at once also when something here fails: then the training process ends.
        with closing(_lines(run, recipe, settings, stage, checkpoint)) as lines:
            for line in lines:
                if _what(line) not in sent:
                    _log(comet, line)
                if watch:
                    watch(line)
        run = _with_results(run)
        comet.log_metrics({f"final_{name}": value for name, value in run.metrics.items()})
        if run.facts:
            comet.log_others(run.facts.model_dump(exclude={"libraries"}))
            comet.log_others(run.facts.libraries)
        about = {"run_id": run.run_id, "dataset": run.dataset, "adapter_digest": run.adapter_digest}
        tracking.log_files(comet, f"adapter-{run.run_id}", "model", run.adapter, about)
    return run.changed(status=Status.FINISHED, finished_at=datetime.now(UTC))


def _where_to_go_on(run: Run, recipe: Recipe) -> tuple[str, Path | None]:
    """Return the stage that is under way, and its newest complete checkpoint."""
    for stage in reversed(stages(recipe)):
        if checkpoint := checkpoints.newest(run.checkpoints / stage):
            return stage, checkpoint
    return STAGES[0], None


def _lines(
    run: Run, recipe: Recipe, settings: Settings, stage: str, checkpoint: Path | None
) -> Generator[Line, None, None]:
    """Train, unless that is done; yield the lines of the journal."""
    if run.adapter.is_dir():
        yield from run.journal.lines()
    else:
        run.journal.cut_back(stage, checkpoints.step_of(checkpoint), stages(recipe))
        try:
            yield from process.lines_of(run, recipe, settings, stage, checkpoint)
        finally:
            # Half a checkpoint is of no use, and on a full disk what is written next needs its room.
            for one in stages(recipe):
                checkpoints.newest(run.checkpoints / one)


def _describe(comet: CometExperiment, run: Run, recipe: Recipe) -> None:
    comet.log_parameters(recipe.model_dump(mode="json", exclude={"dataset"}))
    fields = {"run_id", "author", "dataset", "dataset_digest", "recipe", "recipe_digest", "code_revision", "threads"}
    comet.log_others(run.model_dump(mode="json", include=fields))
    comet.log_asset(str(run.folder / "recipe.yaml"), "recipe.yaml")


def _log(comet: CometExperiment, line: Line) -> None:
    figures = {name: value for name, value in line.items() if name not in _PLACE}
    prefix = None if line["stage"] == STAGES[0] else line["stage"]
    comet.log_metrics(figures, prefix=prefix, step=line["step"])


def _what(line: Line) -> tuple[str, int, frozenset[str]]:
    """Return what a line is about: its stage and step, and the names of its figures."""
    return line["stage"], line["step"], frozenset(line)


def _with_results(run: Run) -> Run:
    """Return the run with what came of it.

    Raises:
        AdapterError: The adapter cannot be served.
    """
    read_adapter(run.adapter)
    facts = Facts.model_validate(orjson.loads((run.folder / "facts.json").read_bytes()))
    return run.changed(facts=facts, metrics=_metrics(run.journal.lines()), adapter_digest=digest_of(run.adapter))


def _metrics(lines: list[Line]) -> dict[str, float]:
    """Return the last figures, and with them what the validation loss was before training."""
    metrics: dict[str, float] = {}
    for line in lines:
        prefix = "" if line["stage"] == STAGES[0] else f"{line['stage']}_"
        figures = {name: value for name, value in line.items() if name not in _PLACE and isinstance(value, int | float)}
        if line["step"] == 0:
            figures = {f"{name}_before": value for name, value in figures.items()}
        metrics |= {prefix + name: float(value) for name, value in figures.items()}
        metrics[f"{prefix}steps"] = float(line["step"])
    if {"eval_loss", "eval_loss_before"} <= metrics.keys():
        metrics["eval_perplexity"] = math.exp(metrics["eval_loss"])
        metrics["eval_perplexity_before"] = math.exp(metrics["eval_loss_before"])
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _threads() -> int:
    """Return how many threads of the CPU training may use: the environment's wish, else one for each core."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() and int(wanted) else len(os.sched_getaffinity(0))
