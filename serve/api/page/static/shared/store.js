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

/** Return an id for a turn, which no other tab gives to one of its own. */
export const newId = () => `${Date.now()}-${Math.random()}`;

/** Return the kept turns {id, text, chosen, mix, answers}, oldest first. A damaged entry or field counts as none. */
export const loadHistory = () => {
  const turns = guarded(() => JSON.parse(localStorage.getItem(HISTORY)), null);
  return Array.isArray(turns) ? turns.filter((turn) => typeof turn?.text === "string").map(whole) : [];
};

const whole = ({ id, text, chosen, mix, answers }, index) => ({
  id: id ?? String(index), // earlier versions of the page kept none
  text,
  chosen: typeof chosen === "string" ? chosen : "auto",
  mix: { ...mix },
  answers: { ...answers },
});

// Every tab writes its own turns into what is kept now: another one may have added some, or cleared all.
const save = (turns) => guarded(() => localStorage.setItem(HISTORY, JSON.stringify(turns.slice(-TURNS_KEPT))));

/** Keep a new turn. */
export const addTurn = (turn) => save([...loadHistory(), turn]);

/** Keep the new answers of a turn, unless it is no longer kept. */
export const updateTurn = ({ id, answers }) => {
  const turns = loadHistory();
  const kept = turns.find((turn) => turn.id === id);
  if (!kept) return;
  Object.assign(kept.answers, answers);
  save(turns);
};

/** Forget every turn. */
export const clearHistory = () => guarded(() => localStorage.removeItem(HISTORY));

/** Call `forget` when another tab has cleared the history. */
export const onCleared = (forget) =>
  addEventListener("storage", ({ key, newValue }) => {
    if (newValue === null && (key === HISTORY || key === null)) forget();
  });

/** Return the key of a purpose ("chat" or "admin"), or an empty string. */
export const loadKey = (purpose) =>
  guarded(() => sessionStorage.getItem(KEYS + purpose), null) ?? "";

/** Keep a key; an empty one forgets it. */
export const saveKey = (purpose, key) =>
  guarded(() =>
    key ? sessionStorage.setItem(KEYS + purpose, key) : sessionStorage.removeItem(KEYS + purpose),
  );
