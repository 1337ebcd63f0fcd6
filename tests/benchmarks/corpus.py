"""What the benchmarks read: real articles where they are, else generated ones of the same lengths. Deterministic."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from llmtwin.documents import Kind, RawArticle, User, content_hash, document_id

ARTICLES = Path(__file__).resolve().parents[3] / "shared" / "data" / "articles.json"
# Characters of the 76 real articles: deciles, from the shortest to the longest.
LENGTH_DECILES = (4_900, 7_300, 8_000, 9_000, 10_200, 11_000, 13_500, 15_800, 19_700, 24_800, 30_700)
_SYLLABLES = [
    "ba",
    "con",
    "de",
    "el",
    "gra",
    "hi",
    "jo",
    "ka",
    "mo",
    "ne",
    "pre",
    "qui",
    "sta",
    "ti",
    "un",
    "ver",
    "zen",
]


@dataclass(frozen=True)
class Article:
    """An article's text and where it was published."""

    link: str
    author: str
    platform: str
    text: str


def load_articles(count: int | None = None) -> list[Article]:
    """Return articles; with a count, exactly so many, repeated under new links where there are too few."""
    articles = real_articles() if ARTICLES.exists() else generate_articles(76)
    if count is None:
        return articles
    return [
        Article(f"{found.link}?copy={number // len(articles)}", found.author, found.platform, found.text)
        for number in range(count)
        for found in [articles[number % len(articles)]]
    ]


def real_articles() -> list[Article]:
    """Return the real articles that have a text."""
    return [
        Article(row["link"], row["author_full_name"], row["platform"], "\n\n".join(texts))
        for row in json.loads(ARTICLES.read_text())
        if (texts := [text for text in (row["content"] or {}).values() if text])
    ]


def generate_articles(count: int, seed: int = 0) -> list[Article]:
    """Return articles of made-up words, with headings and code, whose lengths follow those of the real ones."""
    draw = random.Random(seed)
    words = ["".join(draw.choices(_SYLLABLES, k=draw.choice((1, 1, 2, 2, 3)))) for _ in range(5_000)]
    articles = []
    for number in range(count):
        decile = number % (len(LENGTH_DECILES) - 1)
        length = draw.randint(LENGTH_DECILES[decile], LENGTH_DECILES[decile + 1])
        text = _generate_text(draw, words, length)
        articles.append(Article(f"https://example.org/{seed}/{number}", "Ana Example", "example.org", text))
    return articles


def raw_article(article: Article) -> RawArticle:
    """Return the article as it would be crawled."""
    author = User.named(article.author)
    return RawArticle(
        id=document_id(Kind.ARTICLE, article.link),
        author_id=author.id,
        author_full_name=author.full_name,
        platform=article.platform,
        link=article.link,
        source_link=article.link,
        crawled_at=datetime(2026, 1, 1, tzinfo=UTC),
        content=article.text,
        content_hash=content_hash(article.text),
    )


def _generate_text(draw: random.Random, words: list[str], length: int) -> str:
    parts: list[str] = []
    size = 0
    while size < length:
        shape = draw.random()
        if shape < 0.1:
            part = "## " + " ".join(draw.choices(words, k=4)).title()
        elif shape < 0.15:
            part = (
                "```python\n"
                + "\n".join(f"{w} = {v}({w})" for w, v in zip(*[iter(draw.choices(words, k=12))] * 2, strict=True))
                + "\n```"
            )
        else:
            part = " ".join(
                " ".join(draw.choices(words, k=draw.randint(6, 24))).capitalize() + "."
                for _ in range(draw.randint(1, 6))
            )
        parts.append(part)
        size += len(part) + 2
    return "\n\n".join(parts)
