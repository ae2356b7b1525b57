// How strongly a persona answers, and which other one answers with it.

import { byId, el } from "../shared/dom.js";
import { EMOTIONS, personaOf } from "../shared/personas.js";

const AS_TRAINED = 1;
const SHARE = 0.3;
const WORDS = [[0, "base model"], [0.95, "milder"], [1.05, "as trained"], [Infinity, "stronger"]];

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

/** Controls of the mix. The second persona needs a first one that the reader has chosen. */
export class MixControls {
  #intensity = byId("intensity");
  #second = byId("second");
  #share = byId("share");

  constructor() {
    for (const input of [this.#intensity, this.#second, this.#share]) input.addEventListener("input", () => this.#show());
    this.#show();
  }

  /** Offer the personas that can join. */
  offer() {
    this.#second.append(...EMOTIONS.map((id) => el("option", { value: id }, personaOf(id).name)));
  }

  /** Take over who was chosen to answer. */
  follow(chosen) {
    this.#second.disabled = !isSingle(chosen);
    for (const choice of this.#second.options) choice.disabled = choice.value === chosen;
    if (this.#second.disabled || this.#second.value === chosen) this.#second.value = "";
    this.#show();
  }

  /** The mix as it is set now. */
  get value() {
    return { intensity: this.#intensity.valueAsNumber, second: this.#second.value, share: this.#share.valueAsNumber };
  }

  #show() {
    const { intensity, second, share } = this.value;
    const [, word] = WORDS.find(([limit]) => intensity <= limit);
    this.#say("intensity", this.#intensity, `${intensity.toFixed(2)}, ${word}`);
    this.#say("share", this.#share, `${Math.round(100 * share)} %`);
    byId("share-field").hidden = !second;
  }

  #say(id, input, text) {
    byId(`${id}-value`).textContent = text;
    input.setAttribute("aria-valuetext", text);
  }
}
