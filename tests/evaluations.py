"""Evaluations for tests, in the files that `llmtwin.evaluation` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from llmtwin.evaluation.intervals import Estimate
from llmtwin.evaluation.result import REPORT, RESULT, Evaluation, ModelCard, Options, Provenance, folder_of
from llmtwin.registry import Registry
from llmtwin.settings import Settings

GOOD = {
    "candidate/perplexity": 15.0,
    "base/perplexity": 25.0,
    "perplexity_ratio": 0.6,
    "production_ratio": 0.95,
    "candidate/delta": 0.9,
    "base/delta": 1.4,
    "delta_difference": -0.5,
}


def save_evaluation(
    settings: Settings,
    version: str,
    *,
    production: str | None = None,
    identity: str | None = None,
    delta: Literal["cosine", "burrows"] = "cosine",
    notes: Sequence[str] = (),
    not_measured: Mapping[str, str] | None = None,
    **figures: float,
) -> Path:
    """Write an evaluation that the gate lets pass, but for the figures given (``__`` for ``/``); return its folder."""
    given = {name.replace("__", "/"): value for name, value in figures.items()}
    digest = identity or Registry(settings.registry).get(version).digest
    author = "Ana Núñez"
    missing = {"control_ratio": "there is no twin of another author"} | dict(not_measured or {})
    estimates = {
        name: Estimate(value=value, low=value - 0.01, high=value + 0.01, documents=12)
        for name, value in (GOOD | given).items()
        if not any(name.startswith(unknown.rstrip("/")) for unknown in missing)
    }
    evaluation = Evaluation(
        version=version,
        author=author,
        dataset="ana-nunez@0123456789ab",
        dataset_digest="0" * 64,
        created_at=datetime.now(UTC),
        production=production,
        control=None,
        models=[
            ModelCard(role="candidate", name=f"twin@{version}", version=version, author=author, identity=digest),
            ModelCard(role="base", name="base", version=None, author=None, identity="base"),
        ],
        options=Options(),
        estimates=estimates,
        not_measured=missing,
        notes=list(notes),
        documents=[],
        samples=[],
        provenance=Provenance(
            base_model="base",
            vllm="0.32.0",
            references={},
            delta=delta,
            llmtwin="0.1.0",
            seconds=1.0,
            scored_tokens=1,
            generated_tokens=1,
        ),
    )
    folder = folder_of(settings, version)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT).write_text(evaluation.model_dump_json())
    (folder / REPORT).write_text(f"<!doctype html><title>Version {version}</title><p>So it writes.</p>")
    return folder
