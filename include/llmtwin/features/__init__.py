"""From raw text to what is searched: clean, chunk, embed.

::

    Raw ──clean──▶ Cleaned ──chunk──▶ Chunk ──embed──▶ dense and sparse vectors
         handler            handler          embedder, sparse
"""

from llmtwin.features.dispatcher import handler_for
from llmtwin.features.embedding import Embedder, embed_query, embedder_for
from llmtwin.features.handler import Handler
from llmtwin.features.sparse import encode_document, encode_query

__all__ = ["Embedder", "Handler", "embed_query", "embedder_for", "encode_document", "encode_query", "handler_for"]
