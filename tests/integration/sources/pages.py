"""Pages that tests serve, in invented words."""

from __future__ import annotations

SENTENCES = (
    "The mill grinds numbers as another grinds corn, and the cards tell it in which order. ",
    "Whoever writes the cards must know beforehand what the machine will not do by itself. ",
    "A table of operations is read from top to bottom, and every line changes one column. ",
)


def words(topic: str) -> str:
    """Return three paragraphs of HTML about a topic."""
    return "".join(f"<p>About {topic}: {sentence * 2}</p>" for sentence in SENTENCES)


def article_page(title: str, head: str = "", body: str | None = None) -> str:
    """Return a page with one article."""
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>{head}</head>"
        f"<body><nav><a href='/'>Home</a></nav><article><h1>{title}</h1>{body or words(title)}</article></body></html>"
    )


def rss(*items: str, title: str = "Notes") -> str:
    """Return an RSS feed of these items."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<channel><title>{title}</title><link>/</link>{''.join(items)}</channel></rss>"
    )


def rss_item(title: str, link: str | None, more: str = "", date: str = "Tue, 05 Mar 2024 10:30:00 GMT") -> str:
    """Return an item of an RSS feed."""
    where = f"<link>{link}</link>" if link is not None else ""
    return f"<item><title>{title}</title>{where}<pubDate>{date}</pubDate>{more}</item>"


def carrying(html: str) -> str:
    """Return the element by which an item carries its whole text."""
    return f"<content:encoded><![CDATA[{html}]]></content:encoded>"
