// Markdown to DOM nodes. markdown-it reads it (raw HTML stays text); its tokens become elements of the list below, and
// everything in them text nodes. No string is ever read as HTML, and no image is loaded.

import MarkdownIt from "./vendor/markdown-it.mjs";

const parser = new MarkdownIt({ html: false, linkify: true });

const TAGS = new Set(
  "p ul ol li blockquote em strong s table thead tbody tr th td".split(" "),
);
const LINKS = new Set(["http:", "https:", "mailto:"]);

// Returns the URL if a reader may follow it, else null.
export function followable(link) {
  try {
    const url = new URL(link);
    return LINKS.has(url.protocol) ? url.href : null;
  } catch {
    return null; // relative, or no URL at all: it would lead into this page
  }
}

export function anchor(link, text) {
  const element = document.createElement("a");
  element.href = link;
  element.textContent = text;
  element.target = "_blank";
  element.rel = "noopener noreferrer nofollow";
  return element;
}

// Makes `element` show the text. Blocks that are the same as before stay the nodes they were: while an answer grows,
// only its last block changes, and what a reader has selected stays selected.
export function show(element, text, citationLink = () => null) {
  const lines = text.split("\n");
  const blocks = topLevel(parser.parse(text, {}));
  blocks.forEach((tokens, index) => {
    const [start, end] = tokens[0].map ?? [0, lines.length];
    const source = `${tokens[0].type}\n${lines.slice(start, end).join("\n")}`;
    const old = element.children[index];
    if (old?.source === source && old.citationLink === citationLink) return;
    const node = build(tokens, citationLink);
    Object.assign(node, { source, citationLink });
    if (old) old.replaceWith(node);
    else element.append(node);
  });
  while (element.children.length > blocks.length) element.lastElementChild.remove();
}

function topLevel(tokens) {
  const blocks = [];
  let depth = 0;
  for (const token of tokens) {
    if (depth === 0) blocks.push([]);
    blocks.at(-1).push(token);
    depth += token.nesting;
  }
  return blocks;
}

function build(tokens, citationLink) {
  const root = document.createDocumentFragment();
  fill(root, tokens, citationLink);
  return root.firstElementChild ?? document.createElement("p");
}

function fill(root, tokens, citationLink) {
  const open = [root];
  for (const token of tokens) {
    const parent = open.at(-1);
    if (token.nesting === 1) {
      const element = opened(token);
      parent.append(element);
      open.push(element);
    } else if (token.nesting === -1) {
      open.pop();
    } else {
      leaf(parent, token, citationLink);
    }
  }
}

function opened(token) {
  if (token.type === "link_open") {
    const link = followable(token.attrGet("href"));
    return link ? anchor(link, "") : document.createElement("span");
  }
  if (token.type === "paragraph_open" && token.hidden) return document.createElement("span"); // of a tight list
  if (token.type === "heading_open") return document.createElement(`h${Math.min(6, Number(token.tag[1]) + 2)}`);
  const element = document.createElement(TAGS.has(token.tag) ? token.tag : "div");
  if (token.type === "ordered_list_open") element.start = Number(token.attrGet("start") ?? 1);
  return element;
}

function leaf(parent, token, citationLink) {
  switch (token.type) {
    case "inline":
      fill(parent, token.children, citationLink);
      break;
    case "text":
      cited(parent, token.content, citationLink);
      break;
    case "code_inline":
      parent.append(element("code", token.content));
      break;
    case "fence":
    case "code_block":
      parent.append(codeBlock(token.content, token.info.trim().split(/\s+/)[0]));
      break;
    case "softbreak":
      parent.append("\n");
      break;
    case "image": {
      const link = followable(token.attrGet("src"));
      const words = token.content || "image";
      parent.append(link ? anchor(link, words) : words);
      break;
    }
    case "hr":
    case "hardbreak":
      parent.append(document.createElement(token.tag));
      break;
    default:
      parent.append(token.content);
  }
}

function codeBlock(content, language) {
  const block = element("pre");
  block.tabIndex = 0; // so that a wide one can be scrolled from the keyboard
  if (language) block.dataset.language = language;
  block.append(element("code", content));
  return block;
}

// Text in which [1] leads to the first citation, if there is one.
function cited(parent, text, citationLink) {
  for (const part of text.split(/(\[\d{1,3}\])/)) {
    const link = /^\[\d+\]$/.test(part) ? citationLink(Number(part.slice(1, -1))) : null;
    if (part) parent.append(link ?? part);
  }
}

export function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}
