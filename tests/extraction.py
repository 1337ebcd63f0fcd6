"""How good extraction is: the pages of tests/fixtures/pages, read as a crawl or an import reads them, and compared.

What counts is what a reader of the Markdown gets, so both sides are parsed as Markdown. Title and subtitle above
the text count neither way.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from tests.unit.sources.exports.exports import AUTHOR, table, unpacked
from tests.unit.sources.exports.exports import read as read_export

from llmtwin.documents import RawArticle, RawPost, canonical_link
from llmtwin.sources import html, reading
from llmtwin.sources.encoding import decode
from llmtwin.sources.page import Page

PAGES = Path(__file__).parent / "fixtures" / "pages"
GROUPS = ("platform", "generator", "language", "structure", "hostile")
STRUCTURE = ("headings", "items", "quotes", "code", "links")

_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
# Scripts without spaces: a character counts as a word.
_WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|(?:(?![\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff])\w)+")


@dataclass(frozen=True)
class Case:
    """A page, and what a reader sees of it."""

    folder: Path
    url: str
    charset: str | None
    """The encoding the server names."""
    kind: str
    """``page``, off the web; ``fragment``, nothing but an author's text; or the export (``medium``, ``substack``)."""
    group: str
    title: str | None
    subtitle: str | None
    """Beside the title, which platforms take for part of the text or not."""
    published_at: datetime | None
    absent: tuple[str, ...]
    """What stands around the article."""
    error: str | None
    """The class of the error that the page must end in."""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def content(self) -> bytes:
        return (self.folder / "page.html").read_bytes()

    @cached_property
    def expected(self) -> Reading:
        return self.reading((self.folder / "expected.md").read_text(encoding="utf-8"))

    def reading(self, markdown: str) -> Reading:
        """Return what a reader of a text of this page gets, title and subtitle left out."""
        return Reading(markdown, (self.title or "", self.subtitle or ""))


@dataclass(frozen=True)
class Extracted:
    """What was read of a page."""

    markdown: str
    title: str | None = None
    published_at: datetime | None = None


def load_cases() -> list[Case]:
    """Return all pages, by name."""
    return [_case(path.parent) for path in sorted(PAGES.glob("*/meta.json"))]


def _case(folder: Path) -> Case:
    said = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    published_at = said.get("published_at")
    return Case(
        folder,
        url=said["url"],
        charset=said.get("charset"),
        kind=said.get("export") or said["kind"],
        group=said["group"],
        title=said.get("title"),
        subtitle=said.get("subtitle"),
        published_at=datetime.fromisoformat(published_at) if published_at else None,
        absent=tuple(said.get("absent", ())),
        error=said.get("error"),
    )


def read(case: Case) -> Extracted:
    """Read a page as a crawl or an import does.

    Raises:
        SourceError: As they do.
    """
    if case.kind == "fragment":
        return Extracted(html.fragment(decode(case.content, case.charset) or "", case.url))
    page = Page(case.url, case.content, "text/html", case.charset)
    if case.url.startswith("file:"):
        file = reading.read(case.url, page, stem="")
        return Extracted(file.body, file.title, file.published_at)
    document = reading.web_article(case.url, page, AUTHOR) if case.kind == "page" else _imported(case)
    return Extracted(document.content, document.title, document.published_at)


def _imported(case: Case) -> RawArticle | RawPost:
    slug = case.url.rpartition("/")[2]
    if case.kind == "medium":
        members: dict[str, str | bytes] = {f"posts/2024-01-01_{slug}.html": case.content}
    else:
        columns = ("post_id", "post_date", "is_published", "type", "title")
        when = case.published_at.isoformat() if case.published_at else ""
        row = (f"1001.{slug}", when, "true", "newsletter", case.title or "")
        members = {"posts.csv": table(columns, [row]), f"posts/1001.{slug}.html": case.content}
    with tempfile.TemporaryDirectory() as folder:
        [document], crawl = read_export(unpacked(Path(folder), members))
    assert not crawl.failures
    return document


class Reading:
    """What a reader of a Markdown text gets."""

    def __init__(self, markdown: str, titles: Collection[str] = ()) -> None:
        self._tokens = _without({_one_line(title).casefold() for title in titles}, _PARSER.parse(markdown))

    @cached_property
    def in_order(self) -> list[str]:
        """Its words in lower case; those of code too, those of addresses not."""
        texts = [token.content if token.type in ("fence", "code_block") else _text(token) for token in self._tokens]
        return _WORD.findall(" ".join(texts).lower())

    @cached_property
    def words(self) -> Counter[str]:
        """How often each is there."""
        return Counter(self.in_order)

    @cached_property
    def headings(self) -> Counter[tuple[int, str]]:
        """Level and text."""
        return Counter(
            (int(before.tag[1]), _text(token))
            for before, token in zip(self._tokens, self._tokens[1:], strict=False)
            if before.type == "heading_open"
        )

    @cached_property
    def items(self) -> Counter[tuple[str, int, str]]:
        """Of lists: ``ul`` or ``ol``, how deep, and the first paragraph."""
        found: Counter[tuple[str, int, str]] = Counter()
        lists: list[str] = []
        is_first = False
        for token in self._tokens:
            if token.type in ("bullet_list_open", "ordered_list_open"):
                lists.append(token.tag)
            elif token.type in ("bullet_list_close", "ordered_list_close"):
                lists.pop()
            elif token.type == "list_item_open":
                is_first = True
            elif token.type == "inline" and lists and is_first:
                found[lists[-1], len(lists), _text(token)] += 1
                is_first = False
        return found

    @cached_property
    def quotes(self) -> Counter[str]:
        """The paragraphs, items and headings that are quoted."""
        found: Counter[str] = Counter()
        depth = 0
        for token in self._tokens:
            depth += {"blockquote_open": 1, "blockquote_close": -1}.get(token.type, 0)
            if depth and token.type == "inline":
                found[_text(token)] += 1
        return found

    @cached_property
    def code(self) -> Counter[tuple[str, str]]:
        """Blocks: language, and the text to the last space."""
        blocks = [token for token in self._tokens if token.type in ("fence", "code_block")]
        return Counter((token.info.strip(), token.content) for token in blocks)

    @cached_property
    def links(self) -> Counter[tuple[str, str]]:
        """Text and address, in its one spelling."""
        found: Counter[tuple[str, str]] = Counter()
        for token in self._tokens:
            address, text = None, ""
            for child in token.children or ():
                if child.type == "link_open":
                    address, text = str(child.attrs["href"]), ""
                elif child.type == "link_close" and address is not None:
                    found[_one_line(text), _canonical(address)] += 1
                    address = None
                else:
                    text += _text_of(child)
        return found


@dataclass(frozen=True)
class Score:
    """Of one page: shares from 0 to 1."""

    precision: float
    """Of the words found, those that are expected."""
    recall: float
    """Of the words expected, those that were found."""
    found: dict[str, int]
    """Headings, items, quotes, blocks of code and links that are just as expected."""
    expected: dict[str, int]

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def score(markdown: str, case: Case) -> Score:
    """Compare what was extracted of a page with what a reader sees of it."""
    found, expected = case.reading(markdown), case.expected
    common = (found.words & expected.words).total()
    parts = {kind: (getattr(found, kind), getattr(expected, kind)) for kind in STRUCTURE}
    return Score(
        precision=common / found.words.total() if found.words else 0.0,
        recall=common / expected.words.total() if expected.words else 1.0,
        found={kind: (has & wants).total() for kind, (has, wants) in parts.items()},
        expected={kind: wants.total() for kind, (_, wants) in parts.items()},
    )


def _without(titles: Collection[str], tokens: list[Token]) -> list[Token]:
    """Leave out the headings and paragraphs that are one of the titles."""
    ignored: set[int] = set()
    for position, token in enumerate(tokens):
        if token.type == "inline" and _text(token).casefold() in titles:
            ignored.update((position - 1, position, position + 1))
    return [token for position, token in enumerate(tokens) if position not in ignored]


def _text(token: Token) -> str:
    return _one_line("".join(map(_text_of, token.children or ())))


def _text_of(child: Token) -> str:
    return " " if child.type in ("softbreak", "hardbreak") else child.content


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _canonical(address: str) -> str:
    return canonical_link(address) if address.startswith(("http://", "https://")) else address
