"""One article: a web page, or an HTML, Markdown or text file of this machine."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from llmtwin.documents import RawArticle, User, canonical_link
from llmtwin.errors import LoginWallError, UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import guard, html, markdown
from llmtwin.sources.encoding import decode
from llmtwin.sources.page import Page, fetch
from llmtwin.sources.source import Crawl, Known, Source, article, nothing_known, readable

_HTML_TYPES = {"text/html", "application/xhtml+xml"}
_MARKDOWN_TYPES = {"text/markdown", "text/x-markdown"}
_UNKNOWN_TYPES = {"", "text/plain", "application/octet-stream", "binary/octet-stream", "application/xml", "text/xml"}
_FILE_TYPES = {".html": "text/html", ".htm": "text/html", ".xhtml": "text/html", ".txt": "text/plain"} | dict.fromkeys(
    markdown.SUFFIXES, "text/markdown"
)
# What a file says about itself in its first bytes, whatever its name or the server says.
_SIGNATURES = {
    b"%PDF-": "PDF",
    b"PK\x03\x04": "ZIP or Office",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
}
_LOOKS_LIKE_HTML = re.compile(r"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_LOGIN_PATH = re.compile(r"/(?:authwall|log-?in|sign-?in|checkpoint|sso|oauth2?|accounts/login)\b", re.IGNORECASE)
# A page that asks for a password and says less than this says nothing else.
_WORDS_AROUND_A_LOGIN_FORM = 60


class ArticleSource(Source):
    """A single page or file. Takes every link that no other source does."""

    name = "article"

    def accepts(self, link: str) -> bool:
        return True

    def crawl(self, link: str, author: User, settings: Settings, known: Known = nothing_known) -> Crawl:
        read = _read_file if guard.is_local(link) else _read_page
        document = read(link, author, settings)
        return Crawl(document.source_link, documents=iter([document]), complete=True)


def _read_page(link: str, author: User, settings: Settings) -> RawArticle:
    page = fetch(link, settings)
    if _LOGIN_PATH.search(urlsplit(page.url).path) and not _LOGIN_PATH.search(urlsplit(link).path):
        raise LoginWallError(link, f"redirects to {page.url}, a page to log in at")
    canonical = canonical_link(link)
    stem = PurePosixPath(unquote(urlsplit(page.url).path)).stem
    markdown_file = _read(link, page, stem)
    return article(
        canonical,
        markdown_file.body,
        author=author,
        platform=urlsplit(canonical).hostname or "",
        source_link=canonical,
        title=markdown_file.title,
        published_at=markdown_file.published_at,
    )


def _read_file(link: str, author: User, settings: Settings) -> RawArticle:
    path = guard.local_path(link, settings)
    file_type = _FILE_TYPES.get(path.suffix.lower())
    if path.is_dir() or file_type is None:
        raise UnreadableError(link, f"is neither a folder with Markdown files nor a {', '.join(_FILE_TYPES)} file")
    content = read_bytes(link, path, settings.crawl_max_page_bytes)
    url = path.as_uri()
    markdown_file = _read(link, Page(url, content, file_type, None), readable(os.fsencode(path.stem)))
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


def _read(link: str, page: Page, stem: str) -> markdown.MarkdownFile:
    """Return the page as Markdown; the body holds text.

    Raises:
        UnreadableError: It is of a type that is no text, in an unknown encoding, or without text.
        LoginWallError: There is a login form, and next to nothing else.
    """
    for signature, kind in _SIGNATURES.items():
        if page.content.startswith(signature):
            raise UnreadableError(link, f"is a {kind} file; only HTML, Markdown and plain text can be read")
    if page.content_type not in _HTML_TYPES | _MARKDOWN_TYPES | _UNKNOWN_TYPES:
        raise UnreadableError(link, f"is {page.content_type}; only HTML, Markdown and plain text can be read")
    text = decode(page.content, page.charset)
    if text is None:
        raise UnreadableError(link, "is in an encoding that cannot be told, or is no text")
    if page.content_type in _HTML_TYPES or (page.content_type in _UNKNOWN_TYPES and _LOOKS_LIKE_HTML.match(text)):
        read = _read_html(link, text, page.url)
    else:
        read = markdown.parse(link, text, stem)
    if not read.body.strip():
        raise UnreadableError(link, "holds no text")
    return read


def _read_html(link: str, text: str, url: str) -> markdown.MarkdownFile:
    found = html.extract(text, url)
    if found.asks_for_password and len(found.markdown.split()) < _WORDS_AROUND_A_LOGIN_FORM:
        raise LoginWallError(link, "is a login form and nothing else; the article is behind it")
    if not found.markdown:
        raise UnreadableError(link, "holds no text; it may be empty, or drawn by JavaScript")
    return markdown.MarkdownFile(found.markdown, found.title, found.published_at, draft=False)
