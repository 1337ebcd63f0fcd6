"""The evaluation of one version of the twin: ask, measure, write down.

Every answer is kept as it comes, so an evaluation that is killed goes on where it stood when it is run again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from llmtwin import __version__
from llmtwin.datasets import open_dataset
from llmtwin.errors import EvaluationError
from llmtwin.evaluation.asking import Asked, Given, ask
from llmtwin.evaluation.contamination import uncontaminated
from llmtwin.evaluation.findings import Findings
from llmtwin.evaluation.journal import Journal
from llmtwin.evaluation.lineup import BASE, PRODUCTION, author_of, line_up
from llmtwin.evaluation.material import OtherAuthor, author_ids, other_authors
from llmtwin.evaluation.measuring import measure
from llmtwin.evaluation.publishing import publish
from llmtwin.evaluation.result import ANSWERS, Evaluation, ModelCard, Options, Provenance, folder_of
from llmtwin.evaluation.served import Vllm
from llmtwin.evaluation.stylometry import DeltaVariant
from llmtwin.registry import Registry, Version
from llmtwin.settings import Settings
from llmtwin.training.revision import code_revision


def evaluate(
    settings: Settings,
    version: str,
    *,
    dataset: str | None = None,
    against: Sequence[str] = (BASE, PRODUCTION),
    control: str | None = None,
    options: Options | None = None,
    again: bool = False,
) -> Evaluation:
    """Measure a version of the twin on documents it has not seen, and write the result and the report.

    Args:
        settings: Where vLLM, registry, datasets and results are.
        version: In the registry.
        dataset: Its name or reference; by default the one that the version was trained on.
        against: What it is compared with: ``base``, ``production``.
        control: A twin of another author; by default the newest.
        options: How much is measured.
        again: Ask everything anew, also what was answered before.

    Raises:
        EvaluationError: The version cannot be evaluated: no dataset, no test documents, none but those that it was
            trained on, another base model, or another evaluation of it is running.
        RegistryError: There is no such version, or its files are damaged.
        DatasetError: There is no such dataset, or it is damaged.
        VllmError: vLLM is down, or refuses.
        TrackingError: The experiment could not be recorded; the result was written.
    """
    options = options or Options()
    started = time.monotonic()
    folder = folder_of(settings, version)
    chosen = open_dataset(settings, dataset or _dataset_of(Registry(settings.registry).get(version)))
    lineup = uncontaminated(line_up(settings, version, author_ids(chosen), against, control), chosen, settings)
    asked = Asked.of(settings, chosen, lineup, options)
    findings = Findings(options.seed)
    with _alone(folder, version), _journal(folder / ANSWERS, again) as journal:
        with Vllm(settings, journal) as vllm:
            given = ask(asked, lineup, vllm, settings)
        others = other_authors(settings, chosen)
        documents, samples, judge = measure(findings, settings, journal, asked, given, lineup, others)
        evaluation = Evaluation(
            version=version,
            author=chosen.author or "all authors",
            dataset=chosen.reference,
            dataset_digest=chosen.digest,
            created_at=datetime.now(UTC),
            production=lineup.in_production,
            control=lineup.control.version if lineup.control else None,
            models=[
                ModelCard(
                    role=role,
                    name=model.name,
                    version=found.version if (found := lineup.versions[role]) else None,
                    author=author_of(found),
                    identity=model.identity,
                )
                for role, model in given.models.items()
            ],
            options=options,
            estimates=findings.estimates,
            not_measured=findings.not_measured,
            notes=findings.notes,
            documents=documents,
            samples=samples,
            provenance=_provenance(settings, given, others, vllm, judge, findings.delta, time.monotonic() - started),
        )
        return publish(settings, evaluation)


@contextmanager
def _alone(folder: Path, version: str) -> Iterator[None]:
    """Be the only one that evaluates a version."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise EvaluationError(f"another evaluation of version {version} is running: wait for its end") from error


@contextmanager
def _journal(path: Path, again: bool) -> Iterator[Journal]:
    if again:
        path.unlink(missing_ok=True)
    journal = Journal(path)
    try:
        yield journal
    finally:
        journal.close()


def _dataset_of(version: Version) -> str:
    if version.lineage is None or version.lineage.dataset is None:
        raise EvaluationError(
            f"nobody noted which dataset version {version.version} was trained on: name one with --dataset"
        )
    return version.lineage.dataset


def _provenance(
    settings: Settings,
    given: Given,
    others: Sequence[OtherAuthor],
    vllm: Vllm,
    judge: str | None,
    delta: DeltaVariant | None,
    seconds: float,
) -> Provenance:
    surprises = [one for by in (given.surprises, given.other_surprises) for found in by.values() for one in found]
    answers = [one for by in (given.answers, given.grounded) for found in by.values() for one in found]
    return Provenance(
        base_model=vllm.base_root,
        vllm=vllm.version,
        judge=judge,
        references={other.name: other.source for other in others},
        delta=delta,
        code_revision=code_revision(settings.home),
        llmtwin=__version__,
        seconds=round(seconds, 1),
        scored_tokens=sum(one.tokens for one in surprises if one),
        generated_tokens=sum(one.tokens for one in answers if one),
    )
