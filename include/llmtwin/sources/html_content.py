"""Where the article of a page is: trafilatura says which words are its, the page's own elements are what is kept."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from llmtwin.sources.html_boilerplate import drop_boilerplate, size

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_BLOCKS = ("p", "li", "pre", "blockquote", "td", "th", "dt", "dd", "div", "figcaption", *_HEADINGS)
_WORDS = re.compile(r"\w+")
# The article's element holds this share of the words that trafilatura takes for the article …
_NEARLY_ALL = 0.9
# … counted over blocks with at least so many characters: shorter ones may be found anywhere by chance.
_FEWEST_CHARACTERS = 20
# So short a piece of a sentence (a link, a word in bold) does not show whether the sentence was kept.
_LONGER_THAN_CHANCE = 8
_LOST_BY_FALLBACKS = ("ul", "ol", "li", "dl", "dt", "dd", "table", "blockquote", "figcaption", *_HEADINGS)
_BESIDE_TEXT = re.compile(r"callout|admonition|caption-text|filename|code-?block-?(?:title|caption)", re.IGNORECASE)
_FOOTNOTES = re.compile(r"\b(?:footnotes?|endnotes?)\b", re.IGNORECASE)
# More of its text than this is in links where a block leads elsewhere: to other articles, to a shop.
_MOST_IN_LINKS = 0.3


def article(tree: Any) -> Any:
    """Return the element that holds the article of a page, emptied of what is not the article.

    trafilatura decides well what belongs to an article, but flattens what it keeps: spaces in code, nested lists,
    links. So its words are looked up in the page, and the page's own blocks stay or go by them.
    """
    kept = _words_of_the_article(tree)
    if not kept:
        return tree
    found = _element_around(tree, kept)
    drop_boilerplate(found)
    _drop_what_is_not_among(kept, found)
    return found


def _words_of_the_article(tree: Any) -> str:
    """Return what trafilatura takes for the article, without spaces and signs, which it changes."""
    import trafilatura

    found = trafilatura.bare_extraction(deepcopy(tree), include_comments=False, with_metadata=False)
    text = getattr(found, "text", None) or ""
    return "".join(_WORDS.findall(text))


def _element_around(tree: Any, kept: str) -> Any:
    """Return the smallest element that holds nearly all blocks whose words are among those kept."""
    sizes: dict[Any, int] = {}
    total = 0
    for block in tree.iter(*_BLOCKS):
        words = _own_words(block)
        if len(words) >= _FEWEST_CHARACTERS and words in kept:
            total += len(words)
            for element in (block, *block.iterancestors()):
                sizes[element] = sizes.get(element, 0) + len(words)
    holding = [element for element, words in sizes.items() if words >= _NEARLY_ALL * total]
    return min(holding, key=size, default=tree)


def _own_words(block: Any) -> str:
    """Return the words in a block that are in no block inside it."""
    texts = [block.text or ""]
    for child in block:
        if child.tag not in _BLOCKS and next(child.iterdescendants(*_BLOCKS), None) is None:
            texts.append(child.text_content())
        texts.append(child.tail or "")
    return "".join(_WORDS.findall(" ".join(texts)))


def _drop_what_is_not_among(kept: str, found: Any) -> None:
    """Remove the innermost blocks whose words were not kept, except those that plainly belong to what was."""
    blocks = [
        block
        for block in found.iter(*_BLOCKS)
        if next(block.iterdescendants(*_BLOCKS), None) is None and _WORDS.search(block.text_content())
    ]
    lost = [block for block in blocks if block.tag != "pre" and not _is_among(kept, block)]
    text = [block for block in set(blocks).difference(lost) if block.tag not in _HEADINGS]
    around_text = {element for block in text for element in (block, *block.iterancestors())}
    for block in lost:
        if block.getparent() is not None and not _belongs_to(around_text, block):
            block.drop_tree()
    for link in list(found.iterchildren("a")):  # in no block
        if not _is_among(kept, link):
            link.drop_tree()


def _belongs_to(around_text: set[Any], block: Any) -> bool:
    """Return whether a block that trafilatura lost is the article's all the same.

    Its fallbacks look for paragraphs only, and leave headings, lists, captions, notes and quotes between them.
    """
    branch = [block]
    while branch[-1].getparent() is not None and branch[-1].getparent() not in around_text:
        branch.append(branch[-1].getparent())
    if any(_FOOTNOTES.search(_names(element)) for element in (*branch, *branch[-1].iterancestors())):
        return True
    if any(ancestor.tag == "figure" and ancestor in around_text for ancestor in branch[-1].iterancestors()):
        return True  # the other part of what is shown and its caption
    is_named = any(_BESIDE_TEXT.search(_names(element)) for element in branch)
    if not is_named and not any(element.tag in _LOST_BY_FALLBACKS for element in branch):
        return False
    is_above = any(sibling in around_text for sibling in branch[-1].itersiblings())
    is_below = any(sibling in around_text for sibling in branch[-1].itersiblings(preceding=True))
    if not (is_above or is_below) if is_named else not (is_above and (is_below or block.tag in _HEADINGS)):
        return False
    return sum(size(link) for link in branch[-1].iter("a")) <= _MOST_IN_LINKS * size(branch[-1])


def _names(element: Any) -> str:
    return f"{element.get('class', '')} {element.get('role', '')}"


def _is_among(kept: str, block: Any) -> bool:
    pieces = ["".join(_WORDS.findall(text)) for text in block.itertext()]
    words = "".join(pieces)
    found = sum(len(piece) for piece in pieces if len(piece) > _LONGER_THAN_CHANCE and piece in kept)
    return words in kept or found > len(words) / 2
