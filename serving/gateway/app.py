"""The app: its parts, its routes, its limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from llmtwin import __version__
from llmtwin.retrieval import Retrieval
from llmtwin.settings import Settings
from serving.gateway import completions, embeddings, errors, health
from serving.gateway.access import Access, rate_limits
from serving.gateway.chat import facets, page
from serving.gateway.chat.facets import open_facets
from serving.gateway.completions import Answering
from serving.gateway.embeddings import Embedding
from serving.gateway.grounding import Grounding
from serving.gateway.metrics import Metrics
from serving.gateway.models import Models
from serving.gateway.monitoring import feedback, open_monitor
from serving.gateway.trace import TraceSink
from serving.gateway.upstream import Upstream


def create_app(settings: Settings, *, sink: TraceSink | None = None) -> FastAPI:
    """Return the gateway. It starts while vLLM and Qdrant are down, and says so at ``/ready``.

    Args:
        settings: Where everything is, and what is allowed.
        sink: Who is told of every request; the monitor by default.

    Raises:
        SettingsError: A setting cannot be read.
    """
    metrics = Metrics()
    limits = rate_limits(settings.gateway_rate_limit)
    monitor = open_monitor(settings, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            Upstream(settings) as upstream,
            Retrieval(settings) as retrieval,
            open_facets(settings) as choosing,
            monitor,
        ):
            models = Models(settings, upstream)
            grounding = Grounding(settings, retrieval, upstream, models)
            app.state.answering = Answering(settings, upstream, models, grounding, metrics, sink or monitor)
            app.state.embedding = Embedding(settings)
            app.state.monitor = monitor
            app.state.facets = choosing
            yield
            app.state.embedding.close()

    app = FastAPI(
        title="llmtwin",
        version=__version__,
        description=__doc__,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages run scripts from servers of others
        redoc_url=None,
    )
    errors.register(app)
    for part in (completions, embeddings, facets, feedback, health, page):
        app.include_router(part.router)
    app.mount("/chat", page.Files())
    app.add_middleware(Access, settings=settings, limits=limits, metrics=metrics)
    return app
