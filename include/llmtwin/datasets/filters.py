"""Which extracts are worth learning from. Every filter has a name, and what it removes is counted under it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import regex

from llmtwin.datasets import personal
from llmtwin.datasets.duplicates import similar_pairs
from llmtwin.datasets.extracts import Extract, paragraphs
from llmtwin.datasets.language import language_of
from llmtwin.datasets.options import Options
from llmtwin.datasets.tokens import Tokenizer
from llmtwin.documents import CleanedDocument, CleanedRepositoryFile
from llmtwin.features.markdown import code_blocks

# A paragraph in so many documents of an author is furniture: navigation, a signature, an advertisement.
REPEATED = 3
# Similarity from which two extracts teach the same.
ALIKE = 0.7
MOST_CODE = 0.5
_PROSE_LANGUAGES = {"markdown", "text", "restructuredtext", "asciidoc"}
_WORD = regex.compile(r"[\p{L}\p{M}]{2,}|[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]")
_SENTENCE_END = regex.compile(r"[.!?…。！？:](?=[\s\"'*_)\]»」』]|$)")

Predicate = Callable[[Extract], bool]


def prose_only(documents: Iterable[CleanedDocument], removed: Counter[str]) -> list[CleanedDocument]:
    """Return the documents that are prose; of a repository, its texts."""
    kept = []
    for document in documents:
        if isinstance(document, CleanedRepositoryFile) and document.language not in _PROSE_LANGUAGES:
            removed["code"] += 1
        else:
            kept.append(document)
    return kept


def repeated_paragraphs(documents: Iterable[CleanedDocument]) -> Callable[[str], bool]:
    """Return what tells whether a paragraph stands in `REPEATED` documents or more, white space aside."""
    seen: Counter[str] = Counter()
    for document in documents:
        seen.update({_folded(paragraph) for paragraph in paragraphs(document.content)})
    return lambda paragraph: seen[_folded(paragraph)] >= REPEATED


def filtered(
    extracts: Iterable[Extract], tokenizer: Tokenizer, options: Options, removed: Counter[str]
) -> list[Extract]:
    """Return the extracts that pass every filter; the first one that an extract fails counts it."""
    checks: list[tuple[str, Predicate]] = [
        ("too short", lambda one: one.tokens < options.min_tokens or _words(one.text) < options.min_words),
        ("code", lambda one: _share_of_code(one.text) > MOST_CODE),
        ("no sentence", lambda one: not _SENTENCE_END.search(one.text)),
        # The model's own marks would end the answer in the middle.
        ("special tokens", lambda one: tokenizer.has_special(one.text)),
    ]
    if options.languages:
        checks.append(("language", lambda one: language_of(one.text) not in options.languages))
    if options.pii == "drop":
        checks.append(("personal data or secrets", lambda one: bool(personal.found_in(_shown(one)))))
    kept = []
    for extract in extracts:
        failed = next((name for name, fails in checks if fails(extract)), None)
        if failed:
            removed[failed] += 1
        else:
            kept.append(extract)
    return kept


def distinct(extracts: Sequence[Extract], removed: Counter[str]) -> list[Extract]:
    """Return the extracts without those that nearly repeat an earlier one."""
    repeats = {later for _, later in similar_pairs([one.text for one in extracts], ALIKE)}
    removed["near-duplicate"] += len(repeats)
    return [one for number, one in enumerate(extracts) if number not in repeats]


def _shown(extract: Extract) -> str:
    """Return an extract with what is shown of it in prompts, to the teacher too."""
    return "\n\n".join([extract.document.title or "", *extract.headings, extract.text])


def _folded(paragraph: str) -> str:
    return " ".join(paragraph.split()).casefold()


def _words(text: str) -> int:
    return len(_WORD.findall(text))


def _share_of_code(text: str) -> float:
    lines = sum(text[start:end].count("\n") + 1 for start, end in code_blocks(text))
    return lines / (text.count("\n") + 1)
