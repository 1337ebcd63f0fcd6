"""Qdrant, the feature store: cleaned documents and embedded chunks, and who wins when versions meet."""

from llmtwin.vectors.agreement import Agreement, compare
from llmtwin.vectors.collections import (
    TOMBSTONES,
    aliases,
    cleaned_alias,
    collection_names,
    documents_in,
    embedded_alias,
    embedded_collection,
    embedded_collections,
    ensure_cleaned,
    ensure_embedded,
    switch_alias,
)
from llmtwin.vectors.connection import connect
from llmtwin.vectors.publish import known_vectors, publish_cleaned, publish_embedded
from llmtwin.vectors.search import Hit, QueryVectors, chunk_filter, chunk_query, require_same_model, search

__all__ = [
    "TOMBSTONES",
    "Agreement",
    "Hit",
    "QueryVectors",
    "aliases",
    "chunk_filter",
    "chunk_query",
    "cleaned_alias",
    "collection_names",
    "compare",
    "connect",
    "documents_in",
    "embedded_alias",
    "embedded_collection",
    "embedded_collections",
    "ensure_cleaned",
    "ensure_embedded",
    "known_vectors",
    "publish_cleaned",
    "publish_embedded",
    "require_same_model",
    "search",
    "switch_alias",
]
