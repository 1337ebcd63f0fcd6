"""Writing an evaluation down: JSON, the report for people, and an experiment in Comet."""

from __future__ import annotations

from llmtwin.errors import EvaluationError
from llmtwin.evaluation.report import render_report
from llmtwin.evaluation.result import REPORT, RESULT, Evaluation, folder_of
from llmtwin.files import durable, write_json
from llmtwin.settings import Settings
from llmtwin.tracking import experiment


def publish(settings: Settings, evaluation: Evaluation) -> Evaluation:
    """Write the result and the report, and record both in Comet; return the evaluation with Comet's key.

    Raises:
        TrackingError: The experiment could not be recorded; the files were written.
    """
    _write(settings, evaluation)
    folder = folder_of(settings, evaluation.version)
    with experiment(settings, f"evaluate twin@{evaluation.version}", ["evaluation", evaluation.author]) as comet:
        evaluation = evaluation.model_copy(update={"experiment": comet.get_key()})
        _write(settings, evaluation)
        comet.log_parameters(evaluation.options.model_dump() | {"delta": evaluation.provenance.delta or "not measured"})
        comet.log_metrics(evaluation.metrics)
        for name, (low, high) in evaluation.intervals.items():
            comet.log_metrics({f"{name}/low": low, f"{name}/high": high})
        comet.log_others(
            {
                "version": evaluation.version,
                "author": evaluation.author,
                "dataset": evaluation.dataset,
                "dataset_digest": evaluation.dataset_digest,
                "production": evaluation.production or "",
                "control": evaluation.control or "",
                "not_measured": "; ".join(f"{name}: {why}" for name, why in evaluation.not_measured.items()),
            }
        )
        comet.log_asset(str(folder / RESULT), RESULT)
        comet.log_asset(str(folder / REPORT), REPORT)
    return evaluation


def _write(settings: Settings, evaluation: Evaluation) -> None:
    """Write both files; the report first, so that whoever sees the result can open it."""
    folder = folder_of(settings, evaluation.version)
    try:
        with durable(folder / REPORT) as file:
            file.write(render_report(evaluation).encode())
        write_json(folder / RESULT, evaluation.model_dump(mode="json"), indent=True)
    except OSError as error:
        raise EvaluationError(
            f"the evaluation cannot be written to {folder} ({error.strerror or error}): free space there and evaluate "
            "again; what was answered is kept"
        ) from error
