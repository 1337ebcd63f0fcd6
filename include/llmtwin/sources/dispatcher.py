"""Which source a link belongs to."""

from __future__ import annotations

from urllib.parse import urlsplit

from llmtwin.documents import User
from llmtwin.settings import Settings
from llmtwin.sources import guard
from llmtwin.sources.article import ArticleSource
from llmtwin.sources.exports import EXPORTS, UnknownArchive
from llmtwin.sources.feed import FeedSource
from llmtwin.sources.folder import FolderSource
from llmtwin.sources.git import GitSource
from llmtwin.sources.github import GithubSource
from llmtwin.sources.linkedin import LinkedInSource
from llmtwin.sources.medium import MediumSource
from llmtwin.sources.sitemap import SitemapSource
from llmtwin.sources.source import Crawl, Known, Source, nothing_known
from llmtwin.sources.substack import SubstackSource

# The first that accepts a link crawls it; the last accepts all.
SOURCES: tuple[Source, ...] = (
    GitSource(),
    *EXPORTS,
    FolderSource(),
    UnknownArchive(EXPORTS),
    GithubSource(),
    LinkedInSource(),
    MediumSource(),
    SubstackSource(),
    FeedSource(),
    SitemapSource(),
    ArticleSource(),
)

LOCAL = "local"


def source_for(link: str) -> Source:
    """Return the source of a link; an unknown link is an article."""
    return next(source for source in SOURCES if source.accepts(link))


def crawl(link: str, author: User, settings: Settings, known: Known = nothing_known) -> Crawl:
    """Start the crawl of a link; what is `known` of it need not be read again.

    Raises:
        SourceError: The link as a whole cannot be crawled; names it, and its subclass says in which way.
    """
    return source_for(link).crawl(link, author, settings, known)


def expand(link: str, settings: Settings) -> list[str]:
    """Return the links that a registered link stands for, each to be crawled on its own; mostly the link itself.

    Raises:
        SourceError: Which links these are cannot be told now; names the registered link.
    """
    return source_for(link).expand(link, settings)


def domain_of(link: str) -> str:
    """Return the host that a crawl of the link asks, in lower case; `local` for a path of this machine.

    Never fails: a link that is no valid URL is its own domain, and fails when it is crawled.
    """
    if guard.is_local(link):
        return LOCAL
    try:
        return urlsplit(guard.with_scheme(link)).hostname or link
    except ValueError:
        return link


def registered_link(link: str) -> str:
    """Return the spelling under which a link is kept to be crawled again: a path of this machine made absolute.

    Not the canonical link, which names a document and takes http for https: this one must still be reachable.

    Raises:
        ForbiddenLinkError: It carries a password, which would be kept and shown with it.
    """
    if not guard.is_local(link):
        guard.refuse_credentials(link)
        return link.strip()
    path = guard.existing_path(link)
    return path.resolve().as_uri() if path is not None else link.strip()
