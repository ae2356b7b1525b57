// One reply while it streams: the face, the name, the text, and what became of it.

import { el, setVars } from "../shared/dom.js";
import { faceOf } from "../shared/face.js";
import { personaOf } from "../shared/personas.js";
import { explainSafety } from "../shared/words.js";

/** View of one reply. It holds no state but its elements. */
export class Reply {
  constructor(persona) {
    this.face = el("div", { class: "reply-face" });
    this.name = el("p", { class: "reply-name" });
    this.safety = el("div", { class: "safety", hidden: true });
    this.text = el("p", { class: "reply-text", dir: "auto" });
    this.end = el("div", { class: "reply-end" });
    const bubble = el("div", { class: "bubble" }, this.name, this.safety, this.text, this.end);
    this.element = el("article", { class: "reply", tabindex: -1 }, this.face, bubble);
    this.element.setAttribute("aria-busy", "true");
    this.text.append(el("span", { class: "dots", role: "img", "aria-label": "writing" }, el("i"), el("i"), el("i")));
    this.be(persona);
  }

  /** Take the face, the name and the colour of a persona; none yet for null. */
  be(persona) {
    const id = persona ?? "calm";
    this.face.replaceChildren(faceOf(id));
    this.name.textContent = persona === null ? "Listening" : id === "calm" ? "A calm answer" : personaOf(id).name;
    this.element.dataset.persona = id;
    setVars(this.element, { persona: personaOf(id).colour });
  }

  /** Show what the safety check did. */
  warn(safety) {
    const { title, text } = explainSafety(safety);
    this.safety.replaceChildren(el("p", { class: "safety-title" }, title), el("p", {}, text));
    this.safety.hidden = false;
  }

  /** Add a part of the text. */
  add(text) {
    this.text.querySelector(".dots")?.remove();
    // White space around an answer is the model's, not the reader's.
    this.text.append(this.text.textContent ? text : text.trimStart());
  }

  /** End the reply. `end` holds what belongs below its text. */
  finish(...end) {
    this.element.removeAttribute("aria-busy");
    this.text.querySelector(".dots")?.remove();
    this.end.replaceChildren(...end);
  }
}
