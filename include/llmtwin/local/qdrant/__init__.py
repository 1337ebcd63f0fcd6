"""A Qdrant server for machines without Docker: Qdrant's REST API over ``qdrant_edge``, Qdrant's own embedded engine.

Start it with ``python -m llmtwin.local.qdrant --data-dir DIR``; it is ready when ``/readyz`` answers. Everything else
talks to it through ``QdrantClient(url=...)`` and cannot tell it from the real server::

    __main__   command line, port, signals
    app        HTTP: routes, API key, error shape, the engine's one thread
    handlers   one function per endpoint
    storage    the data folder: lock, collections, aliases
    collection one shard: writes, flush, background optimization
    config, filters, points, queries, results
               REST JSON to engine types and back

Durability: a write with ``wait=true`` is answered after the engine's flush, one with ``wait=false`` is flushed within
a second. Both survive a killed process, as the engine logs every write first; only the first survives a power cut.

What the engine makes of it, so that nobody has to find out twice (qdrant-edge 0.9.0):

- It holds Python's global lock during every call, even during its search. More threads would bring nothing, so one
  thread does all the work and needs no locks. Building the HNSW index takes seconds: that happens in another process,
  on a copy of the shard (see ``collection``).
- One shard belongs to one process at a time, which the engine does not check; a lock on the data folder does.
- A write that fails half-way stays half-done, and differently so after a restart. Hence each write is checked in full
  before the engine sees it: vector names, sizes, sparse indices, ids that must exist, depth of payloads (the engine
  stores what is nested deeper than its reader can read).
- Conditional upserts (``update_filter``, ``update_mode``) and ``order_by`` work; ``order_by`` and ``facet`` need a
  payload index, as in Qdrant.
- RRF with weights scores ``1 / ((rank + 1) / weight + k - 1)``: the weight divides the rank, so with a large ``k`` it
  hardly matters.

Not here, and refused with status 400, 404 or 405: snapshots (the engine restores them but cannot make them), sharding
and clusters, ``query/groups``, search matrices, recommend, discover, context, formula, feedback and full-text score
queries, inference, ``lookup_from``, adding vectors to or changing the parameters of an existing collection. Accepted,
given back and not applied, as it changes speed and memory but no exact result: quantization, shard and replica counts,
memory placement, optimizer and WAL settings.
"""
