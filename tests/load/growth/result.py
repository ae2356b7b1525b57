"""What is left behind of growth: .bench/growth.json, and a plot each."""

import json
from collections.abc import Sequence
from pathlib import Path

from load.growth.engine import AT_ONCE, Size, fitted
from load.harness.graph import console
from load.sweep import plots as load_plots
from load.sweep.knee import exponent

USERS_EACH = 16  # of each replica
FASTER = 10  # the second line of replicas: an engine so many times as fast, to find what the graph itself allows
Growths = dict[str, list[Size]]


def exponents(sizes: Sequence[Size]) -> dict[str, float]:
    """Of everything that was measured, over the size."""
    names = ("tokens_per_s", "ttft_ms", "tpot_ms", "memory_mib")
    return {name: exponent([size.size for size in sizes], [getattr(size, name) for size in sizes]) for name in names}


def draw(growths: Growths, folder: Path) -> None:
    """One plot each."""
    labels = {
        "adapters": f"resident adapters, {AT_ONCE} answers at once",
        "prompt": "tokens of the prompt, one request",
        "concurrency": "answers at once, six adapters",
        "replicas": f"replicas, {USERS_EACH} users each",
    }
    for name, label in labels.items():
        if name in growths:
            lines = _lines(growths[name]) | (
                {f"tok/s, {FASTER} times as fast": _line(growths["fast"], "tokens_per_s")} if name == "replicas" else {}
            )
            (folder / f"growth-{name}.svg").write_text(on_paper(load_plots.growth(label, "", lines)), "utf-8")


def _lines(sizes: Sequence[Size]) -> dict[str, tuple[list[float], list[float]]]:
    named = {"tok/s": "tokens_per_s", "first token, ms": "ttft_ms", "per token, ms": "tpot_ms", "memory, MiB": "memory_mib"}
    return {label: _line(sizes, name) for label, name in named.items()}


def _line(sizes: Sequence[Size], name: str) -> tuple[list[float], list[float]]:
    return [size.size for size in sizes], [getattr(size, name) for size in sizes]


def on_paper(svg: str) -> str:
    """White behind it: a file may be looked at on any background."""
    return str(svg).replace("<svg ", '<svg style="background: #fff" ', 1)


def kept(out: Path) -> Growths:
    """What an earlier run has measured."""
    if not out.exists():
        return {}
    return {name: [Size(**size) for size in sizes] for name, sizes in json.loads(out.read_bytes())["sizes"].items()}


def write(found: Growths, out: Path) -> None:
    """The sizes, with the exponents and the fitted times."""
    document: dict[str, object] = {
        "sizes": {name: [size.model_dump() for size in sizes] for name, sizes in found.items()},
        "exponents": {name: exponents(sizes) for name, sizes in found.items()},
    }
    if "concurrency" in found:
        document["fit_ms"] = dict(zip(("token", "beside"), fitted(found["concurrency"]), strict=True))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    for name, sizes in found.items():
        console.print(f"{name}: " + ", ".join(f"{key} grows with the {value:.2f}th power" for key, value in exponents(sizes).items()))
