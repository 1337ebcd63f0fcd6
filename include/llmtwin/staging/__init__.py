"""Micro-batches, staged as dbt would: models with contracts and tests, quarantine, artifacts.

::

    cdc_events ──▶ stg_documents ──▶ int_chunks ──▶ fct_embeddings
      (source)       (clean)          (chunk)         (embed)

The framework (`batch`, `project`, `contract`, `data_tests`, `build`) knows nothing of documents. Models live under
``models/`` as ``<model>.yml`` beside ``<model>.py``; they alone import the steps after this one, because dbt's models
too are loaded when they run and not when the framework is imported.
"""

from llmtwin.staging.batch import Batch, batches, create_batch, open_batch, pending_batches, prune_batches
from llmtwin.staging.build import build, run_tests
from llmtwin.staging.model import Context, ModelOutput, Rejected
from llmtwin.staging.project import Model, Project, load_project

__all__ = [
    "Batch",
    "Context",
    "Model",
    "ModelOutput",
    "Project",
    "Rejected",
    "batches",
    "build",
    "create_batch",
    "load_project",
    "open_batch",
    "pending_batches",
    "prune_batches",
    "run_tests",
]
