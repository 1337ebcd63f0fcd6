"""Build a dataset: documents → extracts → rows → a version on disk.

::

    source ─▶ prepare (cut, filter, split, guard) ─▶ compose (instructions, passages, questions, preferences)
           ─▶ keep what leaks nothing, and nothing personal ─▶ write

Everything before `write` is a function of the documents, the options and the teacher's answers, which are kept in a
journal. So a build that was killed is repeated at no cost, and the same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import structlog

from llmtwin.datasets import personal
from llmtwin.datasets.compose import Composer, ask_by_rule, ask_by_teacher
from llmtwin.datasets.dataset import FORMAT, Dataset
from llmtwin.datasets.due import noting
from llmtwin.datasets.language import language_of
from llmtwin.datasets.options import Options
from llmtwin.datasets.passages import PassageIndex
from llmtwin.datasets.preferences import preferences
from llmtwin.datasets.prepare import Prepared, prepare
from llmtwin.datasets.questions import answered, expanded, read_questions
from llmtwin.datasets.rows import Row, texts_of
from llmtwin.datasets.source import EVERYBODY, author_name, read_documents, slug
from llmtwin.datasets.split import Split
from llmtwin.datasets.teacher import Teacher, open_teacher
from llmtwin.datasets.tokens import Tokenizer, open_tokenizer
from llmtwin.datasets.write import Tables, building, write
from llmtwin.documents import CleanedDocument
from llmtwin.errors import DatasetError
from llmtwin.settings import Settings

log = structlog.get_logger(__name__)

TEACHER_JOURNAL = "teacher.jsonl"
Composed = Mapping[str, Mapping[Split, Sequence[Row]]]


def build(settings: Settings, author: str | None, options: Options | None = None) -> Dataset:
    """Build the dataset of an author from what the feature store holds now; return it.

    The same documents and options give the version that is there already.

    Args:
        settings: Where Qdrant, the base model's tokenizer, the teacher and the datasets are.
        author: Full name, or the name of the author's datasets; None, or ``everybody``, for everybody.
        options: By default as the settings say.

    Raises:
        DatasetError: The feature store holds nothing to learn from, another build of the author is under way, or the
            disk is full.
        TeacherError: The teacher is down or talks nonsense. Run again: what it answered is kept.
        VectorStoreError: Qdrant is down or refused.
    """
    options = options or Options.of(settings)
    documents = read_documents(settings, author)
    name = None if author is None or slug(author) == EVERYBODY else author_name(documents)
    folder = settings.datasets / slug(name)
    with building(folder), noting(folder, {one.document_id: one.content_hash for one in documents}):
        tokenizer = open_tokenizer(settings)
        prepared = prepare(documents, tokenizer, options)
        log.info("prepared", dataset=folder.name, **{split: len(prepared.extracts[split]) for split in Split})
        index = PassageIndex(prepared.extracts[Split.TRAIN], tokenizer)
        composer = Composer(_spellings(documents), index, tokenizer, options)
        asking = settings if options.teacher else settings.model_copy(update={"teacher_url": None})
        with open_teacher(asking, folder / TEACHER_JOURNAL) as teacher:
            tables = _kept(_composed(asking, prepared, composer, teacher), prepared, tokenizer, options)
        manifest = _manifest(settings, name, documents, prepared, tables, tokenizer, options)
        return write(folder, tables, manifest | {"teacher": _teacher_of(teacher)})


def _composed(settings: Settings, prepared: Prepared, composer: Composer, teacher: Teacher | None) -> Composed:
    if teacher is None:
        by_rule = ask_by_rule(prepared, composer.options)
        return {"sft": {split: composer.rows(by_rule[split]) for split in Split}}
    removed = prepared.removed.answers
    asked = ask_by_teacher(prepared, teacher)
    sft = {split: composer.rows(asked[split]) for split in Split}
    questions = read_questions(settings)
    authors = dict.fromkeys(one.document.author_id for one in prepared.extracts[Split.TRAIN])
    for author_id in authors:
        own = [one for one in prepared.extracts[Split.TRAIN] if one.document.author_id == author_id]
        chosen = expanded(questions, own, composer.options.questions // len(authors))
        sft[Split.TRAIN] += answered(chosen, author_id, teacher, composer, removed)
    return {"sft": sft, "preferences": preferences(asked, teacher, composer, removed)}


def _kept(composed: Composed, prepared: Prepared, tokenizer: Tokenizer, options: Options) -> Tables:
    """Leave out what only a whole row shows: a title before its text, passages, the teacher's words."""
    removed = prepared.removed
    tables: dict[str, dict[str, list[Row]]] = {}
    for config, splits in composed.items():
        for split, rows in splits.items():
            guard = prepared.guard(split, tokenizer)
            kept = []
            for row in rows:
                text = texts_of(row)
                if guard.is_repeated_in(text):
                    removed.rows["repeats what must stay unseen"] += 1
                elif options.pii == "drop" and personal.found_in(text):
                    removed.rows["personal data or secrets"] += 1
                else:
                    kept.append(row)
            if kept:
                tables.setdefault(config, {})[str(split)] = kept
    for split in Split:
        if str(split) not in tables.get("sft", {}):
            raise DatasetError(f"no row is left for {split}: {removed.reasons()}. Crawl more, or loosen the filters")
    return tables


def _teacher_of(teacher: Teacher | None) -> dict[str, Any] | None:
    """Return what the manifest says of the teacher: the same whenever the dataset is built."""
    if teacher is None:
        return None
    rejected = {reason: teacher.rejected[reason] for reason in sorted(teacher.rejected)}
    return {"model": teacher.model, **vars(teacher.used), "cost": teacher.cost(teacher.used), "rejected": rejected}


def _spellings(documents: Sequence[CleanedDocument]) -> dict[UUID, str]:
    ids = dict.fromkeys(document.author_id for document in documents)
    return {id_: author_name([one for one in documents if one.author_id == id_]) for id_ in ids}


def _manifest(
    settings: Settings,
    author: str | None,
    documents: Sequence[CleanedDocument],
    prepared: Prepared,
    tables: Tables,
    tokenizer: Tokenizer,
    options: Options,
) -> dict[str, Any]:
    used = {one.document_id: one for one in documents if one.document_id in prepared.splits}
    extracts = [one for split in Split for one in prepared.extracts[split]]
    per_document = Counter(one.document.document_id for one in extracts)
    languages = Counter(language_of(one.text) for one in extracts)
    return {
        "format": FORMAT,
        "author": author,
        "seed": options.seed,
        "author_ids": sorted({str(one.author_id) for one in used.values()}),
        "options": options.model_dump(mode="json"),
        "tokenizer": {
            "model": PurePosixPath(settings.base_model).name,
            "digest": hashlib.sha256(tokenizer.backend.to_str().encode()).hexdigest(),
        },
        "counts": {config: _types(splits) for config, splits in tables.items()},
        "tokens": {str(split): sum(one.tokens for one in found) for split, found in prepared.extracts.items()},
        "removed": prepared.removed.as_dict(),
        "languages": {code: languages[code] for code in sorted(languages, key=lambda one: (-languages[one], one))},
        "sources": dict(sorted(Counter(one.platform for one in used.values()).items())),
        "documents": {
            str(split): [
                {
                    "id": str(id_),
                    "link": one.link,
                    "title": one.title,
                    "kind": str(one.kind),
                    "published_at": one.published_at.isoformat() if one.published_at else None,
                    "content_hash": one.content_hash,
                    "extracts": per_document[id_],
                }
                for id_, one in used.items()
                if prepared.splits[id_] is split
            ]
            for split in Split
        },
    }


def _types(splits: Mapping[str, Sequence[Row]]) -> dict[str, dict[str, int]]:
    return {split: dict(sorted(Counter(row["type"] for row in rows).items())) for split, rows in splits.items()}
