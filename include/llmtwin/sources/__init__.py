"""From a link to raw documents: a git repository, an article, a folder of Markdown files."""

from llmtwin.sources.dispatcher import SOURCES, crawl, domain_of, expand, registered_link, source_for
from llmtwin.sources.source import Crawl, Source

__all__ = ["SOURCES", "Crawl", "Source", "crawl", "domain_of", "expand", "registered_link", "source_for"]
