"""The model registry: every adapter that may be served, immutable, with its status.

Training and inference meet here and at the feature store, nowhere else.
"""

from llmtwin.registry.adapter import Adapter, read_adapter
from llmtwin.registry.registry import Registry
from llmtwin.registry.version import Status, Version

__all__ = ["Adapter", "Registry", "Status", "Version", "read_adapter"]
