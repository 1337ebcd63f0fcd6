"""Retrieval as it is in force now: whether the prompts of test documents find the documents they came from."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from llmtwin import vectors
from llmtwin.errors import EmbeddingError, VectorStoreError
from llmtwin.evaluation.findings import Findings
from llmtwin.evaluation.material import Prompt
from llmtwin.evaluation.ranking import ranking_means
from llmtwin.retrieval import Options, Retrieval
from llmtwin.settings import Settings

MEASURES = {"recall@1": "R@1", "recall@5": "R@5", "rr@10": "RR@10", "ndcg@10": "nDCG@10"}
_DEPTH = 10


def measure_retrieval(findings: Findings, settings: Settings, prompts: Sequence[Prompt]) -> None:
    """Add ``retrieval/recall@1``, ``recall@5``, ``rr@10`` and ``ndcg@10``: the right answer is the prompt's document.

    Args:
        findings: Where to.
        settings: Where Qdrant is, and how retrieval works.
        prompts: Without passages.
    """
    try:
        with vectors.connect(settings) as client:  # before models are loaded for nothing
            vectors.aliases(client)
        ranked = asyncio.run(_documents(settings, prompts))
    except (VectorStoreError, EmbeddingError) as error:
        findings.not_measured["retrieval/"] = str(error)
        return
    known = [number for number, found in enumerate(ranked) if found]
    if not known:
        findings.not_measured["retrieval/"] = "the feature store holds nothing that could be found"
        return
    relevant = [{prompts[number].document} for number in known]
    means = ranking_means(relevant, [ranked[number] for number in known], list(MEASURES.values()))
    for name, measure in MEASURES.items():
        findings.add_value(f"retrieval/{name}", means[measure], len({prompts[number].document for number in known}))


async def _documents(settings: Settings, prompts: Sequence[Prompt]) -> list[list[str]]:
    """Return the ids of the documents found for each prompt, best first."""
    options = Options.of(settings, {"top_k": _DEPTH})
    async with Retrieval(settings) as retrieval:
        found = [(await retrieval.retrieve(prompt.asked, options)).passages for prompt in prompts]
    return [list(dict.fromkeys(str(passage.document_id) for passage in passages)) for passages in found]
