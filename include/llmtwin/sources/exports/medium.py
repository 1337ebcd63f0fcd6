"""Medium's export: one page per story, response and draft, in ``posts/``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

from llmtwin.documents import canonical_link
from llmtwin.errors import UnreadableError
from llmtwin.sources.exports.export import Document, Export, Opened
from llmtwin.sources.html_fragment import by_class, fragment_to_markdown, parse, words
from llmtwin.sources.source import article, post

_PAGE = re.compile(r"posts/(?P<when>\d{4}-\d{2}-\d{2}|draft)_(?P<slug>.*?)-*(?P<id>[0-9a-f]{6,16})\.html", re.DOTALL)


class MediumExport(Export):
    """Settings → Security and apps → Download your information."""

    name = "medium_export"
    platform = "medium.com"
    title = "Medium export"
    sign = "posts/<date>_<title>-<id>.html"

    def recognises(self, names: Collection[str]) -> bool:
        return any(map(_PAGE.fullmatch, names))

    def documents(self, opened: Opened) -> Iterator[Document]:
        pages = filter(_PAGE.fullmatch, opened.archive.names)
        yield from opened.each(pages, lambda name: _document(opened, name))


def _document(opened: Opened, name: str) -> Document | None:
    """Return the story or response of a page, or None for one that is left out on purpose."""
    named = _PAGE.fullmatch(name)
    assert named is not None
    if named["when"] == "draft" and not opened.options.drafts:
        opened.skip("draft")
        return None
    tree = parse(opened.archive.text(name))
    bodies = by_class(tree, "e-content")
    if not bodies:
        raise UnreadableError(opened.archive.link_of(name), "holds no story (no element of the class e-content)")
    title = next((words(element) for element in by_class(tree, "p-name")), "") or None
    is_response = _is_response(bodies[0], title or "")
    link = _link(tree, named["id"])
    published_at = _published_at(tree)
    content = fragment_to_markdown(bodies[0], leave_out=("graf--title", "section-divider"), url=link)
    if not content:
        opened.skip("empty")
        return None
    origin: dict[str, Any] = {
        "author": opened.author,
        "platform": MediumExport.platform,
        "source_link": opened.crawl.source_link,
        "published_at": published_at,
    }
    return post(link, content, **origin) if is_response else article(link, content, title=title, **origin)


def _is_response(body: Any, title: str) -> bool:
    """Return whether a page is an answer to somebody's story: it has no heading, and its title is how it begins."""
    if by_class(body, "graf--title") or body.xpath(".//h1|.//h2|.//h3|.//h4"):
        return False
    return bool(title) and words(body).startswith(title.rstrip("…. "))


def _link(tree: Any, number: str) -> str:
    """Return the canonical link that the footer gives; a draft only has Medium's short one."""
    hrefs = [element.get("href", "") for element in by_class(tree, "p-canonical")]
    return canonical_link(next((href for href in hrefs if href.startswith("http")), f"https://medium.com/p/{number}"))


def _published_at(tree: Any) -> datetime | None:
    for element in by_class(tree, "dt-published"):
        try:
            moment = datetime.fromisoformat(element.get("datetime", ""))
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
