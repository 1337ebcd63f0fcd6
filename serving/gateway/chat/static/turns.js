// What a conversation shows: questions, growing answers with their citations, and problems.

import { sendFeedback, sentence } from "./api.js";
import { anchor, element, followable, show } from "./markdown.js";

const KINDS = { repository: "code" };

export function question(text) {
  const turn = element("article", "", "turn question");
  turn.append(element("h2", "You asked", "hidden"), element("div", text, "text"));
  return turn;
}

export class Answer {
  constructor(number, model) {
    this.text = "";
    this.traceId = null;
    this.number = number;
    this.element = element("article", "", "turn answer");
    this.element.setAttribute("aria-busy", "true"); // screen readers wait for the whole answer
    this.body = element("div", "", "prose");
    this.waiting = element("div", "", "waiting");
    this.waiting.append(element("span"), element("span"), element("span"));
    this.element.append(element("h2", `${model} answered`, "hidden"), this.waiting, this.body);
    this.drawing = 0;
    this.link = () => null;
  }

  add(text) {
    this.text += text;
    // A frame, not a token, is the pace: a fast model sends hundreds a second.
    this.drawing ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.drawing = 0;
    this.waiting.remove();
    show(this.body, this.text, this.link);
  }

  // Shows all that came. `ended` is what a reader should know of how it ended, if anything.
  finish({ citations = [], notes = [], ended = "" } = {}) {
    cancelAnimationFrame(this.drawing);
    this.link = (index) => this.reference(citations, index);
    this.draw();
    this.element.removeAttribute("aria-busy");
    if (ended) this.element.append(element("p", ended, "note"));
    for (const note of notes) this.element.append(element("p", sentence(note), "note"));
    if (citations.length) this.element.append(this.sources(citations));
    if (this.text) this.element.append(this.tools());
  }

  reference(citations, index) {
    if (!citations.some((citation) => citation.index === index)) return null;
    const link = element("a", String(index), "reference");
    link.href = `#${this.idOf(index)}`;
    link.setAttribute("aria-label", `source ${index}`);
    return link;
  }

  idOf(index) {
    return `source-${this.number}-${index}`;
  }

  sources(citations) {
    const section = element("section", "", "sources");
    section.append(element("h3", citations.length === 1 ? "1 source" : `${citations.length} sources`));
    const list = element("ol");
    for (const citation of citations) list.append(this.source(citation));
    section.append(list);
    return section;
  }

  source(citation) {
    const item = element("li");
    item.id = this.idOf(citation.index);
    item.tabIndex = -1;
    const title = citation.title || citation.path || opening(citation.content) || citation.link;
    const link = followable(citation.link);
    const [first, last] = citation.lines ?? [];
    const head = element("div", "", "source-title");
    head.append(
      element("span", String(citation.index), "number"),
      link ? anchor(first ? `${link}#L${first}-L${last}` : link, title) : element("span", title),
    );
    const place = citation.path && `${citation.path}${first ? `:${first}–${last}` : ""}`;
    const facts = element("div", "", "facts");
    for (const fact of [citation.author, KINDS[citation.kind] ?? citation.kind, place]) {
      if (fact) facts.append(element("span", fact, fact === place ? "path" : ""));
    }
    const score = element("span", `score ${citation.score.toFixed(3)}`, "score");
    score.title = "How well it fits; comparable within one answer only";
    facts.append(score);
    item.append(head, facts);
    if (citation.content) {
      const more = element("details");
      const passage = element("div", citation.content, citation.lines ? "passage code" : "passage");
      passage.tabIndex = 0;
      more.append(element("summary", "Show the passage"), passage);
      more.addEventListener("toggle", () => {
        more.firstChild.textContent = more.open ? "Hide the passage" : "Show the passage";
      });
      item.append(more);
    }
    return item;
  }

  tools() {
    const tools = element("div", "", "tools");
    const copy = button("Copy", "Copy the answer", async () => {
      await navigator.clipboard.writeText(this.text);
      copy.textContent = "Copied";
      setTimeout(() => (copy.textContent = "Copy"), 1500);
    });
    if (navigator.clipboard) tools.append(copy);
    if (this.traceId) tools.append(...this.feedback());
    return tools;
  }

  feedback() {
    const said = element("span", "", "said");
    said.setAttribute("role", "status");
    const thumbs = {};
    const send = async (given) => {
      try {
        await sendFeedback({ trace_id: this.traceId, ...given });
      } catch (error) {
        said.textContent = sentence(error.message);
        return false;
      }
      for (const [name, one] of Object.entries(thumbs)) one.setAttribute("aria-pressed", String(name === given.thumbs));
      said.textContent = given.corrected_text ? "Thank you, your text is kept." : "Thank you.";
      return true;
    };
    const correct = button("Correct", "Write what the answer should have been", () => {
      this.element.append(this.correction(send, correct));
      correct.disabled = true;
    });
    for (const [name, label] of [["up", "Good answer"], ["down", "Bad answer"]]) {
      thumbs[name] = button("", label, () => send({ thumbs: name }));
      thumbs[name].classList.add("thumb", name);
      thumbs[name].setAttribute("aria-pressed", "false");
      thumbs[name].append(thumb());
    }
    return [thumbs.up, thumbs.down, correct, said];
  }

  correction(send, opener) {
    const form = element("form", "", "correction");
    const label = element("label", "What it should have been");
    const text = element("textarea");
    text.value = this.text;
    text.rows = Math.min(12, 3 + Math.round(this.text.length / 80));
    label.append(text);
    const close = () => {
      form.remove();
      opener.disabled = false;
      opener.focus();
    };
    const row = element("div", "", "row");
    const submit = element("button", "Send");
    submit.type = "submit";
    row.append(submit, button("Cancel", "", close));
    form.append(label, row);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (await send({ thumbs: "down", corrected_text: text.value })) close();
    });
    queueMicrotask(() => text.focus());
    return form;
  }
}

export function problem(message, retry) {
  const turn = element("div", "", "turn problem");
  turn.setAttribute("role", "alert");
  turn.append(element("p", sentence(message)));
  if (retry) turn.append(button("Try again", "", retry));
  return turn;
}

function button(text, label, act) {
  const made = element("button", text, "quiet small");
  made.type = "button";
  if (label) {
    made.title = label;
    if (!text) made.setAttribute("aria-label", label);
  }
  made.addEventListener("click", act);
  return made;
}

function thumb() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute(
    "d",
    "M7 11v9H4v-9zM7 11l4-8a2.5 2.5 0 0 1 2.5 2.5V9H19a2 2 0 0 1 2 2.3l-1.1 7A2 2 0 0 1 17.900 20H7",
  );
  svg.append(path);
  return svg;
}

// The first words, for what has no title, as posts have none.
function opening(content = "") {
  const words = content.trim().split(/\s+/).slice(0, 10).join(" ");
  return words.length < content.trim().length ? `${words} …` : words;
}
