// Dark or light. It runs before the first paint, so it is a classic script without imports.
(() => {
  const KEY = "fye.theme";
  const ORDER = ["auto", "light", "dark"];
  const root = document.documentElement;

  const stored = () => {
    try {
      const value = localStorage.getItem(KEY);
      return ORDER.includes(value) ? value : "auto";
    } catch {
      return "auto"; // storage is switched off
    }
  };

  const apply = (theme) => {
    root.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (!button) return;
    button.lastChild.textContent = { auto: "Auto", light: "Light", dark: "Dark" }[theme];
  };

  apply(stored());
  document.addEventListener("DOMContentLoaded", () => {
    apply(stored());
    document.getElementById("theme")?.addEventListener("click", () => {
      const next = ORDER[(ORDER.indexOf(root.dataset.theme) + 1) % ORDER.length];
      try {
        localStorage.setItem(KEY, next);
      } catch {
        // the choice holds for this page only
      }
      apply(next);
    });
  });
})();
