// The page: it joins the conversation, the panel, the composer, the history and the key.

import { fetchJson } from "../shared/api.js";
import { byId } from "../shared/dom.js";
import { KeyDialog } from "../shared/keys.js";
import { loadPersonas } from "../shared/personas.js";
import { clearHistory, loadHistory, saveHistory } from "../shared/store.js";
import { EmotionPanel } from "./bars.js";
import { Composer } from "./composer.js";
import { PLAIN } from "./mix.js";
import { Turn } from "./turn.js";

const FOLLOW_PX = 240; // a reader who has scrolled further up is left where they are

/** The conversation, and what its turns need of the page. */
class Page {
  #turns = [];
  #list = byId("turns");
  #running = new Set();

  constructor() {
    this.panel = new EmotionPanel();
    this.keys = new KeyDialog("chat");
    this.composer = new Composer({ send: (...asked) => this.ask(...asked), stop: () => this.#stop() });
  }

  /** Show the kept conversation. */
  restore() {
    this.composer.showPersonas();
    for (const kept of loadHistory()) this.#add({ chosen: "auto", answers: {}, ...kept, mix: { ...PLAIN, ...kept.mix } }).restore();
    this.#list.lastElementChild?.scrollIntoView({ block: "end" });
  }

  /** Send a message, and show its replies. */
  async ask(text, chosen, mix = PLAIN) {
    const view = this.#add({ text, chosen, mix, answers: {} });
    this.changed();
    this.follow(true);
    await this.during(view, () => view.run());
  }

  /** Show that a turn streams while `work` runs. */
  async during(view, work) {
    this.#running.add(view);
    this.composer.busy = true;
    try {
      await work();
    } finally {
      this.#running.delete(view);
      this.composer.busy = this.#running.size > 0;
      this.follow();
    }
  }

  key = () => this.keys.value;
  askKey = () => this.keys.open();
  changed = () => saveHistory(this.#turns);

  /** Tell a screen reader, once an answer is complete: a word at a time could not be followed. */
  announce(text) {
    byId("announcer").textContent = text;
  }

  /** Keep the end in view. */
  follow(always = false) {
    const { scrollHeight, scrollTop, clientHeight } = document.scrollingElement;
    if (always || scrollHeight - scrollTop - clientHeight < FOLLOW_PX) scrollTo({ top: scrollHeight });
  }

  /** Forget the conversation. */
  clear() {
    this.#stop();
    this.#turns = [];
    this.#list.replaceChildren();
    clearHistory();
    this.panel.rest();
    this.#showEmpty();
    byId("message").focus();
  }

  #add(turn) {
    const view = new Turn(turn, this);
    this.#turns.push(turn);
    this.#list.append(view.element);
    this.#showEmpty();
    return view;
  }

  #showEmpty() {
    const isEmpty = this.#turns.length === 0;
    byId("welcome").hidden = !isEmpty;
    byId("clear").hidden = isEmpty;
  }

  #stop() {
    for (const view of this.#running) view.stop();
  }
}

const watchConnection = () => {
  const show = () => {
    byId("offline").hidden = navigator.onLine;
  };
  addEventListener("online", show);
  addEventListener("offline", show);
  show();
};

const start = async () => {
  watchConnection();
  const page = new Page();
  byId("clear").addEventListener("click", () => byId("clear-dialog").showModal());
  byId("clear-dialog").addEventListener("close", () => {
    if (byId("clear-dialog").returnValue === "clear") page.clear();
  });
  const [settings] = await Promise.all([fetchJson("page/settings").catch(() => ({})), loadPersonas()]);
  if (settings.keys) page.keys.offer();
  page.restore();
};

start();
