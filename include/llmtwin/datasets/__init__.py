"""Instruction datasets of an author's own words, from the feature store to versioned Parquet."""

from llmtwin.datasets.build import build
from llmtwin.datasets.dataset import Dataset, datasets, open_dataset, summary
from llmtwin.datasets.due import due_authors
from llmtwin.datasets.options import Options
from llmtwin.datasets.recording import record
from llmtwin.datasets.source import EVERYBODY, authors, slug

__all__ = [
    "EVERYBODY",
    "Dataset",
    "Options",
    "authors",
    "build",
    "datasets",
    "due_authors",
    "open_dataset",
    "record",
    "slug",
    "summary",
]
