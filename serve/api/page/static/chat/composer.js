// The field for a message, who answers it, and the buttons to send and to stop.

import { byId, el, setVars } from "../shared/dom.js";
import { faceOf } from "../shared/face.js";
import { personaIds, personaOf } from "../shared/personas.js";
import { MixControls } from "./mix.js";
import { AUTO, SIX } from "./turn.js";

const EXAMPLES = [
  ["joy", "I got the job! They called five minutes ago."],
  ["sadness", "Her coat still hangs by the door."],
  ["surprise", "Hang on, you speak Finnish?!"],
  ["fear", "Someone is trying the door handle."],
  ["love", "She still cuts the crusts off my sandwiches."],
  ["anger", "He read my diary out loud to everyone."],
];

/** Form at the bottom of the page. Calls `send(text, chosen, mix)` and `stop()`. */
export class Composer {
  #field = byId("message");
  #send = byId("send");
  #stop = byId("stop");
  #mix = new MixControls({ choose: (id) => this.#choose(id) });

  constructor({ send, stop }) {
    this.send = send;
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#field.addEventListener("keydown", (event) => this.#onKey(event));
    this.#field.addEventListener("input", () => this.#resize());
    this.#stop.addEventListener("click", stop);
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !this.#stop.hidden && !isForOther(event)) stop();
    });
    byId("examples").append(...EXAMPLES.map((example) => this.#example(...example)));
  }

  /** Offer the personas that the server has. */
  showPersonas() {
    const options = [[AUTO, "The one that fits"], ...personaIds().map((id) => [id, personaOf(id).name]), [SIX, "All six"]];
    byId("answerers").append(...options.map(([id, name]) => option(id, name)));
    byId("answerers").addEventListener("change", () => this.#mix.follow(this.#chosen));
    this.#mix.offer();
  }

  /** Show whether an answer streams. The focus stays on the button that is shown. */
  set busy(isBusy) {
    const hasFocus = [this.#send, this.#stop].includes(document.activeElement);
    this.#send.hidden = isBusy;
    this.#stop.hidden = !isBusy;
    if (hasFocus) (isBusy ? this.#stop : this.#send).focus();
  }

  #example(emotion, text) {
    const pick = () => {
      this.#field.value = text;
      this.#send.focus(); // the examples go
      this.#submit();
    };
    return el("li", {}, el("button", { type: "button", class: "example", onclick: pick }, faceOf(emotion), el("span", {}, text)));
  }

  #onKey(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const text = this.#field.value.trim();
    if (!text || !this.#stop.hidden) return;
    this.#field.value = "";
    this.#resize();
    this.send(text, this.#chosen, this.#mix.value);
  }

  get #chosen() {
    return new FormData(byId("composer")).get("chosen") ?? AUTO;
  }

  #choose(id) {
    byId("composer").elements.namedItem("chosen").value = id;
  }

  #resize() {
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
    byId("length").textContent = this.#field.value.length > 3500 ? `${this.#field.value.length} of 4,000` : "";
  }
}

/** Return whether a key closes a dialog or belongs to an input method. */
const isForOther = (event) => event.isComposing || document.querySelector("dialog[open]") !== null;

const option = (id, name) => {
  const input = el("input", { type: "radio", name: "chosen", value: id, checked: id === AUTO });
  const label = el("label", { class: "chip" }, input, id === AUTO || id === SIX ? null : faceOf(id), el("span", {}, name));
  return setVars(label, { persona: personaOf(id).colour });
};
