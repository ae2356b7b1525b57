// A refusal inside the conversation, with the wait and a way to try again.

import { el } from "../shared/dom.js";
import { explain } from "../shared/words.js";

const seconds = (count) => `${count} second${count === 1 ? "" : "s"}`;

/** Return the notice of a refusal. The button is enabled once the wait is over. */
export const noticeOf = (refusal, { retry, askKey }) => {
  const { title, text, waitS, canRetry, needsKey } = explain(refusal);
  const wait = el("p", { class: "notice-wait" });
  const buttons = el("p", { class: "notice-actions" });
  const notice = el("div", { class: "notice", "data-slug": refusal.slug }, el("p", { class: "notice-title" }, title), el("p", {}, text), wait, buttons);
  if (needsKey) buttons.append(el("button", { type: "button", class: "small", onclick: askKey }, "Enter a key"));
  if (canRetry && retry) {
    const again = el("button", { type: "button", class: "small again", onclick: retry }, "Try again");
    buttons.append(again);
    countDown(waitS, wait, again);
  }
  return notice;
};

/** Show the wait, and enable the button when it is over or the notice is gone. */
const countDown = (waitS, wait, button) => {
  const end = performance.now() + 1000 * waitS;
  const tick = () => {
    const left = Math.ceil((end - performance.now()) / 1000);
    button.disabled = left > 0;
    wait.textContent = left > 0 ? `You can try again in ${seconds(left)}.` : "";
    if (left > 0 && (button.isConnected || left === waitS)) setTimeout(tick, 250);
  };
  tick();
};
