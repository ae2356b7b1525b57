// The `openai` package for Node: node openai_node.mjs http://127.0.0.1:8000
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "unused", maxRetries: 0 });
const messages = [{ role: "user", content: "Hang on, you speak Finnish?!" }];
const model = "auto";
const code = (promise) => promise.then(() => null, (error) => error.code);

const features = {
  "models": async () => (await client.models.list()).data[0].id === "auto",
  "chat": async () =>
    (await client.chat.completions.create({ model, messages })).choices[0].message.content !== "",
  "chat stream": async () => {
    let text = "";
    let usage;
    const options = { stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await client.chat.completions.create({ model, messages, ...options })) {
      text += chunk.choices[0]?.delta?.content ?? "";
      usage = chunk.usage ?? usage;
    }
    return text !== "" && usage.total_tokens > 0;
  },
  "logprobs": async () => {
    const asked = { model, messages, logprobs: true, top_logprobs: 5 };
    const [choice] = (await client.chat.completions.create(asked)).choices;
    const { content } = choice.logprobs;
    return content.length > 0 && content.every((token) => token.top_logprobs.length === 5);
  },
  "history with empty messages": async () => {
    const history = [...messages, { role: "assistant", content: "" }, ...messages];
    return (await client.chat.completions.create({ model, messages: history })).choices.length === 1;
  },
  "responses": async () =>
    (await client.responses.create({ model, input: "hello" })).output_text !== "",
  "responses stream": async () => {
    const stream = client.responses.stream({ model, input: "hello" });
    return (await stream.finalResponse()).output_text !== "";
  },
  "completions": async () =>
    (await client.completions.create({ model, prompt: "hello" })).choices[0].text !== "",
  "context overflow": async () => {
    const long = Array(4).fill({ role: "user", content: "q ".repeat(1999) });
    const asked = client.chat.completions.create({ model, messages: long });
    return (await code(asked)) === "context_length_exceeded";
  },
  "unknown model": async () =>
    (await code(client.chat.completions.create({ model: "gpt-4o", messages }))) === "unknown-model",
  "embeddings refused": async () =>
    (await code(client.embeddings.create({ model, input: "x" }))) === "not-found",
};

for (const [name, check] of Object.entries(features)) {
  const result = await check().then((ok) => (ok ? "ok" : "wrong answer"), String);
  console.log(`openai (Node) | ${name} | ${result.replaceAll("\n", " ")}`);
}
