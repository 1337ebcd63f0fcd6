"""Makes and reads git repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from llmtwin.documents import RawRepositoryFile, User
from llmtwin.settings import Settings
from llmtwin.sources import Crawl, crawl

IDENTITY = {f"GIT_{who}_{what}": "ada@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
ENVIRONMENT = {**os.environ, **IDENTITY, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}


def git(folder: Path, *arguments: str, stdin: bytes = b"") -> str:
    command = [
        "git",
        "-c",
        "init.defaultBranch=main",
        "-c",
        "protocol.file.allow=always",
        "-C",
        str(folder),
        *arguments,
    ]
    return (
        subprocess.run(command, env=ENVIRONMENT, input=stdin, check=True, capture_output=True).stdout.decode().strip()
    )


def commit(folder: Path, files: dict[str | bytes, str | bytes] | None = None) -> None:
    for name, content in (files or {}).items():
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--no-verify", "--message", "work")


def finished(link: str | Path, author: User, settings: Settings) -> tuple[Crawl, dict[str, RawRepositoryFile]]:
    started = crawl(str(link), author, settings)
    documents = {}
    for document in started.documents:
        assert isinstance(document, RawRepositoryFile)
        documents[document.path] = document
    return started, documents
