"""A training run: a folder that says what is trained from what, how far it has come, and what came of it.

::

    <runs>/<run id>/run.json         what is known about it, replaced as a whole
                    recipe.yaml      every knob as it runs
                    journal.jsonl    its figures
                    train.log        what the training process printed
                    checkpoints/     by stage: sft/checkpoint-50, …
                    adapter/         the result, as peft saves it; appears whole
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from llmtwin.errors import TrainingError
from llmtwin.files import write_json
from llmtwin.settings import Settings
from llmtwin.training.journal import Journal
from llmtwin.training.recipe import Recipe, read_recipe

STAGES = ("sft", "dpo")
_FILE = "run.json"


class Status(StrEnum):
    """How far a run has come. One that is running while no process trains it was interrupted."""

    CREATED = "created"
    RUNNING = "running"
    FAILED = "failed"
    FINISHED = "finished"


class Facts(BaseModel):
    """What only the training process can tell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_model_revision: str = Field(description="commit of the hub, else digest of the model's files")
    chat_template_digest: str = Field(description="SHA-256 of the chat template, which serving uses too")
    device: str = Field(description="what computed it")
    threads: int = Field(description="of the CPU; other numbers of threads round otherwise")
    trainable_parameters: int
    total_parameters: int
    train_examples: int
    left_out: int = Field(description="examples that are longer than max_length")
    train_sequences: int = Field(description="examples, or what they were packed into")
    validation_rows: int
    libraries: dict[str, str] = Field(description="versions, by name")


class Run(BaseModel):
    """One training run, as its ``run.json`` says; a change is a new one, written by `save`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    status: Status
    created_at: AwareDatetime
    started_at: AwareDatetime | None = Field(default=None, description="of the last attempt")
    finished_at: AwareDatetime | None = None
    attempts: int = Field(default=0, ge=0, description="how often it was started or gone on with")
    author: str | None = Field(description="full name of whose voice it learns; None: everybody's of the dataset")
    dataset: str = Field(description="name@version")
    dataset_digest: str
    recipe: str = Field(description="its name; recipe.yaml holds all of it")
    recipe_digest: str
    base_model: str
    code_revision: str | None = Field(description="git commit, with -dirty where files differ from it; None: unknown")
    threads: int = Field(ge=1, description="of the CPU, the same at every attempt")
    facts: Facts | None = None
    metrics: dict[str, float] = Field(default_factory=dict, description="the last figures, by name")
    adapter_digest: str | None = Field(default=None, description="SHA-256 of the adapter's weights")
    experiment: str | None = Field(default=None, description="Comet's key, online and offline alike")
    error: str | None = Field(default=None, description="why the last attempt failed")
    version: str | None = Field(default=None, description="in the registry")
    folder: Path = Field(exclude=True)

    @property
    def adapter(self) -> Path:
        """Where the result is, once the run is finished."""
        return self.folder / "adapter"

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are, by stage."""
        return self.folder / "checkpoints"

    @property
    def log(self) -> Path:
        """What the training process printed."""
        return self.folder / "train.log"

    @property
    def journal(self) -> Journal:
        """Its figures."""
        return Journal(self.folder / "journal.jsonl")

    def read_recipe(self) -> Recipe:
        """Return the recipe as it runs.

        Raises:
            RecipeError: The file is missing or damaged.
        """
        return read_recipe(self.folder / "recipe.yaml")

    def changed(self, **fields: Any) -> Run:
        """Return the run with other fields, once they are on disk."""
        run = self.model_copy(update=fields)
        save(run)
        return run


def save(run: Run) -> None:
    """Write ``run.json``."""
    write_json(run.folder / _FILE, run.model_dump(mode="json"), indent=True)


def stages(recipe: Recipe) -> tuple[str, ...]:
    """Return the stages of a recipe, in order."""
    return STAGES if recipe.dpo else STAGES[:1]


def open_run(settings: Settings, run_id: str) -> Run:
    """Return a run.

    Raises:
        TrainingError: There is none of this name, or its ``run.json`` is damaged.
    """
    folder = settings.runs / run_id
    if Path(run_id).name != run_id or not (folder / _FILE).is_file():
        known = ", ".join(run.run_id for run in runs(settings)[-5:]) or "none was started yet"
        raise TrainingError(f"there is no run {run_id!r} in {settings.runs}; the last ones: {known}")
    return read_run(folder)


def read_run(folder: Path) -> Run:
    """Return the run in a folder.

    Raises:
        TrainingError: Its ``run.json`` is damaged.
    """
    file = folder / _FILE
    try:
        return Run.model_validate({**orjson.loads(file.read_bytes()), "folder": folder})
    except (OSError, ValueError, TypeError, ValidationError) as error:
        raise TrainingError(f"{file} is damaged: {' '.join(str(error).split())[:300]}") from error


def runs(settings: Settings) -> list[Run]:
    """Return all runs, the oldest first.

    Raises:
        TrainingError: The ``run.json`` of one is damaged; names it.
    """
    found = [read_run(file.parent) for file in settings.runs.glob(f"[!.]*/{_FILE}")]
    return sorted(found, key=lambda run: (run.created_at, run.run_id))


def new_run_id(recipe: Recipe, now: datetime) -> str:
    """Return a name that tells recipe and time, to the second."""
    return f"{recipe.name}-{now:%Y%m%d-%H%M%S}"
