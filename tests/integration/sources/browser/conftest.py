"""Here a browser helps."""

from __future__ import annotations

import pytest

from llmtwin.settings import Settings


@pytest.fixture
def open_settings(open_settings: Settings) -> Settings:
    """Settings under which links may lead anywhere, and a browser draws what needs one."""
    return open_settings.model_copy(update={"crawl_browser": "auto"})
