// The page for operators: is the server ready, how much does it do, which versions are in use.

import { fetchJson, request } from "../shared/api.js";
import { byId, el } from "../shared/dom.js";
import { KeyDialog } from "../shared/keys.js";
import { loadPersonas } from "../shared/personas.js";
import { explain } from "../shared/words.js";
import { showFigures } from "./figures.js";
import { Samples } from "./prometheus.js";
import { Releases } from "./releases.js";

const INTERVAL_MS = 5000;

const showReady = async () => {
  try {
    const { operators = {} } = await fetchJson("readyz");
    byId("ready").textContent = "Ready";
    byId("ready").className = "tag on";
    const rows = Object.entries(operators).map(([name, state]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, state)));
    byId("operators").replaceChildren(...rows);
    byId("operators-section").hidden = rows.length === 0;
  } catch (error) {
    byId("ready").textContent = explain(error).title;
    byId("ready").className = "tag off";
  }
};

/** Reads the metrics again and again, and shows them. */
class Figures {
  #before = null;
  #readAt = 0;

  constructor(keys) {
    this.keys = keys;
  }

  async load() {
    try {
      const reply = await request("metrics", { key: this.keys.value });
      const now = new Samples(await reply.text());
      const readAt = performance.now();
      showFigures(now, this.#before, (readAt - this.#readAt) / 1000);
      [this.#before, this.#readAt] = [now, readAt];
      byId("figures").hidden = false;
      byId("figures-problem").textContent = "";
    } catch (error) {
      byId("figures").hidden = true;
      byId("figures-problem").textContent = this.#reason(error);
    }
  }

  #reason(error) {
    const { title, text, needsKey } = explain(error);
    if (needsKey) this.keys.offer();
    if (needsKey) return "Enter a key with the scope admin to see the figures.";
    return error.status === 404 ? "This server offers no figures at /metrics. Ray exports them on every node." : `${title}. ${text}`;
  }
}

const start = async () => {
  await loadPersonas();
  const keys = new KeyDialog("admin");
  const figures = new Figures(keys);
  const releases = new Releases(keys);
  const load = () => Promise.all([showReady(), figures.load(), releases.load()]);
  byId("key-dialog").addEventListener("close", load);
  byId("reload").addEventListener("click", load);
  await load();
  // An open dialog is about what is seen behind it, and a hidden page needs no news.
  setInterval(() => {
    if (!document.hidden && !document.querySelector("dialog[open]")) Promise.all([showReady(), figures.load(), releases.refresh()]);
  }, INTERVAL_MS);
};

start();
