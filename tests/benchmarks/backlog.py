"""Backlogs to work off: documents, and a queue full of their events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count, islice

from corpus import Article, load_articles, raw_article

from llmtwin.documents import Event, Operation, RawArticle, event_id
from llmtwin.events import Publisher
from llmtwin.settings import Settings


def short_articles(number: int, characters: int) -> list[RawArticle]:
    """Return so many articles of so many characters each, cut from the corpus; every one has another text."""
    return [raw_article(piece) for piece in islice(_pieces(load_articles(), characters), number)]


def events_of(documents: Iterable[RawArticle]) -> list[Event]:
    """Return the events that say these documents were created, as the CDC service would."""
    return [
        Event(
            event_id=event_id(document.id, 1, Operation.CREATE),
            op=Operation.CREATE,
            kind=document.kind,
            document_id=document.id,
            version=1,
            document=document.model_dump(mode="json", by_alias=True),
            emitted_at=datetime.now(UTC),
        )
        for document in documents
    ]


def fill_queue(settings: Settings, events: Iterable[Event]) -> None:
    """Publish events and wait until the broker has confirmed all."""
    with Publisher[int](settings.rabbitmq) as publisher:
        for number, event in enumerate(events):
            publisher.publish(event, number)
        publisher.flush()


def _pieces(articles: list[Article], characters: int) -> Iterator[Article]:
    for lap in count():
        for article in articles:
            for start in range(0, len(article.text) - characters, characters):
                label = f"{lap}.{start}"
                # The label makes the text of every lap another one.
                text = f"{label} {article.text[start : start + characters - len(label) - 1]}"
                yield replace(article, link=f"{article.link}?piece={label}", text=text)
