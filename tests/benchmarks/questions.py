"""Questions whose answer is known, made from the articles themselves without a language model. Deterministic.

Two kinds of question, both taken out of the text before it is chunked, so that no chunk holds its own question:

- a *heading* asks for the section below it, as a reader who looks for that would;
- a *sentence* asks for the paragraph it stood in: the inverse cloze task (Lee, Chang and Toutanova, Latent Retrieval
  for Weakly Supervised Open Domain Question Answering, ACL 2019, section 4).

The right chunks of a question are those that overlap the beginning of that section or the rest of that paragraph.
Questions are held out by document: what is chosen with data is chosen on the *development* half of the documents, what
is reported is measured on the *test* half. All chunks of both halves are searched.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

from corpus import Article, raw_article

from llmtwin.documents import CleanedDocument, DocumentChunk, Kind, chunk_id, content_hash
from llmtwin.features import handler_for
from llmtwin.features.markdown import Span, code_blocks, headings
from llmtwin.settings import Settings

# Of each form and document: enough questions, and a text that still has most of its headings and sentences.
PER_DOCUMENT = 6
# Of a section, what its heading must find.
BEGINNING = 400
_MARKUP = re.compile(r"[#*_`\\]+|!?\[|\]\([^)]*\)|\]")
_SENTENCE = re.compile(r"(?<=[.!?])[\"')]*\s+(?=[A-Z])")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True)
class Question:
    """A question and the chunks that answer it."""

    text: str
    form: str
    """``heading`` or ``sentence``."""
    document_id: UUID
    relevant: frozenset[UUID]
    """Chunk ids; at least one."""
    development: bool
    """Whether its document is of the half that choices are made on."""


@dataclass(frozen=True)
class _Candidate:
    text: str
    form: str
    removed: Span
    answer: Span


def make_questions(articles: Sequence[Article], settings: Settings) -> tuple[list[DocumentChunk], list[Question]]:
    """Return the chunks to search, and the questions. The texts of the chunks lack the questions."""
    handler = handler_for(Kind.ARTICLE, settings)
    documents = [handler.clean(raw_article(article), 1) for article in articles]
    seen = Counter(
        plain(document.content[slice(*span)]).casefold()
        for document in documents
        for span in headings(document.content)
    )
    chunks: list[DocumentChunk] = []
    questions: list[Question] = []
    for number, document in enumerate(documents):
        draw = random.Random(str(document.document_id))
        chosen = list(_chosen(document.content, seen, draw))
        text, moved = _without([one.removed for one in chosen], document.content)
        rest = document.model_copy(update={"content": text, "content_hash": content_hash(text)})
        pieces = handler.chunk(rest)
        chunks += pieces
        spans = chunk_spans(rest, pieces)
        for one in chosen:
            start, end = (moved(position) for position in one.answer)
            relevant = frozenset(
                chunk_id(rest.document_id, index)
                for index, span in enumerate(spans)
                if span[0] < end and start < span[1]
            )
            if relevant:
                questions.append(Question(one.text, one.form, rest.document_id, relevant, number % 2 == 0))
    return chunks, questions


def chunk_spans(document: CleanedDocument, pieces: Sequence[DocumentChunk]) -> list[Span]:
    """Return where each chunk lies in its document."""
    spans: list[Span] = []
    for piece in pieces:
        start = document.content.index(piece.content, spans[-1][0] + 1 if spans else 0)
        spans.append((start, start + len(piece.content)))
    return spans


def plain(markdown: str) -> str:
    """Return the words of a piece of Markdown on one line."""
    return " ".join(_MARKUP.sub(" ", markdown).split())


def _chosen(text: str, seen: Counter[str], draw: random.Random) -> Iterator[_Candidate]:
    for candidates in (list(_sections(text, seen)), list(_sentences(text))):
        yield from draw.sample(candidates, min(PER_DOCUMENT, len(candidates)))


def _sections(text: str, seen: Counter[str]) -> Iterator[_Candidate]:
    """Yield the headings of three words or more that no other heading repeats, over sections that say something."""
    spans = headings(text)
    for (start, end), (following, _) in zip(spans, [*spans[1:], (len(text), 0)], strict=False):
        words = plain(text[start:end])
        if len(words.split()) >= 3 and seen[words.casefold()] == 1 and len(text[end:following].strip()) >= BEGINNING:
            yield _Candidate(words, "heading", (start, end), (end, min(following, end + BEGINNING)))


def _sentences(text: str) -> Iterator[_Candidate]:
    """Yield a sentence of 10 to 30 words from every paragraph of prose that has at least three."""
    code = code_blocks(text)
    bounds = [0, *(match.end() for match in _PARAGRAPH.finditer(text)), len(text)]
    for start, end in pairwise(bounds):
        paragraph = text[start:end].rstrip()
        if paragraph.lstrip()[:1] in "#*-|>!0123456789" or any(start < to and from_ < end for from_, to in code):
            continue
        cuts = [0, *(match.end() for match in _SENTENCE.finditer(paragraph)), len(paragraph)]
        inside = list(pairwise(cuts))
        for from_, to in inside[1:-1] if len(inside) >= 3 else []:
            words = plain(paragraph[from_:to])
            if 10 <= len(words.split()) <= 30:
                yield _Candidate(words, "sentence", (start + from_, start + to), (start, end))
                break


def _without(spans: list[Span], text: str) -> tuple[str, Callable[[int], int]]:
    """Return the text without these spans, and what tells where a position of the old text is in the new."""
    ordered = sorted(spans)
    kept, position = [], 0
    for start, end in ordered:
        kept.append(text[position:start])
        position = end

    def moved(old: int) -> int:
        return old - sum(min(end, old) - start for start, end in ordered if start < old)

    return "".join([*kept, text[position:]]), moved
