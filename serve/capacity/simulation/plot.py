"""Plots requests and replicas over time, one row a trace, as SVG. Needs matplotlib."""

from pathlib import Path
from typing import Any

from serve.capacity.simulation.compare import Comparison
from serve.capacity.simulation.fleet import Outcome
from serve.errors import ConfigError

COLOURS = {"policy": "#1a7f64", "Ray's default": "#b4552d", "static": "#777777"}
RATE = "#9db4d6"


def plot(comparisons: list[Comparison], file: Path) -> None:
    """Write the figure. Raises ConfigError if matplotlib is not installed."""
    try:
        import matplotlib as mpl

        mpl.use("svg")
        mpl.rcParams["svg.hashsalt"] = "face-your-emotions"
        from matplotlib import pyplot
    except ImportError as error:
        raise ConfigError("a plot needs matplotlib: pip install matplotlib") from error

    figure, rows = pyplot.subplots(len(comparisons), 1, figsize=(8, 2.6 * len(comparisons)))
    for axes, comparison in zip(rows if len(comparisons) > 1 else [rows], comparisons, strict=True):
        _row(axes, comparison)
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


def _row(axes: Any, comparison: Comparison) -> None:
    outcomes: dict[str, Outcome] = {
        "policy": comparison.policy,
        "Ray's default": comparison.default,
        "static": comparison.static,
    }
    for name, outcome in outcomes.items():
        minutes = [point.time_s / 60 for point in outcome.points]
        ready = [point.ready for point in outcome.points]
        axes.step(minutes, ready, where="post", color=COLOURS[name], label=name, linewidth=1.2)
    axes.set(title=comparison.trace.name, xlabel="minutes", ylabel="responders", ylim=(0, None))
    axes.legend(loc="upper left", fontsize=7, frameon=False)
    rate = axes.twinx()
    points = comparison.policy.points
    rates = [point.rate_per_s for point in points]
    rate.fill_between([point.time_s / 60 for point in points], rates, color=RATE, alpha=0.4, lw=0)
    rate.set(ylabel="requests a second", ylim=(0, None))
    axes.set_zorder(rate.get_zorder() + 1)
    axes.patch.set_visible(False)
