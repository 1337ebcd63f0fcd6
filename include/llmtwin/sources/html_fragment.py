"""A page whose article is where its maker says it is, as in exports: no guessing, and nothing of it is lost.

Pages off the web go through `llmtwin.sources.html`, which has to find the article first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from llmtwin.sources.html_markdown import to_markdown

# lxml reads them, but does not let anybody write them.
_CONTROL_CHARACTERS = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def parse(html: str) -> Any:
    """Return the tree of a page, or of a piece of one; never fails."""
    from lxml import html as lxml_html

    content = f"<!doctype html><meta charset=utf-8><body>{html}".replace("\0", "").encode(errors="replace")
    parser = lxml_html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    tree = lxml_html.document_fromstring(content, parser=parser)
    for element in tree.iter():
        for part in ("text", "tail"):
            if (text := getattr(element, part)) and _CONTROL_CHARACTERS.search(text):
                setattr(element, part, _CONTROL_CHARACTERS.sub("", text))
    return tree


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
