// Six bars, one for each emotion. They move as soon as the emotion is known.

import { byId, el, setVars } from "../shared/dom.js";
import { faceOf } from "../shared/face.js";
import { EMOTIONS, personaOf } from "../shared/personas.js";

// Only what is certain is shown as 100 %.
const percent = (score) => `${score < 1 ? Math.min(Math.round(score * 100), 99) : 100} %`;

const row = (emotion) => {
  const { name, colour } = personaOf(emotion);
  const value = el("span", { class: "bar-value" }, "0 %");
  const meter = el("span", {
    class: "meter", role: "meter", "aria-label": name, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": 0,
  }, el("span", { class: "meter-fill" }));
  const item = el("li", { class: "bar", "data-emotion": emotion }, faceOf(emotion), el("span", { class: "bar-name" }, name), meter, value);
  setVars(item, { persona: colour });
  return { item, meter, value };
};

/** Panel with the face of the present emotion and the six bars. */
export class EmotionPanel {
  #rows = new Map();

  constructor() {
    for (const emotion of EMOTIONS) this.#rows.set(emotion, row(emotion));
    byId("bars").replaceChildren(...[...this.#rows.values()].map(({ item }) => item));
    this.rest();
  }

  /** Show that no message was read yet. */
  rest() {
    this.#show("calm", "Nothing felt yet", "Write what happened. The bars show what is heard in it.", "");
    for (const { item, meter, value } of this.#rows.values()) this.#set({ item, meter, value }, 0, false);
  }

  /** Show an emotion ({label, score, scores}) and the persona that answers. `chosen`: by the reader. */
  update({ label, score, scores }, persona, chosen) {
    const { name, voice } = personaOf(persona);
    const heard = chosen ? "you chose it" : persona === label ? `${percent(score)} sure` : `heard: ${personaOf(label).name}`;
    this.#show(persona, name, voice, heard);
    for (const [emotion, one] of this.#rows) this.#set(one, scores[emotion] ?? 0, emotion === label);
  }

  /** Show that no persona answers. */
  calm() {
    this.#show("calm", "A calm answer", "No emotion answers this one.", "");
  }

  #show(face, name, voice, sure) {
    byId("panel-face").replaceChildren(faceOf(face));
    byId("panel-name").textContent = name;
    byId("panel-voice").textContent = voice;
    byId("panel-sure").textContent = sure;
    setVars(document.documentElement, { mood: personaOf(face).colour });
    document.documentElement.dataset.mood = face;
  }

  #set({ item, meter, value }, score, isLabel) {
    setVars(meter, { score: Math.min(Math.max(score, 0), 1) });
    meter.setAttribute("aria-valuenow", Math.round(score * 100));
    value.textContent = percent(score);
    item.classList.toggle("is-label", isLabel);
  }
}
