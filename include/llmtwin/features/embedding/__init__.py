"""Text to vectors: which model, where from, and how it runs."""

from llmtwin.features.embedding.embedder import Embedder, embed_query, embedder_for
from llmtwin.features.embedding.model import Model, open_model

__all__ = ["Embedder", "Model", "embed_query", "embedder_for", "open_model"]
