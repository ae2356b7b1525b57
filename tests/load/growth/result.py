"""Results of the growth measurements: `.bench/growth.json` and one plot for each growth."""

import json
from collections.abc import Sequence
from pathlib import Path

from load.growth.engine import ADAPTER_REPLIES, Measurement, fit_token_time
from load.harness.graph import console
from load.sweep import plots
from load.sweep.knee import growth_exponent

USERS_PER_REPLICA = 16
# Replicas are measured twice, the second time with an engine so many times as fast, to find the
# limit of the graph itself.
FAST_FACTOR = 10
METRICS = {  # label in the plots -> field
    "tok/s": "tokens_per_s",
    "first token, ms": "ttft_ms",
    "per token, ms": "tpot_ms",
    "memory, MiB": "memory_mib",
}
AXIS_LABELS = {
    "adapters": f"resident adapters, {ADAPTER_REPLIES} replies at once",
    "prompt": "tokens of the prompt, one request",
    "concurrency": "replies at once, six adapters",
    "replicas": f"replicas, {USERS_PER_REPLICA} users each",
}
Growth = dict[str, list[Measurement]]  # by name: the keys of AXIS_LABELS, and "fast"


def exponents(measurements: Sequence[Measurement]) -> dict[str, float]:
    """Fit a power law over the size for every metric."""
    sizes = [one.size for one in measurements]
    return {
        name: growth_exponent(sizes, [getattr(one, name) for one in measurements])
        for name in METRICS.values()
    }


def draw_plots(growth: Growth, folder: Path) -> None:
    """Draw one plot for each growth."""
    for name, label in AXIS_LABELS.items():
        if name not in growth:
            continue
        lines = {text: _line(growth[name], metric) for text, metric in METRICS.items()}
        if name == "replicas":
            fast = _line(growth["fast"], "tokens_per_s")
            lines[f"tok/s, {FAST_FACTOR} times as fast"] = fast
        svg = plots.growth(label, "", lines)
        (folder / f"growth-{name}.svg").write_text(on_white(svg), "utf-8")


def _line(measurements: Sequence[Measurement], metric: str) -> plots.Line:
    return [one.size for one in measurements], [getattr(one, metric) for one in measurements]


def on_white(svg: str) -> str:
    """Give a plot a white background, since a file may be shown on any other."""
    return str(svg).replace("<svg ", '<svg style="background: #fff" ', 1)


def read_result(file: Path) -> Growth:
    """Read the measurements of an earlier run; empty if there is no file."""
    if not file.exists():
        return {}
    sizes = json.loads(file.read_bytes())["sizes"]
    return {name: [Measurement(**one) for one in found] for name, found in sizes.items()}


def write_result(growth: Growth, file: Path) -> None:
    """Write the measurements, their exponents and the fitted token times."""
    document: dict[str, object] = {
        "sizes": {name: [one.model_dump() for one in found] for name, found in growth.items()},
        "exponents": {name: exponents(found) for name, found in growth.items()},
    }
    if "concurrency" in growth:
        token_ms, per_running_ms = fit_token_time(growth["concurrency"])
        document["fit_ms"] = {"token": token_ms, "per_running": per_running_ms}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    for name, found in growth.items():
        powers = [f"{key} with power {value:.2f}" for key, value in exponents(found).items()]
        console.print(f"{name}: {', '.join(powers)}")
