"""An HTML page to Markdown: the article without what surrounds it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from typing import Any

_LANGUAGE_CLASS = re.compile(r"(?:language|lang|highlight-source|highlight|brush:?)[-_ ]([\w+#-]+)")
_NO_LANGUAGES = {"default", "none", "notranslate", "source", "text", "plaintext", "plain", "code"}
_COLUMNS_OF_A_LINE_TABLE = ("gutter", "lineno", "line-numbers", "code")
_PERMALINK_SIGNS = {"", "#", "¶", "§", "🔗", "link", "Permalink"}
_NAME_OF_CODE = re.compile(r"llmtwin[0-9a-f]{12}block\d+end")
_PLACE_OF_CODE = re.compile(rf"(?:[ \t]*\n*[ \t]*{_NAME_OF_CODE.pattern}[ \t]*\n*)+")
_BACKTICKS = re.compile("`+")


@dataclass(frozen=True)
class Extract:
    """The article of a page."""

    markdown: str
    """Headings, lists, tables, links, code; empty when the page holds no text."""
    title: str | None
    published_at: datetime | None
    """Midnight UTC of the day that the page names."""
    asks_for_password: bool


def extract(html: str, url: str) -> Extract:
    """Return the article of a page.

    Blocks of code are taken out before, and put back after, the extraction, because it does not keep their blank lines,
    languages and line tables.

    Args:
        html: The page.
        url: Its address. Relative links start from it, unless it is a file's, which no reader could follow.
    """
    import trafilatura

    tree = trafilatura.load_html(html.replace("\0", ""))
    if tree is None:
        return Extract("", None, None, asks_for_password=False)
    asks_for_password = bool(tree.xpath("//input[@type='password']"))
    for ignored in tree.xpath("//noscript"):
        ignored.drop_tree()
    _mend_links(tree, url)
    blocks = _take_code_out(tree, mark=sha256(html.encode("utf-8", "surrogatepass")).hexdigest()[:12])
    found = trafilatura.bare_extraction(
        tree,
        url=url if _is_on_the_web(url) else None,
        output_format="python",
        include_formatting=True,
        include_links=True,
        include_comments=False,
        with_metadata=True,
        date_extraction_params={"original_date": True, "extensive_search": False},
    )
    if not isinstance(found, trafilatura.settings.Document):
        return Extract("", None, None, asks_for_password)
    return Extract(_put_code_back(found.text or "", blocks).strip(), found.title, _day(found.date), asks_for_password)


def _mend_links(tree: Any, url: str) -> None:
    """Make links absolute where the page has an address on the web; undo those that lead back into the page."""
    for link in list(tree.iter("a")):
        if link.get("href", "").startswith("#"):
            is_permalink = link.text_content().strip() in _PERMALINK_SIGNS and not link.xpath(".//img")
            (link.drop_tree if is_permalink else link.drop_tag)()
    if _is_on_the_web(url):
        tree.make_links_absolute(url, handle_failures="ignore")


def _is_on_the_web(url: str) -> bool:
    return url.startswith(("https://", "http://"))


def _take_code_out(tree: Any, mark: str) -> dict[str, str]:
    """Replace every block of code by a paragraph that names it; return the fenced blocks by these names."""
    blocks: dict[str, str] = {}
    for pre in list(tree.iter("pre")):
        for figure in pre.iterancestors("figure"):
            figure.tag = "div"  # figures are taken for pictures, and dropped
        table = _line_table(pre)
        outer, code = (pre, pre) if table is None else (table, table.xpath(".//pre")[-1])
        if outer.getparent() is None:
            continue  # went with its table, of which each column is a block
        outer = _wrapper(outer)
        paragraph = pre.makeelement("p")
        paragraph.tail = outer.tail
        if code.text_content().strip():
            paragraph.text = f"llmtwin{mark}block{len(blocks)}end"
            blocks[paragraph.text] = _fenced(_text_with_breaks(code), _language(code, outer))
        outer.getparent().replace(outer, paragraph)
    return blocks


def _line_table(pre: Any) -> Any | None:
    """Return the table that highlighters (Rouge, Pygments) make of line numbers and code, if `pre` is in one."""
    for cell in pre.iterancestors("td"):
        if any(name in f"{cell.get('class', '')} {pre.get('class', '')}" for name in _COLUMNS_OF_A_LINE_TABLE):
            return next(cell.iterancestors("table"), None)
    return None


def _wrapper(block: Any) -> Any:
    """Return the outermost element that holds only this block, apart from links and buttons (copy, run).

    Left in it, the short name of a block next to a link would pass for navigation.
    """
    parent = block.getparent()
    while parent.tag in ("div", "span") and parent.getparent() is not None:
        others = [child for child in parent if child is not block and child.tag not in ("a", "button")]
        texts = [parent.text, *(child.tail for child in parent), *(other.text_content() for other in others)]
        if any(text and text.strip() for text in texts):
            break
        block, parent = parent, parent.getparent()
    return block


def _text_with_breaks(code: Any) -> str:
    for line_break in code.iter("br"):
        line_break.tail = f"\n{line_break.tail or ''}"
    return str(code.text_content())


def _language(code: Any, outer: Any) -> str:
    """Return the language that the block, what is in it, or one of the three elements around it names."""
    around = [outer, *islice(outer.iterancestors(), 3)]
    for element in [*code.iter("code"), code, *around]:
        if declared := element.get("data-lang") or element.get("data-language"):
            return str(declared)
        for name in _LANGUAGE_CLASS.findall(element.get("class", "")):
            if name not in _NO_LANGUAGES:
                return str(name)
    return ""


def _fenced(code: str, language: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, _BACKTICKS.findall(code)), default=0))
    return f"{fence}{language}\n{code.strip(chr(10) + chr(13))}\n{fence}"


def _put_code_back(markdown: str, blocks: dict[str, str]) -> str:
    """Put every block that the extraction kept on lines of its own."""

    def with_code(place: re.Match[str]) -> str:
        return "\n\n".join(["", *(blocks.get(name, name) for name in _NAME_OF_CODE.findall(place[0])), ""])

    return _PLACE_OF_CODE.sub(with_code, markdown)


def _day(text: str | None) -> datetime | None:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) if text else None
