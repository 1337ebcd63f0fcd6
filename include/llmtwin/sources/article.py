"""One article: a web page, or an HTML, Markdown or text file of this machine."""

from __future__ import annotations

import os
from pathlib import Path

from llmtwin.documents import RawArticle, User, canonical_link
from llmtwin.errors import HttpStatusError, UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import feed, guard, markdown, platforms, sitemap, substack
from llmtwin.sources.listing import crawl_forgotten
from llmtwin.sources.page import Page, fetch
from llmtwin.sources.reading import crawl_article, page_text, read
from llmtwin.sources.source import Crawl, Known, Source, article, nothing_known, readable

_FILE_TYPES = {".html": "text/html", ".htm": "text/html", ".xhtml": "text/html", ".txt": "text/plain"} | dict.fromkeys(
    markdown.SUFFIXES, "text/markdown"
)


class ArticleSource(Source):
    """A single page or file. Takes every link that no other source does, and goes by the answer.

    What turns out to be a feed or a sitemap is crawled as one; so is the feed that the front page of a site names, and
    the archive of a Substack publication with a domain of its own.
    """

    name = "article"

    def accepts(self, link: str) -> bool:
        return True

    def crawl(self, link: str, author: User, settings: Settings, known: Known = nothing_known) -> Crawl:
        if guard.is_local(link):
            document = _read_file(link, author, settings)
            return Crawl(document.source_link, documents=iter([document]), complete=True)
        return _crawl_page(link, author, settings, known)


def _crawl_page(link: str, author: User, settings: Settings, known: Known = nothing_known) -> Crawl:
    """Crawl a link of the web as what its answer is: a feed, a sitemap, or an article.

    Raises:
        SourceError: There is no answer, or nothing to read in it.
    """
    try:
        page = fetch(link, settings)
    except HttpStatusError as error:
        if len(known(canonical_link(link))) <= 1:  # it is, or was, an article
            raise
        return crawl_forgotten(link, error, author, settings, known)
    if feed.is_feed(page):
        return feed.crawl_page(link, page, author, settings, known)
    if sitemap.is_sitemap(page):
        return sitemap.crawl_page(link, page, author, settings, known)
    if platforms.is_front_page(page.url):
        front = platforms.front_page(page_text(link, page), page.url)
        if front.platform == platforms.SUBSTACK:
            return substack.crawl_publication(link, page.url, author, settings, known)
        if front.feed is not None and feed.is_feed(answer := fetch(front.feed, settings)):
            return feed.crawl_page(link, answer, author, settings, known)
    return crawl_article(link, page, author, settings)


def _read_file(link: str, author: User, settings: Settings) -> RawArticle:
    path = guard.local_path(link, settings)
    file_type = _FILE_TYPES.get(path.suffix.lower())
    if path.is_dir() or file_type is None:
        raise UnreadableError(link, f"is neither a folder with Markdown files nor a {', '.join(_FILE_TYPES)} file")
    content = read_bytes(link, path, settings.crawl_max_page_bytes)
    url = path.as_uri()
    markdown_file = read(link, Page(url, content, file_type, None), readable(os.fsencode(path.stem)))
    return article(
        url,
        markdown_file.body,
        author=author,
        platform="file",
        source_link=url,
        title=markdown_file.title,
        published_at=markdown_file.published_at,
    )


def read_bytes(link: str, path: Path, limit: int) -> bytes:
    """Return the content of a regular file.

    Raises:
        UnreachableError: It cannot be read.
        UnreadableError: It is no regular file, or larger than `limit` bytes.
    """
    if not path.is_file():
        raise UnreadableError(link, "is no regular file")
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise UnreachableError(link, f"cannot be read: {error.strerror}") from error
    if len(content) > limit:
        raise UnreadableError(link, f"is larger than {limit:,} bytes (LLMTWIN_CRAWL_MAX_PAGE_BYTES)")
    return content
