"""A tree of HTML to Markdown: the tree is made plain first, so that the converter meets only what Markdown has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from llmtwin.sources.html_code import make_code_plain
from llmtwin.sources.html_footnotes import make_footnotes_plain

_MEDIA = ("iframe", "object", "svg", "canvas", "audio", "video", "img", "picture", "source", "map")
_CONTROLS = ("button", "input", "select", "textarea", "progress", "meter", "dialog")
_NO_TEXT = ("head", "script", "style", "noscript", "template", *_MEDIA, *_CONTROLS)
_FOR_READERS_ONLY = ("visually-hidden", "visuallyhidden", "sr-only", "screen-reader-text", "screenreader-only")
_WITHOUT_MEANING = ("span", "font", "center", "big", "small", "label", "form", "abbr", "time", "wbr", "u", "ins")
_EMPHASIS = ("b", "strong", "i", "em", "cite", "q", "s", "del", "mark", "var", "dfn")
_INLINE = ("a", "code", "kbd", "samp", "tt", "sub", "sup", *_EMPHASIS)
_SECTIONS = ("div", "section", "article", "header", "footer", "main", "aside", "nav", "details", "address", "fieldset")
_LISTS = ("ul", "ol", "li", "dl", "dt", "dd")
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_BLOCKS = (
    *("p", "blockquote", "table", "pre", "figure", "figcaption", "summary", "hr"),
    *_SECTIONS,
    *_LISTS,
    *_HEADINGS,
)
_KEPT_ATTRIBUTES = {
    "a": ("href",),
    "ol": ("start",),
    "code": ("class",),
    "td": ("colspan",),
    "th": ("colspan",),
    "input": ("type", "checked"),
}
_PERMALINK_SIGNS = {"", "#", "¶", "§", "🔗", "link", "Permalink", "Link to heading", "Anchor"}
_PERMALINK_CLASSES = {"headerlink", "hash-link", "heading-link", "anchor", "anchorjs-link"}
_PRESERVES_LINES = re.compile(r"white-space:\s*(?:pre|break-spaces)|\bwhitespace-(?:pre|break)", re.IGNORECASE)
_HIDDEN = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_FENCE = re.compile(r"[ >]*(?:(?:[-*+]|\d+\.) +)*(?P<fence>`{3,})")
_QUOTE = re.compile(r"(?P<indent>[ ]*)>")
# libxml2 and the converter both give up on what lies deeper; no page that is written well comes near.
_DEEPEST = 200


def to_markdown(tree: Any, url: str = "") -> str:
    """Return all text in the tree as Markdown, the tree being changed on the way.

    Args:
        tree: An lxml element.
        url: The page's address. Relative links start from it, unless it is a file's, which no reader could follow.
    """
    import html_to_markdown
    from lxml import etree

    drop_what_is_not_shown(tree)
    drop_permalinks(tree)
    _keep_formulas(tree)
    _keep_lines(tree)
    make_code_plain(tree)
    make_footnotes_plain(tree, url)
    _mend_links(tree, url)
    _draw_checkboxes(tree)
    for ignored in list(tree.iter(*_NO_TEXT)):
        if not _is_checkbox_of_a_task(ignored):
            _drop(ignored)
    etree.strip_tags(tree, *_WITHOUT_MEANING)
    _lift_blocks_out_of_inline_elements(tree)
    _unfold_layout_tables(tree)
    _nest_lists(tree)
    _join_lists(tree)
    _end_quoted_lines(tree)
    _make_captions_paragraphs(tree)
    _split_at_double_breaks(tree)
    _flatten(tree)
    _strip_attributes(tree)
    options = html_to_markdown.ConversionOptions(
        heading_style="atx",
        bullets="-",
        code_block_style="backticks",
        newline_style="spaces",
        compact_tables=True,
        autolinks=False,
        expand_abbreviations=False,
        include_blockquote_citations=False,
        extract_metadata=False,
        hidden_content="all",
        preprocessing=html_to_markdown.PreprocessingOptions(enabled=False),
    )
    converted = html_to_markdown.convert(
        etree.tostring(tree, encoding="unicode", method="html", with_tail=False), options
    )
    return "\n".join(_spaced(converted.content or "")).strip("\n")


def drop_what_is_not_shown(tree: Any) -> None:
    """Remove elements that the page hides, and those that only a screen reader says."""
    for element in list(tree.iter("*")):
        names = element.get("class", "").split()
        if (
            element.get("hidden") is not None
            or _HIDDEN.search(element.get("style", ""))
            or any(name in names for name in _FOR_READERS_ONLY)
        ):
            _drop(element)


def drop_permalinks(tree: Any) -> None:
    """Remove the signs beside headings and captions (¶, #, an icon) that link to themselves."""
    for link in list(tree.xpath(".//a[starts-with(@href, '#')]")):
        is_named_so = any(name in _PERMALINK_CLASSES for name in link.get("class", "").split())
        is_in_heading = next(link.iterancestors(*_HEADINGS), None) is not None
        if (is_named_so or is_in_heading) and not re.search(r"\w", link.text_content()):
            _drop(link)


def _keep_formulas(tree: Any) -> None:
    """Write formulas as the TeX that they were made of (KaTeX and MathJax keep it beside what they draw)."""
    for source in tree.xpath(".//annotation[@encoding='application/x-tex'] | .//script[starts-with(@type,'math/tex')]"):
        formula = source
        for outer in source.iterancestors("math", "span", "mjx-container"):
            if outer.tag != "span" or "katex" in outer.get("class", ""):
                formula = outer
        is_display = "display" in f"{formula.get('class', '')} {formula.get('display', '')} {source.get('type', '')}"
        dollars = "$$" if is_display or formula.get("display") == "block" else "$"
        text = f"{dollars}{(source.text or '').strip()}{dollars}"
        plain = formula.makeelement("span")
        plain.text, plain.tail = text, formula.tail
        if formula.getparent() is not None:
            formula.getparent().replace(formula, plain)


def _keep_lines(tree: Any) -> None:
    """Make line feeds that the page's style shows into the elements that mean them."""
    for element in list(tree.iter("p", "div", "span")):
        if not _PRESERVES_LINES.search(f"{element.get('style', '')} {element.get('class', '')}"):
            continue
        for part in list(element.iter()):
            if "\n" in (part.text or "") and next(part.iterancestors("pre"), None) is None and part.tag != "pre":
                part.text, breaks = _with_breaks(part, part.text)
                part[:0] = breaks
            if part is not element and "\n" in (part.tail or ""):
                part.tail, breaks = _with_breaks(part, part.tail)
                position = part.getparent().index(part) + 1
                part.getparent()[position:position] = breaks


def _with_breaks(element: Any, text: str) -> tuple[str, list[Any]]:
    first, *rest = text.split("\n")
    breaks = []
    for line in rest:
        line_break = element.makeelement("br")
        line_break.tail = line
        breaks.append(line_break)
    return first, breaks


def _mend_links(tree: Any, url: str) -> None:
    """Make links absolute where the page has an address on the web; undo those that lead nowhere for a reader."""
    for link in list(tree.iter("a")):
        href = link.get("href", "").strip()
        text = link.text_content().strip()
        if href.startswith("#") or (text in _PERMALINK_SIGNS and "anchor" in link.get("class", "")):
            (_drop if text in _PERMALINK_SIGNS else _unwrap)(link)
        elif not text and not any(True for _ in link.iter("code")):
            _drop(link)
        elif not href or href.lower().startswith(("javascript:", "data:", "blob:")):
            _unwrap(link)
    if is_on_the_web(url):
        tree.make_links_absolute(url, handle_failures="ignore")


def is_on_the_web(url: str) -> bool:
    """Return whether relative links may start from here."""
    return url.startswith(("https://", "http://"))


def _draw_checkboxes(tree: Any) -> None:
    """Make boxes that only the page's style draws, as Notion's, into those that HTML has."""
    for box in list(tree.iter("div")):
        names = box.get("class", "").split()
        if "checkbox-on" in names or "checkbox-off" in names:
            box.tag = "input"
            box.set("type", "checkbox")
            if "checkbox-on" in names:
                box.set("checked", "")


def _is_checkbox_of_a_task(element: Any) -> bool:
    return element.get("type") == "checkbox" and next(element.iterancestors("li"), None) is not None


def _lift_blocks_out_of_inline_elements(tree: Any) -> None:
    """Undo emphasis and links around whole blocks (pasted documents, cards), which Markdown cannot say."""
    for element in list(tree.iter(*_INLINE)):
        if any(True for _ in element.iter(*_BLOCKS)):
            _unwrap(element)


def _unfold_layout_tables(tree: Any) -> None:
    """Make tables that only place things on the page into what they place."""
    for table in list(tree.iter("table")):
        rows = [[cell for cell in row if cell.tag in ("td", "th")] for row in table.iter("tr")]
        is_layout = (
            table.get("role") in ("presentation", "none")
            or max(map(len, rows), default=0) < 2
            or any(True for cell in table.iter("td") for _ in cell.iter("table", "pre", "h1", "h2", "h3", "blockquote"))
        )
        if is_layout:
            for part in list(table.iter("tbody", "thead", "tfoot", "tr", "td", "th", "caption")):
                if next(part.iterancestors("table")) is table:
                    part.tag = "div"
            table.tag = "div"


def _nest_lists(tree: Any) -> None:
    """Put lists that lie between the items of a list into the item before them, where they belong."""
    for inner in list(tree.iter("ul", "ol")):
        outer, before = inner.getparent(), inner.getprevious()
        if outer is not None and outer.tag in ("ul", "ol") and before is not None and before.tag == "li":
            before.append(inner)


def _join_lists(tree: Any) -> None:
    """Make one list of those that count on from each other, each with an item or two (Notion writes them so)."""
    for following in list(tree.iter("ol")):
        items = following.getprevious()
        if items is None or items.tag != "ol" or (items.tail or "").strip():
            continue
        start = items.get("start", "1")
        if start.isdecimal() and following.get("start") == str(int(start) + len(items.findall("li"))):
            items.tail = following.tail
            items.extend(list(following))
            following.getparent().remove(following)


def _end_quoted_lines(tree: Any) -> None:
    """Make text that stands in a quote before its first paragraph a paragraph of its own."""
    for quote in tree.iter("blockquote"):
        first = next((child for child in quote if child.tag in _BLOCKS), None)
        if first is not None and first is quote[0] and (quote.text or "").strip():
            line = quote.makeelement("p")
            line.text, quote.text = quote.text, None
            quote.insert(0, line)


def _make_captions_paragraphs(tree: Any) -> None:
    for figure in tree.iter("figure", "details", "hgroup"):
        figure.tag = "div"
    for caption in tree.iter("figcaption", "summary", "caption", "legend"):
        caption.tag = "p"
    for caption in list(tree.xpath(".//table/p")):
        caption.getparent().addprevious(caption)


def _split_at_double_breaks(tree: Any) -> None:
    """Make two line breaks after each other what they are meant as: the end of a paragraph."""
    for line_break in list(tree.iter("br")):
        parent, following = line_break.getparent(), line_break.getnext()
        if parent is None:
            continue  # one of those that followed another
        end = following is None and not (line_break.tail or "").strip()
        while parent.tag in _INLINE and end and parent.getparent() is not None:
            parent.addnext(line_break)
            parent, following = line_break.getparent(), line_break.getnext()
            end = following is None and not (line_break.tail or "").strip()
        if parent.tag not in ("p", "div", "li", "blockquote", "section", "article", "body", "main", "td", "dd"):
            continue
        is_double = False
        while following is not None and following.tag == "br" and not (line_break.tail or "").strip():
            is_double = True
            line_break.tail = following.tail
            parent.remove(following)
            following = line_break.getnext()
        if is_double and parent.tag != "td":
            line_break.tag = "p"
            if parent.tag == "p":
                parent.tag = "div"


def _flatten(tree: Any) -> None:
    """Take out elements around what lies too deep for the converter, whose text would be lost."""
    depth = {tree: 0}
    for element in list(tree.iterdescendants()):
        depth[element] = depth[element.getparent()] + 1
    for element, level in depth.items():
        if level > _DEEPEST and len(element):
            _unwrap(element)


def _strip_attributes(tree: Any) -> None:
    for element in tree.iter("*"):
        for name in set(element.attrib).difference(_KEPT_ATTRIBUTES.get(element.tag, ())):
            del element.attrib[name]


def _spaced(markdown: str) -> Iterator[str]:
    """Yield the lines with one blank line before each quote, and never two outside code."""
    fence, before = "", ""
    for line in markdown.split("\n"):
        if fence:
            if line.strip(" >") == fence:
                fence = ""
            yield line
            before = line
            continue
        if opening := _FENCE.match(line):
            fence = opening["fence"]
        quote = _QUOTE.match(line)
        if quote and before.strip() and not before.startswith(quote[0]):
            yield quote["indent"].rstrip()
        elif not line.strip(" >") and line.strip() == before.strip():
            continue
        yield line
        before = line


def _drop(element: Any) -> None:
    if element.getparent() is not None:
        element.drop_tree()


def _unwrap(element: Any) -> None:
    if element.getparent() is not None:
        element.drop_tag()
