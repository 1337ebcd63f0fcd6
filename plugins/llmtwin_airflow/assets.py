"""What the DAGs read and write, so that lineage shows in the UI."""

from __future__ import annotations

from airflow.sdk import Asset

RAW_DOCUMENTS = Asset("raw_documents", uri="x-llmtwin://mongodb/raw_documents")
CDC_EVENTS = Asset("cdc_events", uri="x-llmtwin://rabbitmq/llmtwin.features")
CLEANED_DOCUMENTS = Asset("cleaned_documents", uri="x-llmtwin://qdrant/cleaned")
EMBEDDED_CHUNKS = Asset("embedded_chunks", uri="x-llmtwin://qdrant/embedded")
DATASETS = Asset("datasets", uri="x-llmtwin://datasets/built")
CANDIDATES = Asset("twin_candidates", uri="x-llmtwin://registry/candidates")
PRODUCTION = Asset("twin_in_production", uri="x-llmtwin://registry/production")
