"""Exports as the platforms build them, with invented text."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from llmtwin.documents import User
from llmtwin.settings import Settings
from llmtwin.sources import Crawl, ImportOptions, import_from
from llmtwin.sources.exports.export import Document

Members = Mapping[str, str | bytes]
AUTHOR = User.named("Ana Núñez")


def zipped(path: Path, members: Members) -> Path:
    """Write a zip with these members; return its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def unpacked(folder: Path, members: Members) -> Path:
    """Write the same members into a folder; return its path."""
    for name, content in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def read(path: Path, options: ImportOptions | None = None, **settings: Any) -> tuple[list[Document], Crawl]:
    """Import what is at a path; return its documents and the finished crawl."""
    crawl = import_from(str(path), AUTHOR, Settings(crawl_allow_local=True, **settings), options or ImportOptions())
    return list(crawl.documents), crawl  # type: ignore[arg-type]


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a CSV file as the platforms write it: quoted where needed, quotes doubled, CRLF."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


SHARES = ("Date", "ShareLink", "ShareCommentary", "SharedUrl", "MediaUrl", "Visibility")
PERSONAL = {
    "Connections.csv": "First Name,Email Address\r\nPrivate,secret@example.org\r\n",
    "messages.csv": "FROM,CONTENT\r\nPrivate,secret words\r\n",
    "Profile.csv": "First Name,Birth Date\r\nAna,secret\r\n",
    "Email Addresses.csv": "Email Address\r\nsecret@example.org\r\n",
}


def share(number: int, text: str, date: str = "2024-03-05 09:30:00") -> tuple[str, ...]:
    """Return a row of Shares.csv."""
    link = f"https://www.linkedin.com/feed/update/urn%3Ali%3Ashare%3A{number}"
    return (date, link, text, "", "", "MEMBER_NETWORK")


LINKEDIN_ARTICLE = """<html><head><title>On herons</title><style>body { margin: 0 auto; }</style></head><body>
<img src="https://media.licdn.com/x" alt="" title="" />
<h1><a href="https://www.linkedin.com/pulse/on-herons-ana">On herons</a></h1>
<p class="created">Created on 2024-02-01 10:00</p>
<p class="published">Published on 2024-02-02 11:30</p>
<div><p>Herons stand <strong>still</strong>.</p><h3>Why</h3><ul><li><p>Patience</p></li><li><p>Fish</p></li></ul></div>
</body></html>"""


def linkedin(*rows: Iterable[str], **extra: str) -> dict[str, str]:
    """Return the members of a LinkedIn export."""
    shares = "\ufeff" + table(SHARES, rows)
    return {"Shares.csv": shares, "Articles/Articles/2024-02-02-on-herons.html": LINKEDIN_ARTICLE, **PERSONAL, **extra}


def medium_page(
    title: str,
    body: str,
    canonical: str | None = "https://medium.com/@ana/on-rivers-0123456789ab",
    published: str | None = "2023-06-01T08:00:00.123Z",
) -> str:
    """Return a page of a Medium export."""
    footer = ""
    if published:
        footer += (
            '<p>By <a href="https://medium.com/@ana" class="p-author h-card">Ana</a> on '
            f'<a href="https://medium.com/p/0"><time class="dt-published" datetime="{published}">June</time></a>.</p>'
        )
    if canonical:
        footer += f'<p><a href="{canonical}" class="p-canonical">Canonical link</a></p>'
    return f"""<!DOCTYPE html><html><head><meta http-equiv="Content-Type" content="text/html; charset=utf-8">
<title>{title}</title><style>* {{ font-family: serif; }}</style></head><body><article class="h-entry">
<header><h1 class="p-name">{title}</h1></header>
<section data-field="subtitle" class="p-summary">The subtitle, cut off after some…</section>
<section data-field="body" class="e-content"><section name="aa" class="section section--body section--first">
<div class="section-divider"><hr class="section-divider"></div><div class="section-content">
<div class="section-inner sectionLayout--insetColumn">{body}</div></div></section></section>
<footer>{footer}<p>Exported from <a href="https://medium.com">Medium</a> on July 1, 2023.</p></footer>
</article></body></html>"""


MEDIUM_STORY = """<h3 name="a" class="graf graf--h3 graf--leading graf--title">On rivers</h3>
<p class="graf graf--p graf-after--h3">Rivers <em>bend</em>, see <a href="https://example.org/maps">the maps</a>.</p>
<h4 class="graf graf--h4">Measured</h4>
<blockquote class="graf graf--blockquote">Nothing flows straight.</blockquote>
<pre data-code-block-mode="2" spellcheck="false" data-code-block-lang="python" class="graf graf--pre graf--preV2"><span
 class="pre--content"><span class="hljs-keyword">def</span> <span class="hljs-title">bend</span>(x):<br>    if  x:<br>\
<br>        return  x</span></pre>
<figure class="graf graf--figure"><img class="graf-image" src="https://cdn-images-1.medium.com/x.png"></figure>"""


def medium() -> dict[str, str]:
    """Return the members of a Medium export: a story, a draft and a response."""
    return {
        "README.html": "<p>Your archive</p>",
        "profile/profile.html": "<p>secret@example.org</p>",
        "posts/2023-06-01_On-rivers-0123456789ab.html": medium_page("On rivers", MEDIUM_STORY),
        "posts/draft_Not-yet-abcdef012345.html": medium_page(
            "Not yet", '<p class="graf graf--p">Half a thought.</p>', canonical=None, published=None
        ),
        "posts/2023-07-01_I-agree-with-this-aaaaaaaaaaaa.html": medium_page(
            "I agree with this",
            '<p class="graf graf--p">I agree with this, all of it.</p>',
            canonical="https://medium.com/@ana/i-agree-aaaaaaaaaaaa",
        ),
    }


SUBSTACK = (
    "post_id",
    "post_date",
    "is_published",
    "email_sent_at",
    "type",
    "audience",
    "title",
    "subtitle",
    "podcast_url",
)
SUBSTACK_PAGE = """<p>Owls hunt <a href="https://example.org/owl">at night</a>.</p>
<div class="captioned-image-container"><figure><a class="image-link" href="https://substackcdn.com/x"><img src="x"></a>
<figcaption class="image-caption">An owl, waiting</figcaption></figure></div>
<div class="subscription-widget-wrap" data-attrs="{}"><div class="subscription-widget show-subscribe">
<div class="preamble"><p class="cta-caption">Thanks for reading! Subscribe for free.</p></div>
<form class="subscription-widget-subscribe"><input type="email"><input type="submit"></form></div></div>
<ul><li><p>Silence</p></li><li><p>Ears</p></li></ul>
<pre><code class="language-sql">select  owl
  from  night</code></pre>
<p class="button-wrapper"><a class="button primary" href="%%checkout_url%%"><span>Subscribe now</span></a></p>"""


def substack_row(
    post_id: str, kind: str = "newsletter", published: str = "true", title: str = "Owls"
) -> tuple[str, ...]:
    """Return a row of posts.csv."""
    moment = "2024-01-02T03:04:05.678Z"
    return (post_id, moment, published, moment, kind, "everyone", title, "", "")


def substack(**pages: str) -> dict[str, str]:
    """Return the members of a Substack export: a post, a draft and a podcast."""
    rows = [
        substack_row("101.owls"),
        substack_row("102.later", published="false", title="Later"),
        substack_row("103.talking", kind="podcast", title="Talking"),
    ]
    return {
        "posts.csv": table(SUBSTACK, rows),
        "posts/101.owls.html": SUBSTACK_PAGE,
        "posts/102.later.html": "<p>Half a thought about owls.</p>",
        "posts/103.talking.html": "<p>The notes of an episode.</p>",
        "posts/101.delivers.csv": "email\r\nsecret@example.org\r\n",
        "email_list.owls.csv": "email\r\nsecret@example.org\r\n",
        **pages,
    }


def tweet(number: int, text: str, **fields: Any) -> dict[str, Any]:
    """Return an entry of tweets.js; its number sets the second."""
    created = f"Wed Oct 10 20:19:{number % 60:02} +0000 2018"
    entities = {"hashtags": [], "symbols": [], "user_mentions": [], "urls": []}
    return {
        "tweet": {
            "retweeted": False,
            "entities": entities,
            "id_str": str(number),
            "id": str(number),
            "full_text": text,
            "created_at": created,
            "lang": "en",
            **fields,
        }
    }


def script(name: str, entries: Iterable[Any], part: int = 0) -> str:
    """Return a member of an X archive."""
    return f"window.YTD.{name}.part{part} = {json.dumps(list(entries), indent=2)}"


def x(*tweets: dict[str, Any], **extra: str) -> dict[str, str]:
    """Return the members of an X archive."""
    return {
        "Your archive.html": "<html></html>",
        "data/manifest.js": "window.__THAR_CONFIG = {}",
        "data/account.js": script("account", [{"account": {"email": "secret@example.org"}}]),
        "data/direct-messages.js": script("direct_messages", [{"dmConversation": {"messages": ["secret"]}}]),
        "data/tweets.js": script("tweets", tweets),
        **extra,
    }
