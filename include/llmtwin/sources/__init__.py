"""From a link to raw documents: a git repository, an article, a folder of texts, an export."""

from llmtwin.sources.dispatcher import SOURCES, crawl, domain_of, expand, registered_link, source_for
from llmtwin.sources.exports import ImportOptions
from llmtwin.sources.imports import import_from
from llmtwin.sources.source import Crawl, Source

__all__ = [
    "SOURCES",
    "Crawl",
    "ImportOptions",
    "Source",
    "crawl",
    "domain_of",
    "expand",
    "import_from",
    "registered_link",
    "source_for",
]
