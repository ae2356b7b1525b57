// How strongly a persona answers, and which other one answers with it.

import { byId, el } from "../shared/dom.js";
import { EMOTIONS, personaOf } from "../shared/personas.js";
import { Hexagon } from "./hexagon.js";

const AS_TRAINED = 1;
const SHARE = 0.3;
const WORDS = [[0, "base model"], [0.97, "milder"], [1.02, "as trained"], [Infinity, "stronger"]];
const GROUPS = { auto: "The one that fits", six: "Each of the six" };

/** A mix {intensity, second, share}: one persona alone, as trained. */
export const PLAIN = { intensity: AS_TRAINED, second: "", share: SHARE };

const isSingle = (chosen) => chosen !== "auto" && chosen !== "six";
const rounded = (value) => Math.round(100 * value) / 100;

/** Return the fields of `/v1/respond` for a persona, or "auto", and a mix. */
export const mixFields = (chosen, { intensity, second, share }) => ({
  ...(second && isSingle(chosen) && second !== chosen
    ? { blend: { [chosen]: rounded(1 - share), [second]: rounded(share) } }
    : chosen === "auto" ? {} : { emotion: chosen }),
  ...(intensity === AS_TRAINED ? {} : { intensity }),
});

/** Return the weights that an answer states, in words; null for one persona as trained. */
export const mixLine = (blend) => {
  const parts = Object.entries(blend ?? {});
  if (!parts.length || (parts.length === 1 && parts[0][1] === AS_TRAINED)) return null;
  return parts.map(([persona, weight]) => `${personaOf(persona).name} ${weight.toFixed(2)}`).join(" + ");
};

const strength = (intensity) => `${intensity.toFixed(2)}, ${WORDS.find(([limit]) => intensity <= limit)[1]}`;
const percent = (share) => `${Math.round(100 * share)} %`;

/** Return who answers, as "Joy 70 % + Surprise 30 %". */
const whoOf = (chosen, { second, share }) => {
  const one = GROUPS[chosen] ?? personaOf(chosen).name;
  return second ? `${one} ${percent(1 - share)} + ${personaOf(second).name} ${percent(share)}` : one;
};

/**
 * Controls of the mix: sliders and a hexagon, which always show the same one.
 *
 * The second persona needs a first one that the reader has chosen. A move in the hexagon chooses both, and calls
 * `choose(first)`.
 */
export class MixControls {
  #intensity = byId("intensity");
  #second = byId("second");
  #share = byId("share");
  #chosen = "auto";
  #hexagon = null;

  constructor({ choose }) {
    this.choose = choose;
    for (const input of [this.#intensity, this.#second, this.#share]) input.addEventListener("input", () => this.#show());
    this.#show();
  }

  /** Offer the personas that can join. */
  offer() {
    this.#second.append(...EMOTIONS.map((id) => el("option", { value: id }, personaOf(id).name)));
    this.#hexagon = new Hexagon(byId("hexagon"), (...moved) => this.#move(...moved));
    this.#show();
  }

  /** Take over who was chosen to answer. */
  follow(chosen) {
    this.#chosen = chosen;
    this.#second.disabled = !isSingle(chosen);
    for (const choice of this.#second.options) choice.disabled = choice.value === chosen;
    if (this.#second.disabled || this.#second.value === chosen) this.#second.value = "";
    this.#show();
  }

  /** The mix as it is set now. */
  get value() {
    return { intensity: this.#intensity.valueAsNumber, second: this.#second.value, share: this.#share.valueAsNumber };
  }

  #move(chosen, { intensity, second, share }) {
    this.choose(chosen);
    this.follow(chosen);
    this.#intensity.valueAsNumber = intensity;
    this.#second.value = second;
    this.#share.valueAsNumber = share;
    this.#show();
  }

  #show() {
    const { intensity, second, share } = this.value;
    const who = whoOf(this.#chosen, this.value);
    this.#say("intensity", this.#intensity, strength(intensity));
    this.#say("share", this.#share, second ? percent(share) : "none");
    this.#share.disabled = !second;
    byId("mix-now").textContent = `${who}, at ${intensity.toFixed(2)}`;
    this.#hexagon?.show(this.#chosen, this.value, `${who}, intensity ${strength(intensity)}`);
  }

  #say(id, input, text) {
    byId(`${id}-value`).textContent = text;
    input.setAttribute("aria-valuetext", text);
  }
}
