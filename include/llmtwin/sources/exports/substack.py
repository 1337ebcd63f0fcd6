"""Substack's export: ``posts.csv`` says what there is, ``posts/<post_id>.html`` holds the text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from llmtwin.documents import RawArticle, canonical_link
from llmtwin.errors import UnreadableError
from llmtwin.sources.exports.export import Document, Export, Opened
from llmtwin.sources.exports.table import rows
from llmtwin.sources.html_fragment import fragment_to_markdown
from llmtwin.sources.source import article

_TABLE = "posts.csv"
_PAGE = re.compile(r"posts/\d+\.[^/]*\.html")
_COLUMNS = ("post_id", "post_date", "is_published", "type", "title")
_POST_ID = re.compile(r"(?P<number>\d+)(?:\.(?P<slug>.*))?")
_LINK_TO_A_POST = re.compile(r"""href=["']https?://([^/"'\s]+)/p/([^/?#"'\s]+)""")
# Buttons, forms and cards that Substack draws; what they say is not the author's, or is another post's.
_WIDGETS = (
    "subscription-widget-wrap", "subscription-widget-wrap-editor", "subscription-widget", "subscribe-widget",
    "button-wrapper", "captioned-button-wrap", "paywall-jump", "digest-post-embed", "embedded-post-wrap",
    "embedded-publication-wrap", "install-substack-app-embed", "poll-embed", "community-chat", "tweet", "comment",
)  # fmt: skip


@dataclass(frozen=True)
class _Row:
    """A post that is wanted."""

    post_id: str
    number: str
    slug: str
    title: str
    published_at: datetime | None

    @property
    def page(self) -> str:
        return f"posts/{self.post_id}.html"


class SubstackExport(Export):
    """Settings → Import / Export → Export your data."""

    name = "substack_export"
    platform = "substack.com"
    title = "Substack export"
    sign = "posts.csv and posts/<post_id>.html"

    def recognises(self, names: Collection[str]) -> bool:
        return _TABLE in names and any(map(_PAGE.fullmatch, names))

    def documents(self, opened: Opened) -> Iterator[Document]:
        wanted = {row.page: row for row in _wanted(opened)}
        site = opened.options.site or _site(opened, wanted.values())
        yield from opened.each(wanted, lambda page: _document(opened, wanted[page], site))


def _wanted(opened: Opened) -> Iterator[_Row]:
    """Yield the rows of the table that are to be read; count the others."""
    for line, row in rows(opened.archive, _TABLE, _COLUMNS, opened.crawl.failures):
        named = _POST_ID.fullmatch(row["post_id"].strip())
        if named is None:
            problem = f"the row at line {line} has {row['post_id'][:40]!r} where a post_id belongs"
            opened.crawl.failures.append(UnreadableError(opened.archive.link_of(_TABLE), problem))
        elif row["is_published"].strip().lower() != "true" and not opened.options.drafts:
            opened.skip("draft")
        elif row["type"].strip().lower() == "podcast" and not opened.options.podcasts:
            opened.skip("podcast")
        else:
            yield _Row(named[0], named["number"], named["slug"] or "", row["title"].strip(), _moment(row["post_date"]))


def _site(opened: Opened, posts: Collection[_Row]) -> str | None:
    """Return where the publication is on the web, if its posts agree on it when they link to each other.

    The export does not say it. A page that cannot be read is reported when its own turn comes.
    """
    slugs = {row.slug for row in posts if row.slug}
    hosts: set[str] = set()
    for row in posts:
        try:
            page = opened.archive.text(row.page)
        except UnreadableError:
            continue
        hosts.update(host.lower() for host, slug in _LINK_TO_A_POST.findall(page) if slug in slugs)
    return f"https://{hosts.pop()}" if len(hosts) == 1 else None


def _document(opened: Opened, row: _Row, site: str | None) -> RawArticle | None:
    """Return a post, or None for one without text."""
    # Substack's reader opens every post of every publication by its number.
    link = f"{site}/p/{row.slug}" if site and row.slug else f"https://substack.com/home/post/p-{row.number}"
    content = fragment_to_markdown(opened.archive.text(row.page), leave_out=_WIDGETS, url=link)
    if not content:
        opened.skip("empty")
        return None
    return article(
        canonical_link(link),
        content,
        author=opened.author,
        platform=SubstackExport.platform,
        source_link=opened.crawl.source_link,
        title=row.title or None,
        published_at=row.published_at,
    )


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
