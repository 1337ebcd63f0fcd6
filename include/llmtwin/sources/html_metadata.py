"""What a page says about its article: title and date."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_NAME_OF_THE_SITE = re.compile(r"\s+[|·•–—»:-]\s+\S.*")


@dataclass(frozen=True)
class Metadata:
    """Of an article; None is what the page does not say."""

    title: str | None
    published_at: datetime | None


def read(tree: Any, url: str) -> Metadata:
    """Return title and date of a page, from what it declares to machines; the date at last from its text.

    Days of the last change are taken out of the tree, where they would pass for the day of publication.
    """
    import trafilatura

    for changed in tree.xpath("//time[@itemprop='dateModified' and not(@pubdate)]"):
        changed.drop_tree()
    found = trafilatura.extract_metadata(
        tree, default_url=url, date_config={"original_date": True, "extensive_search": False}
    )
    title = _without_the_site(found.title, tree) if found.title else None
    return Metadata(title, _published(tree) or _moment(found.date))


def _without_the_site(title: str, tree: Any) -> str:
    """Return the page's heading where the title is that and the name of the site."""
    for heading in tree.iter("h1"):
        text = " ".join(heading.text_content().split())
        if text and title.startswith(text) and _NAME_OF_THE_SITE.fullmatch(title, len(text)):
            return text
    return title


def _published(tree: Any) -> datetime | None:
    """Return the first moment that a machine-readable part of the page gives."""
    return next((moment for text in _dates(tree) if (moment := _moment(text))), None)


def _dates(tree: Any) -> Iterator[str | None]:
    for block in tree.xpath("//script[@type='application/ld+json']/text()"):
        yield from _declared_in(block)
    yield from tree.xpath(
        "//meta[@property='article:published_time' or @name='article:published_time' or @itemprop='datePublished' "
        "or @name='parsely-pub-date' or @name='date' or @name='dcterms.created' or @name='DC.date.issued' "
        "or @name='citation_publication_date']/@content"
    )
    times = tree.xpath(
        "//time[@itemprop='datePublished' or @pubdate or contains(@class,'published') or contains(@class,'entry-date')]"
        "/@datetime | //*[contains(@class,'dt-published')]/@datetime | //abbr[@itemprop='datePublished']/@title"
    )
    yield from times or tree.xpath("(//article | //main)//time/@datetime")


def _declared_in(block: str) -> Iterator[str | None]:
    """Yield the dates of publication in a block of JSON-LD, however deep."""
    try:
        waiting = [json.loads(block)]
    except ValueError:
        return
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, dict):
            if isinstance(value.get("datePublished"), str):
                yield value["datePublished"]
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _moment(text: str | None) -> datetime | None:
    """Return a moment in ISO 8601, as UTC where it names no zone; None when it is none."""
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
