"""HTML to a tree, whatever it is like."""

from __future__ import annotations

import re
from typing import Any

# lxml reads them, but does not let anybody write them.
_CONTROL_CHARACTERS = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NOTHING = b"<html><body></body></html>"


def parse(html: str) -> Any:
    """Return the tree of a page, or of a piece of one; never fails."""
    from lxml import etree
    from lxml.html import HTMLParser, document_fromstring

    parser = HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    # In bytes, because lxml refuses text that declares an encoding of its own.
    content = html.replace("\0", "").encode(errors="replace")
    try:
        tree = document_fromstring(content, parser=parser)
    except etree.ParserError:  # there is no element, and no text to make one of
        tree = document_fromstring(_NOTHING, parser=parser)
    for element in tree.iter():
        for part in ("text", "tail"):
            if (text := getattr(element, part)) and _CONTROL_CHARACTERS.search(text):
                setattr(element, part, _CONTROL_CHARACTERS.sub("", text))
    return tree
