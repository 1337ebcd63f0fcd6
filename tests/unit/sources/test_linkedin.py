"""What can be told of LinkedIn without asking it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from llmtwin.sources.linkedin import LinkedInSource, permalink, published_at
from llmtwin.sources.linkedin_pages import SELECTORS


@pytest.mark.parametrize(
    ("link", "taken"),
    [
        ("https://www.linkedin.com/in/jane-doe", True),
        ("http://linkedin.com/in/jane-doe/", True),
        ("https://de.linkedin.com/in/jane-doe?trk=x", True),
        (" https://www.LinkedIn.com/in/J%C3%BCrgen/recent-activity/all/ ", True),
        ("https://www.linkedin.com/in/", False),
        ("https://www.linkedin.com/company/acme", False),
        ("https://www.linkedin.com/pulse/an-article", False),
        ("https://notlinkedin.com/in/jane-doe", False),
        ("https://linkedin.com.example.org/in/jane-doe", False),
        ("https://example.org/?u=https://linkedin.com/in/jane-doe", False),
        ("linkedin.zip", False),
    ],
)
def test_which_links_are_profiles(link: str, taken: bool) -> None:
    assert LinkedInSource().accepts(link) is taken


@pytest.mark.parametrize(
    ("urn", "time"),
    [
        # Both of one post; LinkedIn's own documentation shows them together.
        ("urn:li:activity:6422861848709726123", datetime(2018, 7, 11, 17, 19, 55, 735000, UTC)),
        ("urn:li:share:6422861848344821123", datetime(2018, 7, 11, 17, 19, 55, 648000, UTC)),
        ("urn:li:aggregate:(urn:li:activity:1)", None),
    ],
)
def test_an_identifier_holds_its_time(urn: str, time: datetime | None) -> None:
    assert published_at(urn) == time


def test_the_permalink_names_the_post() -> None:
    assert permalink("urn:li:activity:1") == "https://www.linkedin.com/feed/update/urn:li:activity:1"


def test_every_selector_has_an_alternative() -> None:
    assert [name for name, alternatives in SELECTORS.items() if len(alternatives) < 2] == []
