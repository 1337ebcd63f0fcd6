"""What the author wrote elsewhere about the same: passages for a prompt, as serving would give them.

They are extracts of training documents only, whatever the split of the row: what is tested is never shown, and a test
article is newer than anything its author could have quoted. Retrieval is BM25, and not the hybrid search of serving:
it needs no model, and gives the same passages on every machine.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llmtwin import prompt
from llmtwin.datasets.extracts import Extract
from llmtwin.datasets.leakage import LONGEST_RUN, ngrams, run_among
from llmtwin.datasets.tokens import Tokenizer
from llmtwin.documents import chunk_id
from llmtwin.features.sparse import encode_document, terms
from llmtwin.retrieval import Passage

# So many of the best are looked at before those are left out that repeat the answer.
_SPARE = 10


@dataclass(frozen=True)
class Found:
    """An extract that was found, and how much of what was sought it holds."""

    extract: Extract
    support: float
    """Share of the answer's terms that it holds, weighted by how rare they are: from 0 to 1."""


class PassageIndex:
    """Finds extracts by the words of a text.

    Args:
        extracts: Of training documents.
        tokenizer: The base model's.
    """

    def __init__(self, extracts: Sequence[Extract], tokenizer: Tokenizer) -> None:
        self._extracts = list(extracts)
        self._tokenizer = tokenizer
        self._ngrams = {extract.id: ngrams(extract.text, tokenizer) for extract in extracts}
        self._terms = {extract.id: frozenset(terms(extract.text)) for extract in extracts}
        self._containing = Counter(term for own in self._terms.values() for term in own)
        self._postings: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for number, extract in enumerate(extracts):
            for index, weight in zip(*encode_document(extract.text), strict=True):
                self._postings[index].append((number, weight))

    def search(self, text: str, limit: int, author_id: object = None) -> list[Extract]:
        """Return the best extracts by BM25, the best first.

        Args:
            text: What to look for.
            limit: Extracts at most.
            author_id: Whose; None for everybody's.
        """
        scores: defaultdict[int, float] = defaultdict(float)
        for index in encode_document(text)[0]:
            postings = self._postings.get(index, [])
            idf = math.log(1 + (len(self._extracts) - len(postings) + 0.5) / (len(postings) + 0.5))
            for number, weight in postings:
                scores[number] += idf * weight
        ranked = sorted(scores, key=lambda number: (-scores[number], number))
        found = (self._extracts[number] for number in ranked)
        return [one for one in found if author_id in (None, one.document.author_id)][:limit]

    def supporting(self, asked: str, answer: Extract, limit: int) -> list[Found]:
        """Return what says the same as an answer in other words, the best first.

        An extract that repeats the answer's own words at length is none of them: with it in the prompt, a model would
        learn to copy.
        """
        copied = set(ngrams(answer.text, self._tokenizer))
        wanted = sorted(set(terms(answer.text)))
        total = sum(map(self._rarity, wanted)) or 1.0
        found = []
        for one in self.search(f"{asked}\n{answer.text}", limit + _SPARE, answer.document.author_id):
            if one.id == answer.id or run_among(self._ngrams[one.id], copied) >= LONGEST_RUN:
                continue
            held = self._terms[one.id]
            found.append(Found(one, sum(self._rarity(term) for term in wanted if term in held) / total))
        return found[:limit]

    def others(self, draw: random.Random, taken: Sequence[Extract], answer: Extract, count: int) -> list[Extract]:
        """Return extracts of the same author by lot, beside the answer's document and those that are taken."""
        documents = {answer.document.document_id, *(one.document.document_id for one in taken)}
        free = [
            one
            for one in self._extracts
            if one.document.document_id not in documents and one.document.author_id == answer.document.author_id
        ]
        return draw.sample(free, min(count, len(free)))

    def _rarity(self, term: str) -> float:
        return math.log((1 + len(self._extracts)) / (1 + self._containing[term]))


def fenced(extracts: Sequence[Extract], author: str, defuse: Callable[[str], str]) -> str:
    """Return extracts as numbered passages, as a prompt of serving holds them."""
    return prompt.fence([_passage(one, author) for one in extracts], defuse)


def _passage(extract: Extract, author: str) -> Passage:
    document = extract.document
    id_ = chunk_id(document.document_id, extract.position)
    return Passage(
        chunk_id=id_,
        document_id=document.document_id,
        kind=document.kind,
        title=document.title,
        link=document.link,
        author=author,
        platform=document.platform,
        content=extract.text,
        score=0.0,
        position=extract.position,
        version=document.version,
        path=getattr(document, "path", None),
        chunks=(id_,),
    )
