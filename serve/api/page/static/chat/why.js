// "Why": what the answer rests on, as far as the API reports it.

import { el, setVars } from "../shared/dom.js";
import { personaOf } from "../shared/personas.js";
import { safetyLine } from "../shared/words.js";
import { mixLine } from "./mix.js";

const STAGES = [
  ["queue", "Waiting for a place"],
  ["detect", "Reading the emotion"],
  ["first_token", "Finding the first word"],
  ["generate", "Writing the rest"],
];
const FINISHED = { stop: "by itself", length: "at the length limit" };

const time = (ms) => (ms >= 1000 ? `${(ms / 1000).toFixed(1)} s` : `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`);

const likeliest = ({ scores, reliable = true }) => {
  const two = Object.entries(scores)
    .sort(([, one], [, other]) => other - one)
    .slice(0, 2)
    .map(([emotion, score]) => `${personaOf(emotion).name} ${(100 * score).toFixed(1)} %`);
  return two.join(", then ") + (reliable ? "" : "; this may be wrong");
};

const stage = (label, start, length, total) => {
  const bar = setVars(el("span", { class: "stage-bar" }), { start: start / total, length: length / total });
  return [
    el("span", { class: "stage-name" }, label),
    el("span", { class: "stage-track", "aria-hidden": "true" }, bar),
    el("span", { class: "stage-time" }, time(length)),
  ];
};

const waterfall = (timings) => {
  const total = Math.max(timings.total, 1e-9);
  let start = 0;
  const rows = STAGES.filter(([id]) => timings[id] > 0).map(([id, label]) => {
    const cells = stage(label, start, timings[id], total);
    start += timings[id];
    return el("li", { class: "stage" }, ...cells);
  });
  return el("ol", { class: "waterfall", "aria-label": "Time of each stage" }, ...rows);
};

/** Return the content of "Why" for a finished answer. `chosen`: the client named the persona. */
export const whyOf = ({ emotion, persona, adapter, blend, safety, usage, timings_ms, finish_reason, id }, chosen) => {
  const speed = timings_ms.generate > 0 && usage.completion_tokens > 1
    ? `, ${((1000 * (usage.completion_tokens - 1)) / timings_ms.generate).toFixed(0)} a second` : "";
  const facts = [
    ["Heard", chosen ? `not used: you chose ${personaOf(chosen).name}` : likeliest(emotion)],
    ["Answered", persona ? `as ${personaOf(persona).name}` : "without a persona"],
    ["Safety check", safetyLine(safety)],
    ["Adapter", adapter ?? "none: the base model, by instruction"],
    ["Tokens", `${usage.prompt_tokens} read, ${usage.completion_tokens} written${speed}`],
    ["Ended", FINISHED[finish_reason] ?? finish_reason],
    ["Total time", time(timings_ms.total)],
    ["Request", id],
  ];
  if (!persona) facts.splice(3, 1);
  const mix = mixLine(blend);
  if (mix) facts.splice(2, 0, ["Mixed", mix]);
  const rows = facts.map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, String(value))));
  return [el("dl", { class: "facts" }, ...rows), waterfall(timings_ms)];
};
