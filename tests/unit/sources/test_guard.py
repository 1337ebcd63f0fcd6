"""What may be reached, and what may not."""

from pathlib import Path

import pytest

from llmtwin.errors import ForbiddenLinkError, SourceError, UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import guard

CLOSED = Settings(crawl_allow_private=False, crawl_allow_local=False)
OPEN = Settings(crawl_allow_private=True, crawl_allow_local=True)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_public_addresses(address: str) -> None:
    assert guard.is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "192.0.0.8", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "fe80::1%lo", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1",
        "3fff::1",
        "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
        "2002:7f00:1::", "2002:a00:1::1", "2001::1", "100::1", "5f00::1",
    ],
)  # fmt: skip
def test_private_addresses(address: str) -> None:
    assert not guard.is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "::1", "127.1"])
def test_every_spelling_of_loopback_is_refused(host: str) -> None:
    with pytest.raises(ForbiddenLinkError, match="not on the public internet"):
        guard.resolve("https://x/", host, 80, CLOSED)
    assert guard.resolve("https://x/", host, 80, OPEN)


def test_a_host_with_one_private_address_is_refused_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(2, 1, 6, "", (address, 80)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(guard.socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(ForbiddenLinkError, match=r"10\.0\.0\.1"):
        guard.resolve("https://both.example/", "both.example", 80, CLOSED)


def test_an_unknown_host() -> None:
    with pytest.raises(UnreachableError, match=r"no-such-host\.invalid"):
        guard.resolve("https://x/", "no-such-host.invalid", 80, OPEN)


@pytest.mark.parametrize(
    ("link", "error"),
    [
        ("ftp://example.org/a", ForbiddenLinkError),
        ("gopher://example.org", ForbiddenLinkError),
        ("data:text/html,hello", ForbiddenLinkError),
        ("ext::sh -c touch", ForbiddenLinkError),
        ("https://", UnreadableError),
        ("https://[half", UnreadableError),
        ("https://example.org:99999/", UnreadableError),
        ("https://example.org:0/", UnreadableError),
    ],
)
def test_links_that_are_not_followed(link: str, error: type[SourceError]) -> None:
    with pytest.raises(error):
        guard.web_url(link)


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(ForbiddenLinkError) as caught:
        guard.web_url("https://me:hunter2@example.org/a")
    assert "hunter2" not in str(caught.value)
    assert "example.org/a" in str(caught.value)


@pytest.mark.parametrize(
    ("link", "local"),
    [
        ("/etc/passwd", True),
        ("~/notes", True),
        ("notes/a.md", True),
        ("FILE:///etc/passwd", True),
        ("file:relative", True),
        ("https://example.org", False),
        ("HTTP://example.org", False),
        ("git@github.com:a/b.git", False),
        ("ext::sh -c touch", False),
        ("javascript:alert(1)", False),
        ("a:b.md", True),
    ],
)
def test_what_is_a_path_of_this_machine(link: str, local: bool) -> None:
    assert guard.is_local(link) is local


def test_local_paths_are_opened_by_setting_only(tmp_path: Path) -> None:
    with pytest.raises(ForbiddenLinkError, match="LLMTWIN_CRAWL_ALLOW_LOCAL"):
        guard.local_path(str(tmp_path), CLOSED)
    assert guard.local_path(str(tmp_path), OPEN) == tmp_path


def test_every_spelling_of_a_path_is_the_same_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my notes #1"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    spellings = [str(folder), "my notes #1", "~/my notes #1", folder.as_uri(), f"{folder}/../my notes #1/", "link"]
    spellings.append(f"file://localhost{folder.as_uri().removeprefix('file://')}")
    assert {guard.local_path(spelling, OPEN) for spelling in spellings} == {folder}


@pytest.mark.parametrize("link", ["/no/such/path", "~no-such-user/x", "a\0b", "x" * 5000])
def test_a_path_with_nothing_at_it(link: str) -> None:
    with pytest.raises(UnreachableError, match="cannot be opened"):
        guard.local_path(link, OPEN)
    assert guard.existing_path(link) is None


def test_a_file_on_another_host_is_refused() -> None:
    with pytest.raises(ForbiddenLinkError, match="another host"):
        guard.local_path("file://server/share/a.md", OPEN)


def test_sshs_short_form_is_spelled_out() -> None:
    assert guard.with_scheme("git@github.com:a/b.git") == "ssh://git@github.com/a/b.git"
    assert guard.with_scheme("-oProxyCommand=touch@host:a") == "-oProxyCommand=touch@host:a"
