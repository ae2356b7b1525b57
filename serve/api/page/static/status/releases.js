// Adapter versions: which persona uses which, with promote and rollback.

import { fetchJson } from "../shared/api.js";
import { byId, el, openDialog } from "../shared/dom.js";
import { faceOf } from "../shared/face.js";
import { EMOTIONS, personaOf } from "../shared/personas.js";
import { explain } from "../shared/words.js";

const PATH = "v1/admin/adapters";
const NONE = { problem: "", done: "" };
const NO_VERSION = "No version is published. Every persona answers by its instruction.";
const NO_TRIAL = "No version is on trial. Each version in use answers every conversation of its persona.";

const trialText = ({ persona, old, new: tried, verdict, reason, rolled_back_at: ended }) => {
  const answers = `${tried.figures.answers} and ${old.figures.answers} answers`;
  const state = ended ? `The guard ended the trial of ${tried.name} at ${ended}` : `${tried.name} is on trial`;
  return `${personaOf(persona).name}: ${state}, compared with ${old.name} by ${answers}: ${verdict}${reason && `; ${reason}`}.`;
};

/** Table of the versions. `keys` holds the admin key. */
export class Releases {
  #versions = ""; // as they are shown
  #unread = ""; // why the last reading failed
  #outcome = NONE; // of the last change
  #changes = 0;

  constructor(keys) {
    this.keys = keys;
    this.change = null;
    byId("change-dialog").addEventListener("close", () => {
      if (byId("change-dialog").returnValue === "change") this.#apply(this.change);
    });
  }

  /** Read the versions and show them, or why they cannot be shown. */
  async load() {
    this.#outcome = NONE;
    await this.#read();
  }

  /** Read them again if there is a key, and leave what the last change led to. */
  async refresh() {
    if (this.keys.value) await this.#read();
  }

  async #read() {
    const changes = this.#changes;
    try {
      const versions = await fetchJson(PATH, { key: this.keys.value });
      const trials = await fetchJson(`${PATH}/status`, { key: this.keys.value });
      // A change has sent newer ones, and an open dialog is about what is seen behind it.
      if (changes === this.#changes && !byId("change-dialog").open) {
        this.#show(versions);
        this.#showTrials(trials);
      }
      this.#unread = "";
    } catch (error) {
      this.#unread = this.#reason(error);
    }
    this.#tell();
  }

  #reason(error) {
    const { title, text, needsKey } = explain(error);
    if (needsKey) this.keys.offer();
    byId("releases-table").hidden = needsKey;
    byId("trials").hidden = needsKey;
    return needsKey ? "Enter a key with the scope admin to see the releases." : `${title}. ${error.detail || text}`;
  }

  #tell() {
    say("releases-problem", this.#unread || this.#outcome.problem);
    say("releases-done", this.#unread ? "" : this.#outcome.done);
  }

  #show(versions) {
    byId("releases-table").hidden = false;
    const text = JSON.stringify(versions);
    if (text === this.#versions) return; // its buttons keep the focus
    this.#versions = text;
    const order = ({ persona }) => (EMOTIONS.indexOf(persona) + EMOTIONS.length + 1) % (EMOTIONS.length + 1);
    const sorted = [...versions].sort((one, other) => order(one) - order(other));
    const rows = sorted.map((version) => this.#row(version, versions));
    replaceRows(rows.length ? rows : [el("tr", {}, el("td", { colspan: 5 }, NO_VERSION))]);
  }

  #showTrials(trials) {
    byId("trials").hidden = false;
    byId("trials").replaceChildren(...(trials.length ? trials.map(trialText) : [NO_TRIAL]).map((text) => el("p", {}, text)));
  }

  #row(version, versions) {
    const { name, persona, promoted, share, resident, replicas } = version;
    const who = el("span", { class: "who" }, faceOf(persona), personaOf(persona).name);
    const onTrial = share && !promoted ? `on trial, ${Math.round(share * 1000) / 10} %` : "";
    const state = el("span", { class: promoted ? "tag on" : "tag" }, promoted ? "in use" : onTrial || "not in use");
    return el("tr", {}, el("th", { scope: "row" }, who), el("td", {}, el("code", {}, name)), el("td", {}, state), el("td", {}, `${resident} of ${replicas}`), el("td", {}, this.#action(version, versions)));
  }

  #action({ name, persona, promoted, share }, versions) {
    if (!promoted && share) return this.#button("End trial", name, { path: "rollback", body: { persona }, text: `End the trial of ${name}?`, done: `The trial of ${name} has ended.` });
    if (promoted && share < 1) return null; // until the trial has ended
    if (!promoted) return this.#button("Promote", name, { path: "promote", body: { name }, text: `Use ${name} for every new request as ${personaOf(persona).name}?`, done: `${name} is in use.` });
    const canGoBack = versions.some((other) => other.persona === persona && other.name !== name) || !EMOTIONS.includes(persona);
    return canGoBack ? this.#button("Roll back", name, { path: "rollback", body: { persona }, text: `Stop using ${name} and use the version before it?`, done: `${personaOf(persona).name} was rolled back.` }) : null;
  }

  #button(label, name, change) {
    const open = () => {
      this.change = change;
      byId("change-text").textContent = change.text;
      byId("change-yes").textContent = label;
      openDialog("change-dialog");
    };
    const button = el("button", { type: "button", class: "small", onclick: open }, label);
    button.setAttribute("aria-label", `${label} ${name}`);
    return button;
  }

  async #apply({ path, body, done }) {
    this.#outcome = { problem: "", done: "Waiting for every replica ..." };
    this.#tell();
    try {
      this.#show(await fetchJson(`${PATH}/${path}`, { key: this.keys.value, body }));
      this.#outcome = { problem: "", done };
    } catch (error) {
      this.#outcome = { problem: this.#reason(error), done: "" };
    }
    this.#changes += 1;
    await this.#read();
  }
}

/** Show the rows. The focus stays on its button, or comes to the heading if that button is gone. */
const replaceRows = (rows) => {
  const table = byId("releases");
  const label = table.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
  table.replaceChildren(...rows);
  if (label === null) return;
  const same = [...table.querySelectorAll("button")].find((button) => button.getAttribute("aria-label") === label);
  (same ?? byId("releases-title")).focus({ preventScroll: true });
};

/** Set a text. One that stays the same is not set again: a screen reader would repeat it. */
const say = (id, text) => {
  if (byId(id).textContent !== text) byId(id).textContent = text;
};
