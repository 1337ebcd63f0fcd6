"""Comet's client, before it is imported."""

from __future__ import annotations

import os

# Read by Comet when it is imported: it would replace functions of every framework, ask its server for news, report its
# own errors to a third party, and write to the console at every start and end.
_QUIET = {
    "COMET_DISABLE_AUTO_LOGGING": "1",
    "COMET_DISABLE_ANNOUNCEMENT": "1",
    "COMET_ERROR_TRACKING_ENABLE": "0",
    "COMET_LOGGING_CONSOLE": "CRITICAL",
}


def prepare() -> None:
    """Make Comet's client a quiet guest; call it before the client is imported."""
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
