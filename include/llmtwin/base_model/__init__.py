"""The model under the adapters, which training and serving share."""

from llmtwin.base_model.location import base_model_path

__all__ = ["base_model_path"]
