"""A repository that was crawled before: only what changed is fetched and read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from tests.integration.sources.repositories import commit, git

from llmtwin.documents import RawRepositoryFile, User
from llmtwin.errors import LoginWallError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import Crawl, crawl


@dataclass
class Reader:
    """Crawls a link again and again, with what the crawls before stored."""

    link: str
    author: User
    settings: Settings
    marks: dict[str, str] = field(default_factory=dict)
    asked_for: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    """By path, of the files that the last crawl yielded."""

    def crawl(self, **settings: Any) -> Crawl:
        def known(source_link: str) -> Mapping[str, str]:
            self.asked_for.append(source_link)
            return self.marks

        done = crawl(self.link, self.author, self.settings.model_copy(update=settings), known)
        documents = [document for document in done.documents if isinstance(document, RawRepositoryFile)]
        parent = done.repository
        assert parent is not None and parent.source_link == done.source_link
        assert parent.files == len(documents) + len(done.unchanged)
        assert self.asked_for[-1] == done.source_link
        assert done.complete
        self.texts = {document.path: document.content for document in documents}
        still = {link: mark for link, mark in self.marks.items() if link in done.unchanged}
        new = {document.link: document.blob_id for document in documents}
        self.marks = still | new | parent.left_out | {parent.link: parent.commit}
        return done


@dataclass
class Traffic:
    """Bytes of what the server sent since they were last asked for."""

    sent: int = 0

    def taken(self) -> int:
        sent, self.sent = self.sent, 0
        return sent


@pytest.fixture
def traffic(remote: str, web: Any) -> Iterator[Traffic]:
    counted = Traffic()
    honest = web.fallback

    def serve(request: BaseHTTPRequestHandler) -> None:
        write = request.wfile.write

        def counting(content: bytes) -> int:
            counted.sent += len(content)
            return write(content)

        request.wfile.write = counting  # type: ignore[method-assign]
        honest(request)

    web.fallback = serve
    return counted


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """The bare repository behind the server."""
    return tmp_path / "served" / "ada" / "project.git"


@pytest.fixture
def reader(remote: str, author: User, open_settings: Settings) -> Reader:
    return Reader(remote, author, open_settings)


def push(repository: Path, served: Path, *options: str) -> None:
    git(repository, "push", "--quiet", *options, str(served), "HEAD:main")


def noise(size: int) -> str:
    """Text that does not compress below half its size."""
    return os.urandom(size // 2).hex()


def test_only_what_changed_is_fetched_and_read(
    reader: Reader, traffic: Traffic, repository: Path, served: Path
) -> None:
    commit(repository, {f"part{number % 20}/file{number}.py": f"# {noise(3000)}\n" for number in range(500)})
    push(repository, served)
    first = reader.crawl()
    assert (len(reader.texts), first.unchanged) == (502, set())
    whole = traffic.taken()
    again = reader.crawl()
    assert (len(reader.texts), len(again.unchanged)) == (0, 502)
    unchanged = traffic.taken()
    commit(repository, {"part3/file3.py": f"# {noise(3000)}\n", "new.py": "x = 1\n"})
    (repository / "part4" / "file4.py").unlink()
    commit(repository)
    push(repository, served)
    changed = reader.crawl()
    assert set(reader.texts) == {"part3/file3.py", "new.py"}
    assert len(changed.unchanged) == 500
    little = traffic.taken()
    print(f"bytes from the server: all {whole:,}, unchanged {unchanged:,}, two files changed {little:,}")
    assert whole > 500 * 1500
    assert unchanged < whole / 20
    assert little < whole / 20


def test_a_file_that_moved_is_fetched_though_the_earlier_commit_had_it(
    reader: Reader, traffic: Traffic, repository: Path, served: Path
) -> None:
    commit(repository, {"large.py": f"# {noise(200_000)}\n", "moving.py": f"# {noise(1000)}\n"})
    push(repository, served)
    reader.crawl()
    traffic.taken()
    git(repository, "mv", "moving.py", "moved.py")
    commit(repository)
    push(repository, served)
    assert len(reader.crawl().unchanged) == 3
    assert set(reader.texts) == {"moved.py"}
    assert traffic.taken() < 50_000


@pytest.mark.parametrize("cleaned_up", [False, True])
def test_a_repository_whose_history_was_rewritten(
    reader: Reader, repository: Path, served: Path, cleaned_up: bool
) -> None:
    reader.crawl()
    git(repository, "checkout", "--quiet", "--orphan", "other")
    commit(repository, {"main.py": "changed = 1\n"})
    push(repository, served, "--force")
    if cleaned_up:
        git(served, "reflog", "expire", "--expire=now", "--all")
        git(served, "gc", "--quiet", "--prune=now")
    again = reader.crawl()
    assert set(reader.texts) == {"main.py"}
    assert len(again.unchanged) == 1


def test_a_renamed_branch_gives_every_file_a_new_link(reader: Reader, served: Path) -> None:
    reader.crawl()
    before = set(reader.marks)
    git(served, "branch", "--move", "main", "trunk")
    again = reader.crawl()
    assert set(reader.texts) == {"main.py", "docs/README.md"}
    assert again.unchanged == set()
    assert all("/blob/trunk/" in link for link in set(reader.marks) - before)


def test_what_was_left_out_is_not_looked_at_again(
    reader: Reader, traffic: Traffic, repository: Path, served: Path
) -> None:
    commit(repository, {"data.bin": b"\0" + os.urandom(300_000), "twice.md": "<!-- @generated -->\n"})
    commit(repository, {"twice.py": "<!-- @generated -->\n"})
    push(repository, served)
    assert reader.crawl().skipped == {"binary": 1, "generated": 1}
    assert "twice.md" in reader.texts
    traffic.taken()
    again = reader.crawl()
    assert again.skipped == {"binary": 1, "generated": 1}
    assert len(again.unchanged) == 3
    assert traffic.taken() < 30_000


def test_a_large_file_is_never_downloaded(reader: Reader, traffic: Traffic, repository: Path, served: Path) -> None:
    commit(repository, {"old.csv": noise(2_000_000)})
    push(repository, served)
    assert reader.crawl().skipped == {"over 1,000,000 bytes": 1}
    commit(repository, {"new.csv": noise(3_000_000), "main.py": "changed = 1\n"})
    push(repository, served)
    assert reader.crawl().skipped == {"over 1,000,000 bytes": 2}
    assert set(reader.texts) == {"main.py"}
    assert reader.crawl().skipped == {"over 1,000,000 bytes": 2}
    assert traffic.taken() < 30_000
    assert reader.crawl(crawl_max_file_bytes=2_500_000).skipped == {"over 2,500,000 bytes": 1}
    assert set(reader.texts) == {"old.csv"}


def test_a_server_that_filters_nothing_and_gives_no_old_commits(
    reader: Reader, repository: Path, served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(served, "config", "uploadpack.allowFilter", "false")
    git(served, "config", "protocol.version", "0")
    commit(repository, {"over.txt": noise(5000)})
    push(repository, served)
    settings = {"crawl_max_file_bytes": 4000}
    assert reader.crawl(**settings).skipped == {"over 4,000 bytes": 1}
    commit(repository, {"main.py": "changed = 1\n"})
    push(repository, served)
    again = reader.crawl(**settings)
    assert (set(reader.texts), again.skipped) == ({"main.py"}, {"over 4,000 bytes": 1})


def test_submodules_and_pointers_stay_left_out_and_a_file_that_becomes_one_is_gone(
    reader: Reader, repository: Path, served: Path, tmp_path: Path
) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 9\n"
    module = tmp_path / "module"
    module.mkdir()
    git(module, "init", "--quiet")
    commit(module, {"inside.py": "x = 1\n"})
    git(repository, "submodule", "--quiet", "add", str(module), "module")
    commit(repository, {"model.bin": pointer})
    push(repository, served)
    first = reader.crawl()
    assert first.skipped == {"submodule": 1, "LFS pointer": 1}
    assert not any("module" in path for path in reader.texts if path != ".gitmodules")
    commit(repository, {"main.py": pointer.replace("0123", "4567")})
    push(repository, served)
    again = reader.crawl()
    assert again.skipped == {"submodule": 1, "LFS pointer": 2}
    assert not [link for link in reader.marks if link.endswith("/main.py")]


def test_a_repository_that_is_emptied_or_made_private(reader: Reader, web: Any, served: Path) -> None:
    reader.crawl()
    git(served, "update-ref", "-d", "refs/heads/main")
    with pytest.raises(UnreadableError, match="no commit on its current branch"):
        reader.crawl()
    web.serve("/ada/project.git/info/refs", "no", 401, WWW_Authenticate="Basic")
    with pytest.raises(LoginWallError):
        reader.crawl()


@pytest.mark.parametrize("crawled_before", [False, True])
def test_a_repository_that_is_too_large_is_given_up_while_it_is_fetched(
    reader: Reader, repository: Path, served: Path, crawled_before: bool
) -> None:
    if crawled_before:
        reader.crawl()
    commit(repository, {f"file{number}.txt": noise(200_000) for number in range(20)})
    push(repository, served)
    with pytest.raises(UnreadableError, match=r"project\.git.*more than 500,000 bytes to read .*_REPOSITORY_BYTES"):
        reader.crawl(crawl_max_repository_bytes=500_000)
    assert len(reader.crawl().unchanged) == (2 if crawled_before else 0)
    assert len(reader.texts) == (20 if crawled_before else 22)


@pytest.mark.parametrize("where", ["remote", "local"])
def test_a_repository_that_is_small_only_while_it_is_packed(
    reader: Reader, repository: Path, served: Path, author: User, open_settings: Settings, where: str
) -> None:
    commit(repository, {f"file{number}.txt": f"{number}\n" * 100_000 for number in range(5)})
    push(repository, served)
    link = reader.link if where == "remote" else str(repository)
    with pytest.raises(UnreadableError, match="more than 500,000 bytes to read"):
        crawl(link, author, open_settings.model_copy(update={"crawl_max_repository_bytes": 500_000}))


def test_unchanged_files_of_a_local_repository_are_not_read(
    repository: Path, author: User, open_settings: Settings
) -> None:
    reader = Reader(str(repository), author, open_settings)
    reader.crawl()
    damaged = git(repository, "rev-parse", "HEAD:main.py")
    object_file = repository / ".git" / "objects" / damaged[:2] / damaged[2:]
    object_file.unlink()
    commit(repository, {"new.py": "x = 1\n"})
    again = reader.crawl()
    assert not again.failures
    assert set(reader.texts) == {"new.py"}


def test_a_server_that_cannot_send_the_difference_sends_everything(
    reader: Reader, web: Any, repository: Path, served: Path
) -> None:
    reader.crawl()
    honest = web.fallback

    def serve(request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.peek() if request.command == "POST" else b""  # type: ignore[attr-defined]
        if b"filter blob:none" in body:
            request.send_error(418)
        else:
            honest(request)

    web.fallback = serve
    commit(repository, {"main.py": "changed = 1\n"})
    push(repository, served)
    assert len(reader.crawl().unchanged) == 1
    assert set(reader.texts) == {"main.py"}
