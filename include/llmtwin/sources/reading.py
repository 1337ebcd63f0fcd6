"""From what a server or a disk gave to the text of an article."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from llmtwin.documents import RawArticle, User, canonical_link
from llmtwin.errors import LoginWallError, PreviewError, ScriptedPageError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import browser, html, markdown, platforms
from llmtwin.sources.encoding import decode
from llmtwin.sources.page import Page
from llmtwin.sources.source import Crawl, article

_HTML_TYPES = {"text/html", "application/xhtml+xml"}
_MARKDOWN_TYPES = {"text/markdown", "text/x-markdown"}
_UNKNOWN_TYPES = {"", "text/plain", "application/octet-stream", "binary/octet-stream", "application/xml", "text/xml"}
# What a file says about itself in its first bytes, whatever its name or the server says.
_SIGNATURES = {
    b"%PDF-": "PDF",
    b"PK\x03\x04": "ZIP or Office",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
}
# What may come before the root element is matched once for all (atomic groups), or hostile pages would take for ever.
_LOOKS_LIKE_HTML = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?>(?:<!--.*?-->)\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_XML_TYPES = {"application/xml", "text/xml"}
_XML_ROOT = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?>(?:<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*(?:\[.*?\]\s*)?>)\s*)*"
    rb"<(?:[\w-]+:)?(?P<name>[\w-]+)[\s/>]",
    re.DOTALL,
)
# As far as an answer is looked at for its root element.
BEGINNING = 10_000
_LOGIN_PATH = re.compile(r"/(?:authwall|log-?in|sign-?in|checkpoint|sso|oauth2?|accounts/login)\b", re.IGNORECASE)
_SCRIPT = re.compile("<script", re.IGNORECASE)
# A page that asks for a password and says less than this says nothing else.
_WORDS_AROUND_A_LOGIN_FORM = 60
# What to do about a text of which a crawl sees the beginning only.
_WHOLE_TEXTS = {
    platforms.MEDIUM: "is for Medium's members; the export from its author's settings holds all: `llmtwin import`",
    platforms.SUBSTACK: "is for paying subscribers; the export from its settings holds all: `llmtwin import`",
}


def web_article(
    link: str, page: Page, author: User, settings: Settings | None = None, source_link: str | None = None
) -> RawArticle:
    """Return the article on a page of the web, under the address it gives itself.

    Args:
        link: Where the page was asked for.
        page: What was answered. Where that has no text yet, a browser draws it, if there is one and it is allowed.
        author: Who wrote it.
        settings: Of the browser; without them there is none.
        source_link: Of the crawl; by default the page is a source of its own.

    Raises:
        LoginWallError: It leads to a page to log in at, or is one.
        PreviewError: Only the beginning is shown.
        ScriptedPageError: Only a browser could draw it.
        UnreadableError: It is of a type that is no text, in an unknown encoding, or without text.
    """
    try:
        return _article(link, page, author, source_link)
    except ScriptedPageError:
        if settings is None or not browser.is_allowed(settings):
            raise
    try:
        return _article(link, browser.render(link, settings), author, source_link)
    except ScriptedPageError as error:
        raise UnreadableError(link, "holds no text, even after its scripts have run in a browser") from error


def crawl_article(link: str, page: Page, author: User, settings: Settings) -> Crawl:
    """Return the crawl of a page that is a source of its own; raises what `web_article` does."""
    document = web_article(link, page, author, settings)
    return Crawl(document.source_link, documents=iter([document]), complete=True)


def read(link: str, page: Page, stem: str) -> markdown.MarkdownFile:
    """Return a page as Markdown; the body holds text.

    Args:
        link: Names it in errors.
        page: HTML, Markdown or plain text, from wherever.
        stem: The file's name without its suffix, a title at last.

    Raises:
        UnreadableError: It is of a type that is no text, in an unknown encoding, or without text.
        LoginWallError: There is a login form, and next to nothing else.
    """
    return _markdown(link, page, page_text(link, page), stem)


def _article(link: str, page: Page, author: User, source_link: str | None) -> RawArticle:
    if _LOGIN_PATH.search(urlsplit(page.url).path) and not _LOGIN_PATH.search(urlsplit(link).path):
        raise LoginWallError(link, f"redirects to {page.url}, a page to log in at")
    if _leads_to_front_page(link, page.url):
        raise UnreadableError(link, "redirects to the front page of its site, so the article is not there any more")
    text = page_text(link, page)
    identity = platforms.identify(text if _is_html(page, text) else "", page.moved_to or link, page.url)
    if identity.is_preview:
        raise PreviewError(link, f"shows the beginning only: the rest {_WHOLE_TEXTS[identity.platform]}")
    found = _markdown(link, page, text, PurePosixPath(unquote(urlsplit(page.url).path)).stem)
    return article(
        identity.link,
        found.body,
        author=author,
        platform=identity.platform,
        source_link=source_link or canonical_link(link),
        title=found.title,
        published_at=found.published_at,
    )


def page_text(link: str, page: Page) -> str:
    """Return the text of an answer, markup and all.

    Raises:
        UnreadableError: It is of a type that is no text, or in an unknown encoding.
    """
    for signature, kind in _SIGNATURES.items():
        if page.content.startswith(signature):
            raise UnreadableError(link, f"is a {kind} file; only HTML, Markdown and plain text can be read")
    if page.content_type not in _HTML_TYPES | _MARKDOWN_TYPES | _UNKNOWN_TYPES:
        raise UnreadableError(link, f"is {page.content_type}; only HTML, Markdown and plain text can be read")
    text = decode(page.content, page.charset)
    if text is None:
        raise UnreadableError(link, "is in an encoding that cannot be told, or is no text")
    return text


def xml_root(content: bytes) -> str:
    """Return the name of the root element, without its prefix; empty when the content does not begin as XML does."""
    root = _XML_ROOT.match(content[:BEGINNING])
    return root["name"].decode("ascii", "replace") if root else ""


def _leads_to_front_page(link: str, url: str) -> bool:
    same_site = urlsplit(link).hostname == urlsplit(url).hostname
    return same_site and platforms.is_front_page(url) and not platforms.is_front_page(link)


def _markdown(link: str, page: Page, text: str, stem: str) -> markdown.MarkdownFile:
    if _is_html(page, text):
        found = _read_html(link, text, page.url)
    elif page.content_type in _XML_TYPES or page.content.startswith(b"<?xml"):
        raise UnreadableError(link, "is XML, but neither a page, a feed nor a sitemap")
    else:
        found = markdown.parse(link, text, stem)
    if not found.body.strip():
        raise UnreadableError(link, "holds no text")
    return found


def _is_html(page: Page, text: str) -> bool:
    """Return whether an answer with this text is HTML, by what the server says, else by what it looks like."""
    return page.content_type in _HTML_TYPES or (
        page.content_type in _UNKNOWN_TYPES and _LOOKS_LIKE_HTML.match(text) is not None
    )


def _read_html(link: str, text: str, url: str) -> markdown.MarkdownFile:
    found = html.extract(text, url)
    if found.asks_for_password and len(found.markdown.split()) < _WORDS_AROUND_A_LOGIN_FORM:
        raise LoginWallError(link, "is a login form and nothing else; the article is behind it")
    if not found.markdown:
        if _SCRIPT.search(text):
            raise ScriptedPageError(link, "holds no text before its scripts have run: it is drawn by JavaScript")
        raise UnreadableError(link, "holds no text")
    return markdown.MarkdownFile(found.markdown, found.title, found.published_at, draft=False)
