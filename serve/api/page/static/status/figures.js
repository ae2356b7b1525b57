// Figures of a scrape: tiles, time to the first text by persona, outcomes.

import { byId, el, setVars } from "../shared/dom.js";
import { faceOf } from "../shared/face.js";
import { personaOf } from "../shared/personas.js";

const RESPONDER = { deployment: "Responder" };
const DETECTOR = { deployment: "Detector" };
const OUTCOMES = {
  ok: "answered",
  safety: "answered with a safety reply",
  rejected: "rejected: no capacity, or quota used up",
  invalid: "invalid request",
  deadline_exceeded: "timed out",
  client_disconnected: "client left",
  failed: "failed",
};

const ms = (value) => (value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${Math.round(value)} ms`);
const count = (value) => (value == null ? "no figure" : value.toLocaleString("en"));

/** Show a scrape. `before` is the one before it, `elapsedS` the time between the two. */
export const showFigures = (now, before, elapsedS) => {
  byId("tiles").replaceChildren(...tiles(now, before, elapsedS).map(tile));
  byId("ttft").replaceChildren(...ttftRows(now));
  byId("outcomes").replaceChildren(...outcomeRows(now));
};

const tiles = (now, before, elapsedS) => [
  ["Responder replicas", count(now.sum("serve_deployment_replica_healthy", RESPONDER))],
  ["Detector replicas", count(now.sum("serve_deployment_replica_healthy", DETECTOR))],
  ["Requests in work", count(now.sum("serve_replica_processing_queries", RESPONDER))],
  ["Waiting", count(now.sum("vllm_num_requests_waiting") ?? now.sum("serve_deployment_queued_queries", RESPONDER))],
  ["Tokens a second", rate("fye_tokens_total", { kind: "completion" }, now, before, elapsedS)],
  ["Requests a minute", rate("fye_requests_total", {}, now, before, elapsedS / 60)],
];

const rate = (name, labels, now, before, elapsed) => {
  if (!before) return "...";
  const made = (now.sum(name, labels) ?? 0) - (before.sum(name, labels) ?? 0);
  return (Math.max(made, 0) / elapsed).toFixed(1); // a restarted replica counts from 0 again
};

const tile = ([name, value]) => el("div", { class: "tile" }, el("dt", {}, name), el("dd", {}, value));

const ttftRows = (now) => {
  const counts = [...now.by("persona", "fye_ttft_ms_count")].filter(([, number]) => number > 0);
  const rows = counts.map(([persona, number]) => ({
    persona,
    number,
    median: now.quantile(0.5, "fye_ttft_ms", { persona }),
    p95: now.quantile(0.95, "fye_ttft_ms", { persona }),
  }));
  const longest = Math.max(...rows.map(({ p95 }) => p95));
  return rows.length ? rows.map((row) => ttftRow(row, longest)) : [empty(5, "No answer yet.")];
};

const ttftRow = ({ persona, number, median, p95 }, longest) => {
  const bar = el("span", { class: "spark", "aria-hidden": "true" }, el("i"));
  setVars(bar, { persona: personaOf(persona).colour, median: median / longest, p95: p95 / longest });
  const name = el("span", { class: "who" }, faceOf(persona === "none" ? "calm" : persona), persona === "none" ? "No persona" : personaOf(persona).name);
  return el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, ms(median)), el("td", {}, ms(p95)), el("td", {}, count(number)), el("td", { class: "wide" }, bar));
};

const outcomeRows = (now) => {
  const rows = [...now.by("outcome", "fye_requests_total")].filter(([, number]) => number > 0);
  return rows.length
    ? rows.map(([outcome, number]) => el("tr", {}, el("th", { scope: "row" }, OUTCOMES[outcome] ?? outcome), el("td", {}, count(number))))
    : [empty(2, "No request yet.")];
};

const empty = (columns, text) => el("tr", {}, el("td", { colspan: columns }, text));
