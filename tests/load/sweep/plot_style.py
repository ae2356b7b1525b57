"""Colours, sizes and axes that the plots of the load test share."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from load.harness.process_stats import KINDS
from training.report.plots import ACCENT, GRID

ARM_COLOURS = {"graph": ACCENT, "vllm": "#b45309", "no-op": "#5b6b78", "detector": "#4338ca"}
COLOURS = (
    "#0f766e",
    "#5eb5aa",
    "#b45309",
    "#e0a96d",
    "#4338ca",
    "#9a94e0",
    "#5b6b78",
    "#b9c4cc",
    "#a3341f",
    "#d98f80",
)
KIND_COLOURS = dict(zip(KINDS, COLOURS, strict=False))  # the same in every plot
LINE_STYLES = ("-", "--", ":")
DOTTED = (0, (1, 2))
MODE_LABELS = {"rate": "offered, requests/s", "concurrency": "users"}
METRIC_LABELS = {
    "request_throughput": "achieved",
    "request_goodput": "goodput",
    "output_throughput": "written",
}
SIZE = (4.7, 3.0)  # inches
WIDE = (9.6, 2.6)
LEGEND: dict[str, Any] = {"frameon": False, "fontsize": 7.5}
LEGEND_ABOVE: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1)}
LEGEND_RIGHT: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1, 0.5)}


def new_axes(xlabel: str, ylabel: str, size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """Create a figure with one set of labelled axes and a light grid."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def add_legend(axes: Axes, **options: Any) -> None:
    """Add a legend if anything has a label."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**LEGEND, handlelength=2.8, **options)
