// What answers are drawn from: whether anything is looked up, whose writing, of which kinds.

import { facets, sentence } from "./api.js";
import { element } from "./markdown.js";

const NAMES = { post: "Posts", article: "Articles", repository: "Code" };

const rag = document.querySelector("#rag");
const filters = document.querySelector("#filters");
const trouble = document.querySelector("#facets-problem");

rag.addEventListener("change", enable);

// Returns the request's `rag`. Nothing chosen means everything, so that what is crawled later counts too.
export function chosen() {
  if (!rag.checked) return false;
  const authors = checked("authors");
  const kinds = checked("kinds");
  return { ...(authors.length && { authors }), ...(kinds.length && { kinds }) };
}

export function use(on) {
  rag.checked = on;
  enable();
}

export async function load() {
  try {
    const { authors, kinds } = await facets();
    offer("authors", authors.map((author) => [author.id, author.name]));
    offer("kinds", kinds.map((kind) => [kind, NAMES[kind] ?? kind]));
    tell(authors.length ? "" : "Nothing has been crawled yet.");
  } catch (error) {
    tell(sentence(error.message));
    throw error;
  }
}

function offer(name, options) {
  const fieldset = document.getElementById(name);
  const before = new Set(checked(name));
  fieldset.hidden = options.length === 0;
  fieldset.querySelector(".options").replaceChildren(
    ...options.map(([value, text]) => {
      const label = element("label");
      const box = element("input");
      Object.assign(box, { type: "checkbox", name, value, checked: before.has(value) });
      label.append(box, element("span", text));
      return label;
    }),
  );
}

function checked(name) {
  return [...document.querySelectorAll(`#${name} input:checked`)].map((box) => box.value);
}

function enable() {
  filters.inert = !rag.checked;
  filters.classList.toggle("off", !rag.checked);
}

function tell(text) {
  trouble.textContent = text;
  trouble.hidden = !text;
}
