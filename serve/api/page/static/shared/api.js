// The server's API. Paths are relative to the page, so the page also works below a prefix.

export const OFFLINE = "offline"; // slugs of refusals that no server sent
export const CUT = "cut";
const PREFIX = "urn:face-your-emotions:";
const NOT_A_KEY = /[^\x21-\x7e]/;

/** Refusal of the server, or a connection that failed (status 0). */
export class Refusal extends Error {
  constructor(status, slug, detail = "", retryAfterS = 0) {
    super(detail || slug);
    this.status = status;
    this.slug = slug;
    this.detail = detail;
    this.retryAfterS = retryAfterS;
  }

  /** Return the refusal that a problem document describes. */
  static of(problem, status = problem?.status ?? 0, retryAfterS = 0) {
    const type = String(problem?.type ?? "");
    const fields = (problem?.errors ?? []).map((row) => `${row.field}: ${row.problem}`);
    const detail = [problem?.detail, ...fields].filter(Boolean).join("; ");
    return new Refusal(status, type.replace(PREFIX, "") || "unknown", detail, retryAfterS);
  }
}

/** Return the reply to a request. Throws Refusal; an abort throws as fetch does. */
export const request = async (path, { key = "", body, signal } = {}) => {
  if (NOT_A_KEY.test(key)) throw new Refusal(401, "unauthenticated"); // a header cannot hold it
  const headers = {};
  if (key) headers.authorization = `Bearer ${key}`;
  if (body) headers["content-type"] = "application/json";
  const method = body ? "POST" : "GET";
  let reply;
  try {
    reply = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(0, OFFLINE);
  }
  if (reply.ok) return reply;
  const problem = await reply.json().catch(() => null);
  throw Refusal.of(problem, reply.status, Number(reply.headers.get("retry-after")) || 0);
};

/** Return the JSON of a reply. Throws Refusal. */
export const fetchJson = async (path, options) => (await request(path, options)).json();

/**
 * Send a message and yield [event, data] until `done`.
 *
 * Throws Refusal, also for an error in the stream and for a stream that ends too early.
 */
export async function* respond(body, { key, signal }) {
  const reply = await request("v1/respond", { key, signal, body: { ...body, stream: true } });
  try {
    for await (const [event, data] of events(reply.body)) {
      if (event === "error") throw Refusal.of(data);
      yield [event, data];
      if (event === "done") return;
    }
  } catch (error) {
    if (error instanceof Refusal || signal?.aborted) throw error;
  }
  throw new Refusal(0, CUT);
}

/** Yield the server-sent events of a body. Comments and events without data are left out. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = new Map(block.split(/\r?\n/).map((line) => line.split(/: ?(.*)/s, 2)));
      if (fields.has("data")) yield [fields.get("event") ?? "message", JSON.parse(fields.get("data"))];
    }
  }
}
