"""How models write: repetition, copying, length, and whether they keep to the passages they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmtwin.evaluation.authorship import Sample
from llmtwin.evaluation.copying import TrainingText
from llmtwin.evaluation.findings import Findings
from llmtwin.evaluation.grounding import grounding
from llmtwin.evaluation.material import Prompt
from llmtwin.evaluation.repetition import distinct, longest_repeat, repetition
from llmtwin.evaluation.result import Written
from llmtwin.evaluation.served import Answer
from llmtwin.evaluation.words import prose, words


def measure_writing(
    findings: Findings, prompts: Sequence[Prompt], answers: Mapping[str, Sequence[Answer]], training: Sequence[Sample]
) -> list[dict[str, Written]]:
    """Add repetition, copying and length of all models and of the author; return all texts of each prompt by writer.

    Args:
        findings: Where to.
        prompts: Without passages.
        answers: By model, of each prompt.
        training: What models were trained on.
    """
    documents = [prompt.document for prompt in prompts]
    seen = TrainingText([words(one.text) for one in training])
    written: list[dict[str, Written]] = [{} for _ in prompts]
    authors = [Answer(text=prompt.text, tokens=0, cut=False) for prompt in prompts]
    for who, found in {"author": authors, **answers}.items():
        plain = [words(prose(answer.text)) for answer in found]
        copies = [seen.longest_copy(one) for one in plain]
        findings.add_mean(f"{who}/repetition", documents, map(repetition, plain))
        findings.add_mean(f"{who}/distinct_2", documents, map(distinct, plain))
        findings.add_mean(f"{who}/longest_repeat", documents, [float(longest_repeat(one)) for one in plain])
        findings.add_mean(f"{who}/longest_copy", documents, [float(copy.length) for copy in copies])
        findings.add_value(f"{who}/longest_copy_of_all", max(copy.length for copy in copies), len(set(documents)))
        findings.add_mean(f"{who}/words", documents, [float(len(one)) for one in plain])
        if who != "author":
            findings.add_mean(f"{who}/cut", documents, [float(answer.cut) for answer in found])
        for number, (answer, said, copy) in enumerate(zip(found, plain, copies, strict=True)):
            run = " ".join(said[copy.start : copy.start + copy.length])
            written[number][who] = Written(text=answer.text, cut=answer.cut, copied=run, copied_words=copy.length)
    return written


def measure_grounding(
    findings: Findings, prompts: Sequence[Prompt], answers: Mapping[str, Sequence[Answer]]
) -> list[dict[str, Written]]:
    """Add ``<model>/grounding`` and, by the passages of another prompt, ``<model>/grounding_chance``.

    Args:
        findings: Where to.
        prompts: With passages.
        answers: By model, of each prompt.

    Returns:
        All answers of each prompt, by model.
    """
    documents = [prompt.document for prompt in prompts]
    passages = [prompt.passages or "" for prompt in prompts]
    # Passages of another document where there is one: what words on the same subject give by themselves.
    elsewhere = [
        next((at for at in _others(number, len(prompts)) if documents[at] != documents[number]), None)
        for number in range(len(prompts))
    ]
    for who, found in answers.items():
        pairs = list(zip(found, passages, strict=True))
        findings.add_mean(f"{who}/grounding", documents, [grounding(answer.text, given) for answer, given in pairs])
        findings.add_mean(
            f"{who}/grounding_chance",
            documents,
            [
                None if other is None else grounding(answer.text, passages[other])
                for answer, other in zip(found, elsewhere, strict=True)
            ],
        )
    return [
        {who: Written(text=found[number].text, cut=found[number].cut) for who, found in answers.items()}
        for number in range(len(prompts))
    ]


def _others(number: int, count: int) -> list[int]:
    return [(number + step) % count for step in range(1, count)]
