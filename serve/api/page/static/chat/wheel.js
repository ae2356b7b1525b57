// Geometry of the hexagon. Its direction says who answers, its distance from the middle how strongly.

export const CORNERS = ["joy", "surprise", "fear", "anger", "sadness", "love"]; // clockwise from the top
export const MAX_INTENSITY = 1.5; // at the edge
const SIDE = 20; // steps from one corner to the next: shares of 0.05
export const AROUND = CORNERS.length * SIDE;
const INTENSITY_STEP = 0.05;
const AS_TRAINED = 1;
const ATTRACTION = 0.07; // so that a drag along the line of 1 stays on it

const rounded = (value) => Math.round(100 * value) / 100;
const modulo = (value, size) => ((value % size) + size) % size;
const corner = (index) => {
  const angle = (Math.PI * index) / 3;
  return [Math.sin(angle), -Math.cos(angle)];
};

/** Return the point of a corner, as [x, y] in a circle of radius 1; null for another persona. */
export const cornerOf = (id) => (CORNERS.includes(id) ? corner(CORNERS.indexOf(id)) : null);

/** Return an intensity as the slider can have it. */
export const levelOf = (value) =>
  rounded(INTENSITY_STEP * Math.round(Math.min(Math.max(value, 0), MAX_INTENSITY) / INTENSITY_STEP));

/** Return the point of a mix: the weighted mean of its corners; null where it has no corner. */
export const pointOf = (chosen, { second, share, intensity }) => {
  const one = cornerOf(chosen);
  const other = second ? cornerOf(second) : one;
  if (!one || !other) return null;
  return one.map((value, axis) => (((1 - share) * value + share * other[axis]) * intensity) / MAX_INTENSITY);
};

/** Return the place of a mix on the way around, 0 to 119. Of two that are no neighbours the first counts. */
export const stepOf = (chosen, { second, share }) => {
  const start = CORNERS.indexOf(chosen);
  const apart = modulo(CORNERS.indexOf(second) - start, CORNERS.length);
  const turn = !second ? 0 : apart === 1 ? 1 : apart === CORNERS.length - 1 ? -1 : 0;
  return modulo(start * SIDE + turn * Math.round(share * SIDE), AROUND);
};

/** Return who answers at a place on the way around: {chosen, second, share}. The larger share is the first. */
export const mixAtStep = (step) => {
  const place = modulo(step, AROUND);
  const index = Math.floor(place / SIDE);
  const passed = (place % SIDE) / SIDE;
  const [before, after] = [CORNERS[index], CORNERS[(index + 1) % CORNERS.length]];
  if (!passed) return { chosen: before, second: "" };
  if (passed <= 0.5) return { chosen: before, second: after, share: rounded(passed) };
  return { chosen: after, second: before, share: rounded(1 - passed) };
};

/** Return the mix {chosen, second, share, intensity} at a point; one outside counts as on the edge. */
export const mixAt = (x, y) => {
  const index = Math.floor(modulo(Math.atan2(x, -y), 2 * Math.PI) / (Math.PI / 3)) % CORNERS.length;
  const [ax, ay] = corner(index);
  const [bx, by] = corner(index + 1);
  const before = (x * by - y * bx) / (ax * by - ay * bx);
  const after = (ax * y - ay * x) / (ax * by - ay * bx);
  const distance = before + after;
  const intensity = Math.min(distance, 1) * MAX_INTENSITY;
  const step = index * SIDE + Math.round(distance ? (after / distance) * SIDE : 0);
  const isAsTrained = Math.abs(intensity - AS_TRAINED) < ATTRACTION;
  return { ...mixAtStep(step), intensity: isAsTrained ? AS_TRAINED : levelOf(intensity) };
};
