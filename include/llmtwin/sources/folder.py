"""A folder of Markdown files, as static site generators keep them: one article per file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from llmtwin.documents import RawArticle, User
from llmtwin.errors import SourceError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import guard, markdown
from llmtwin.sources.article import read_bytes
from llmtwin.sources.encoding import decode
from llmtwin.sources.source import Crawl, Known, Source, article, nothing_known, readable


class FolderSource(Source):
    """Markdown files with front matter, in a folder of this machine and the folders in it, hidden ones left out."""

    name = "folder"

    def accepts(self, link: str) -> bool:
        path = guard.existing_path(link) if guard.is_local(link) else None
        return path is not None and path.is_dir()

    def crawl(self, link: str, author: User, settings: Settings, known: Known = nothing_known) -> Crawl:
        root = guard.local_path(link, settings)
        crawl = Crawl(root.as_uri())
        files = list(_markdown_files(root, crawl))
        if not files and not crawl.failures:
            raise UnreadableError(link, f"the folder holds no Markdown file ({', '.join(markdown.SUFFIXES)})")
        crawl.documents = _documents(crawl, files, author, settings)
        return crawl


def _markdown_files(root: Path, crawl: Crawl) -> Iterator[Path]:
    def unlistable(error: OSError) -> None:
        crawl.failures.append(SourceError(Path(error.filename).as_uri(), f"cannot be listed: {error.strerror}"))

    for folder, subfolders, names in os.walk(root, onerror=unlistable):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for path in (Path(folder, name) for name in sorted(names)):
            if path.name.startswith(".") or path.suffix.lower() not in markdown.SUFFIXES:
                continue
            if path.is_symlink():
                crawl.skipped["symlink"] += 1
            else:
                yield path


def _documents(crawl: Crawl, files: list[Path], author: User, settings: Settings) -> Iterator[RawArticle]:
    for path in files:
        try:
            document = _document(crawl, path, author, settings)
        except SourceError as error:
            crawl.failures.append(error)
            continue
        if document is not None:
            yield document
    crawl.complete = not crawl.failures


def _document(crawl: Crawl, path: Path, author: User, settings: Settings) -> RawArticle | None:
    """Return the article of a file, or None for one that is left out on purpose."""
    link = path.as_uri()
    text = decode(read_bytes(link, path, settings.crawl_max_page_bytes))
    if text is None:
        raise UnreadableError(link, "is in an encoding that cannot be told, or is no text")
    file = markdown.parse(link, text, readable(os.fsencode(path.stem)))
    reason = "draft" if file.draft else "empty" if not file.body.strip() else None
    if reason is not None:
        crawl.skipped[reason] += 1
        return None
    return article(
        link,
        file.body,
        author=author,
        platform="file",
        source_link=crawl.source_link,
        title=file.title,
        published_at=file.published_at,
    )
