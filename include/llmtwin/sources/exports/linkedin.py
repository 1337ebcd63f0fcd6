"""LinkedIn's data export: posts from ``Shares.csv``, articles from ``Articles/``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from urllib.parse import unquote

from llmtwin.documents import RawArticle, RawPost, canonical_link
from llmtwin.errors import UnreadableError
from llmtwin.sources.exports.export import Document, Export, Opened
from llmtwin.sources.exports.table import rows
from llmtwin.sources.html_fragment import by_class, fragment_to_markdown, parse, words
from llmtwin.sources.source import article, post

# The full export appends the member's number.
_SHARES = re.compile(r"Shares(?:_\d+)?\.csv", re.IGNORECASE)
_ARTICLES = re.compile(r"Articles/(?:.+/)?[^/]+\.html?", re.IGNORECASE)
# Articles/ alone could be anybody's folder. These lie beside it, and are never opened.
_COMPANIONS = re.compile(r"(?:Profile|Connections|Registration|Rich_Media|Email Addresses|Positions)(?:_\d+)?\.csv")
_COLUMNS = ("Date", "ShareLink", "ShareCommentary")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(?::\d{2})?")


class LinkedInExport(Export):
    """Settings → Data privacy → Get a copy of your data."""

    name = "linkedin_export"
    platform = "linkedin.com"
    title = "LinkedIn data export"
    sign = "Shares.csv or Articles/*.html"

    def recognises(self, names: Collection[str]) -> bool:
        return any(map(_SHARES.fullmatch, names)) or (
            any(map(_ARTICLES.fullmatch, names)) and any(map(_COMPANIONS.fullmatch, names))
        )

    def documents(self, opened: Opened) -> Iterator[Document]:
        for name in filter(_SHARES.fullmatch, opened.archive.names):
            try:
                yield from _posts(opened, name)
            except UnreadableError as error:
                opened.crawl.failures.append(error)
        articles = filter(_ARTICLES.fullmatch, opened.archive.names)
        yield from opened.each(articles, lambda name: _article(opened, name))


def _posts(opened: Opened, name: str) -> Iterator[RawPost]:
    """Yield the posts of a table."""
    for line, row in rows(opened.archive, name, _COLUMNS, opened.crawl.failures):
        text = _commentary(row["ShareCommentary"])
        link = row["ShareLink"].strip()
        if not text or not link:
            opened.skip("no link" if text else "re-share without a word")
            continue
        published_at = _moment(row["Date"])
        if published_at is None and row["Date"].strip():
            # In a shifted row other people's words could pass for the author's.
            problem = f"the row at line {line} has {row['Date'][:40]!r} where a date belongs"
            opened.crawl.failures.append(UnreadableError(opened.archive.link_of(name), problem))
            continue
        try:
            yield post(
                _post_link(link),
                text,
                author=opened.author,
                platform=LinkedInExport.platform,
                source_link=opened.crawl.source_link,
                published_at=published_at,
            )
        except UnreadableError as error:
            opened.crawl.failures.append(error)


def _post_link(link: str) -> str:
    """Return the canonical link of a post, its URN spelled as LinkedIn's pages do: the export encodes the colons."""
    return canonical_link(unquote(link) if "urn%3a" in link.lower() else link)


def _commentary(text: str) -> str:
    """Return a post as it was written.

    The export puts quotation marks around each line of a longer post; those at the very start and end have gone with
    the field's own. They are only taken away where every line has them.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first, *between, last = lines if len(lines) > 1 else [*lines, ""]
    quoted = all(len(line) > 1 and line.startswith('"') and line.endswith('"') for line in between)
    if quoted and first.endswith('"') and last.startswith('"'):
        lines = [first[:-1], *(line[1:-1] for line in between), last[1:]]
    return "\n".join(lines).strip()


def _article(opened: Opened, name: str) -> RawArticle | None:
    """Return an article, or None for a draft that nobody asked for."""
    tree = parse(opened.archive.text(name))
    published = [moment for element in by_class(tree, "published") if (moment := _moment(words(element)))]
    if not published and not opened.options.drafts:
        opened.skip("draft")
        return None
    headings = tree.xpath("//h1")
    links = [href for heading in headings for href in heading.xpath(".//a/@href") if href.startswith("http")]
    title = words(headings[0]) if headings else ""
    for element in [*headings[:1], *by_class(tree, "created"), *by_class(tree, "published"), *tree.xpath("//title")]:
        element.drop_tree()
    link = canonical_link(links[0]) if links else f"{opened.crawl.source_link}/{name}"
    return article(
        link,
        fragment_to_markdown(tree, url=link),
        author=opened.author,
        platform=LinkedInExport.platform,
        source_link=opened.crawl.source_link,
        title=title or PurePosixPath(name).stem,
        published_at=published[0] if published else None,
    )


def _moment(text: str) -> datetime | None:
    """Return the time that a text names, in UTC as LinkedIn gives it."""
    found = _MOMENT.search(text)
    try:
        return datetime.fromisoformat(found[0]).replace(tzinfo=UTC) if found else None
    except ValueError:
        return None
