"""Every DAG run with ``dag.test()`` against real servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from tests.dags.conftest import run
from tests.documents import article, event, post
from tests.unit.sources.exports.exports import linkedin, share, substack, tweet, x, zipped

from llmtwin import vectors
from llmtwin.events import Publisher
from llmtwin.settings import Settings, get_settings
from llmtwin.staging import pending_batches
from llmtwin.warehouse import ensure_schema, registered_sources

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("empty_stores")]


def asset_extras() -> list[dict[str, Any]]:
    """What Airflow's UI shows with the events of assets."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        return [event.extra for event in session.scalars(select(AssetEvent))]


def test_sync_features_makes_events_searchable(airflow_settings: Settings) -> None:
    with Publisher[int](airflow_settings.rabbitmq) as publisher:
        publisher.publish(event(article(1, "A text about herons by the river.")), 0)
        publisher.publish(event(post(1)), 1)
        publisher.flush()
    states = run("sync_features")
    assert states == {
        ("wait_for_events", -1): "success",
        ("drain", -1): "success",
        ("batch.clean", 0): "success",
        ("batch.chunk", 0): "success",
        ("batch.embed", 0): "success",
        ("run", -1): "success",
    }
    assert pending_batches(airflow_settings.batches) == []
    assert "herons" in vectors.search("herons", airflow_settings)[0].content


def test_sync_features_is_skipped_when_no_event_comes(airflow_settings: Settings) -> None:
    states = run("sync_features")
    assert states.pop(("run", -1)) == "success"
    assert set(states.values()) == {"skipped"}


def test_sync_features_picks_up_an_unfinished_batch_without_any_event(airflow_settings: Settings) -> None:
    from llmtwin import sync

    with Publisher[int](airflow_settings.rabbitmq) as publisher:
        publisher.publish(event(article(1)), 0)
        publisher.flush()
    sync.drain(airflow_settings)
    assert run("sync_features")["run", -1] == "success"
    assert pending_batches(airflow_settings.batches) == []


def test_crawl_sources_stores_what_it_finds_and_a_second_run_changes_nothing(
    airflow_settings: Settings, mongodb: Database[dict[str, Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "blog"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.md").write_text(f"---\ntitle: Text {number}\n---\nThis is text number {number}.\n")
    states = run("crawl_sources", {"author": "Ana Núñez", "links": [str(folder)]})
    assert states["run", -1] == "success"
    assert sum(state == "success" for (task, _), state in states.items() if task.endswith(".crawl")) == 1
    assert mongodb.articles.count_documents({}) == 3
    assert "$jsonSchema" in mongodb.articles.options()["validator"]
    [source] = registered_sources(mongodb)
    assert source.last_counts["new"] == 3
    [extra] = [extra for extra in asset_extras() if extra.get("link") == source.link]
    assert (extra["found"], extra["new"]) == (3, 3)
    before = list(mongodb.articles.find())
    (folder / "0.md").unlink()
    for _ in range(2):  # misses
        assert list(mongodb.articles.find()) == before
        assert run("crawl_sources")["run", -1] == "success"  # all registered sources, as on schedule
    assert list(mongodb.articles.find()) == [row for row in before if row["title"] != "Text 0"]


def test_crawl_sources_reports_the_link_that_failed_and_keeps_the_rest(
    airflow_settings: Settings, mongodb: Database[dict[str, Any]], tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n\nWith a text.\n")
    states = run("crawl_sources", {"author": "Ana Núñez", "links": [str(page), "ftp://example.org/x"]})
    assert states["summarize", -1] == "failed"
    assert states["run", -1] == "failed"
    assert mongodb.articles.count_documents({}) == 1
    errors = {source.link: source.last_error for source in registered_sources(mongodb)}
    assert "'ftp'" in (errors["ftp://example.org/x"] or "")
    assert errors[page.as_uri()] is None


def test_crawl_sources_names_each_task_by_its_link_as_far_as_there_is_room(airflow_settings: Settings) -> None:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    link = f"ftp://example.org/{'x' * 300}"
    run("crawl_sources", {"author": "Ana Núñez", "links": [link], "exports": ["y" * 300]})
    with create_session() as session:
        names = {instance.rendered_map_index for instance in session.scalars(select(TaskInstance))}
    assert names >= {link[:250], "y" * 250}
    assert all(len(name) <= 250 for name in names if name)


def test_crawl_sources_refuses_local_paths_unless_a_setting_allows_them(
    airflow_settings: Settings, mongodb: Database[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMTWIN_CRAWL_ALLOW_LOCAL", "false")
    get_settings.cache_clear()
    (tmp_path / "secret.md").write_text("# Secret\n\nNot for the twin.\n")
    states = run("crawl_sources", {"author": "Ana", "links": [str(tmp_path / "secret.md"), "http://127.0.0.1:1/"]})
    assert states["run", -1] == "failed"
    ensure_schema(mongodb)
    assert mongodb.articles.count_documents({}) == 0
    assert all("LLMTWIN_CRAWL_ALLOW" in (source.last_error or "") for source in registered_sources(mongodb))


def test_crawl_sources_fails_when_links_come_without_an_author(airflow_settings: Settings) -> None:
    states = run("crawl_sources", {"links": ["https://example.org"]})
    assert states["list_sources", -1] == "failed"
    assert states["run", -1] == "failed"


def test_crawl_sources_imports_exports_from_the_folder_of_imports_alone(
    airflow_settings: Settings, mongodb: Database[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMTWIN_CRAWL_ALLOW_LOCAL", "false")
    get_settings.cache_clear()
    airflow_settings.imports.mkdir()
    zipped(airflow_settings.imports / "substack.zip", substack())
    zipped(airflow_settings.imports / "linkedin.zip", linkedin(share(1, "A post.")))
    zipped(tmp_path / "outside.zip", linkedin(share(2, "Not for the twin.")))
    conf = {"author": "Ana Núñez", "exports": ["substack.zip", " linkedin.zip ", ""], "podcasts": True}
    for _ in range(2):
        states = run("crawl_sources", {**conf, "site": "ana.substack.com"})
        assert states["run", -1] == "success"
        assert [states["import_export", 0], states["import_export", 1]] == ["success", "success"]
        links = sorted(row["link"] for row in mongodb.articles.find())
        assert links[:2] == ["https://ana.substack.com/p/owls", "https://ana.substack.com/p/talking"]
        assert (len(links), mongodb.posts.count_documents({})) == (3, 1)
    assert registered_sources(mongodb) == []
    states = run("crawl_sources", {"author": "Ana Núñez", "exports": ["../outside.zip", "linkedin.zip"]})
    assert [states["import_export", 0], states["import_export", 1]] == ["failed", "success"]
    assert (states["summarize", -1], states["run", -1]) == ("failed", "failed")
    assert mongodb.posts.count_documents({}) == 1


def test_crawl_sources_with_exports_alone_crawls_nothing_else(
    airflow_settings: Settings, mongodb: Database[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "page.md").write_text("# A page\n\nWith a text.\n")
    run("crawl_sources", {"author": "Ana Núñez", "links": [str(tmp_path / "page.md")]})
    [before] = registered_sources(mongodb)
    airflow_settings.imports.mkdir()
    zipped(airflow_settings.imports / "x.zip", x(tweet(1, "A tweet.")))
    assert run("crawl_sources", {"author": "Ana Núñez", "exports": ["x.zip"]})["run", -1] == "success"
    assert registered_sources(mongodb) == [before]
    assert mongodb.posts.count_documents({}) == 1
