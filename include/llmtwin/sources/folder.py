"""A folder of texts, as static site generators keep them: Markdown with front matter, or HTML, one article per file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from llmtwin.documents import RawArticle, User, canonical_link
from llmtwin.errors import SourceError, UnreadableError
from llmtwin.settings import Settings
from llmtwin.sources import guard, html, markdown, platforms
from llmtwin.sources.article import read_bytes
from llmtwin.sources.encoding import decode
from llmtwin.sources.source import Crawl, Known, Source, article, nothing_known, readable

HTML_SUFFIXES = (".html", ".htm", ".xhtml")
_IS_PAGE = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
# A file of this name is called after its folder (Hugo's page bundles).
_NAMELESS = ("index", "_index")
# What site generators keep beside the texts, or make of them, by the files that tell which one it is.
_JEKYLL = ("_config.yml", "_config.yaml", "_config.toml")
_HUGO = tuple(f"{name}.{suffix}" for name in ("hugo", "config") for suffix in ("toml", "yaml", "yml", "json"))
_NO_TEXTS = {
    _JEKYLL: {"_site", "_layouts", "_includes", "_sass", "_data", "_plugins", "assets", "vendor"},
    _HUGO: {"public", "layouts", "themes", "archetypes", "resources", "static", "assets", "data", "i18n"},
}
_NEVER_TEXTS = {"node_modules", "__pycache__"}


class FolderSource(Source):
    """Markdown and HTML files in a folder of this machine and the folders in it, hidden ones left out."""

    name = "folder"

    def accepts(self, link: str) -> bool:
        path = guard.existing_path(link) if guard.is_local(link) else None
        return path is not None and path.is_dir()

    def crawl(self, link: str, author: User, settings: Settings, known: Known = nothing_known) -> Crawl:
        root = guard.local_path(link, settings)
        crawl = Crawl(root.as_uri())
        files = list(_files(root, crawl))
        if not files and not crawl.failures:
            suffixes = ", ".join(markdown.SUFFIXES + HTML_SUFFIXES)
            raise UnreadableError(link, f"the folder holds no Markdown file and no HTML file ({suffixes})")
        crawl.documents = _documents(crawl, root, files, author, settings)
        return crawl


def _files(root: Path, crawl: Crawl) -> Iterator[Path]:
    def unlistable(error: OSError) -> None:
        crawl.failures.append(SourceError(Path(error.filename).as_uri(), f"cannot be listed: {error.strerror}"))

    for folder, subfolders, names in os.walk(root, onerror=unlistable):
        ignored = _NEVER_TEXTS.union(*(kept for signs, kept in _NO_TEXTS.items() if not set(signs).isdisjoint(names)))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and name not in ignored)
        for path in (Path(folder, name) for name in sorted(names)):
            if path.name.startswith(".") or path.suffix.lower() not in markdown.SUFFIXES + HTML_SUFFIXES:
                continue
            if path.is_symlink():
                crawl.skipped["symlink"] += 1
            else:
                yield path


def _documents(crawl: Crawl, root: Path, files: list[Path], author: User, settings: Settings) -> Iterator[RawArticle]:
    seen: set[str] = set()
    for path in files:
        try:
            document = _document(crawl, root, path, author, settings)
        except SourceError as error:
            crawl.failures.append(error)
            continue
        if document is not None and document.link in seen:
            crawl.skipped["duplicate"] += 1
        elif document is not None:
            seen.add(document.link)
            yield document
    crawl.complete = not crawl.failures


def _document(crawl: Crawl, root: Path, path: Path, author: User, settings: Settings) -> RawArticle | None:
    """Return the article of a file, or None for one that is left out on purpose."""
    link = path.as_uri()
    text = decode(read_bytes(link, path, settings.crawl_max_page_bytes))
    if text is None:
        raise UnreadableError(link, "is in an encoding that cannot be told, or is no text")
    is_bundle = path.stem.lower() in _NAMELESS and path.parent != root
    stem = readable(os.fsencode(path.parent.name if is_bundle else path.stem))
    file = markdown.parse(link, text, stem)
    if path.suffix.lower() in HTML_SUFFIXES:
        file = _from_html(file, link, stem)
    is_draft = file.draft or "_drafts" in path.relative_to(root).parts
    reason = "draft" if is_draft else "empty" if not file.body.strip() else None
    if reason is not None:
        crawl.skipped[reason] += 1
        return None
    return article(
        canonical_link(file.link) if file.link else link,
        file.body,
        author=author,
        platform=platforms.platform_of(file.link) if file.link else "file",
        source_link=crawl.source_link,
        title=file.title,
        published_at=file.published_at,
    )


def _from_html(file: markdown.MarkdownFile, link: str, stem: str) -> markdown.MarkdownFile:
    """Return an HTML file as Markdown: of a page its article, of a piece of one, as generators fill in, all of it."""
    if not _IS_PAGE.match(file.body):
        return replace(file, body=html.fragment(file.body))
    found = html.extract(file.body, link)
    declared = platforms.identify(file.body, link, link).link
    has_name_only = file.title == markdown.title_of_name(stem)
    return replace(
        file,
        body=found.markdown,
        title=found.title if has_name_only and found.title else file.title,
        published_at=file.published_at or found.published_at,
        link=file.link or (declared if not guard.is_local(declared) else None),
    )
