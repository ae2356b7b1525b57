// Adapter versions: which persona uses which, with promote and rollback.

import { fetchJson } from "../shared/api.js";
import { byId, el } from "../shared/dom.js";
import { faceOf } from "../shared/face.js";
import { EMOTIONS, personaOf } from "../shared/personas.js";
import { explain } from "../shared/words.js";

const PATH = "v1/admin/adapters";
const NO_VERSION = "No version is published. Every persona answers by its instruction.";
const NO_TRIAL = "No version is on trial. Each version in use answers every conversation of its persona.";

const trialText = ({ persona, old, new: tried, verdict, reason, rolled_back_at: ended }) => {
  const answers = `${tried.figures.answers} and ${old.figures.answers} answers`;
  const state = ended ? `The guard ended the trial of ${tried.name} at ${ended}` : `${tried.name} is on trial`;
  return `${personaOf(persona).name}: ${state}, compared with ${old.name} by ${answers}: ${verdict}${reason && `; ${reason}`}.`;
};

/** Table of the versions. `keys` holds the admin key. */
export class Releases {
  constructor(keys) {
    this.keys = keys;
    this.change = null;
    byId("change-dialog").addEventListener("close", () => {
      if (byId("change-dialog").returnValue === "change") this.#apply(this.change);
    });
  }

  /** Read the versions and show them, or why they cannot be shown. */
  async load() {
    await this.#request(PATH);
  }

  async #request(path, body, done = "") {
    try {
      this.#show(await fetchJson(path, { key: this.keys.value, body }));
      this.#showTrials(await fetchJson(`${PATH}/status`, { key: this.keys.value }));
      byId("releases-problem").textContent = "";
      byId("releases-done").textContent = done;
    } catch (error) {
      const { title, text, needsKey } = explain(error);
      if (needsKey) this.keys.offer();
      byId("releases-table").hidden = needsKey;
      byId("trials").hidden = needsKey;
      byId("releases-done").textContent = "";
      byId("releases-problem").textContent = needsKey ? "Enter a key with the scope admin to see the releases." : `${title}. ${error.detail || text}`;
    }
  }

  #show(versions) {
    byId("releases-table").hidden = false;
    const order = ({ persona }) => (EMOTIONS.indexOf(persona) + EMOTIONS.length + 1) % (EMOTIONS.length + 1);
    const sorted = [...versions].sort((one, other) => order(one) - order(other));
    const rows = sorted.map((version) => this.#row(version, versions));
    byId("releases").replaceChildren(...(rows.length ? rows : [el("tr", {}, el("td", { colspan: 5 }, NO_VERSION))]));
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
      byId("change-dialog").returnValue = "";
      byId("change-dialog").showModal();
    };
    const button = el("button", { type: "button", class: "small", onclick: open }, label);
    button.setAttribute("aria-label", `${label} ${name}`);
    return button;
  }

  async #apply({ path, body, done }) {
    byId("releases-problem").textContent = "";
    byId("releases-done").textContent = "Waiting for every replica ...";
    await this.#request(`${PATH}/${path}`, body, done);
  }
}
