"""HTML to Markdown: the article of a page without what surrounds it, or a fragment as it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from llmtwin.sources import html_content
from llmtwin.sources.html_boilerplate import drop_boilerplate
from llmtwin.sources.html_markdown import drop_permalinks, to_markdown
from llmtwin.sources.html_parsing import parse


@dataclass(frozen=True)
class Extract:
    """The article of a page."""

    markdown: str
    """Headings, lists, quotes, tables, links, code; empty when the page holds no text."""
    title: str | None
    published_at: datetime | None
    """As exact as the page names it; midnight UTC where it only names a day."""
    asks_for_password: bool


def extract(html: str, url: str) -> Extract:
    """Return the article of a page.

    Args:
        html: The page.
        url: Its address. Relative links start from it, unless it is a file's, which no reader could follow.
    """
    from llmtwin.sources import html_metadata

    tree = parse(html)
    drop_permalinks(tree)
    asks_for_password = bool(tree.xpath("//input[@type='password']"))
    about = html_metadata.read(tree, url)
    markdown = to_markdown(html_content.article(tree), url)
    return Extract(markdown, about.title, about.published_at, asks_for_password)


def fragment(html: str, url: str = "") -> str:
    """Return a piece of HTML that holds nothing but an author's text (a post, an exported article) as Markdown.

    Boxes that the platform puts between the paragraphs (to subscribe, to share) are left out all the same.

    Args:
        html: The piece, or a whole file of it.
        url: Where relative links start from.
    """
    tree = parse(html)
    drop_boilerplate(tree)
    return to_markdown(tree, url)
