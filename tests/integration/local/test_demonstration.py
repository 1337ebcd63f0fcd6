"""What the demo measures, on real servers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.documents import article, event, event_of, post

from llmtwin import sync, vectors
from llmtwin.documents import Kind, Operation
from llmtwin.events import Publisher
from llmtwin.local.demonstration import look, percentiles, seconds_to_searchable
from llmtwin.settings import Settings

if TYPE_CHECKING:
    from pymongo.database import Database


@pytest.mark.stack
def test_progress_is_told_from_the_queue_to_the_points(
    empty_stores: Settings, mongodb: Database[dict[str, Any]]
) -> None:
    settings = empty_stores
    since = datetime.now(UTC)
    written = int(since.timestamp()) << 32
    for document in (article(1), post(1)):
        mongodb[document.collection].insert_one(document.model_dump(by_alias=True) | {"kind": str(document.kind)})
    with Publisher[int](settings.rabbitmq) as publisher:
        publisher.publish(event(article(1), written), 0)
        publisher.publish(event(post(1), written, Operation.SNAPSHOT), 1)
        publisher.publish(event_of(article(2).id, Kind.ARTICLE, written, Operation.CREATE, {"no": "document"}), 2)
        publisher.flush()
    with vectors.connect(settings) as client:
        progress = look(mongodb, client, settings, since)
        assert (progress.waiting, progress.batches, progress.points) == (3, [], {})
        assert progress.documents == {Kind.ARTICLE: 1, Kind.POST: 1, Kind.REPOSITORY: 0}
        assert not progress.is_settled
        [batch_id] = sync.drain(settings).pending
        assert not look(mongodb, client, settings, since).is_settled, "drained is not done"
        sync.run_batch(batch_id, settings)
        progress = look(mongodb, client, settings, since)
    assert progress.is_settled
    [batch] = progress.batches
    assert (batch.events, batch.documents, batch.chunks, batch.embedded, batch.quarantined) == (3, 2, 2, 2, 1)
    assert progress.points["embedded_articles"] == progress.points["cleaned_posts"] == 1
    assert seconds_to_searchable(settings, datetime.now(UTC)) == []
    # The snapshot says nothing about freshness, for its time is not that of the write.
    assert len(seconds_to_searchable(settings, since)) == 2
    assert min(seconds_to_searchable(settings, since)) >= 0


@pytest.mark.parametrize(
    ("seconds", "expected"), [([], (0, 0)), ([3.0], (3, 3)), ([float(n) for n in range(1, 101)], (50.5, 95.95))]
)
def test_percentiles(seconds: list[float], expected: tuple[float, float]) -> None:
    assert percentiles(seconds) == pytest.approx(expected)
