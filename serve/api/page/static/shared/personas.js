// The six emotions and the personas, as the server names them.

import { fetchJson } from "./api.js";

export const EMOTIONS = ["sadness", "joy", "love", "anger", "fear", "surprise"];
const COLOURS = ["#5b8def", "#f5b921", "#e8618c", "#d9342b", "#8a63d2", "#19a7a0"];
const NEUTRAL = "#d6b896";

const known = new Map(
  EMOTIONS.map((name, index) => [name, { name: titled(name), colour: COLOURS[index], voice: "" }]),
);

function titled(name) {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

/** Ask the server for its personas. Without an answer the six built-in ones stay. */
export const loadPersonas = async () => {
  const found = await fetchJson("v1/personas").catch(() => []);
  for (const persona of found) known.set(persona.name.toLowerCase(), persona);
};

/** Return the ids of all personas, the six first. */
export const personaIds = () => [...known.keys()];

/** Return {name, colour, voice} of a persona; a neutral one for an unknown id. */
export const personaOf = (id) => known.get(id) ?? { name: titled(id ?? ""), colour: NEUTRAL, voice: "" };
