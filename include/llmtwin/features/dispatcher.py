"""The factory: from a kind to its handler."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache, lru_cache

from llmtwin.documents import Kind
from llmtwin.errors import LlmtwinError
from llmtwin.features import handlers
from llmtwin.features.handler import Handler
from llmtwin.settings import Settings


@lru_cache
def handler_for(kind: Kind, settings: Settings) -> Handler:
    """Return the handler of a kind; one per process and settings.

    Raises:
        LlmtwinError: No module of `handlers` defines one.
    """
    try:
        return _handlers()[kind](settings)
    except KeyError as error:
        raise LlmtwinError(f"no handler for kind {kind!r}: add features/handlers/{kind}.py") from error


@cache
def _handlers() -> dict[Kind, type[Handler]]:
    for module in pkgutil.iter_modules(handlers.__path__):
        importlib.import_module(f"{handlers.__name__}.{module.name}")
    return {handler.kind: handler for handler in Handler.__subclasses__()}
