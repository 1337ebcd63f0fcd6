"""LinkedIn in the real browser, on a site that behaves like it."""

from __future__ import annotations

import stat
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.linkedin_site import EMAIL, PAGE_OF_POSTS, PASSWORD, Item, LinkedInSite, linkedin_site, paragraph, share, urn
from typer.testing import CliRunner

from llmtwin.cli import app
from llmtwin.documents import User
from llmtwin.errors import BrowserError, HttpStatusError, LoginWallError, SourceError, UnreachableError, UnreadableError
from llmtwin.settings import Settings, get_settings
from llmtwin.sources import Crawl
from llmtwin.sources.linkedin import LinkedInSource

LINK = "https://www.linkedin.com/in/Jane-Doe/"
ADA = User.named("Jane Doe")
RICH = """<span class='break-words'><span dir='ltr'>Schöne Grüße, 世界!<br><br>    indented = "kept"<br>Read
<a href='https://www.linkedin.com/redir/redirect?url=https%3A%2F%2Fexample.org%2Fpost'>my article</a> or
<a href='https://lnkd.in/abc'>https://lnkd.in/abc</a>, says <a href='/in/bob'>Bob</a>.
<a href='/feed/hashtag/?keywords=ai'><span class='visually-hidden'>hashtag</span><span>#</span>ai</a></span></span>"""


@pytest.fixture
def site() -> Iterator[LinkedInSite]:
    with linkedin_site([Item(paragraph("The only post"))]) as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path,
        crawl_allow_private=True,
        crawl_timeout_seconds=10,
        linkedin_email=SecretStr(EMAIL),
        linkedin_password=SecretStr(PASSWORD),
    )


def crawl(site: LinkedInSite, settings: Settings, link: str = LINK) -> Crawl:
    return LinkedInSource(site.url, patience_seconds=0.3).crawl(link, ADA, settings)


def sessions(settings: Settings) -> list[Path]:
    return list((settings.data / "browser").rglob("*.json"))


def test_every_own_post_is_read_to_the_end_of_the_list(site: LinkedInSite, settings: Settings) -> None:
    site.items = [
        Item(RICH),
        Item(paragraph("Long ago.\n\n" + "It went on. " * 40), folded=True),
        Item(paragraph("Bob's words"), actor="bob", header="Jane Doe reposted this"),
        Item(paragraph("Bob is right:"), quoted=paragraph("Bob's words, quoted")),
        Item(None, quoted=paragraph("Bob's words, quoted again")),
        Item(paragraph("Carol's post"), actor="carol", header="Jane Doe likes this"),
        Item(paragraph("Mine, discussed"), comment=paragraph("A comment of Carol's")),
        *(Item(paragraph(f"Post {number}")) for number in range(7, 4 * PAGE_OF_POSTS - 2)),
    ]
    crawled = crawl(site, settings)
    posts = {document.link: document for document in crawled.documents}
    own = [0, 1, 3, 6, *range(7, 4 * PAGE_OF_POSTS - 2)]
    # By the share, as in LinkedIn's export, wherever the page's data names it.
    names = [urn(position) if position == 1 else share(position) for position in own]
    assert list(posts) == [f"https://www.linkedin.com/feed/update/{name}" for name in names]
    assert not crawled.failures
    assert crawled.complete
    assert crawled.skipped == {"written by others": 2, "without words of the author's own": 1}
    contents = [post.content for post in posts.values()]
    assert contents[0] == (
        'Schöne Grüße, 世界!\n\n    indented = "kept"\nRead\n[my article](https://example.org/post) or\n'
        "https://lnkd.in/abc, says Bob.\n#ai"
    )
    assert contents[1] == "Long ago.\n\n" + ("It went on. " * 40).strip()
    assert contents[2:4] == ["Bob is right:", "Mine, discussed"]
    first = next(iter(posts.values()))
    assert (first.kind, first.platform, first.author_id) == ("post", "linkedin.com", ADA.id)
    assert first.source_link == crawled.source_link == "https://www.linkedin.com/in/jane-doe"
    assert first.published_at == datetime(2024, 3, 5, 9, tzinfo=UTC)
    assert list(posts.values())[-1].published_at == first.published_at - timedelta(hours=own[-1])


def test_a_session_is_saved_for_its_owner_alone_and_used_again(site: LinkedInSite, settings: Settings) -> None:
    crawl(site, settings)
    (saved,) = sessions(settings)
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert stat.S_IMODE(saved.parent.stat().st_mode) == 0o700
    assert EMAIL not in str(saved)
    assert PASSWORD not in saved.read_text()
    without_password = settings.model_copy(update={"linkedin_password": None})
    assert len(list(crawl(site, without_password).documents)) == 1
    assert site.logins == 1


def test_an_expired_session_is_renewed_once(site: LinkedInSite, settings: Settings) -> None:
    crawl(site, settings)
    site.sessions.clear()
    assert len(list(crawl(site, settings).documents)) == 1
    assert site.logins == 2
    site.sessions.clear()
    site.forgetful = True
    with pytest.raises(LoginWallError, match="again right after one"):
        crawl(site, settings)
    assert site.logins == 3


def test_a_wrong_password_is_told_and_nowhere_to_be_seen(site: LinkedInSite, settings: Settings) -> None:
    wrong = settings.model_copy(update={"linkedin_password": SecretStr("hunter2-hunter2")})
    with pytest.raises(LoginWallError, match="refused the e-mail address or the password") as caught:
        crawl(site, wrong)
    told = "".join(traceback.format_exception(caught.value)) + repr(wrong)
    assert "hunter2" not in told
    assert EMAIL not in told
    assert not sessions(settings)


def test_a_login_form_that_cannot_be_filled_in_does_not_show_what_was_to_be(
    site: LinkedInSite, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "_login_page", lambda: "<form><input id='username'><input id='password' disabled></form>")
    with pytest.raises(UnreadableError, match=r"login form cannot be filled in.*SELECTORS") as caught:
        crawl(site, settings.model_copy(update={"crawl_timeout_seconds": 2}))
    told = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in told
    assert EMAIL not in told


def test_a_captcha_takes_a_person(site: LinkedInSite, settings: Settings) -> None:
    site.captcha = True
    with pytest.raises(LoginWallError, match=r"captcha.*llmtwin browser login linkedin.*data export"):
        crawl(site, settings)


def test_without_a_login_the_wall_is_named(site: LinkedInSite, settings: Settings) -> None:
    nobody = settings.model_copy(update={"linkedin_email": None, "linkedin_password": None})
    with pytest.raises(LoginWallError, match=r"LLMTWIN_LINKEDIN_EMAIL.*llmtwin browser login linkedin"):
        crawl(site, nobody)
    assert site.logins == 0


def test_a_login_by_hand_is_all_that_a_crawl_needs(site: LinkedInSite, settings: Settings) -> None:
    nobody = settings.model_copy(update={"linkedin_email": None, "linkedin_password": None})
    source = LinkedInSource(site.url, patience_seconds=0.3)
    with pytest.raises(LoginWallError, match="nobody logged in within"):
        source.log_in_by_hand(nobody, seconds=0.5, headless=True)
    assert not sessions(settings)
    site.types_by_itself = True
    assert source.log_in_by_hand(nobody, seconds=10, headless=True) in sessions(settings)
    assert len(list(source.crawl(LINK, ADA, nobody).documents)) == 1


def test_a_login_by_hand_needs_a_screen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LLMTWIN_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()
    done = CliRunner().invoke(app, ["browser", "login", "linkedin"])
    get_settings.cache_clear()
    assert isinstance(done.exception, BrowserError)
    assert "no screen" in str(done.exception)


def test_a_profile_that_does_not_exist(site: LinkedInSite, settings: Settings) -> None:
    with pytest.raises(HttpStatusError, match=r"/in/nobody.*404"):
        crawl(site, settings, "https://www.linkedin.com/in/nobody")


def test_a_profile_without_posts_is_no_error(site: LinkedInSite, settings: Settings) -> None:
    site.items = []
    crawled = crawl(site, settings)
    assert (list(crawled.documents), crawled.complete, crawled.failures) == ([], True, [])


def test_changed_markup_is_an_error_and_never_an_empty_profile(site: LinkedInSite, settings: Settings) -> None:
    site.other_markup = True
    with pytest.raises(UnreadableError, match="markup changed"):
        crawl(site, settings)


def test_posts_whose_author_is_not_found_are_an_error_too(site: LinkedInSite, settings: Settings) -> None:
    site.items = [Item(paragraph("Whose?"), actor="")] * 2
    with pytest.raises(UnreadableError, match="2 posts, none of which can be read"):
        crawl(site, settings)


def test_a_profile_that_shows_only_others_posts_is_an_error(site: LinkedInSite, settings: Settings) -> None:
    """It may be registered under another name than its posts carry, and nothing may be deleted for that."""
    site.items = [Item(paragraph("Carol's post"), actor="carol", header="Jane Doe likes this")]
    with pytest.raises(UnreadableError, match="1 posts, none of them by 'jane-doe'"):
        crawl(site, settings)


def test_a_network_cut_mid_scroll_keeps_what_was_read(site: LinkedInSite, settings: Settings) -> None:
    site.items = [Item(paragraph(f"Post {number}")) for number in range(3 * PAGE_OF_POSTS)]
    site.cut_after = PAGE_OF_POSTS
    crawled = crawl(site, settings.model_copy(update={"crawl_timeout_seconds": 3}))
    assert len(list(crawled.documents)) == PAGE_OF_POSTS
    (failure,) = crawled.failures
    assert isinstance(failure, UnreachableError)
    assert "stopped loading after 5 items" in str(failure)
    assert not crawled.complete


def test_as_many_screens_as_settings_allow_and_no_more(site: LinkedInSite, settings: Settings) -> None:
    site.items = [Item(paragraph(f"Post {number}")) for number in range(10 * PAGE_OF_POSTS)]
    crawled = crawl(site, settings.model_copy(update={"linkedin_max_scrolls": 2}))
    assert 0 < len(list(crawled.documents)) < len(site.items)
    assert crawled.skipped["older than LLMTWIN_LINKEDIN_MAX_SCROLLS reaches"] == 1
    assert not crawled.complete


def test_an_address_that_is_not_public_is_refused(site: LinkedInSite, settings: Settings) -> None:
    closed: Any = settings.model_copy(update={"crawl_allow_private": False})
    with pytest.raises(SourceError, match="not on the public internet"):
        crawl(site, closed)
    assert not site.requests
