// What the browser keeps: the conversation until it is cleared, a key until the tab is closed.

const HISTORY = "fye.history";
const KEYS = "fye.key.";
const TURNS_KEPT = 100;

const guarded = (action, otherwise) => {
  try {
    return action();
  } catch {
    return otherwise; // storage is switched off or full
  }
};

/** Return the kept turns, oldest first. A damaged entry counts as none. */
export const loadHistory = () => {
  const turns = guarded(() => JSON.parse(localStorage.getItem(HISTORY)), null);
  return Array.isArray(turns) ? turns.filter((turn) => typeof turn?.text === "string") : [];
};

/** Keep the newest turns. */
export const saveHistory = (turns) =>
  guarded(() => localStorage.setItem(HISTORY, JSON.stringify(turns.slice(-TURNS_KEPT))));

/** Forget every turn. */
export const clearHistory = () => guarded(() => localStorage.removeItem(HISTORY));

/** Return the key of a purpose ("chat" or "admin"), or an empty string. */
export const loadKey = (purpose) =>
  guarded(() => sessionStorage.getItem(KEYS + purpose), null) ?? "";

/** Keep a key; an empty one forgets it. */
export const saveKey = (purpose, key) =>
  guarded(() =>
    key ? sessionStorage.setItem(KEYS + purpose, key) : sessionStorage.removeItem(KEYS + purpose),
  );
