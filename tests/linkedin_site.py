"""A web site on localhost that behaves as LinkedIn does towards a browser.

A login form and a session cookie; a wall in front of whoever has none; a captcha page when it is in the mood; a
profile's activity that is drawn by script, loads more as one scrolls, folds long posts, and empties what is far out of
view. Markup and class names are those of LinkedIn's own pages; the writing is ours.
"""

from __future__ import annotations

import html
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

EMAIL = "jane@example.org"
PASSWORD = "correct horse battery staple"
PAGE_OF_POSTS = 5
# 2024-03-05 09:00:00 UTC, and an hour more with each post before it.
_NEWEST_MILLISECONDS = 1_709_629_200_000


def urn(position: int) -> str:
    """The identifier of the post at this position, the newest first; as LinkedIn's, it holds the time."""
    return f"urn:li:activity:{(_NEWEST_MILLISECONDS - position * 3_600_000) << 22 | position}"


def share(position: int) -> str:
    """The identifier of what was shared in that post, given out a moment before; LinkedIn's export knows only this."""
    return f"urn:li:share:{((_NEWEST_MILLISECONDS - position * 3_600_000 - 87) << 22) | position}"


@dataclass
class Item:
    """One entry of a profile's activity; `words` and `quoted` are HTML."""

    words: str | None
    actor: str = "jane-doe"
    header: str = ""
    """What stands above: '<name> reposted this', '<name> likes this'."""
    quoted: str | None = None
    """The post inside this one."""
    comment: str | None = None
    folded: bool = False


@dataclass
class LinkedInSite:
    """What the site holds, and its moods."""

    url: str = ""
    items: list[Item] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)
    logins: int = 0
    requests: list[str] = field(default_factory=list)
    captcha: bool = False
    forgetful: bool = False
    """Lets nobody in, however often they log in."""
    cut_after: int | None = None
    """The position from which on the list is never answered."""
    hangs: threading.Event = field(default_factory=threading.Event)
    """Set once a request is left without an answer."""
    other_markup: bool = False
    types_by_itself: bool = False
    """The login form fills itself in and is sent, as if a person sat there."""
    released: threading.Event = field(default_factory=threading.Event)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a request."""
        url = urlsplit(request.path)
        self.requests.append(url.path)
        if url.path == "/checkpoint/lg/login-submit":
            self._log_in(request)
        elif url.path in ("/login", "/authwall"):
            _send(request, self._login_page())
        elif url.path.startswith("/checkpoint/challenge"):
            _send(request, "<h1>Quick security check</h1><form id='captcha-challenge'>Are you a person?</form>")
        elif not self._is_logged_in(request):
            _redirect(request, f"/authwall?sessionRedirect={url.path}")
        elif url.path == "/voyager/api/activity":
            self._send_items(request, int(parse_qs(url.query)["start"][0]))
        elif url.path == "/in/jane-doe/recent-activity/all/":
            _send(request, self._activity_page())
        elif url.path in ("/feed/", "/"):
            _send(request, "<main>Welcome back</main>")
        elif url.path == "/404/":
            _send(request, "<main class='not-found'><h1>This page doesn't exist</h1></main>")
        else:
            _redirect(request, "/404/")

    def _activity_page(self) -> str:
        embedded = json.dumps({"included": [{"updateMetadata": {"urn": urn(0), "shareUrn": share(0)}}]})
        page = ACTIVITY_PAGE.replace("DATA_URN", "data-key" if self.other_markup else "data-urn")
        return page.replace("EMBEDDED", html.escape(embedded))

    def _log_in(self, request: BaseHTTPRequestHandler) -> None:
        self.logins += 1
        form = parse_qs(request.rfile.read(int(request.headers["Content-Length"])).decode())
        if (form["session_key"], form["session_password"]) != ([EMAIL], [PASSWORD]):
            _send(request, self._login_page("<div id='error-for-password'>That's not the right password.</div>"))
        elif self.captcha:
            _redirect(request, "/checkpoint/challenge/AgF8")
        else:
            session = uuid4().hex
            if not self.forgetful:
                self.sessions.add(session)
            _redirect(request, "/feed/", ("Set-Cookie", f"li_at={session}; Path=/; Max-Age=31536000; HttpOnly"))

    def _login_page(self, error: str = "") -> str:
        typing = f"username.value = '{EMAIL}'; password.value = '{PASSWORD}'; setTimeout(() => form.submit(), 300)"
        return f"""<main><form id='form' class='login__form' method='post' action='/checkpoint/lg/login-submit'>
            <input id='username' name='session_key' value='somebody@example.org'>
            <input id='password' name='session_password' type='password'>
            {error}<button type='submit'>Sign in</button></form></main>
            <script>{typing if self.types_by_itself else ""}</script>"""

    def _is_logged_in(self, request: BaseHTTPRequestHandler) -> bool:
        cookies = dict(part.strip().partition("=")[::2] for part in request.headers.get("Cookie", "").split(";"))
        return cookies.get("li_at") in self.sessions

    def _send_items(self, request: BaseHTTPRequestHandler, start: int) -> None:
        if self.cut_after is not None and start >= self.cut_after:
            self.hangs.set()
            self.released.wait()
            request.close_connection = True
            return
        page = self.items[start : start + PAGE_OF_POSTS]
        elements = [
            {"urn": urn(start + offset), **vars(item), "metadata": metadata(start + offset)}
            for offset, item in enumerate(page)
        ]
        body = {"elements": elements, "more": start + PAGE_OF_POSTS < len(self.items), "total": len(self.items)}
        _send(request, json.dumps(body), "application/json")


@contextmanager
def linkedin_site(items: list[Item] | None = None) -> Iterator[LinkedInSite]:
    """Run the site on a free port."""
    site = LinkedInSite(items=items or [])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                site.answer(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the browser is gone

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield site
    finally:
        site.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def metadata(position: int) -> dict[str, str]:
    """What the page's data says about a post; of the first it stands in the page itself, of the second nowhere."""
    return {"backendUrn": urn(position), "shareUrn": share(position)} if position > 1 else {}


def paragraph(text: str) -> str:
    """A post's words as LinkedIn marks them up: breaks for lines, each hashtag a link."""
    lines = "<br>".join(html.escape(line, quote=False) for line in text.split("\n"))
    return f"<span class='break-words tvm-parent-container'><span dir='ltr'>{lines}</span></span>"


def _send(request: BaseHTTPRequestHandler, body: str, content_type: str = "text/html; charset=utf-8") -> None:
    content = body.encode()
    request.send_response(200)
    request.send_header("Content-Type", content_type)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)


def _redirect(request: BaseHTTPRequestHandler, to: str, *headers: tuple[str, str]) -> None:
    request.send_response(303)
    for name, value in (("Location", to), ("Content-Length", "0"), *headers):
        request.send_header(name, value)
    request.end_headers()


ACTIVITY_PAGE = """<!doctype html><meta charset="utf-8">
<style>
  .visually-hidden { position: absolute; clip: rect(0 0 0 0); height: 1px; width: 1px; overflow: hidden }
  .break-words { white-space: pre-wrap }
  li { min-height: 700px; list-style: none }
</style>
<nav><a href="/feed/">Home</a></nav>
<code style="display: none">EMBEDDED</code><code style="display: none">no JSON</code>
<main><section class="scaffold-finite-scroll">
  <ul id="list"></ul>
  <div id="loader" class="artdeco-loader">Loading</div>
</section></main>
<script>
  const actor = (name) => `<div class="update-components-actor"><a class="update-components-actor__meta-link"
    href="/in/${name}?miniProfileUrn=urn%3Ali%3Afs_miniProfile%3AACoAA"><span>${name}</span></a><span>2h</span></div>`;
  const text = (words, folded) => `<div class="feed-shared-update-v2__description"><div
    class="feed-shared-inline-show-more-text"><div class="update-components-update-v2__commentary">
    ${folded ? '<span class="break-words">The beginning</span>' : words}</div>
    ${folded ? `<button
    class="feed-shared-inline-show-more-text__see-more-less-toggle see-more">…more</button>` : ''}</div></div>`;
  const draw = (item) => `<div class="feed-shared-update-v2" DATA_URN="${item.urn}"><!---->
    ${item.header ? `<div class="update-components-header"><a href="/in/jane-doe">${item.header}</a></div>` : ''}
    ${item.actor ? actor(item.actor) : ''}
    ${item.words === null ? '' : text(item.words, item.folded)}
    ${item.quoted === null ? '' : `<div class="update-components-mini-update-v2" data-urn="urn:li:activity:1">
      ${actor('bob')}${text(item.quoted, false)}</div>`}
    <button>Like</button><button>Comment</button>
    ${item.comment === null ? '' : `<div class="comments-comments-list"><article class="comments-comment-entity">
      <a class="update-components-actor__meta-link" href="/in/carol">Carol</a>
      <div class="update-components-update-v2__commentary">${item.comment}</div></article></div>`}
  </div>`;

  // What is far out of view is emptied, as LinkedIn does it.
  const occlusion = new IntersectionObserver((entries) => entries.forEach(({ target, isIntersecting }) => {
    target.innerHTML = isIntersecting ? draw(target.item) : `<div DATA_URN="${target.item.urn}"></div>`;
  }), { rootMargin: '300px' });

  let start = 0, busy = false, more = true;
  const load = async () => {
    if (busy || !more) return;
    busy = true;
    const response = await fetch(`/voyager/api/activity?start=${start}`);
    const page = await response.json();
    for (const item of page.elements) {
      const row = document.createElement('li');
      row.item = item;
      row.addEventListener('click', (event) => {
        if (!event.target.matches('.see-more')) return;
        setTimeout(() => { item.folded = false; row.innerHTML = draw(item); }, 150);
      });
      list.append(row);
      occlusion.observe(row);
    }
    start += page.elements.length;
    more = page.more;
    busy = false;
    if (!more) loader.remove();
    if (!page.total) list.outerHTML = '<div class="artdeco-empty-state">Nothing to see for now</div>';
  };
  new IntersectionObserver(([entry]) => entry.isIntersecting && load(), { rootMargin: '200px' }).observe(loader);
  addEventListener('scroll', () => innerHeight + scrollY > document.body.scrollHeight - 400 && load());
</script>
"""
