// The faces: one outline and one expression for each emotion, drawn in a box of 64 by 64.

import { setVars, svg } from "./dom.js";
import { personaOf } from "./personas.js";

const INK = "#221d2e";
const line = (d, width = 3) =>
  svg("path", {
    d, fill: "none", stroke: INK, "stroke-width": width, "stroke-linecap": "round", "stroke-linejoin": "round",
  });
const dot = (x, y, r = 3, fill = INK) => svg("circle", { cx: x, cy: y, r, fill });
const shape = (d, fill = INK) => svg("path", { d, fill });
const skin = (d) => svg("path", { d, class: "skin" });

/** Return the path of a star with `points`, its tips `outer` and its valleys `inner` from the middle. */
const star = (points, outer, inner) => {
  const corner = (index) => {
    const angle = (Math.PI * index) / points - Math.PI / 2;
    const radius = index % 2 ? inner : outer;
    return `${(32 + radius * Math.cos(angle)).toFixed(1)} ${(32 + radius * Math.sin(angle)).toFixed(1)}`;
  };
  return `M${Array.from({ length: 2 * points }, (_, index) => corner(index)).join("L")}Z`;
};
const round = (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`;
const heart = (x, y, s) =>
  `M${x} ${y + s}C${x - 2 * s} ${y - 0.2 * s} ${x - s} ${y - 1.5 * s} ${x} ${y - 0.4 * s}` +
  `C${x + s} ${y - 1.5 * s} ${x + 2 * s} ${y - 0.2 * s} ${x} ${y + s}Z`;

const FACES = {
  sadness: () => [
    skin("M32 4C39 17 54 26 54 40A22 22 0 0 1 10 40C10 26 25 17 32 4Z"),
    line("M19 34L26 31"), line("M45 34L38 31"),
    dot(24, 40), dot(40, 40), line("M25 53Q32 47 39 53"),
    shape("M44 44c3 4 4 6 4 8a4 4 0 0 1-8 0c0-2 1-4 4-8Z", "#e6f0ff"),
  ],
  joy: () => [
    skin(star(12, 31, 25)),
    line("M20 29Q24 23 28 29"), line("M36 29Q40 23 44 29"),
    shape("M20 36H44A12 12 0 0 1 20 36Z"), shape("M26 44a7 5 0 0 1 12 0a12 12 0 0 1-12 0Z", "#e8505b"),
  ],
  love: () => [
    skin("M32 59C12 46 3 35 3 22A15 15 0 0 1 32 15A15 15 0 0 1 61 22C61 35 52 46 32 59Z"),
    shape(heart(22, 25, 5)), shape(heart(42, 25, 5)), line("M24 38Q32 46 40 38"),
  ],
  anger: () => [
    skin(star(9, 31, 22)),
    line("M19 23L28 28", 3.5), line("M45 23L36 28", 3.5),
    dot(25, 32), dot(39, 32), line("M23 45L27 41L32 44L37 41L41 45"),
  ],
  fear: () => [
    skin("M9 58V29A23 23 0 0 1 55 29V58L47.3 51L39.7 58L32 51L24.3 58L16.7 51Z"),
    dot(23, 28, 7, "#fff"), dot(41, 28, 7, "#fff"), dot(23, 29, 2.4), dot(41, 29, 2.4),
    line("M15 18L22 16"), line("M49 18L42 16"), line("M22 43q2.5-4 5 0t5 0t5 0t5 0"),
  ],
  surprise: () => [
    skin(star(16, 31, 27)),
    line("M19 18Q23 14 27 17"), line("M37 17Q41 14 45 18"),
    dot(23, 27, 5, "#fff"), dot(41, 27, 5, "#fff"), dot(23, 27, 3), dot(41, 27, 3),
    svg("ellipse", { cx: 32, cy: 44, rx: 6, ry: 8, fill: INK }),
  ],
  calm: () => [
    skin(round(32, 32, 27)),
    line("M19 31Q23.5 35 28 31"), line("M36 31Q40.5 35 45 31"), line("M25 42Q32 47 39 42"),
  ],
  other: () => [
    skin("M14 6H50A8 8 0 0 1 58 14V50A8 8 0 0 1 50 58H14A8 8 0 0 1 6 50V14A8 8 0 0 1 14 6Z"),
    dot(23, 28), dot(41, 28), line("M24 42H40"),
  ],
};

/** Return the face of a persona in its colour. "calm" is the face of a safety reply. */
export const faceOf = (id) => {
  const draw = FACES[id] ?? FACES.other;
  const picture = svg("svg", { viewBox: "0 0 64 64", class: "face", "aria-hidden": "true" }, ...draw());
  return setVars(picture, { persona: personaOf(id).colour });
};
