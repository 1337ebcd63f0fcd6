// The page: one conversation, kept in this tab.

import * as api from "./api.js";
import { element } from "./markdown.js";
import * as scope from "./scope.js";
import { Answer, problem, question } from "./turns.js";

const THEME = "llmtwin.theme";
const STARTERS = [
  "What have you written about most?",
  "Sum up your last article in three sentences.",
  "Show me a piece of your code and explain it.",
];

const $ = (id) => document.getElementById(id);
const conversation = $("conversation");
const input = $("question");
const welcome = $("welcome");

let messages = [];
let answers = 0;
let asking = null; // the AbortController of the answer that is coming in

startTheme();
startConversation();
startKey();
connect();

async function connect() {
  try {
    await loadModels();
    await scope.load();
    $("key-form").hidden = !api.key.get();
  } catch (error) {
    if (error.status === 401) wantKey();
    else say(api.sentence(error.message));
  }
}

async function loadModels() {
  const chat = (await api.models()).filter(({ id }) => /^(base$|twin(@|$))/.test(id));
  const before = $("model").value;
  $("model").replaceChildren(
    ...chat.map(({ id, root }) => {
      const option = element("option", root && root !== id ? `${id} (${root})` : id);
      option.value = id;
      return option;
    }),
  );
  if (chat.some(({ id }) => id === before)) $("model").value = before;
}

function startConversation() {
  for (const text of STARTERS) {
    const starter = element("button", text);
    starter.type = "button";
    starter.addEventListener("click", () => ask(text));
    welcome.querySelector(".starters").append(starter);
  }
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (!text || asking) return;
    input.value = "";
    fit();
    ask(text);
  });
  input.addEventListener("input", fit);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      $("composer").requestSubmit();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (asking) asking.abort();
      else closeScope();
    }
  });
  $("stop").addEventListener("click", () => asking?.abort());
  $("new").addEventListener("click", startAnew);
  $("model").addEventListener("change", () => scope.use($("model").value !== "base"));
  $("open-scope").addEventListener("click", () => {
    const open = document.body.classList.toggle("scope-open");
    $("open-scope").setAttribute("aria-expanded", String(open));
    if (open) $("rag").focus();
  });
}

async function ask(text) {
  if (asking) return;
  welcome.remove();
  closeScope();
  for (const notice of conversation.querySelectorAll(".problem")) notice.remove();
  if (messages.at(-1)?.role === "user") messages.pop(); // never answered
  conversation.append(question(text));
  messages.push({ role: "user", content: text });
  await answer();
}

async function answer() {
  const current = new Answer(++answers, $("model").value);
  const abort = new AbortController();
  const extra = {};
  asking = abort;
  busy(true);
  conversation.append(current.element);
  follow(true);
  try {
    const request = { model: $("model").value, messages, rag: scope.chosen() };
    for await (const part of api.answer(request, abort.signal)) {
      if (asking !== abort) return; // another conversation has begun
      if (part.traceId) current.traceId = part.traceId;
      if (part.text) current.add(part.text);
      if (part.citations) Object.assign(extra, part);
      follow();
    }
    current.finish(extra);
    say("The answer is complete.");
  } catch (error) {
    if (asking !== abort) return;
    fail(current, error);
  } finally {
    if (asking === abort) {
      asking = null;
      busy(false);
      if (current.text) messages.push({ role: "assistant", content: current.text });
      follow();
    }
  }
}

function fail(current, error) {
  if (error.name === "AbortError") {
    current.finish({ ended: "Stopped." });
    say("Stopped.");
    return;
  }
  if (current.text) current.finish({ ended: "The answer is not complete." });
  else current.element.remove();
  if (error.status === 401) wantKey();
  const notice = problem(error.message, () => {
    notice.remove();
    if (current.text) {
      current.element.remove();
      messages.pop();
    }
    answer();
  });
  conversation.append(notice);
}

function startAnew() {
  const coming = asking;
  asking = null;
  coming?.abort();
  busy(false);
  messages = [];
  conversation.replaceChildren(welcome);
  say("A new conversation.");
  input.focus();
}

function busy(is) {
  $("send").hidden = is;
  $("stop").hidden = !is;
  if (is) say("Answering…");
  else if (document.activeElement === document.body) input.focus();
}

// Keeps the newest in view, unless the reader has scrolled up to read.
function follow(always = false) {
  const distance = conversation.scrollHeight - conversation.scrollTop - conversation.clientHeight;
  if (always || distance < 160) conversation.scrollTop = conversation.scrollHeight;
}

function fit() {
  input.style.height = "auto";
  input.style.height = `${Math.min(input.scrollHeight, 240)}px`;
}

function startKey() {
  $("key").value = api.key.get();
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    api.key.set($("key").value.trim());
    closeScope();
    connect();
  });
}

function wantKey() {
  $("key-form").hidden = false;
  document.body.classList.add("scope-open");
  $("open-scope").setAttribute("aria-expanded", "true");
  $("key").focus();
  say("This gateway wants an API key.");
}

function closeScope() {
  document.body.classList.remove("scope-open");
  $("open-scope").setAttribute("aria-expanded", "false");
}

function startTheme() {
  const set = (dark) => {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    $("theme").setAttribute("aria-pressed", String(dark));
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const saved = localStorage.getItem(THEME);
  set(saved ? saved === "dark" : system.matches);
  system.addEventListener("change", () => localStorage.getItem(THEME) ?? set(system.matches));
  $("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme !== "dark";
    localStorage.setItem(THEME, dark ? "dark" : "light");
    set(dark);
  });
}

function say(text) {
  $("status").textContent = text;
}
