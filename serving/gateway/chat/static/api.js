// The gateway's API: OpenAI's, with citations, facets and feedback. Addresses are relative, so that the page also works
// behind a proxy that serves it under a path of its own.

const KEY = "llmtwin.key";
const LOST = "The answer broke off: the connection was lost.";

export class ApiError extends Error {
  constructor(message, { status = 0, code = null } = {}) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

export async function models() {
  return (await json("v1/models")).data.map((card) => ({ id: card.id, root: card.root }));
}

export const facets = () => json("v1/facets");

export const sendFeedback = (feedback) => json("v1/feedback", { method: "POST", body: JSON.stringify(feedback) });

// Yields {traceId}, many {text}, and at the end {citations, notes}.
export async function* answer(request, signal) {
  const response = await send("v1/chat/completions", {
    method: "POST",
    body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  yield { traceId: response.headers.get("x-llmtwin-trace-id") };
  let done = false;
  try {
    for await (const data of events(response.body)) {
      if (data === "[DONE]") {
        done = true;
        continue;
      }
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ApiError(chunk.error.message, { code: chunk.error.code });
      const text = chunk.choices?.[0]?.delta?.content;
      if (text) yield { text };
      if (chunk.citations) yield { citations: chunk.citations, notes: chunk.rag?.notes ?? [] };
    }
  } catch (error) {
    if (error instanceof TypeError) throw new ApiError(LOST); // how fetch says so
    throw error;
  }
  if (!done) throw new ApiError(LOST);
}

// The data of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), of which the API
// uses `data` lines only.
export async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith("data:")) yield line.slice(5).trimStart();
      }
    }
  } finally {
    await reader.cancel().catch(() => {}); // it has failed already, and whoever reads knows
  }
}

// What the gateway says, as a sentence to read.
export function sentence(message) {
  const text = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

async function json(path, options) {
  return (await send(path, options)).json();
}

async function send(path, options = {}) {
  const headers = { ...(options.body && { "content-type": "application/json" }) };
  if (key.get()) headers.authorization = `Bearer ${key.get()}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The gateway does not answer. Is it running?");
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  throw new ApiError(error?.message ?? `The gateway answered HTTP ${response.status}.`, {
    status: response.status,
    code: error?.code,
  });
}
