"""MongoDB: every raw document, as it was crawled."""

from llmtwin.warehouse.connection import connect, open_database, require_replica_set
from llmtwin.warehouse.declared import declared_sources
from llmtwin.warehouse.documents import (
    StoreResult,
    get_or_create_user,
    has_documents,
    known,
    store_crawl,
    store_miss,
)
from llmtwin.warehouse.registry import (
    RegisteredSource,
    begin_crawl,
    find_source,
    finish_crawl,
    forget_source,
    mark_unlisted,
    register_source,
    registered_sources,
    withdraw_declared,
    withdraw_listed,
)
from llmtwin.warehouse.schema import ensure_schema

__all__ = [
    "RegisteredSource",
    "StoreResult",
    "begin_crawl",
    "connect",
    "declared_sources",
    "ensure_schema",
    "find_source",
    "finish_crawl",
    "forget_source",
    "get_or_create_user",
    "has_documents",
    "known",
    "mark_unlisted",
    "open_database",
    "register_source",
    "registered_sources",
    "require_replica_set",
    "store_crawl",
    "store_miss",
    "withdraw_declared",
    "withdraw_listed",
]
