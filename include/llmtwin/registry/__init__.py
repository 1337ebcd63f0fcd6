"""The model registry: every adapter that may be served, immutable, with its status.

Training and inference meet here and at the feature store, nowhere else.
"""

from llmtwin.registry.adapter import SERVED_MODULES, Adapter, read_adapter
from llmtwin.registry.loading import load
from llmtwin.registry.mirror import pull, push
from llmtwin.registry.registry import Registry
from llmtwin.registry.version import Lineage, Status, Version

__all__ = [
    "SERVED_MODULES",
    "Adapter",
    "Lineage",
    "Registry",
    "Status",
    "Version",
    "load",
    "pull",
    "push",
    "read_adapter",
]
