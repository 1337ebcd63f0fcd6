"""Rates are read once, at the start."""

from __future__ import annotations

import pytest

from llmtwin.errors import SettingsError
from serving.gateway.access import rate_limits


@pytest.mark.parametrize(
    ("text", "amounts"), [("", []), (" ", []), ("60/minute", [60]), ("10/second;1000/hour", [10, 1000])]
)
def test_rates(text: str, amounts: list[int]) -> None:
    assert [limit.amount for limit in rate_limits(text)] == amounts


@pytest.mark.parametrize("text", ["often", "60", "60/fortnight", "-1/minute"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(SettingsError, match="LLMTWIN_GATEWAY_RATE_LIMIT"):
        rate_limits(text)
