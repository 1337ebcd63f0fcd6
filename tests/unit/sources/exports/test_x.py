"""X's archive."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.unit.sources.exports.exports import AUTHOR, read, script, tweet, x, zipped

LINK = "https://t.co/aaaaaaaaaa"
PICTURE = "https://t.co/bbbbbbbbbb"


def contents(path: Path) -> list[str]:
    return [document.content for document in read(path)[0]]


def reply(number: int, text: str, to: int, **fields: Any) -> dict[str, Any]:
    answered = {"in_reply_to_status_id_str": str(to), "in_reply_to_screen_name": "Ana"}
    return tweet(number, text, **answered, **fields)


def test_own_tweets_with_their_words_restored(tmp_path: Path) -> None:
    entities = {"urls": [{"url": LINK, "expanded_url": "https://example.org/?a=1&b=2"}]}
    media = {"media": [{"url": PICTURE}]}
    archive = x(
        tweet(10, f"Rivers &amp; lakes &lt;3 {LINK} {PICTURE}", entities=entities, extended_entities=media),
        tweet(11, "RT @someone: not mine"),
        tweet(12, PICTURE, entities=media),
    )
    [document], crawl = read(zipped(tmp_path / "twitter.zip", archive))
    assert document.content == "Rivers & lakes <3 https://example.org/?a=1&b=2"
    assert document.link == "https://x.com/i/web/status/10"
    assert document.published_at == datetime(2018, 10, 10, 20, 19, 10, tzinfo=UTC)
    assert (str(document.kind), document.platform) == ("post", "x.com")
    assert document.source_link == f"export:x.com:{AUTHOR.id}"
    assert crawl.skipped == {"retweet": 1, "picture without a word": 1}
    assert crawl.failures == []


def test_a_thread_is_one_post_in_its_order(tmp_path: Path) -> None:
    archive = x(
        reply(23, "@Ana Third.", 22),
        reply(22, "Second.", 21),
        tweet(21, "First."),
        reply(25, "@Ana", 23),
        reply(24, "@Other I agree.", 9_999),
        tweet(30, "Alone."),
    )
    [thread, answer, alone], _ = read(zipped(tmp_path / "twitter.zip", archive))
    assert thread.content == "First.\n\nSecond.\n\nThird.\n\n@Ana"
    assert (thread.link, thread.published_at) == (
        "https://x.com/i/web/status/21",
        datetime(2018, 10, 10, 20, 19, 21, tzinfo=UTC),
    )
    assert [answer.content, alone.content] == ["@Other I agree.", "Alone."]


def test_a_thread_runs_over_several_parts(tmp_path: Path) -> None:
    parts = {"data/tweets-part1.js": script("tweets", [reply(2, "Second.", 1), tweet(1, "First.")], part=1)}
    assert contents(zipped(tmp_path / "twitter.zip", x(tweet(1, "First."), **parts))) == ["First.\n\nSecond."]


def test_an_edited_tweet_is_there_once_and_answers_to_any_version_find_it(tmp_path: Path) -> None:
    versions = ["40", "41", "42"]
    archive = x(
        tweet(40, "Frist.", edit_info={"initial": {"editTweetIds": versions}}),
        tweet(
            42, "First.", edit_info={"edit": {"initialTweetId": "40", "editControlInitial": {"editTweetIds": versions}}}
        ),
        reply(43, "Second.", 41),
    )
    [document], _ = read(zipped(tmp_path / "twitter.zip", archive))
    assert document.content == "First.\n\nSecond."
    assert document.link == "https://x.com/i/web/status/40", "it stays the same document when it is edited"


def test_a_long_post_is_read_in_full(tmp_path: Path) -> None:
    whole = f"A long post about {LINK} & how rivers bend, with everything that can be said of it. The end. {LINK}"
    core = {"text": whole.replace("&", "&amp;"), "urls": [{"shortUrl": LINK, "expandedUrl": "https://example.org/"}]}
    notes = {"data/note-tweet.js": script("note_tweet", [{"noteTweet": {"noteTweetId": "49", "core": core}}])}
    cut = whole[:60].replace("&", "&amp;")
    archive = x(tweet(50, f"{cut}… {PICTURE}"), tweet(51, "Not that one… really."), **notes)
    assert contents(zipped(tmp_path / "twitter.zip", archive)) == [
        whole.replace(LINK, "https://example.org/"),
        "Not that one… really.",
    ]


def test_answers_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    archive = x(reply(60, "One.", 61), reply(61, "Two.", 60), reply(62, "Self.", 62))
    assert contents(zipped(tmp_path / "twitter.zip", archive)) == ["One.\n\nTwo.", "Self."]


def test_the_name_of_older_archives(tmp_path: Path) -> None:
    archive = {"data/tweet.js": script("tweet", [tweet(1, "Old.")])}
    assert contents(zipped(tmp_path / "twitter.zip", archive)) == ["Old."]


def test_a_damaged_part_and_a_damaged_tweet_cost_themselves(tmp_path: Path) -> None:
    broken = {"tweet": {"id_str": "70", "full_text": "No time."}}
    odd = [tweet(72, "Odd.", edit_info="?"), tweet(73, "Odd.", entities=[1]), tweet(74, "Odd.", created_at=7)]
    parts = {
        "data/tweets-part1.js": 'window.YTD.tweets.part1 = [{"tweet": {"id_str": "1"',
        "data/tweets-part2.js": "window.YTD.tweets.part2 = 3",
    }
    documents, crawl = read(zipped(tmp_path / "twitter.zip", x(tweet(71, "Sound."), broken, *odd, **parts)))
    assert [document.content for document in documents] == ["Sound."]
    reasons = "\n".join(map(str, crawl.failures))
    assert "the tweet 70 is not as tweets are: KeyError: 'created_at'" in reasons
    assert [f"the tweet {number} is not as tweets are" in reasons for number in (72, 73, 74)] == [True] * 3
    assert "tweets-part1.js': is damaged" in reasons
    assert "tweets-part2.js': holds no list" in reasons
