"""Which source takes which link."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmtwin.documents import User
from llmtwin.errors import ForbiddenLinkError, SourceError
from llmtwin.settings import Settings
from llmtwin.sources import crawl, domain_of, guard, registered_link, source_for


@pytest.mark.parametrize(
    ("link", "source"),
    [
        ("https://github.com/owner/name", "git"),
        ("https://github.com/owner/name/", "git"),
        ("http://WWW.github.com/owner/name", "git"),
        ("https://gitlab.com/group/subgroup/name", "git"),
        ("https://git.example.org/any/where.git", "git"),
        ("git@github.com:owner/name.git", "git"),
        ("ssh://git@example.org/owner/name", "git"),
        ("git://example.org/name", "git"),
        ("https://github.com/owner", "github"),
        ("https://www.github.com/owner/?tab=repositories", "github"),
        ("https://github.com/", "article"),
        ("https://github.com/pricing", "article"),
        ("https://github.com/topics/python", "article"),
        ("https://github.com/owner/name/issues/3", "article"),
        ("https://github.com/owner/name/blob/main/README.md", "article"),
        ("https://gitlab.com/group/name/-/issues/3", "article"),
        ("https://www.linkedin.com/in/ada", "linkedin"),
        ("https://de.linkedin.com/in/ada/recent-activity/all/", "linkedin"),
        ("https://www.linkedin.com/company/engines", "article"),
        ("https://medium.com/@ada", "medium"),
        ("https://medium.com/feed/@ada", "medium"),
        ("https://medium.com/engines-weekly", "medium"),
        ("https://ada.medium.com", "medium"),
        ("https://ada.medium.com/feed", "medium"),
        ("https://medium.com/@ada/on-engines-0123456789ab", "article"),
        ("https://ada.medium.com/on-engines-0123456789ab", "article"),
        ("https://medium.com/tag/engines", "article"),
        ("https://medium.com/about", "article"),
        ("https://notmedium.com/@ada", "article"),
        ("https://ada.substack.com", "substack"),
        ("https://ada.substack.com/archive?sort=new", "substack"),
        ("https://ada.substack.com/p/on-engines", "article"),
        ("https://ada.substack.com/feed", "feed"),
        ("https://substack.com/home", "article"),
        ("https://example.org/blog/feed/", "feed"),
        ("https://example.org/index.xml", "feed"),
        ("https://example.org/tags/go.rss?x=1", "feed"),
        ("https://example.org/feeding-cats", "article"),
        ("https://example.org/sitemap.xml", "sitemap"),
        ("https://example.org/post-sitemap1.xml", "sitemap"),
        ("https://example.org/Sitemap_index.xml.gz", "sitemap"),
        ("https://example.org/about-sitemaps", "article"),
        ("https://example.org/post", "article"),
        ("https://[half", "article"),
        ("anything", "article"),
    ],
)
def test_source_for(link: str, source: str) -> None:
    assert source_for(link).name == source


def test_folders_are_told_apart_by_what_they_hold(tmp_path: Path) -> None:
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    (tmp_path / "notes").mkdir()
    (tmp_path / "a.md").touch()
    assert source_for(str(tmp_path / "repository")).name == "git"
    assert source_for((tmp_path / "notes").as_uri()).name == "folder"
    assert source_for(str(tmp_path / "a.md")).name == "article"


@pytest.mark.parametrize(
    ("link", "domain"),
    [
        ("https://Example.org:8080/a", "example.org"),
        ("git@GitHub.com:a/b", "github.com"),
        ("/home/me/notes", "local"),
        ("file:///home/me/notes", "local"),
        ("https://[half", "https://[half"),
    ],
)
def test_domain_of(link: str, domain: str) -> None:
    assert domain_of(link) == domain


def test_a_registered_link_can_be_crawled_again_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes").mkdir()
    monkeypatch.chdir(tmp_path)
    assert registered_link("notes") == registered_link("./notes/") == (tmp_path / "notes").as_uri()
    assert registered_link(" http://example.org/post?utm_source=x ") == "http://example.org/post?utm_source=x"
    assert registered_link("git@github.com:a/b.git") == "git@github.com:a/b.git"


@pytest.mark.parametrize(
    "link",
    [
        "git://example.org/a/b",
        "ext::sh -c touch",
        "http://localhost/post",
        "http://localhost/a.git",
        "ssh://git@localhost/a",
        "git@127.0.0.1:a/b",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "/etc",
        "/etc/passwd",
        ".",
        "file:///etc/passwd",
        "https://user:secret@example.org/a.git",
        "https://-u@example.org/a.git",
    ],
)
def test_where_links_may_not_lead(link: str) -> None:
    with pytest.raises(ForbiddenLinkError) as caught:
        closed = Settings(crawl_allow_private=False, crawl_allow_local=False, crawl_cache_bytes=0)
        crawl(link, User.named("Ada Lovelace"), closed)
    assert "secret" not in str(caught.value)


@settings(deadline=None)  # the first example imports what reads pages
@given(
    st.builds(
        str.__add__, st.sampled_from(["", "https://", "http://", "ssh://", "git@", "file:", "//", "~"]), st.text()
    )
)
@example("https://[::1%25lo]/")
@example("https://a\ud800.example/")
@example("https://\N{FULLWIDTH FULL STOP}/x.git")
@example("ssh://host/")
@example("git@host:path\n")
@example("file:#")
def test_whatever_is_typed_gives_an_error_that_names_it(link: str) -> None:
    def no_name_service(*_: object, **__: object) -> None:
        raise OSError("offline")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard.socket, "getaddrinfo", no_name_service)
        for allowed in (True, False):
            with pytest.raises(SourceError):
                crawl(
                    f"{link}/no/such/place",
                    User.named("Ada"),
                    Settings(crawl_allow_private=allowed, crawl_allow_local=allowed, crawl_cache_bytes=0),
                )
        assert domain_of(link) or not link.strip()


@pytest.mark.parametrize(
    "link", ["https://ada:secret@example.org/feed", "http://secret@example.org", "ssh://git:secret@example.org/a/b"]
)
def test_a_link_with_a_password_is_not_kept(link: str) -> None:
    with pytest.raises(ForbiddenLinkError, match="leave it out") as caught:
        registered_link(link)
    assert "example.org" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_user_of_ssh_is_part_of_the_address() -> None:
    for link in ("git@example.org:a/b.git", "ssh://git@example.org/a/b"):
        assert registered_link(f" {link}") == link
