"""How well retrieval finds, technique by technique: ``python tests/benchmarks/bench_retrieval.py``.

The questions are those of `questions`. The constant of rank fusion is chosen on the development half of the documents;
the table shows the test half. Qdrant is the local server, with all chunks in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx
from corpus import ARTICLES, load_articles
from installation import installation
from questions import Question, make_questions
from rich.console import Console
from rich.table import Table

from llmtwin import vectors
from llmtwin.documents import DocumentChunk, Kind
from llmtwin.evaluation.ranking import ranking_means
from llmtwin.features import embedder_for, encode_document
from llmtwin.retrieval import Complete, Options, Passage, Retrieval
from llmtwin.retrieval.duplicates import SAME, contained, shingles
from llmtwin.settings import Settings
from llmtwin.vectors.collections import DENSE, SPARSE, ensure_embedded

DEPTH = 10
MEASURES = ("R@1", "R@5", "R@10", "RR@10", "nDCG@10")
NOTHING = {"rerank": False, "deduplicate": False}
TECHNIQUES: dict[str, dict[str, Any]] = {
    "dense": {**NOTHING, "mode": "dense"},
    "sparse (BM25)": {**NOTHING, "mode": "sparse"},
    "hybrid": NOTHING,
    "hybrid + rerank": {**NOTHING, "rerank": True},
    "hybrid + deduplicate": {**NOTHING, "deduplicate": True},
    "hybrid + rerank + deduplicate": {},
    "hybrid + expansion by rule": {**NOTHING, "expansion": 1},
}
RRF_KS = (1, 2, 3, 5, 10, 20, 60)
# Words that say little; a question without them is another wording of itself, if a poor one.
_LITTLE = re.compile(
    r"\b(?:an?|the|and|or|of|in|on|to|for|with|by|from|as|at|is|are|was|were|be|it|its|this|that|these|those|we|our|you|your"
    r"|i|he|she|they|their|can|could|will|would|should|do|does|did|has|have|had|how|what|when|where|which|who|why)\b",
    re.IGNORECASE,
)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--reranker", help="a cross-encoder's folder or hub id, measured besides")
    parser.add_argument("--llm", metavar="URL", help="an OpenAI-compatible server, for expansion by a language model")
    given = parser.parse_args()
    console = Console(width=120)
    with installation("qdrant") as settings:
        chunks, questions = make_questions(load_articles(), settings)
        index(chunks, settings)
        test = [question for question in questions if not question.development]
        development = [question for question in questions if question.development]
        console.print(
            f"{len(chunks)} chunks of {'real' if ARTICLES.exists() else 'generated'} articles; {len(development)} "
            f"questions to choose with, {len(test)} to report, of which {sum(one.form == 'heading' for one in test)} "
            "are headings and the others sentences"
        )
        console.print(fusion_table(development, settings))
        console.print(asyncio.run(technique_table(test, settings, given.reranker, given.llm)))
        console.print(asyncio.run(parents_table(test, settings)))


def index(chunks: Sequence[DocumentChunk], settings: Settings) -> None:
    """Write the chunks as the pipeline does."""
    from qdrant_client import models

    embedder = embedder_for(Kind.ARTICLE, settings)
    matrix = embedder.embed([chunk.content for chunk in chunks])
    points = []
    for chunk, dense in zip(chunks, matrix, strict=True):
        indices, values = encode_document(chunk.content)
        vector = {DENSE: dense.tolist(), SPARSE: models.SparseVector(indices=indices, values=values)}
        points.append(models.PointStruct(id=str(chunk.chunk_id), vector=vector, payload=chunk.model_dump(mode="json")))
    with vectors.connect(settings) as client:
        target = ensure_embedded(client, Kind.ARTICLE, embedder.model_id, embedder.dimension)
        for start in range(0, len(points), 500):
            client.upsert(target, points[start : start + 500], wait=True)


def fusion_table(questions: Sequence[Question], settings: Settings) -> Table:
    """The constant of reciprocal rank fusion, on the development half."""
    table = Table("k", *MEASURES, title="hybrid by rrf_k, development half")
    for k in RRF_KS:
        found, _ = asyncio.run(answer(questions, settings.model_copy(update={"rrf_k": k}), NOTHING))
        table.add_row(str(k), *figures(questions, found))
    return table


async def technique_table(
    questions: Sequence[Question], settings: Settings, reranker: str | None, llm: str | None
) -> Table:
    """Each technique, on the test half."""
    table = Table("technique", *MEASURES, "repeats", "ms", title="test half")
    rows = [(name, options, settings, rephrase_by_rule) for name, options in TECHNIQUES.items()]
    if reranker:
        other = settings.model_copy(update={"reranker_model": reranker})
        rows.append(("hybrid + cross-encoder", {**NOTHING, "rerank": True}, other, rephrase_by_rule))
    if llm:
        rephrase = language_model(llm)
        rows.append(("hybrid + expansion by LLM", {**NOTHING, "expansion": 2}, settings, rephrase))
        rows.append(("the same + rerank + deduplicate", {"expansion": 2}, settings, rephrase))
    for name, options, of_settings, complete in rows:
        found, milliseconds = await answer(questions, of_settings, options, complete)
        repeats = sum(repeated(passages[:5]) for passages in found) / len(found)
        table.add_row(name, *figures(questions, found), f"{repeats:.2f}", f"{milliseconds:.0f}")
    return table


async def parents_table(questions: Sequence[Question], settings: Settings) -> Table:
    """How often the five best passages hold a right chunk, and how long they are, with and without neighbours."""
    table = Table("five best passages", "hold a right chunk", "characters", title="test half")
    for name, parents in (("chunks", False), ("with parents", True)):
        found, _ = await answer(questions, settings, {**NOTHING, "top_k": 5, "parents": parents})
        pairs = list(zip(questions, found, strict=True))
        held = [any(question.relevant & set(one.chunks) for one in passages) for question, passages in pairs]
        length = sum(len(one.content) for passages in found for one in passages) / len(found)
        table.add_row(name, f"{sum(held) / len(held):.3f}", f"{length:,.0f}")
    return table


async def answer(
    questions: Sequence[Question],
    settings: Settings,
    options: dict[str, Any],
    complete: Complete | None = None,
) -> tuple[list[list[Passage]], float]:
    """Return the passages for each question, one question at a time, and the mean milliseconds of one."""
    asked = Options.of(settings, {"kinds": ["article"], "top_k": DEPTH} | options)
    async with Retrieval(settings) as retrieval:
        await retrieval.retrieve(questions[0].text, asked, complete)
        started = time.perf_counter()
        found = [await retrieval.retrieve(one.text, asked, complete) for one in questions]
        milliseconds = (time.perf_counter() - started) * 1000 / len(questions)
    for note, count in Counter(note for one in found for note in one.notes).items():
        print(f"{count} of {len(found)}: {note}", file=sys.stderr)
    return [one.passages for one in found], milliseconds


async def rephrase_by_rule(messages: list[dict[str, str]], _schema: dict[str, Any] | None) -> str:
    """Stand in for a language model, without its knowledge of other words: the question without little ones."""
    question: str = json.loads(messages[-1]["content"].partition(": ")[2])
    return json.dumps({"rephrasings": [_LITTLE.sub(" ", question)]})


def language_model(url: str) -> Complete:
    """Return what asks an OpenAI-compatible server, by the first model it has; each question once."""
    answers: dict[str, str] = {}
    client = httpx.AsyncClient(base_url=url, timeout=60)
    name: str = httpx.get(f"{url}/v1/models").raise_for_status().json()["data"][0]["id"]

    async def complete(messages: list[dict[str, str]], schema: dict[str, Any] | None) -> str:
        if (question := messages[-1]["content"]) in answers:
            return answers[question]
        shape = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        body = {"model": name, "messages": messages, "response_format": shape, "max_tokens": 200, "temperature": 0}
        answer = (await client.post("/v1/chat/completions", json=body)).raise_for_status()
        answers[question] = answer.json()["choices"][0]["message"]["content"]
        return answers[question]

    return complete


def figures(questions: Sequence[Question], found: Sequence[Sequence[Passage]]) -> list[str]:
    """Return the means of all measures."""
    relevant = [{str(chunk) for chunk in question.relevant} for question in questions]
    means = ranking_means(relevant, [[str(passage.chunk_id) for passage in passages] for passages in found], MEASURES)
    return [f"{mean:.3f}" for mean in means.values()]


def repeated(passages: Sequence[Passage]) -> int:
    """Return how many passages nearly repeat one before them."""
    sets = [shingles(passage.content) for passage in passages]
    return sum(any(contained(one, other) >= SAME for other in sets[:number]) for number, one in enumerate(sets))


if __name__ == "__main__":
    main()
