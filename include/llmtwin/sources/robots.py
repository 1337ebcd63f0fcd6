"""What a site's robots.txt asks of programs (RFC 9309)."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
from protego import Protego

from llmtwin.errors import HttpStatusError, LoginWallError, RobotsError, SourceError, UnreachableError, UnreadableError
from llmtwin.settings import Settings

PATH = "/robots.txt"
# The product token of our user agent: what a group of rules names to mean us.
PRODUCT = "llmtwin"
# RFC 9309, section 2.5, asks for at least 500 KiB.
_MOST_BYTES = 512_000


class Robots:
    """The rules of all the sites that one crawl meets, each site asked once.

    Args:
        read: Returns the content at a URL, redirects followed, or raises a `SourceError`.
        settings: Names the author's own sites, which are not asked.
    """

    def __init__(self, read: Callable[[str], bytes], settings: Settings) -> None:
        self._read = read
        self._own = tuple(host for site in settings.crawl_own_sites.split(",") if (host := _host_of_setting(site)))
        self._rules: dict[str, Protego] = {}

    def require_permission(self, link: str, url: str) -> None:
        """Check that the site lets programs read a page; errors name `link`.

        Raises:
            RobotsError: It does not.
            UnreachableError: Its robots.txt cannot be had now, which stands for a refusal (RFC 9309, section 2.3.1.4).
            ForbiddenLinkError: Settings do not allow to ask the site.
        """
        site, host = _site_and_host(url)
        if self._is_own(host):
            return
        if site not in self._rules:
            self._rules[site] = self._ask(link, site)
        if not self._rules[site].can_fetch(url, PRODUCT):
            raise RobotsError(
                link,
                f"the robots.txt of {host} asks programs to keep away from it; "
                f"if the site is the author's own, set LLMTWIN_CRAWL_OWN_SITES={host}",
            )

    def crawl_delay(self, url: str) -> float:
        """Return the seconds that a site asked so far wants between two requests, 0 if it names none."""
        rules = self._rules.get(_site_and_host(url)[0])
        return (rules.crawl_delay(PRODUCT) if rules else None) or 0.0

    def _is_own(self, host: str) -> bool:
        return any(host == own or host.endswith(f".{own}") for own in self._own)

    def _ask(self, link: str, site: str) -> Protego:
        try:
            content = self._read(f"{site}{PATH}")
        except (LoginWallError, UnreadableError):
            content = b""
        except HttpStatusError as error:
            # Section 2.3.1.3: there is none, so there are no rules.
            if error.status >= 500:
                told = f"its site's robots.txt answers HTTP {error.status}, so nothing may be read there for now"
                raise UnreachableError(link, told) from error
            content = b""
        except SourceError as error:
            # Section 2.3.1.2: more redirects than anyone follows count as no robots.txt.
            if not isinstance(error.__cause__, httpx.TooManyRedirects):
                raise type(error)(link, error.reason) from error
            content = b""
        return Protego.parse(content[:_MOST_BYTES].decode("utf-8-sig", "replace"))


def _host_of_setting(site: str) -> str:
    """Return the host of one of the author's sites, whether it was given as a host or as a link."""
    return (urlsplit(site.strip() if "//" in site else f"//{site.strip()}").hostname or "").rstrip(".")


def _site_and_host(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", (parts.hostname or "").rstrip(".")
