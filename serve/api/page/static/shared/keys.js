// The dialog for an API key, on servers that have keys.

import { byId, openDialog } from "./dom.js";
import { loadKey, saveKey } from "./store.js";

/** Key of one purpose, and the dialog that asks for it. */
export class KeyDialog {
  #purpose;

  constructor(purpose) {
    this.#purpose = purpose;
    const dialog = byId("key-dialog");
    byId("key-open").addEventListener("click", () => this.open());
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "save") saveKey(this.#purpose, byId("key").value.trim());
      if (dialog.returnValue === "forget") saveKey(this.#purpose, "");
      byId("key").value = "";
    });
  }

  /** Return the key, or an empty string. */
  get value() {
    return loadKey(this.#purpose);
  }

  /** Offer the dialog. */
  offer() {
    byId("key-open").hidden = false;
  }

  /** Open the dialog. */
  open() {
    this.offer();
    openDialog("key-dialog");
  }
}
