"""The report of an evaluation: one HTML file, for a human who decides."""

from __future__ import annotations

from llmtwin.evaluation.result import Evaluation


def render_report(evaluation: Evaluation) -> str:
    """Return the report."""
    return f"<!doctype html><title>{evaluation.version}</title>"
