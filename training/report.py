"""Writes a report: `report.json`, and one page of HTML that needs nothing beside it.

Answers and messages are untrusted text: everything is escaped, and the page's own policy lets no script run and no resource load.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.emotions import LABELS, Emotion
from training.plots import hit_rates, reliability_diagram
from training.report_schema import ArmReport, DetectorOnSet, DetectorReport, Interval, PersonaReport, PersonasReport, Report

TEMPLATES = Path(__file__).parent / "templates"
ADAPTER = "adapter"
GAIN_TARGET = 0.25
SIGNIFICANCE = 0.05
EMOTION_TEST = "emotion_test"
SETS = {
    "ordinary": "ordinary messages",
    EMOTION_TEST: "emotion/test",
    "strict": "GoEmotions, strict labels",
    "broad": "GoEmotions, broad labels",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What every adapter should reach (`at_least`), or stay under."""

    what: str
    limit: float
    measure: Callable[[ArmReport], float]
    at_least: bool = True

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


TARGETS = (
    Target("hit rate", 0.80, attrgetter("hit_rate.value")),
    Target("share of answers that end by themselves", 0.97, attrgetter("stop_rate")),
    Target("share of answers that echo the message", 0.01, attrgetter("echo_rate"), at_least=False),
    Target("distinct-2", 0.6, attrgetter("distinct_2")),
)


class Finding(NamedTuple):
    """A sentence that follows from the numbers; `met` is None where there is no target."""

    text: str
    met: bool | None = None


def write_report(report: Report, folder: Path) -> Path:
    """Writes `report.json` and `report.html` into `folder`, and returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(report.model_dump_json(indent=2) + "\n", "utf-8")
    page = folder / "report.html"
    page.write_text(render(report), "utf-8")
    return page


def render(report: Report) -> str:
    """The page. The first detector is taken for the one that ships."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "interval": interval, "points": points, "p_value": p_value, "title": title}
    environment.globals |= {"reliability_diagram": reliability_diagram, "hit_rates": hit_rates, "ordered": ordered, "arms": arms}
    return environment.get_template("report.html.j2").render(
        report=report, labels=LABELS, findings=list(findings(report)), adapter=ADAPTER, emotion_test=EMOTION_TEST, alpha=SIGNIFICANCE
    )


def number(value: float) -> str:
    return f"{value:.3f}"


def interval(estimate: Interval) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def points(gain: Interval) -> str:
    """A gain in percentage points, signed."""
    return f"{100 * gain.value:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]".replace("-", "−")


def p_value(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def title(name: str) -> str:
    """A set's name as the page shows it; one that is not known stays as it is."""
    return next((shown for key, shown in SETS.items() if key in name.replace("/", "_")), name)


def ordered(sets: dict[str, DetectorOnSet]) -> list[tuple[str, DetectorOnSet]]:
    """Ordinary messages first, then the public sets, then what else there is."""
    order = list(SETS.values())
    return sorted(sets.items(), key=lambda item: order.index(title(item[0])) if title(item[0]) in order else len(order))


def arms(persona: PersonaReport) -> dict[str, ArmReport]:
    """The adapter first."""
    return dict(sorted(persona.arms.items(), key=lambda item: item[0] != ADAPTER))


def findings(report: Report) -> Iterator[Finding]:
    """What the numbers say, in sentences."""
    for detector in report.detectors:
        yield from _detector_findings(detector, report)
    if report.personas:
        yield from _target_findings(report.personas)
        yield from _gain_findings(report.personas)


def _detector_findings(detector: DetectorReport, report: Report) -> Iterator[Finding]:
    sets = ordered(detector.sets)
    for name, found in sets[:1]:
        worst = min(LABELS, key=lambda label: found.per_class_f1[label])
        yield Finding(
            f"{detector.name}: on {title(name)} it is right in {interval(found.accuracy)} of {found.rows:,} rows; "
            f"{worst} is its weakest emotion, with an F1 of {number(found.per_class_f1[worst])}."
        )
    ours = next((found for name, found in sets if title(name) == SETS[EMOTION_TEST]), None)
    if ours and report.published:
        best = max(report.published, key=attrgetter("accuracy"))
        side = "above" if best.accuracy > ours.accuracy.high else "below" if best.accuracy < ours.accuracy.low else "within"
        yield Finding(
            f"{detector.name}: the highest published accuracy on emotion/test, {number(best.accuracy)} of {best.model} ({best.status}), "
            f"is {side} our interval {interval(ours.accuracy)}."
        )


def _target_findings(personas: PersonasReport) -> Iterator[Finding]:
    for target in TARGETS:
        values = {each.persona: target.measure(each.arms[ADAPTER]) for each in personas.personas}
        hits = sum(map(target.met, values.values()))
        worst = (min if target.at_least else max)(values, key=values.__getitem__)
        words = ("at least", "lowest") if target.at_least else ("at most", "highest")
        yield Finding(
            f"{target.what.capitalize()} {words[0]} {target.limit:g}: {hits} of {len(values)} personas "
            f"({words[1]}: {worst}, {number(values[worst])}).",
            hits == len(values),
        )


def _gain_findings(personas: PersonasReport) -> Iterator[Finding]:
    """One sentence for each arm that the adapters are compared with."""
    gains: dict[str, dict[Emotion, float]] = {}
    for each in personas.personas:
        for comparison in each.comparisons:
            gains.setdefault(comparison.against, {})[each.persona] = comparison.gain.value
    for against, values in gains.items():
        hits = sum(value >= GAIN_TARGET for value in values.values())
        worst = min(values, key=values.__getitem__)
        yield Finding(
            f"Hit rate at least {100 * GAIN_TARGET:.0f} points over “{against}”: {hits} of {len(values)} personas "
            f"(smallest gain: {worst}, {100 * values[worst]:+.1f} points).",
            hits == len(values),
        )
