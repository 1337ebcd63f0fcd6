"""X's archive: posts from ``data/tweets.js`` and its further parts, threads joined."""

from __future__ import annotations

import html
import re
from collections import ChainMap, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from llmtwin.errors import UnreadableError
from llmtwin.sources.exports.export import Document, Export, Opened
from llmtwin.sources.source import post

_TWEETS = re.compile(r"data/tweets?(?:-part\d+)?\.js")
_NOTES = re.compile(r"data/note-tweet(?:-part\d+)?\.js")
_ASSIGNMENT = re.compile(r"\s*window\.YTD\.\w+\.part\d+\s*=\s*")
_RETWEET = re.compile(r"RT @\w+:")
_SHORT_LINK = re.compile(r"https?://t\.co/\w+")
# Long posts are cut here in tweets.js; so much of the beginning tells them apart.
_ELLIPSIS = "…"
_TELLING_CHARACTERS = 40


@dataclass(frozen=True)
class _Tweet:
    number: int
    """Snowflake: grows with time."""
    versions: tuple[int, ...]
    """The numbers of all its versions, this one too: an edited tweet gets a new number each time."""
    text: str
    published_at: datetime
    replies_to: int | None
    answered: str
    """Whom it answers, as a mention; empty when nobody."""

    @property
    def first(self) -> int:
        """The number of its first version, which stays its own when it is edited."""
        return min(self.versions)


@dataclass
class _Notes:
    """Long posts in full, their links still short."""

    texts: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """By how they begin."""
    links: dict[str, str] = field(default_factory=dict)
    """What their short links stand for."""


class XExport(Export):
    """Settings → Your account → Download an archive of your data."""

    name = "x_export"
    platform = "x.com"
    title = "X archive"
    sign = "data/tweets.js"

    def recognises(self, names: Collection[str]) -> bool:
        return any(map(_TWEETS.fullmatch, names))

    def documents(self, opened: Opened) -> Iterator[Document]:
        notes = _notes(opened)
        tweets = (_tweet(opened, entry, notes) for entry in _entries(opened, _TWEETS))
        for thread in _threads(_newest_versions(tweet for tweet in tweets if tweet is not None)):
            try:
                yield post(
                    # Names change, numbers do not; X leads from here to the post.
                    f"https://x.com/i/web/status/{thread[0].first}",
                    "\n\n".join(_continued(tweet) if index else tweet.text for index, tweet in enumerate(thread)),
                    author=opened.author,
                    platform=self.platform,
                    source_link=opened.crawl.source_link,
                    published_at=thread[0].published_at,
                )
            except UnreadableError as error:
                opened.crawl.failures.append(error)


def _entries(opened: Opened, members: re.Pattern[str]) -> Iterator[dict[str, Any]]:
    """Yield the objects of all parts; a part that cannot be read is a failure."""
    for name in filter(members.fullmatch, opened.archive.names):
        try:
            script = opened.archive.text(name)
            assignment = _ASSIGNMENT.match(script)
            entries = orjson.loads(script[assignment.end() if assignment else 0 :].strip().rstrip(";"))
            if not isinstance(entries, list):
                raise UnreadableError(opened.archive.link_of(name), "holds no list")
        except UnreadableError as error:
            opened.crawl.failures.append(error)
            continue
        except ValueError as error:
            why = f"is damaged: {error}; download the archive again"
            opened.crawl.failures.append(UnreadableError(opened.archive.link_of(name), why))
            continue
        for entry in entries:
            if isinstance(entry, dict):
                inner = next(iter(entry.values()), None)
                yield inner if len(entry) == 1 and isinstance(inner, dict) else entry


def _tweet(opened: Opened, fields: dict[str, Any], notes: _Notes) -> _Tweet | None:
    """Return an own tweet, or None for one that is left out on purpose or damaged."""
    try:
        text, number = str(fields["full_text"]), int(fields["id_str"])
        published_at = datetime.strptime(fields["created_at"], "%a %b %d %H:%M:%S %z %Y")
        versions = [int(version) for version in _versions(fields)]
        replies_to = int(fields["in_reply_to_status_id_str"]) if fields.get("in_reply_to_status_id_str") else None
        links = ChainMap(dict(_links(fields)), notes.links)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        name = str(fields.get("id_str", "without a number"))[:40]
        why = f"the tweet {name} is not as tweets are: {type(error).__name__}: {error}"
        opened.crawl.failures.append(UnreadableError(opened.archive.path.as_uri(), why))
        return None
    if _RETWEET.match(text):
        opened.skip("retweet")
        return None
    text = html.unescape(text)
    text = _SHORT_LINK.sub(lambda short: links.get(short[0], short[0]), _whole(text, notes)).strip()
    if not text:
        opened.skip("picture without a word")
        return None
    answered = f"@{name}" if (name := str(fields.get("in_reply_to_screen_name") or "")) else ""
    return _Tweet(number, (number, *versions), text, published_at, replies_to, answered)


def _versions(fields: dict[str, Any]) -> list[str]:
    """Return the numbers of all versions of a tweet, as its first version and its edits say it."""
    info = fields.get("edit_info") or {}
    control = info.get("initial") or (info.get("edit") or {}).get("editControlInitial") or {}
    return list(control.get("editTweetIds") or [])


def _links(fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what each short link stands for; pictures and videos for nothing."""
    for where in ("entities", "extended_entities"):
        entities = fields.get(where) or {}
        yield from ((link["url"], link.get("expanded_url") or link["url"]) for link in entities.get("urls") or [])
        yield from ((media["url"], "") for media in entities.get("media") or [] if "url" in media)


def _notes(opened: Opened) -> _Notes:
    """Return the long posts, which are cut off in the table of tweets."""
    notes = _Notes()
    for fields in _entries(opened, _NOTES):
        core = fields.get("core")
        if not isinstance(core, dict) or not isinstance(core.get("text"), str):
            continue
        text = html.unescape(core["text"])
        notes.texts[text[:_TELLING_CHARACTERS]].append(text)
        for link in core.get("urls") or []:
            if isinstance(link, dict) and link.get("shortUrl"):
                notes.links[str(link["shortUrl"])] = str(link.get("expandedUrl") or link["shortUrl"])
    return notes


def _whole(text: str, notes: _Notes) -> str:
    """Return a tweet in full, if it is the beginning of a long post."""
    beginning, ellipsis, _ = text.rpartition(_ELLIPSIS)
    if not ellipsis:
        return text
    longer = notes.texts.get(text[:_TELLING_CHARACTERS], [])
    return next((note for note in longer if note.startswith(beginning.rstrip())), text)


def _newest_versions(tweets: Iterable[_Tweet]) -> dict[int, _Tweet]:
    """Return the newest version of each tweet, by the number of its first."""
    newest: dict[int, _Tweet] = {}
    for tweet in tweets:
        if tweet.first not in newest or newest[tweet.first].number < tweet.number:
            newest[tweet.first] = tweet
    return newest


def _threads(tweets: dict[int, _Tweet]) -> Iterator[list[_Tweet]]:
    """Yield each tweet that answers none of the author's own, with all that the author added below, oldest first."""
    first_of = {number: first for first, tweet in tweets.items() for number in tweet.versions}
    below: dict[int, list[_Tweet]] = defaultdict(list)
    roots: list[_Tweet] = []
    for tweet in sorted(tweets.values(), key=lambda tweet: tweet.first):
        parent = first_of.get(tweet.replies_to) if tweet.replies_to is not None else None
        # An answer is younger than what it answers; whatever says otherwise would be a circle.
        (below[parent] if parent is not None and parent < tweet.first else roots).append(tweet)
    for root in roots:
        thread, waiting = [], [root]
        while waiting:
            tweet = waiting.pop()
            thread.append(tweet)
            waiting += below[tweet.first]
        yield sorted(thread, key=lambda tweet: tweet.first)


def _continued(tweet: _Tweet) -> str:
    """Return a further tweet of a thread without the mention of its own author before it."""
    mention = tweet.answered.lower()
    return (mention and tweet.text.lower().startswith(mention) and tweet.text[len(mention) :].strip()) or tweet.text
