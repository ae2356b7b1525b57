// The page: it joins the conversation, the panel, the composer, the history and the key.

import { fetchJson } from "../shared/api.js";
import { byId, openDialog } from "../shared/dom.js";
import { KeyDialog } from "../shared/keys.js";
import { loadPersonas } from "../shared/personas.js";
import { addTurn, clearHistory, loadHistory, newId, onCleared } from "../shared/store.js";
import { EmotionPanel } from "./bars.js";
import { Composer } from "./composer.js";
import { PLAIN } from "./mix.js";
import { Turn } from "./turn.js";

const FOLLOW_PX = 240; // a reader who has scrolled further up is left where they are

/** The conversation, and what its turns need of the page. */
class Page {
  #kept = loadHistory(); // until it is shown
  #list = byId("turns");
  #running = new Set();

  constructor() {
    this.panel = new EmotionPanel();
    this.keys = new KeyDialog("chat");
    this.composer = new Composer({ send: (...asked) => this.ask(...asked), stop: () => this.#stop() });
    this.#showEmpty();
  }

  /** Show the kept conversation, above what was written since the page was opened. */
  restore() {
    this.composer.showPersonas();
    const isNewest = !this.#list.hasChildNodes(); // else the panel is about what was written since
    const views = this.#kept.map((turn) => new Turn({ ...turn, mix: { ...PLAIN, ...turn.mix } }, this));
    this.#kept = [];
    this.#list.prepend(...views.map((view) => view.element));
    for (const view of views) view.restore(isNewest);
    this.#list.lastElementChild?.scrollIntoView({ block: "end" });
  }

  /** Send a message, and show its replies. */
  async ask(text, chosen, mix = PLAIN) {
    const turn = { id: newId(), text, chosen, mix, answers: {} };
    const view = new Turn(turn, this);
    addTurn(turn);
    this.#list.append(view.element);
    this.#showEmpty();
    this.follow(true);
    await this.during(view, () => view.run());
  }

  /** Show that a turn streams while `work` runs. */
  async during(view, work) {
    const run = { view }; // a turn can have several: its own, and one for each reply that is asked for again
    this.#running.add(run);
    this.composer.busy = true;
    try {
      await work();
    } finally {
      this.#running.delete(run);
      this.composer.busy = this.#running.size > 0;
      this.follow();
    }
  }

  key = () => this.keys.value;
  askKey = () => this.keys.open();

  /** Tell a screen reader, once an answer is complete: a word at a time could not be followed. */
  announce(text) {
    byId("announcer").textContent = text;
  }

  /** Keep the end in view. */
  follow(always = false) {
    const { scrollHeight, scrollTop, clientHeight } = document.scrollingElement;
    if (always || scrollHeight - scrollTop - clientHeight < FOLLOW_PX) scrollTo({ top: scrollHeight });
  }

  /** Clear the history, in every tab. */
  clear() {
    clearHistory();
    this.forget();
    byId("message").focus();
  }

  /** Show none of the conversation any more. */
  forget() {
    this.#stop();
    this.#kept = [];
    this.#list.replaceChildren();
    this.panel.rest();
    this.announce("");
    this.#showEmpty();
  }

  #showEmpty() {
    const isEmpty = !this.#kept.length && !this.#list.hasChildNodes();
    byId("welcome").hidden = !isEmpty;
    byId("clear").hidden = isEmpty;
  }

  #stop() {
    for (const { view } of this.#running) view.stop();
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
  byId("clear").addEventListener("click", () => openDialog("clear-dialog"));
  byId("clear-dialog").addEventListener("close", () => {
    if (byId("clear-dialog").returnValue === "clear") page.clear();
  });
  onCleared(() => page.forget());
  const [settings] = await Promise.all([fetchJson("page/settings").catch(() => ({})), loadPersonas()]);
  if (settings.keys) page.keys.offer();
  page.restore();
};

start();
