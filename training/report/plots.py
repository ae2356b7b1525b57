"""Plots of the report, as SVG elements inside the page.

Text stays text: it has the font of the page and can be searched.
"""

import io

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.report.schema import ArmReport, Bin, Interval

INK = "#22303c"
ACCENT = "#0f766e"
PALE = "#99d3cc"
GRID = "#d5dde3"
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


def reliability_diagram(bins: list[Bin]) -> Markup:
    """Plot accuracy against confidence; the area of a dot is the bin's share of the rows."""
    with mpl.rc_context(STYLE):
        figure, axes = _square()
        filled = [each for each in bins if each.rows]
        rows = sum(each.rows for each in filled)
        confidence = [each.confidence for each in filled]
        accuracy = [each.accuracy for each in filled]
        areas = [8 + 400 * each.rows / rows for each in filled]
        axes.plot([0, 1], [0, 1], color=INK, linestyle=":", linewidth=1)
        axes.plot(confidence, accuracy, color=ACCENT, linewidth=1)
        axes.scatter(confidence, accuracy, areas, color=ACCENT, alpha=0.6, linewidths=0)
        return svg(figure, "Reliability diagram: accuracy against mean confidence")


def hit_rates(arms: dict[str, ArmReport]) -> Markup:
    """Plot two bars for each arm, with 95 % intervals as whiskers.

    The dark bar is the hit rate, the pale bar the hit rate with emotion words masked.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 0.7 + 0.62 * len(arms)), layout="constrained")
        axes = figure.add_subplot()
        for row, arm in enumerate(arms.values()):
            _bar(axes, row - 0.2, arm.hit_rate, ACCENT)
            _bar(axes, row + 0.2, arm.masked_hit_rate, PALE)
        axes.set(xlim=(0, 1), ylim=(len(arms) - 0.4, -0.6), xlabel="hit rate")
        axes.set_yticks(range(len(arms)), list(arms), parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        return svg(figure, "Hit rates of each arm, with and without emotion words")


def level_curve(
    levels: list[float], overall: list[Interval], lines: dict[str, tuple[str, list[float]]]
) -> Markup:
    """Plot shares over levels: the overall one with its intervals, and thin lines beneath it.

    Args:
        levels: the horizontal positions.
        overall: share at each level.
        lines: colour and shares of each thin line, by its name.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 3.4), layout="constrained")
        axes = figure.add_subplot()
        for name, (colour, shares) in lines.items():
            axes.plot(levels, shares, color=colour, linewidth=1.2, label=name)
        values = [each.value for each in overall]
        below = [max(each.value - each.low, 0) for each in overall]
        above = [max(each.high - each.value, 0) for each in overall]
        axes.errorbar(
            levels, values, [below, above], color=INK, linewidth=2.4, capsize=4, label="all"
        )
        axes.set(xlabel="intensity", ylabel="share with the persona's emotion", ylim=(0, 1.03))
        axes.set_xticks(levels)
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
        return svg(figure, "Share of answers with the emotion of the persona", transparent=False)


def _bar(axes: Axes, height: float, rate: Interval, colour: str) -> None:
    whiskers = [[max(rate.value - rate.low, 0)], [max(rate.high - rate.value, 0)]]
    style = {"ecolor": INK, "elinewidth": 1, "capsize": 2.5}
    axes.barh(height, rate.value, 0.36, xerr=whiskers, color=colour, error_kw=style)


def _square() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(2.9, 2.9), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(0, 1.03), ylim=(0, 1.03), aspect="equal")
    axes.set(xlabel="mean confidence", ylabel="accuracy")
    return figure, axes


def svg(figure: Figure, label: str, transparent: bool = True) -> Markup:
    """Return the `<svg>` element without file head and metadata, labelled for screen readers."""
    buffer = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=transparent, metadata=metadata)
    text = buffer.getvalue()
    element = text[text.index("<svg ") :]
    element = element.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return Markup(element)  # noqa: S704 - matplotlib escapes its text, and the label is a constant
