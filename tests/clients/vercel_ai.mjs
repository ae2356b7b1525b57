// Vercel's AI SDK: node vercel_ai.mjs http://127.0.0.1:8000
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";

const provider = createOpenAICompatible({ name: "fye", baseURL: `${process.argv[2]}/v1` });
const model = provider("auto");
const user = { role: "user", content: "Hang on, you speak Finnish?!" };

const features = {
  "chat": async () => (await generateText({ model, prompt: user.content })).text !== "",
  "chat stream": async () => {
    let text = "";
    for await (const part of streamText({ model, prompt: user.content }).textStream) text += part;
    return text !== "";
  },
  "history with empty messages": async () => {
    const messages = [user, { role: "assistant", content: "" }, user];
    return (await generateText({ model, messages })).text !== "";
  },
};

for (const [name, check] of Object.entries(features)) {
  const result = await check().then((ok) => (ok ? "ok" : "wrong answer"), String);
  console.log(`Vercel AI SDK | ${name} | ${result.replaceAll("\n", " ")}`);
}
