"""From a question to the passages that may answer it, over what the feature store holds."""

from llmtwin.retrieval.options import Mode, Options
from llmtwin.retrieval.passage import Passage, Retrieved
from llmtwin.retrieval.query_embedder import QueryEmbedder
from llmtwin.retrieval.reranking import Reranker
from llmtwin.retrieval.retrieval import Retrieval
from llmtwin.retrieval.understanding import Complete

__all__ = ["Complete", "Mode", "Options", "Passage", "QueryEmbedder", "Reranker", "Retrieval", "Retrieved"]
