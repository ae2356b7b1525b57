// One turn: what was written, and the reply of one persona or the replies of all six.

import { respond } from "../shared/api.js";
import { el } from "../shared/dom.js";
import { EMOTIONS } from "../shared/personas.js";
import { updateTurn } from "../shared/store.js";
import { showCode } from "./code.js";
import { mixFields } from "./mix.js";
import { noticeOf } from "./notice.js";
import { Reply } from "./reply.js";
import { whyOf } from "./why.js";

export const AUTO = "auto";
export const SIX = "six";

/**
 * View of a turn {id, text, chosen, mix, answers}, which it fills and which the history keeps.
 *
 * `page` gives {panel, key, follow, during, announce, askKey, ask}. `answers` are by requested emotion.
 */
export class Turn {
  #aborts = new Set();

  constructor(turn, page) {
    this.turn = turn;
    this.page = page;
    this.isSix = turn.chosen === SIX;
    this.targets = this.isSix ? EMOTIONS : [turn.chosen];
    this.replies = el("div", { class: this.isSix ? "replies six" : "replies" });
    const said = el("div", { class: "said" }, el("p", { class: "said-text", dir: "auto" }, turn.text));
    this.element = el("li", { class: "turn" }, el("h2", { class: "hidden" }, "You wrote"), said, this.replies);
    this.views = new Map(this.targets.map((target) => [target, this.#view(target)]));
    this.replies.append(...[...this.views.values()].map((reply) => reply.element));
  }

  /** Ask for every reply that is missing, and return when all have ended. */
  async run() {
    await Promise.all(this.targets.map((target) => this.#ask(target)));
  }

  /** End the replies that still stream. */
  stop() {
    for (const abort of this.#aborts) abort.abort();
  }

  /** Show the kept answers, and in the panel too if `inPanel`. A missing one can be asked for again. */
  restore(inPanel) {
    for (const target of this.targets) {
      const answer = this.turn.answers[target];
      try {
        if (answer) this.#show(target, answer, inPanel);
        else this.#miss(target);
      } catch {
        this.#replace(target); // a damaged answer counts as none
        this.#miss(target);
      }
    }
  }

  /** The turn's mix. Each of the six answers alone. */
  get #mix() {
    return this.isSix ? { ...this.turn.mix, second: "" } : this.turn.mix;
  }

  #view(target) {
    return new Reply(target === AUTO ? null : target);
  }

  #replace(target) {
    const fresh = this.#view(target);
    this.views.get(target).element.replaceWith(fresh.element);
    this.views.set(target, fresh);
  }

  async #ask(target) {
    const abort = new AbortController();
    const reply = this.views.get(target);
    this.#aborts.add(abort);
    try {
      const answer = await this.#stream(target, reply, abort.signal);
      this.turn.answers[target] = answer;
      this.#end(reply, target, answer);
      updateTurn(this.turn);
      this.page.announce(`${reply.name.textContent}: ${answer.text}`);
    } catch (error) {
      this.#fail(reply, target, error, abort.signal.aborted);
    } finally {
      this.#aborts.delete(abort);
    }
  }

  /** Show the events while they arrive, and return the whole answer. */
  async #stream(target, reply, signal) {
    const body = { text: this.turn.text, ...mixFields(target, this.#mix) };
    let text = "";
    for await (const [event, data] of respond(body, { key: this.page.key(), signal })) {
      if (event === "emotion") this.#heard(reply, target, data);
      else if (event === "safety") this.#warned(reply, data);
      else if (event === "delta") {
        text += data.text;
        reply.add(data.text);
        this.page.follow();
      } else if (event === "done") return { ...data, text: text.trim() };
    }
    return null;
  }

  #heard(reply, target, emotion) {
    if (this.isSix) return;
    const persona = target === AUTO ? emotion.label : target;
    reply.be(persona);
    this.page.panel.update(emotion, persona, target !== AUTO);
  }

  #warned(reply, safety) {
    reply.warn(safety);
    reply.be("calm"); // if a persona answers all the same, the end says which
    if (!this.isSix) this.page.panel.calm();
  }

  #miss(target) {
    this.views.get(target).finish(this.#again(target, "This message has no answer yet."));
  }

  #show(target, answer, inPanel) {
    const reply = this.views.get(target);
    if (answer.safety) reply.warn(answer.safety);
    reply.add(answer.text);
    this.#end(reply, target, answer);
    if (this.isSix || !inPanel) return;
    if (answer.persona) this.page.panel.update(answer.emotion, answer.persona, target !== AUTO);
    else this.page.panel.calm();
  }

  #end(reply, target, answer) {
    reply.be(answer.persona ?? "calm");
    const chosen = target === AUTO ? null : target;
    const details = el("div", { class: "why", hidden: true }, ...whyOf(answer, chosen));
    const why = toggle("Why", details);
    const code = el("button", { type: "button", class: "link", onclick: () => showCode(this.turn.text, mixFields(target, this.#mix), this.page.key()) }, "Code");
    const six = el("button", { type: "button", class: "link", onclick: () => this.page.ask(this.turn.text, SIX, this.turn.mix) }, "Ask all six");
    const tools = el("div", { class: "tools" }, why, code, this.isSix || answer.safety ? null : six);
    reply.finish(tools, details);
  }

  #fail(reply, target, error, stopped) {
    if (stopped) {
      reply.finish(this.#again(target, "Stopped."));
      return;
    }
    if (!("slug" in error)) throw error;
    reply.finish(noticeOf(error, { retry: () => this.#retry(target), askKey: this.page.askKey }));
    if (!reply.text.textContent) reply.text.remove();
    this.page.announce(reply.end.textContent);
    this.page.follow();
  }

  #again(target, why) {
    const button = el("button", { type: "button", class: "small", onclick: () => this.#retry(target) }, "Try again");
    return el("p", { class: "notice-actions" }, why, " ", button);
  }

  async #retry(target) {
    const hadFocus = this.views.get(target).element.contains(document.activeElement);
    this.#replace(target);
    if (hadFocus) this.views.get(target).element.focus({ preventScroll: true });
    await this.page.during(this, () => this.#ask(target));
  }
}

/** Return a button that shows and hides an element. */
const toggle = (label, element) => {
  const button = el("button", { type: "button", class: "link toggle", "aria-expanded": "false" }, label);
  button.addEventListener("click", () => {
    element.hidden = !element.hidden;
    button.setAttribute("aria-expanded", String(!element.hidden));
  });
  return button;
};
