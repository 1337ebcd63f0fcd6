"""Footnotes of HTML, different in every tool, as Markdown writes them: ``[^1]`` and ``[^1]: the note``."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urldefrag

_LABEL = re.compile(r"[\[(]?\s*(\d{1,3}|[*†‡§]|[a-z])\s*[\])]?")
_BACK = re.compile(r"[↩↑^⏎⤴︎️\s\d]*")
_INLINE_TARGETS = ("a", "span", "sup", "em", "strong", "b", "i")
_NO_NOTES = ("h1", "h2", "h3", "h4", "h5", "h6", "section", "main", "body", "article")


def make_footnotes_plain(tree: Any, url: str = "") -> None:
    """Write every reference to a note as ``[^label]`` and begin the note itself by ``[^label]: ``."""
    order = {element: number for number, element in enumerate(tree.iter("*"))}
    targets = {
        element.get("id") or element.get("name"): element
        for element in order
        if element.get("id") or element.get("name")
    }
    notes: dict[Any, str] = {}
    for link in list(tree.iter("a")):
        target = targets.get(_fragment_of(link.get("href", ""), url))
        label = _LABEL.fullmatch(link.text_content().strip())
        if target is None or label is None or order[target] < order[link] or not _looks_like_reference(link):
            continue
        note = _note(target)
        if note is None or any(ancestor is note for ancestor in link.iterancestors()):
            continue
        notes.setdefault(note, label[1])
        _replace_by_text(link, f"[^{notes[note]}]")
    for note, text in notes.items():
        earlier = {identifier for identifier, element in targets.items() if order[element] < order[note]}
        _begin(note, text, earlier, url)


def _fragment_of(href: str, url: str) -> str | None:
    """Return the name of the place in this page that a link leads to."""
    page, name = urldefrag(href)
    return name if name and (not page or (url and page.rstrip("/") == urldefrag(url)[0].rstrip("/"))) else None


def _looks_like_reference(link: Any) -> bool:
    parent = link.getparent()
    words = " ".join(
        [link.get("role", ""), link.get("class", ""), link.get("href", ""), parent.get("class", "")]
    ).lower()
    is_raised = parent.tag == "sup" or link.find(".//sup") is not None
    return is_raised or "note" in words or "#fn" in words


def _note(target: Any) -> Any | None:
    """Return the element that holds the note whose name is on `target`."""
    while target.tag in _INLINE_TARGETS and target.getparent() is not None:
        target = target.getparent()
    if target.tag == "dt":
        return target.getnext()
    return None if target.tag in _NO_NOTES else target


def _begin(note: Any, label: str, earlier: set[str], url: str) -> None:
    """Drop the note's own number and its links back; write the label before its text."""
    if note.tag == "dd" and note.getprevious() is not None and note.getprevious().tag == "dt":
        note.getprevious().drop_tree()
    for link in list(note.iter("a")):
        leads_back = _fragment_of(link.get("href", ""), url) in earlier
        if leads_back and (_BACK.fullmatch(link.text_content()) or _LABEL.fullmatch(link.text_content().strip())):
            link.drop_tree()
    for number in note.xpath(
        "./*[self::span or self::sup or self::div][contains(@class,'label') or contains(@class,'number')]"
    ):
        number.drop_tree()
    if note.tag == "li" and note.getparent().tag in ("ol", "ul"):
        note.getparent().tag = "div"
    if note.tag in ("li", "dd", "aside"):
        note.tag = "div"
    first = next((part for part in note.iter("p") if part.text_content().strip()), note)
    text = re.sub(rf"\A\s*[\[(]?{re.escape(label)}[\]).]?\s+", "", first.text or "")
    first.text = f"[^{label}]: {text.lstrip()}"


def _replace_by_text(link: Any, text: str) -> None:
    for child in list(link):
        link.remove(child)
    link.text = text
    link.drop_tag()
