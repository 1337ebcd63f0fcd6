"""MongoDB: every raw document, as it was crawled."""

from llmtwin.warehouse.connection import connect, open_database, require_replica_set
from llmtwin.warehouse.documents import StoreResult, get_or_create_user, store_crawl
from llmtwin.warehouse.registry import RegisteredSource, find_source, finish_crawl, register_source, registered_sources
from llmtwin.warehouse.schema import ensure_schema

__all__ = [
    "RegisteredSource",
    "StoreResult",
    "connect",
    "ensure_schema",
    "find_source",
    "finish_crawl",
    "get_or_create_user",
    "open_database",
    "register_source",
    "registered_sources",
    "require_replica_set",
    "store_crawl",
]
