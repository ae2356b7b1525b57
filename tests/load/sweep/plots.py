"""The plots of `make load`, as SVG that stands in the page itself."""

from collections.abc import Callable, Sequence

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from load.harness.metrics import STAGES, Mode
from load.harness.process_stats import KINDS
from load.harness.sampler import Sample
from load.sweep.knee import Knee, Point
from load.sweep.result import ArmResult
from training.report.plots import ACCENT, GRID, INK, STYLE, svg

COLOURS = {"graph": ACCENT, "bare": "#b45309", "no-op": "#5b6b78", "detector": "#4338ca"}
SHADES = ("#0f766e", "#5eb5aa", "#b45309", "#e0a96d", "#4338ca", "#9a94e0", "#5b6b78", "#b9c4cc", "#a3341f", "#d98f80")
AXIS = {"rate": "offered, requests/s", "concurrency": "users"}
SIZE = (4.7, 3.0)


def _axes(xlabel: str, ylabel: str, size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def curves(points: Sequence[Point], mode: Mode, names: Sequence[str], ylabel: str, knees: Sequence[Knee] = ()) -> Markup:
    """One colour an arm; the first figure is drawn whole, the second dashed. Whiskers are the least and the greatest repeat."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes(AXIS[mode], ylabel)
        for arm in dict.fromkeys(point.arm for point in points):
            mine = [point for point in points if point.arm == arm and point.mode == mode]
            for name, line in zip(names, ("-", "--", ":"), strict=False):
                _curve(axes, [point for point in mine if name in point.figures], name, line, f"{arm}, {_short(name)}")
        for knee in knees:
            if knee.mode == mode and knee.level is not None:
                axes.axvline(knee.level, color=COLOURS[knee.arm], linewidth=0.8, linestyle=(0, (1, 2)))
        axes.set_ylim(bottom=0)
        _legend(axes)
        return svg(figure, f"{ylabel} against {AXIS[mode]}")


def _curve(axes: Axes, points: Sequence[Point], name: str, line: str, label: str) -> None:
    if not points:
        return
    values = [point.value(name) for point in points]
    low = [max(value - point.figures[name].low, 0) for value, point in zip(values, points, strict=True)]
    high = [max(point.figures[name].high - value, 0) for value, point in zip(values, points, strict=True)]
    colour = COLOURS[points[0].arm]
    axes.errorbar(
        [point.level for point in points],
        values,
        [low, high],
        color=colour,
        linestyle=line,
        marker="o",
        markersize=3,
        capsize=2,
        label=label,
    )


def _short(name: str) -> str:
    words = {"request_throughput": "achieved", "request_goodput": "goodput", "output_throughput": "written"}
    return words.get(name, name.split("_")[0])


def _legend(axes: Axes, **place: object) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=7.5, handlelength=2.8, **place)


def stages(arm: ArmResult, mode: Mode) -> Markup:
    """Mean time of each stage at each level, one on top of the other."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes(AXIS[mode], "mean, ms")
        levels = sorted({run.level for run in arm.runs if run.mode == mode and run.stages_ms})
        base = [0.0] * len(levels)
        for stage, colour in zip(STAGES, SHADES, strict=False):
            means = [_mean_of_stage(arm, mode, level, stage) for level in levels]
            axes.bar(range(len(levels)), means, 0.6, base, color=colour, label=stage)
            base = [under + mean for under, mean in zip(base, means, strict=True)]
        axes.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
        _legend(axes, ncols=len(STAGES), loc="lower center", bbox_to_anchor=(0.5, 1))
        return svg(figure, f"Time in each stage against {AXIS[mode]}")


def _mean_of_stage(arm: ArmResult, mode: Mode, level: float, stage: str) -> float:
    found = [run.stages_ms[stage]["mean_ms"] for run in arm.runs if (run.mode, run.level) == (mode, level) and stage in run.stages_ms]
    return sum(found) / len(found) if found else 0.0


def over_time(samples: Sequence[Sample], what: Callable[[Sample], dict[str, float]], ylabel: str, least: float) -> Markup:
    """Stacked, by kind of process; what never reaches `least` is left out of the legend and put together."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes("s", ylabel, (9.6, 2.6))
        kinds = sorted({kind for sample in samples for kind in what(sample)})
        large = [kind for kind in kinds if max(what(sample).get(kind, 0) for sample in samples) >= least]
        rows = [[what(sample).get(kind, 0) for sample in samples] for kind in large]
        rest = [sum(value for kind, value in what(sample).items() if kind not in large) for sample in samples]
        axes.stackplot(
            [sample.t_s for sample in samples], *rows, rest, colors=[*map(_shade, large), GRID], labels=[*large, "all others"], linewidth=0
        )
        axes.legend(frameon=False, fontsize=7.5, loc="center left", bbox_to_anchor=(1, 0.5))
        axes.margins(x=0)
        return svg(figure, f"{ylabel} over time, by kind of process")


def _shade(kind: str) -> str:
    """The same for a kind of process in every plot."""
    return dict(zip([*(name for _, name in KINDS), "other"], SHADES, strict=True))[kind]


def replicas(samples: Sequence[Sample]) -> Markup:
    """How many of each stage run."""
    with mpl.rc_context(STYLE):
        figure, axes = _axes("s", "replicas", (9.6, 1.7))
        stages = sorted({stage for sample in samples for stage in sample.replicas})
        for number, (stage, colour) in enumerate(zip(stages, SHADES, strict=False)):
            shifted = [sample.replicas.get(stage, 0) + 0.04 * number for sample in samples]  # equal lines would hide one another
            axes.step([sample.t_s for sample in samples], shifted, where="post", color=colour, label=stage)
        axes.set_ylim(bottom=0)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False, fontsize=7.5, loc="center left", bbox_to_anchor=(1, 0.5))
        axes.margins(x=0)
        return svg(figure, "Replicas over time")


def growth(xlabel: str, ylabel: str, lines: dict[str, tuple[Sequence[float], Sequence[float]]], straight: bool = False) -> Markup:
    """How something grows: both axes are logarithmic, so a straight line is a power."""
    with mpl.rc_context(STYLE | {"text.color": INK}):
        figure, axes = _axes(xlabel, ylabel, (4.7, 2.8))
        for (label, (sizes, values)), colour in zip(lines.items(), SHADES[::2], strict=False):
            axes.plot(sizes, values, color=colour, marker="o", markersize=3.5, label=label)
        if not straight:
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
        sizes = sorted({size for xs, _ in lines.values() for size in xs})
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axes.minorticks_off()
        _legend(axes, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))
        return svg(figure, f"{ylabel} against {xlabel}")
