"""Repositories behind git's own http server, and behind ssh."""

from __future__ import annotations

import os
import socket
import tempfile
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from tests.integration.sources.repositories import commit, finished, git

from llmtwin.documents import User, canonical_link
from llmtwin.errors import HttpStatusError, LoginWallError, SourceError, UnreachableError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import crawl
from llmtwin.sources import git_repository as git_reader


def clones_left() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob("llmtwin-git-*"))


@pytest.fixture
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


@pytest.mark.usefixtures("own_temporary_folder")
def test_a_remote_repository(remote: str, repository: Path, web: Any, author: User, open_settings: Settings) -> None:
    started, documents = finished(remote, author, open_settings)
    page = remote.removesuffix(".git").replace("http:", "https:")
    assert {path: document.link for path, document in documents.items()} == {
        "main.py": f"{page}/blob/main/main.py",
        "docs/README.md": f"{page}/blob/main/docs/README.md",
    }
    assert documents["main.py"].platform == "127.0.0.1"
    assert started.complete
    assert started.source_link == canonical_link(remote)
    assert started.repository is not None
    assert (started.repository.link, started.repository.name) == (page, "ada/project")
    assert started.repository.commit == git(repository, "rev-parse", "HEAD")
    assert clones_left() == []


@pytest.mark.usefixtures("own_temporary_folder")
def test_a_force_push_is_followed(
    remote: str, repository: Path, tmp_path: Path, author: User, open_settings: Settings
) -> None:
    _, before = finished(remote, author, open_settings)
    git(repository, "checkout", "--quiet", "--orphan", "other")
    commit(repository, {"main.py": "changed = 1\n"})
    git(repository, "push", "--quiet", "--force", str(tmp_path / "served" / "ada" / "project.git"), "other:main")
    _, after = finished(remote, author, open_settings)
    assert {path: document.id for path, document in after.items()} == {path: doc.id for path, doc in before.items()}
    assert after["main.py"].content == "changed = 1\n"


def test_large_files_are_not_even_fetched(
    remote: str,
    repository: Path,
    tmp_path: Path,
    author: User,
    open_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commit(repository, {"large.txt": os.urandom(300_000).hex(), "exact.txt": "x" * 1000, "over.txt": "x" * 1001})
    git(repository, "push", "--quiet", str(tmp_path / "served" / "ada" / "project.git"), "main")
    sizes: list[int | None] = []
    list_entries = git_reader.GitRepository.entries

    def entries(self: git_reader.GitRepository, head: str) -> list[git_reader.Entry]:
        found = list_entries(self, head)
        sizes.extend(entry.size for entry in found if entry.path == b"large.txt")
        return found

    monkeypatch.setattr(git_reader.GitRepository, "entries", entries)
    started, documents = finished(remote, author, open_settings.model_copy(update={"crawl_max_file_bytes": 1000}))
    assert sizes == [None]
    assert set(documents) == {"main.py", "docs/README.md", "exact.txt"}
    assert started.skipped == {"over 1,000 bytes": 2}


def test_a_repository_that_moved_is_followed(remote: str, web: Any, author: User, open_settings: Settings) -> None:
    asked = "/old/name.git/info/refs"
    web.serve(asked, "", 301, Location=f"{remote}/info/refs?service=git-upload-pack")
    _, documents = finished(f"{web.url}/old/name.git", author, open_settings)
    assert documents["main.py"].link.startswith(f"https://127.0.0.1:{web.port}/old/name/blob/main/")


@pytest.mark.usefixtures("own_temporary_folder")
def test_an_empty_remote_repository(remote: str, tmp_path: Path, author: User, open_settings: Settings) -> None:
    git(tmp_path, "init", "--quiet", "--bare", str(tmp_path / "served" / "ada" / "empty.git"))
    with pytest.raises(UnreadableError, match=r"ada/empty\.git.*no commit"):
        crawl(remote.replace("project", "empty"), author, open_settings)
    assert clones_left() == []


@pytest.mark.parametrize(
    ("status", "error"), [(401, LoginWallError), (403, LoginWallError), (404, HttpStatusError), (503, HttpStatusError)]
)
def test_a_private_or_absent_repository(
    web: Any, author: User, open_settings: Settings, status: int, error: type[SourceError]
) -> None:
    web.serve("/private.git/info/refs", "no", status, WWW_Authenticate="Basic")
    with pytest.raises(error, match=rf"/private\.git.*{status}"):
        crawl(f"{web.url}/private.git", author, open_settings)


def test_a_web_page_is_no_repository(web: Any, author: User, open_settings: Settings) -> None:
    web.serve("/page.git/info/refs", "<html>hello</html>")
    with pytest.raises(UnreadableError, match="no git repository there"):
        crawl(f"{web.url}/page.git", author, open_settings)


def test_a_server_that_redirects_git_elsewhere_later_is_not_followed(
    remote: str, web: Any, author: User, open_settings: Settings
) -> None:
    """The first question was judged; git's own questions may not be led away."""
    honest = web.fallback
    assert honest is not None

    def serve(request: BaseHTTPRequestHandler) -> None:
        if request.headers.get("User-Agent", "").startswith("git/"):
            request.send_response(302)
            request.send_header("Location", f"http://localhost:{web.port}{request.path}")
            request.end_headers()
        else:
            honest(request)

    web.fallback = serve
    with pytest.raises(SourceError, match=r"project\.git"):
        crawl(remote, author, open_settings)
    assert all(host == f"127.0.0.1:{web.port}" for _, host in web.requests)


def test_git_connects_to_the_address_that_was_judged(
    remote: str, web: Any, author: User, open_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only this process knows the name: git, which would ask the name service itself, is given the address."""
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: real("127.0.0.1" if host == "pinned.test" else host, *a, **k)
    )
    _, documents = finished(remote.replace("127.0.0.1", "pinned.test"), author, open_settings)
    assert set(documents) == {"main.py", "docs/README.md"}
    assert {host for _, host in web.requests} == {f"pinned.test:{web.port}"}


def test_a_server_that_stops_answering(remote: str, web: Any, author: User, open_settings: Settings) -> None:
    honest = web.fallback
    assert honest is not None

    def serve(request: BaseHTTPRequestHandler) -> None:
        if request.command == "POST":
            request.rfile.read()  # until git hangs up
        else:
            honest(request)

    web.fallback = serve
    with pytest.raises(UnreachableError, match="did not finish within 1 s"):
        crawl(remote, author, open_settings.model_copy(update={"crawl_git_timeout_seconds": 1.0}))


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `ssh` that notes its arguments and runs the remote command here; returns the notes."""
    notes = tmp_path / "ssh-arguments"
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {notes}\nfor last; do :; done\nexec sh -c "$last"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return notes


def test_over_ssh(ssh: Path, repository: Path, author: User, open_settings: Settings) -> None:
    started, documents = finished(f"ssh://git@127.0.0.1:2222{repository}", author, open_settings)
    assert set(documents) == {"main.py", "docs/README.md"}
    arguments = ssh.read_text().splitlines()
    assert {"-oBatchMode=yes", "-oHostName=127.0.0.1", "-oHostKeyAlias=[127.0.0.1]:2222", "git@127.0.0.1"} <= set(
        arguments
    )
    assert started.source_link == f"ssh://git@127.0.0.1:2222{repository}"
    assert documents["main.py"].link == f"https://127.0.0.1{repository}/blob/main/main.py"


@pytest.mark.parametrize("filters", ["true", "false"])
def test_over_ssh_again(ssh: Path, repository: Path, author: User, open_settings: Settings, filters: str) -> None:
    git(repository, "config", "uploadpack.allowFilter", filters)
    link = f"ssh://git@127.0.0.1:2222{repository}"
    first, before = finished(link, author, open_settings)
    assert first.repository is not None
    marks = {document.link: document.blob_id for document in before.values()}
    marks[first.repository.link] = first.repository.commit
    commit(repository, {"main.py": "changed = 1\n"})
    again = crawl(link, author, open_settings, lambda source_link: marks if source_link == first.source_link else {})
    assert [document.content for document in again.documents] == ["changed = 1\n"]
    assert again.unchanged == {before["docs/README.md"].link}


def test_over_ssh_in_its_short_form(ssh: Path, repository: Path, author: User, open_settings: Settings) -> None:
    started, documents = finished(f"git@127.0.0.1:{repository}", author, open_settings)
    assert set(documents) == {"main.py", "docs/README.md"}
    assert started.source_link == f"ssh://git@127.0.0.1{repository}"


@pytest.mark.parametrize(
    ("says", "error"),
    [
        ("git@example.org: Permission denied (publickey).", LoginWallError),
        ("ERROR: Repository not found.", LoginWallError),
        ("Host key verification failed.", UnreachableError),
        ("ssh: connect to host x port 22: Connection refused", UnreachableError),
        ("fatal: '/x' does not appear to be a git repository", UnreadableError),
        ("something new", SourceError),
    ],
)
def test_what_ssh_says_becomes_an_error(
    ssh: Path, author: User, open_settings: Settings, says: str, error: type[SourceError]
) -> None:
    program = ssh.parent / "bin" / "ssh"
    program.write_text(f'#!/bin/sh\necho "{says}" >&2\nexit 128\n')
    with pytest.raises(SourceError, match=r"127\.0\.0\.1") as caught:
        crawl("git@127.0.0.1:a/b", author, open_settings)
    assert type(caught.value) is error
