"""Blocks of code in HTML, however a highlighter has dressed them, as ``<pre><code class="language-…">``."""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import Any

_LANGUAGE_ATTRIBUTES = ("data-lang", "data-language", "data-code-block-lang", "data-enlighter-language")
_LANGUAGE_CLASS = re.compile(
    r"(?:^|\s)(?:language|lang|highlight-source|highlight-text|highlight|hl|brush)(?:[-_:]\s*|\s+(?!highlight))([\w+#.-]+)",
    re.IGNORECASE,
)
# Classes that stand beside the bare name of the language: `hljs python`, `sourceCode python`, `highlight python`.
_BESIDE_A_LANGUAGE = {"hljs", "sourcecode", "highlight", "prettyprint", "chroma"}
_NO_LANGUAGES = {
    *("default", "none", "auto", "undefined", "fallback", "nohighlight", "notranslate"),
    *("text", "txt", "plain", "plaintext", "source", "code", "block", "wrap", "copyable"),
    *("linenums", "number-lines", "numbersource", "highlight", "js-code-highlight", "shiki"),
}
_ALIASES = {"ipython3": "python", "ipython": "python", "python3": "python"}
_LINE_NUMBERS = {
    *("lineno", "linenos", "linenumber", "line-number", "line-numbers", "line-numbers-rows"),
    *("ln", "lnt", "gutter", "rouge-gutter"),
}
_SHELL_OF_A_BLOCK = ("div", "span", "figure")
_BLANK_LINES_AROUND = re.compile(r"\A(?:[ \t]*\n)+|(?:\n[ \t]*)+\Z")


def make_code_plain(tree: Any) -> None:
    """Replace every block of code by one without highlighting, line numbers, buttons and tables.

    Its text stays as it is, but for blank lines around it.
    """
    for code in list(tree.iter("code")):
        if code.find(".//br") is not None and next(code.iterancestors("pre"), None) is None:
            code.tag = "pre"  # its lines are broken by hand
    for pre in list(tree.iter("pre")):
        table = _line_table(pre)
        outer, code = (pre, pre) if table is None else (table, table.xpath(".//pre")[-1])
        if outer.getparent() is None or not _is_in(tree, outer):
            continue  # went with its table, of which each column is a block
        language = _language(code, outer)
        outer = _shell(outer)
        plain = pre.makeelement("pre")
        plain.tail = outer.tail
        element = pre.makeelement("code")
        element.text = _BLANK_LINES_AROUND.sub("", _text(code))
        if language:
            element.set("class", f"language-{language}")
        plain.append(element)
        if element.text.strip():
            outer.getparent().replace(outer, plain)
        else:
            outer.drop_tree()


def _is_in(tree: Any, element: Any) -> bool:
    return element is tree or any(ancestor is tree for ancestor in element.iterancestors())


def _line_table(pre: Any) -> Any | None:
    """Return the table that highlighters (Rouge, Pygments, Chroma) make of line numbers and code, if it is in one."""
    for table in pre.iterancestors("table"):
        cells = list(table.iter("td"))
        if all(cell.find(".//pre") is not None or not cell.text_content().strip() for cell in cells):
            return table
    return None


def _shell(block: Any) -> Any:
    """Return the outermost element that holds only this block, apart from buttons and links to copy or run it."""
    parent = block.getparent()
    while parent.tag in _SHELL_OF_A_BLOCK and parent.getparent() is not None:
        others = [child for child in parent if child is not block and child.tag not in ("a", "button")]
        texts = [parent.text, *(child.tail for child in parent), *(other.text_content() for other in others)]
        if any(text and text.strip() for text in texts):
            break
        block, parent = parent, parent.getparent()
    return block


def _text(code: Any) -> str:
    for number in [part for part in code.iter("span", "td", "a", "div") if _is_line_number(part)]:
        number.drop_tree()
    for ignored in list(code.iter("button", "style", "script")):
        ignored.drop_tree()
    for line_break in code.iter("br"):
        line_break.tail = f"\n{line_break.tail or ''}"
    for line in code.iter("div", "p", "li", "tr"):
        # Elements that are lines of their own, with no line feed between them.
        if (
            line.getnext() is not None
            and not line.text_content().endswith("\n")
            and not (line.tail or "").startswith("\n")
        ):
            line.tail = f"\n{line.tail or ''}"
    return str(code.text_content()).replace("\r\n", "\n")


def _is_line_number(part: Any) -> bool:
    return any(name.lower() in _LINE_NUMBERS for name in part.get("class", "").split())


def _language(code: Any, outer: Any) -> str:
    """Return the language that the block, what is in it, or one of the three elements around it names."""
    inside = [*code.iter("code"), code]
    for element in [*inside, outer, *islice(outer.iterancestors(), 3)]:
        for name in _names(element, is_inside=any(element is one for one in inside)):
            name = name.lower().strip(".")
            if name not in _NO_LANGUAGES:
                return _ALIASES.get(name, name)
    return ""


def _names(element: Any, *, is_inside: bool) -> list[str]:
    names = [element.get(attribute, "") for attribute in _LANGUAGE_ATTRIBUTES]
    attributes = element.get("data-attrs", "")
    if attributes.startswith("{"):
        try:
            declared = json.loads(attributes)
        except ValueError:
            declared = {}
        names.append(str(declared.get("language") or ""))
    classes = element.get("class", "")
    names += _LANGUAGE_CLASS.findall(classes)
    if is_inside and any(name.lower() in _BESIDE_A_LANGUAGE for name in classes.split()):
        names += [name for name in classes.split() if name.lower() not in _BESIDE_A_LANGUAGE and name.isalpha()]
    return [name for name in names if name]
