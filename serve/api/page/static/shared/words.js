// Refusals and safety replies in plain words.

import { CUT, OFFLINE } from "./api.js";

const SLUGS = {
  [OFFLINE]: ["No connection", "The server cannot be reached. Your message is kept here; try again when you are online."],
  [CUT]: ["The answer broke off", "The connection ended before the answer did. Try again."],
  overloaded: ["Everyone is talking at once", "The server has no free place right now."],
  "rate-limited": ["This key has used up its share", "Its limit frees up with time."],
  "deadline-exceeded": ["That took too long", "The answer was not ready in time, so it was stopped. Try again, perhaps with a shorter message."],
  "not-ready": ["The server is still starting", "Nothing can answer yet."],
  "engine-dead": ["The server is restarting a part of itself", "It answers again in a moment."],
  "replica-failed": ["The server lost this answer", "A part of it stopped while it was answering. Try again."],
  unauthenticated: ["This server needs a key", "Enter an API key, then try again."],
  forbidden: ["This key may not do that", "Enter a key that has the right to."],
  "prompt-too-long": ["That is too long", "The message is longer than the model can read. Shorten it."],
  "body-too-large": ["That is too long", "The message is larger than the server accepts. Shorten it."],
};
const STATUSES = { 401: "unauthenticated", 403: "forbidden", 429: "overloaded", 502: "replica-failed", 503: "not-ready", 504: "deadline-exceeded" };
const FINAL = new Set(["prompt-too-long", "body-too-large", "invalid-request"]);
const NEEDS_KEY = new Set(["unauthenticated", "forbidden"]);
const WAIT_S = { overloaded: 5, "rate-limited": 5, "not-ready": 2, "engine-dead": 5 };

/**
 * Return a refusal in plain words.
 *
 * {title, text, waitS: seconds before a retry makes sense, canRetry, needsKey}
 */
export const explain = (refusal) => {
  const slug = SLUGS[refusal.slug] ? refusal.slug : (STATUSES[refusal.status] ?? refusal.slug);
  const [title, text] = SLUGS[slug] ?? fallback(refusal);
  return {
    title,
    text,
    waitS: refusal.retryAfterS || WAIT_S[slug] || 0,
    canRetry: !FINAL.has(slug),
    needsKey: NEEDS_KEY.has(slug),
  };
};

const fallback = ({ status, detail }) =>
  status >= 500 || !status
    ? ["Something went wrong on the server", "It was not your message. Try again in a moment."]
    : ["The server did not accept this", detail || `It replied with status ${status}.`];

const HARMS = {
  "self-harm": "speaks of hurting yourself",
  violence: "speaks of hurting somebody",
};

/** Return what the safety check did, in plain words: {title, text}. */
export const explainSafety = (safety) =>
  safety.level === "concern"
    ? {
        title: "This sounds heavy",
        text: "So you get a gentle answer, and a line about people who listen.",
      }
    : {
        title: "No emotion answers this one",
        text: `Your message ${HARMS[safety.category] ?? "may speak of harm"}. Here is a calm answer, and people who can help right now.`,
      };

/** Return the result of the safety check in one line, for the details of an answer. */
export const safetyLine = (safety) =>
  safety ? [safety.level, safety.category, safety.action].filter(Boolean).join(", ") : "nothing found";
