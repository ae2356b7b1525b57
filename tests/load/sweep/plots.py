"""SVG plots of the load test, to be embedded in its page."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from load.harness.metrics import PHASES
from load.harness.runs import Mode
from load.harness.sampler import Sample
from load.sweep.knee import Knee, Point
from load.sweep.plot_style import (
    ARM_COLOURS,
    COLOURS,
    DOTTED,
    KIND_COLOURS,
    LEGEND,
    LEGEND_ABOVE,
    LEGEND_RIGHT,
    LINE_STYLES,
    METRIC_LABELS,
    MODE_LABELS,
    WIDE,
    add_legend,
    new_axes,
)
from load.sweep.result import ArmResult
from training.report.plots import GRID, INK, STYLE, svg

Line = tuple[Sequence[float], Sequence[float]]  # x, y


def curves(
    points: Sequence[Point],
    mode: Mode,
    names: Sequence[str],
    ylabel: str,
    knees: Sequence[Knee] = (),
) -> Markup:
    """Plot metrics over the level: a colour per arm, a line style per metric.

    Whiskers are the lowest and highest repeat; dotted vertical lines are knees.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(MODE_LABELS[mode], ylabel)
        for arm in dict.fromkeys(point.arm for point in points):
            of_arm = [point for point in points if point.arm == arm and point.mode == mode]
            for name, style in zip(names, LINE_STYLES, strict=False):
                _curve(axes, [point for point in of_arm if name in point.metrics], name, style)
        for knee in knees:
            if knee.mode == mode and knee.level is not None:
                axes.axvline(
                    knee.level, color=ARM_COLOURS[knee.arm], linewidth=0.8, linestyle=DOTTED
                )
        axes.set_ylim(bottom=0)
        add_legend(axes)
        return svg(figure, f"{ylabel} against {MODE_LABELS[mode]}")


def _curve(axes: Axes, points: Sequence[Point], name: str, style: str) -> None:
    if not points:
        return
    arm = points[0].arm
    spreads = [point.metrics[name] for point in points]
    axes.errorbar(
        [point.level for point in points],
        [found.value for found in spreads],
        [
            [max(found.value - found.low, 0) for found in spreads],
            [max(found.high - found.value, 0) for found in spreads],
        ],
        color=ARM_COLOURS[arm],
        linestyle=style,
        marker="o",
        markersize=3,
        capsize=2,
        label=f"{arm}, {METRIC_LABELS.get(name, name.split('_')[0])}",
    )


def phases(arm: ArmResult, mode: Mode) -> Markup:
    """Plot the mean time of each phase of a request over the level, stacked."""
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(MODE_LABELS[mode], "mean, ms")
        levels = sorted({run.level for run in arm.runs if run.mode == mode and run.phases_ms})
        bottom = [0.0] * len(levels)
        for phase, colour in zip(PHASES, COLOURS, strict=False):
            means = [_mean_of_phase(arm, mode, level, phase) for level in levels]
            axes.bar(range(len(levels)), means, 0.6, bottom, color=colour, label=phase)
            bottom = [below + mean for below, mean in zip(bottom, means, strict=True)]
        axes.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
        add_legend(axes, ncols=len(PHASES), **LEGEND_ABOVE)
        return svg(figure, f"Time in each phase against {MODE_LABELS[mode]}")


def _mean_of_phase(arm: ArmResult, mode: Mode, level: float, phase: str) -> float:
    runs = [run for run in arm.runs if (run.mode, run.level) == (mode, level)]
    means = [run.phases_ms[phase]["mean_ms"] for run in runs if phase in run.phases_ms]
    return sum(means) / len(means) if means else 0.0


def over_time(
    samples: Sequence[Sample],
    select: Callable[[Sample], dict[str, float]],
    ylabel: str,
    minimum: float,
) -> Markup:
    """Plot a resource over time, stacked by kind of process.

    Kinds that never reach `minimum` are drawn together.
    """
    with mpl.rc_context(STYLE):
        figure, axes = new_axes("s", ylabel, WIDE)
        kinds = sorted({kind for sample in samples for kind in select(sample)})
        large = [
            kind
            for kind in kinds
            if max(select(sample).get(kind, 0) for sample in samples) >= minimum
        ]
        rows = [[select(sample).get(kind, 0) for sample in samples] for kind in large]
        rest = [
            sum(value for kind, value in select(sample).items() if kind not in large)
            for sample in samples
        ]
        axes.stackplot(
            [sample.t_s for sample in samples],
            *rows,
            rest,
            colors=[*(KIND_COLOURS[kind] for kind in large), GRID],
            labels=[*large, "all others"],
            linewidth=0,
        )
        axes.legend(**LEGEND, **LEGEND_RIGHT)
        axes.margins(x=0)
        return svg(figure, f"{ylabel} over time, by kind of process")


def replicas(samples: Sequence[Sample]) -> Markup:
    """Plot the running replicas of each deployment over time."""
    with mpl.rc_context(STYLE):
        figure, axes = new_axes("s", "replicas", (WIDE[0], 1.7))
        deployments = sorted({name for sample in samples for name in sample.replicas})
        for number, (name, colour) in enumerate(zip(deployments, COLOURS, strict=False)):
            # Lines of equal counts are shifted, since they would hide one another.
            counts = [sample.replicas.get(name, 0) + 0.04 * number for sample in samples]
            times_s = [sample.t_s for sample in samples]
            axes.step(times_s, counts, where="post", color=colour, label=name)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(**LEGEND, **LEGEND_RIGHT)
        axes.margins(x=0)
        return svg(figure, "Replicas over time")


def growth(xlabel: str, ylabel: str, lines: Mapping[str, Line]) -> Markup:
    """Plot metrics over a size on logarithmic axes."""
    with mpl.rc_context(STYLE | {"text.color": INK}):
        figure, axes = new_axes(xlabel, ylabel, (4.7, 2.8))
        for (label, (sizes, values)), colour in zip(lines.items(), COLOURS[::2], strict=False):
            axes.plot(sizes, values, color=colour, marker="o", markersize=3.5, label=label)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        ticks = sorted({size for sizes, _ in lines.values() for size in sizes})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        add_legend(axes, ncols=3, **LEGEND_ABOVE)
        return svg(figure, f"{ylabel} against {xlabel}")
