// Reads Prometheus' text format, as far as the page needs it.

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([^ ]+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Samples of one scrape: [{name, labels, value}], names without Ray's prefix. */
export class Samples {
  constructor(text) {
    this.samples = text.split("\n").map(parse).filter(Boolean);
  }

  /** Return the samples of a name that have these labels. */
  of(name, labels = {}) {
    const wanted = Object.entries(labels);
    return this.samples.filter((one) => one.name === name && wanted.every(([label, value]) => one.labels[label] === value));
  }

  /** Return their sum, or null if there are none. */
  sum(name, labels) {
    const found = this.of(name, labels);
    return found.length ? found.reduce((total, { value }) => total + value, 0) : null;
  }

  /** Return sums by the values of one label, as a Map. */
  by(label, name, labels) {
    const sums = new Map();
    for (const one of this.of(name, labels)) {
      const key = one.labels[label] ?? "";
      sums.set(key, (sums.get(key) ?? 0) + one.value);
    }
    return sums;
  }

  /** Return a quantile of a histogram, between its buckets' bounds; null if it is empty. */
  quantile(q, name, labels) {
    const buckets = [...this.by("le", `${name}_bucket`, labels)]
      .map(([bound, count]) => [bound === "+Inf" ? Infinity : Number(bound), count])
      .sort(([one], [other]) => one - other);
    const total = buckets.at(-1)?.[1] ?? 0;
    if (!total) return null;
    let [low, below] = [0, 0];
    for (const [high, count] of buckets) {
      if (count >= q * total) return high === Infinity ? low : low + ((high - low) * (q * total - below)) / (count - below);
      [low, below] = [high, count];
    }
    return low;
  }
}

const parse = (line) => {
  const [, name, labels = "", value] = SAMPLE.exec(line) ?? [];
  if (name === undefined) return null;
  const pairs = [...labels.matchAll(LABEL)].map(([, label, text]) => [label, text]);
  return { name: name.replace(/^ray_/, ""), labels: Object.fromEntries(pairs), value: Number(value) };
};
