"""A page whose article is where its maker says it is, as in exports: no guessing, and nothing of it is lost.

Pages off the web go through `llmtwin.sources.html`, which has to find the article first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llmtwin.sources.html_markdown import to_markdown
from llmtwin.sources.html_parsing import parse

__all__ = ["by_class", "fragment_to_markdown", "parse", "words"]


def by_class(tree: Any, name: str) -> list[Any]:
    """Return the elements of a class, in the order of the page."""
    has_class = "contains(concat(' ', normalize-space(@class), ' '), $name)"
    return list(tree.xpath(f"descendant::*[{has_class}]", name=f" {name} "))


def words(element: Any) -> str:
    """Return an element's text on one line."""
    return " ".join(str(element.text_content()).split())


def fragment_to_markdown(fragment: Any, leave_out: Iterable[str] = (), url: str = "") -> str:
    """Return a piece of HTML as Markdown: headings, lists, quotes, tables, links, code with its spaces and language.

    Args:
        fragment: The HTML, or an element of a tree; that one is changed.
        leave_out: Classes of what is not the author's text.
        url: Where the page is on the web; relative links start from it.
    """
    tree = parse(fragment) if isinstance(fragment, str) else fragment
    for name in leave_out:
        for element in by_class(tree, name):
            if element.getparent() is not None:
                element.drop_tree()
    return to_markdown(tree, url).strip()
