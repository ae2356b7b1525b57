// The hexagon: a point between the six emotions, moved by a drag or with the arrow keys.

import { setVars, svg } from "../shared/dom.js";
import { faceOf } from "../shared/face.js";
import { personaOf } from "../shared/personas.js";
import { AROUND, CORNERS, cornerOf, levelOf, MAX_INTENSITY, mixAt, mixAtStep, pointOf, stepOf } from "./wheel.js";

const RADIUS = 80; // pixels
const CORNER = AROUND / CORNERS.length;
const LEVEL = 0.05;
// Steps around and change of the intensity, by key.
const KEYS = {
  ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, LEVEL], ArrowDown: [0, -LEVEL],
  PageDown: [CORNER, 0], PageUp: [-CORNER, 0],
};

const scaled = ([x, y], radius = RADIUS) => [x * radius, y * radius].map((value) => value.toFixed(2));
const outline = (radius) => CORNERS.map((id) => scaled(cornerOf(id), radius).join()).join(" ");

/** Return the face and the name of a corner: side by side above and below, else one over the other. */
const labelOf = (id) => {
  const [x, y] = cornerOf(id).map((value) => value * (RADIUS + 17));
  const isPole = Math.abs(x) < 1;
  const [faceX, faceY] = isPole ? [-30, y - 12] : [x + Math.sign(x) * 14 - 12, y - 16];
  const [textX, textY] = isPole ? [0, y + 4] : [faceX + 12, faceY + 36];
  const face = faceOf(id);
  for (const [name, value] of Object.entries({ x: faceX, y: faceY, width: 24, height: 24 })) face.setAttribute(name, value);
  return [face, svg("text", { x: textX, y: textY, "text-anchor": isPole ? "start" : "middle" }, personaOf(id).name)];
};

/** Slider in two dimensions. Calls `move(chosen, mix)`; `show(chosen, mix, text)` says where it stands. */
export class Hexagon {
  #lines = [svg("line", { class: "hexagon-line" }), svg("line", { class: "hexagon-line" })];
  #level = svg("polygon", { class: "hexagon-level" });
  #point = svg("circle", { class: "hexagon-point", r: 10 });
  #chosen = "auto";
  #mix = {};

  constructor(element, move) {
    this.element = element;
    this.move = move;
    element.replaceChildren(this.#drawing());
    for (const [name, value] of Object.entries({ role: "slider", tabindex: 0, "aria-valuemin": 0, "aria-valuemax": AROUND - 1 })) element.setAttribute(name, value);
    setVars(element, Object.fromEntries(CORNERS.map((id) => [id, personaOf(id).colour])));
    element.addEventListener("keydown", (event) => this.#onKey(event));
    element.addEventListener("pointerdown", (event) => this.#grab(event));
    element.addEventListener("pointermove", (event) => element.hasPointerCapture(event.pointerId) && this.#drag(event));
    element.addEventListener("lostpointercapture", () => element.classList.remove("is-dragged"));
  }

  /** Stand where the mix is. A persona without a corner has no point, only the line of its intensity. */
  show(chosen, mix, text) {
    [this.#chosen, this.#mix] = [chosen, mix];
    const point = pointOf(chosen, mix);
    this.element.setAttribute("aria-valuenow", point ? stepOf(chosen, mix) : 0);
    this.element.setAttribute("aria-valuetext", text);
    this.element.classList.toggle("has-point", point !== null);
    this.#level.setAttribute("points", outline((RADIUS * mix.intensity) / MAX_INTENSITY));
    if (point) this.#place(point, [chosen, mix.second || chosen], mix.second ? mix.share : 0);
  }

  #place(point, ids, share) {
    const [x, y] = scaled(point);
    const [colour, other] = ids.map((id) => personaOf(id).colour);
    setVars(this.#point, { x: `${x}px`, y: `${y}px`, persona: colour, other, share: `${100 * share}%` });
    this.#lines.forEach((line, index) => {
      const [x2, y2] = scaled(cornerOf(ids[index]));
      for (const [name, value] of Object.entries({ x1: x, y1: y, x2, y2 })) line.setAttribute(name, value);
      setVars(line, { persona: [colour, other][index], weight: 2 + 6 * (index ? share : 1 - share) });
    });
  }

  #drawing() {
    const spokes = CORNERS.map((id) => {
      const [x2, y2] = scaled(cornerOf(id));
      return svg("line", { x1: 0, y1: 0, x2, y2, class: "hexagon-spoke" });
    });
    return svg("svg", { viewBox: "-136 -112 272 224", "aria-hidden": "true" },
      ...spokes,
      svg("polygon", { points: outline(RADIUS / MAX_INTENSITY), class: "hexagon-trained" }),
      svg("polygon", { points: outline(RADIUS), class: "hexagon-edge" }),
      this.#level, ...this.#lines, this.#point,
      ...CORNERS.flatMap(labelOf));
  }

  #onKey(event) {
    const change = KEYS[event.key];
    if (!change) return;
    event.preventDefault();
    const [turn, more] = change;
    const mix = { ...this.#mix, intensity: levelOf(this.#mix.intensity + more) };
    if (!turn) this.move(this.#chosen, mix);
    else this.#go(turn, mix);
  }

  #go(turn, mix) {
    const isPlaced = cornerOf(this.#chosen) !== null;
    const { chosen, ...shares } = mixAtStep(isPlaced ? stepOf(this.#chosen, mix) + turn : 0);
    this.move(chosen, { ...mix, ...shares });
  }

  #grab(event) {
    if (event.button) return;
    event.preventDefault(); // no selection of text
    this.element.focus();
    this.element.setPointerCapture(event.pointerId);
    this.element.classList.add("is-dragged");
    this.#drag(event);
  }

  #drag({ clientX, clientY }) {
    const { left, top, width, height } = this.element.getBoundingClientRect();
    const radius = (RADIUS * width) / 272;
    const { chosen, ...mix } = mixAt((clientX - left - width / 2) / radius, (clientY - top - height / 2) / radius);
    this.move(chosen, { ...this.#mix, ...mix });
  }
}
