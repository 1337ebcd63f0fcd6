"""From what the models gave to numbers."""

from __future__ import annotations

from collections.abc import Sequence

from llmtwin.evaluation.asking import Asked, Given, answered_by_all
from llmtwin.evaluation.findings import Findings
from llmtwin.evaluation.intervals import FEW_DOCUMENTS
from llmtwin.evaluation.journal import Journal
from llmtwin.evaluation.judging import measure_by_judge
from llmtwin.evaluation.lineup import BASE, CANDIDATE, CONTROL, PRODUCTION, Lineup
from llmtwin.evaluation.material import OtherAuthor, Prompt, training_texts
from llmtwin.evaluation.perplexity import bits_apart, by_document, perplexity, ratio
from llmtwin.evaluation.result import DocumentFigures, Sample, Written
from llmtwin.evaluation.searching import measure_retrieval
from llmtwin.evaluation.voice import measure_voice
from llmtwin.evaluation.writing import measure_grounding, measure_writing
from llmtwin.settings import Settings


def measure(
    findings: Findings,
    settings: Settings,
    journal: Journal,
    asked: Asked,
    given: Given,
    lineup: Lineup,
    others: Sequence[OtherAuthor],
) -> tuple[list[DocumentFigures], list[Sample], str | None]:
    """Add all numbers; return the figures of each document, the texts side by side, and who judged.

    Args:
        findings: Where to.
        settings: Where judge and feature store are.
        journal: Where verdicts are kept.
        asked: What the models were asked.
        given: What they gave.
        lineup: Which models there are, and why others are missing.
        others: Other authors' text.
    """
    findings.not_measured |= {f"{role}/": reason for role, reason in lineup.missing.items()}
    findings.notes += lineup.notes
    training = training_texts(asked.dataset)
    documents = _measure_texts(findings, asked, given)
    _measure_reverse(findings, asked, given, lineup)
    samples: list[Sample] = []
    plain = answered_by_all(asked.prompts, given.answers)
    if plain[0]:
        texts = {role: [answer.text for answer in values] for role, values in plain[1].items()}
        measure_voice(findings, plain[0], texts, training, others)
        samples += _samples(plain[0], measure_writing(findings, *plain, training))
        measure_retrieval(findings, settings, plain[0])
    else:
        findings.not_measured["delta"] = "every prompt fills the window of the model"
    grounded = answered_by_all(asked.grounded, given.grounded)
    if grounded[0]:
        samples += _samples(grounded[0], measure_grounding(findings, *grounded))
    else:
        findings.not_measured["grounding"] = "the dataset's test documents hold no prompt with passages that fits"
    judge = measure_by_judge(findings, settings, journal, plain, grounded, asked.options.judged)
    return documents, samples, judge


def _measure_texts(findings: Findings, asked: Asked, given: Given) -> list[DocumentFigures]:
    texts, surprises = answered_by_all(asked.texts, given.surprises)
    if not texts:
        findings.not_measured["perplexity"] = "every prompt fills the window of the model"
        return []
    if len(texts) < len(asked.texts):
        findings.notes.append(f"{len(asked.texts) - len(texts)} texts were left out: the prompt fills the window.")
    found = {role: by_document([text.document for text in texts], values) for role, values in surprises.items()}
    for role, of_role in found.items():
        findings.estimates[f"{role}/perplexity"] = perplexity(of_role, findings.seed)
    own = found[CANDIDATE]
    for name, role in (("perplexity_ratio", BASE), ("production_ratio", PRODUCTION), ("control_ratio", CONTROL)):
        if role in found:
            findings.estimates[name] = ratio(own, found[role], findings.seed)
    if BASE in found:
        findings.estimates["perplexity_bits"] = bits_apart(own, found[BASE], findings.seed)
    if len(own) == 1:
        findings.notes.append("There is one test document only: no interval can be told, and little else.")
    elif len(own) < FEW_DOCUMENTS:
        findings.notes.append(f"The intervals come from {len(own)} documents: true ones are wider.")
    titles = {text.document: text.title for text in texts}
    return [
        DocumentFigures(
            document=document,
            title=titles[document],
            tokens=own[document].tokens,
            perplexity={role: perplexity({document: by[document]}, 0).value for role, by in found.items()},
        )
        for document in sorted(own, key=lambda one: titles[one])
    ]


def _measure_reverse(findings: Findings, asked: Asked, given: Given, lineup: Lineup) -> None:
    """Add what the models make of the other author's text: there, the control must be the better one."""
    if lineup.control is None:
        return
    texts, surprises = answered_by_all(asked.other_texts, given.other_surprises)
    if not texts:
        findings.not_measured["control_ratio_reverse"] = (
            "the dataset of the control's author is not here, or one of the twins was trained on all its test documents"
        )
        return
    found = {role: by_document([text.document for text in texts], values) for role, values in surprises.items()}
    for role, of_role in found.items():
        findings.estimates[f"{role}/perplexity_other"] = perplexity(of_role, findings.seed)
    findings.estimates["control_ratio_reverse"] = ratio(found[CONTROL], found[CANDIDATE], findings.seed)


def _samples(prompts: Sequence[Prompt], written: Sequence[dict[str, Written]]) -> list[Sample]:
    return [
        Sample(
            kind="grounded" if prompt.passages else "instruction",
            prompt=prompt.asked,
            passages=prompt.passages,
            link=prompt.link,
            author=prompt.text,
            answers={who: text for who, text in texts.items() if who != "author"},
        )
        for prompt, texts in zip(prompts, written, strict=True)
    ]
