"""Text as its author meant it: one spelling for typographic variants, no invisible noise, nothing that carries meaning
lost.

What is *not* done, on purpose: no NFKC or NFC over the whole text (full-width CJK, ligatures, ½ and superscripts are
the author's), no ASCII folding, no lower-casing, no collapsing of spaces inside a line. Of unstructured's cleaners only
`replace_unicode_quotes` is right here, which repairs quotes that were decoded with the wrong code page. The others lose
text that matters: `clean_non_ascii_chars` drops accents and scripts, `clean_dashes` turns "state-of-the-art" into four
words, `clean_bullets` takes the asterisks of "**bold**" for bullets, `clean_extra_whitespace` joins all lines into one,
`clean_ligatures` rewrites French "œ" and Danish "æ".
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable

import regex

from llmtwin.features.markdown import URL, Span, verbatim_spans

# One spelling each. Guillemets, CJK quotes and the em dash are part of how their languages are written, and stay.
_TYPOGRAPHY = str.maketrans(
    {
        **dict.fromkeys("“”„‟", '"'),
        **dict.fromkeys("‘’‚‛", "'"),
        **dict.fromkeys("‐‑‒–−", "-"),
        "―": "—",
        # No-break and typographic spaces. The ideographic space (U+3000) belongs to CJK text and stays.
        **dict.fromkeys(["\u00a0", "\u1680", *map(chr, range(0x2000, 0x200B)), "\u202f", "\u205f"], " "),
        # Line ends of other traditions.
        **dict.fromkeys("\v\f\x85\u2028\u2029", "\n"),
    }
)
# Characters without width or meaning: controls, zero-width space, word joiner, soft hyphen, byte order mark,
# bidirectional embeddings and overrides. Directional marks and isolates stay: mixed Arabic and Latin needs them.
_INVISIBLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u2060\ufeff\u202a-\u202e\ufff9-\ufffb]")
# Joiners shape Persian, Indic scripts and emoji; after ASCII they do nothing.
_IDLE_JOINER = re.compile(r"(?<![^\x00-\x7f])[\u200c\u200d]+")
# Tag characters are invisible and can smuggle instructions; only the flags of England, Scotland and Wales use them.
_TAGS = re.compile("(\U0001f3f4[\U000e0020-\U000e007f]+)|[\U000e0000-\U000e007f]+")
# The letters "styled" by social-media tools: Mathematical Alphanumeric Symbols, and those italic, script and fraktur
# letters that Unicode had encoded before that block and left out of it, where they stand in such a word.
_OLDER = "ℎℊℯℴℬℰℱℋℐℒℳℛℭℌℑℜℨℂℍℕℙℚℝℤ"
_STYLED = re.compile(f"[{_OLDER}]*[\U0001d400-\U0001d7ff][\U0001d400-\U0001d7ff{_OLDER}]*")
_BULLET = re.compile(r"^([ \t]*)[•‣⁃⁌⁍∙●○◦◘▪▫■□➢➤❖\uf0b7][ \t]*(?=\S)", re.MULTILINE)
_LINE_END = re.compile(r"[ \t]+$", re.MULTILINE)
_BLANK_LINES = re.compile(r"(?<=\n)(?:[ \t]*\n){2,}")
_LEADING_BLANK_LINES = re.compile(r"\A(?:[ \t]*\n)+")

_EMOJI = regex.compile(
    r"""(?: \p{Regional_Indicator}{2}
          | [0-9\#*]\uFE0F?\u20E3
          | (?: \p{Emoji_Presentation}
              | \p{Extended_Pictographic}\uFE0F
              | \p{Extended_Pictographic}(?=\p{Emoji_Modifier}|\u200D) )
            (?: \uFE0F? \p{Emoji_Modifier}? [\U000E0020-\U000E007F]* )
            (?: \u200D \p{Extended_Pictographic} \uFE0F? \p{Emoji_Modifier}? )*
            [\uFE0F\u200D]*
        )""",
    regex.VERBOSE,
)
_IMAGE_OR_LINK = re.compile(
    r"!?\[([^\[\]\n]*)\]\(\s*<?(?:https?|ftp)://[^\s()<>]*(?:\([^\s()]*\)[^\s()<>]*)*>?(?:\s+\"[^\"\n]*\")?\s*\)"
)
_LINK_DEFINITION = re.compile(r"^ {0,3}\[[^\]\n]+\]:[ \t]*<?(?:https?|ftp)://\S+.*\n?", re.MULTILINE)
_AUTOLINK = re.compile(rf"<{URL.pattern}>", re.IGNORECASE)


def clean_prose(text: str, *, drop_emoji: bool = False, drop_urls: bool = False) -> str:
    """Return a post or an article (Markdown or plain) normalised.

    Code blocks, inline code and URLs stay byte for byte, but for ``\\r\\n`` line ends. Cleaning a cleaned text changes
    nothing. The result may be empty.

    Args:
        text: The text as crawled.
        drop_emoji: Remove emoji with their modifiers and joiners.
        drop_urls: Remove bare URLs and the targets of links; the words of a link stay.
    """
    # Taking one thing away can bring another to light (a fence behind a zero-width space), so until nothing changes.
    # Each round only shortens the text or turns characters into plain ones: it ends.
    while (cleaned := _clean_once(text, drop_emoji, drop_urls)) != text:
        text = cleaned
    return text


def clean_code(text: str) -> str:
    """Return a source file with ``\\r\\n`` line ends as ``\\n``, and nothing else changed."""
    return text.replace("\r\n", "\n")


def _clean_once(text: str, drop_emoji: bool, drop_urls: bool) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if drop_urls:
        text = _outside(_code_spans(text), _without_urls, text)
    text = _outside(verbatim_spans(text), lambda prose: _plain_characters(prose, drop_emoji), text)
    for pattern, replacement in ((_BULLET, r"\1- "), (_LINE_END, ""), (_BLANK_LINES, "\n")):
        text = _replace_outside(verbatim_spans(text), pattern, replacement, text)
    return _LEADING_BLANK_LINES.sub("", text).rstrip()


def _plain_characters(text: str, drop_emoji: bool) -> str:
    from unstructured.cleaners.core import replace_unicode_quotes

    text = replace_unicode_quotes(text)
    text = _STYLED.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    text = text.translate(_TYPOGRAPHY)
    text = _INVISIBLE.sub("", text)
    text = _TAGS.sub(lambda match: match[1] or "", text)
    if drop_emoji:
        text = _EMOJI.sub("", text)
    return _IDLE_JOINER.sub("", text)


def _without_urls(text: str) -> str:
    text = _IMAGE_OR_LINK.sub(r"\1", text)
    text = _LINK_DEFINITION.sub("", text)
    return URL.sub("", _AUTOLINK.sub("", text))


def _code_spans(text: str) -> list[Span]:
    return [(start, end) for start, end in verbatim_spans(text) if not URL.match(text, start)]


def _outside(spans: list[Span], change: Callable[[str], str], text: str) -> str:
    """Apply the change to every piece of text between the spans."""
    pieces = []
    position = 0
    for start, end in spans:
        pieces += [change(text[position:start]), text[start:end]]
        position = end
    return "".join([*pieces, change(text[position:])])


def _replace_outside(spans: list[Span], pattern: re.Pattern[str], replacement: str, text: str) -> str:
    """Replace the matches that touch no span; unlike the pieces of `_outside`, lines stay whole."""
    ends = [end for _, end in spans]

    def replace(match: re.Match[str]) -> str:
        following = bisect_right(ends, match.start())
        touched = following < len(spans) and spans[following][0] < match.end()
        return match[0] if touched else match.expand(replacement)

    return pattern.sub(replace, text)
