"""Training: a recipe and a dataset become a LoRA adapter, in a run that can be stopped at any moment."""

from llmtwin.training.lock import training_now
from llmtwin.training.recipe import Recipe, read_recipe, recipes
from llmtwin.training.register import register
from llmtwin.training.run import Facts, Run, Status, open_run, runs
from llmtwin.training.training import new_run, next_run, resume, train, waiting

__all__ = [
    "Facts",
    "Recipe",
    "Run",
    "Status",
    "new_run",
    "next_run",
    "open_run",
    "read_recipe",
    "recipes",
    "register",
    "resume",
    "runs",
    "train",
    "training_now",
    "waiting",
]
