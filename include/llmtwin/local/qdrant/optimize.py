"""Build the index of one shard: ``python -m llmtwin.local.qdrant.optimize FOLDER``.

A process of its own, because the engine holds Python's global lock until it is done.
"""

from __future__ import annotations

import os
import sys

import qdrant_edge as edge

if __name__ == "__main__":
    os.nice(10)
    shard = edge.EdgeShard.load(sys.argv[1])
    shard.optimize()
    shard.flush()
    shard.close()
