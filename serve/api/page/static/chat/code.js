// The same request as a command and as Python, to copy. A key is named, never shown.

import { byId, copy, el, openDialog } from "../shared/dom.js";

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const base = () => new URL(".", document.baseURI).href.replace(/\/$/, "");

/** Return the curl command that sends the message. `fields` choose who answers, and how strongly. */
export const curlOf = (text, fields, hasKey) => {
  const body = JSON.stringify({ text, ...fields, stream: true });
  const parts = [`curl -N ${base()}/v1/respond`, "-H 'content-type: application/json'"];
  if (hasKey) parts.push('-H "authorization: Bearer $FYE_KEY"');
  return [...parts, `-d ${quoted(body)}`].join(" \\\n  ");
};

/** Return Python code for the package `openai`. A JSON string is a Python string too. */
export const pythonOf = (text, { emotion = "auto", ...mix }, hasKey) => {
  const extra = Object.keys(mix).length ? `, extra_body=${JSON.stringify(mix)}` : "";
  const key = hasKey ? 'os.environ["FYE_KEY"]' : '"unused"';
  return [
    ...(hasKey ? ["import os", ""] : []),
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url="${base()}/v1", api_key=${key})`,
    `messages = [{"role": "user", "content": ${JSON.stringify(text)}}]`,
    `for chunk in client.chat.completions.create(model="${emotion}", messages=messages, stream=True${extra}):`,
    "    for choice in chunk.choices:",
    '        print(choice.delta.content or "", end="", flush=True)',
  ].join("\n");
};

const block = (title, code) => {
  const text = el("code", {}, code);
  const pre = el("pre", { tabindex: 0, "aria-label": title }, text);
  const button = el("button", { type: "button", class: "small" }, "Copy");
  button.setAttribute("aria-label", `Copy ${title}`);
  button.addEventListener("click", async () => {
    const done = await copy(code);
    if (!done) getSelection().selectAllChildren(text);
    button.textContent = done ? "Copied" : "Selected: press Ctrl+C";
  });
  return el("section", { class: "code" }, el("div", { class: "code-head" }, el("h3", {}, title), button), pre);
};

/** Open the dialog with both. */
export const showCode = (text, fields, hasKey) => {
  byId("code-blocks").replaceChildren(
    block("curl", curlOf(text, fields, hasKey)),
    block("Python, with the package openai", pythonOf(text, fields, hasKey)),
  );
  openDialog("code-dialog");
};
