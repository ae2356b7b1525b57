"""What a report's numbers say, in sentences: each a fact, or a target that is met or missed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

from models.emotions import LABELS, Emotion
from training.report.format import ADAPTER, EMOTION_TEST, SETS, interval, number, ordered, points, title
from training.report.schema import AmbiguousWords, DetectorOnSet, DetectorReport, Interval, PersonasReport, Published, Report

GAIN_TARGET = 0.25


@dataclass(frozen=True, slots=True)
class Target:
    """What every adapter, or a detector on a set, should reach (`at_least`), or stay under."""

    what: str
    limit: float
    measure: Callable[[Any], float]
    at_least: bool = True

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


TARGETS = (
    Target("hit rate", 0.80, attrgetter("hit_rate.value")),
    Target("share of answers that end by themselves", 0.97, attrgetter("stop_rate")),
    Target("share of answers that echo the message", 0.01, attrgetter("echo_rate"), at_least=False),
    Target("distinct-2", 0.6, attrgetter("distinct_2")),
)


DETECTOR_TARGETS = {
    "ordinary_fresh": (Target("accuracy", 0.90, attrgetter("accuracy.value")),),
    EMOTION_TEST: (
        Target("accuracy", 0.935, attrgetter("accuracy.value")),
        Target("macro-F1", 0.90, attrgetter("macro_f1.value")),
        Target("calibration error", 0.03, attrgetter("ece_after"), at_least=False),
    ),
    "goemotions_dev_strict": (Target("macro-F1", 0.84, attrgetter("macro_f1.value")),),
}


class Finding(NamedTuple):
    """A sentence that follows from the numbers; `met` is None where there is no target."""

    text: str
    met: bool | None = None


def findings(report: Report) -> Iterator[Finding]:
    """What the numbers say, in sentences."""
    for detector in report.detectors[:1]:
        yield from _detector_targets(detector)
    for detector in report.detectors:
        yield from _detector_findings(detector, report)
    if report.personas:
        yield from _target_findings(report.personas)
        yield from _gain_findings(report.personas)


def _detector_targets(detector: DetectorReport) -> Iterator[Finding]:
    for name, targets in DETECTOR_TARGETS.items():
        for target in targets if name in detector.sets else ():
            value = target.measure(detector.sets[name])
            words = "at least" if target.at_least else "at most"
            text = f"{detector.name}: {target.what} on {name} {words} {target.limit:g}: {number(value)}."
            yield Finding(text, target.met(value))


def _detector_findings(detector: DetectorReport, report: Report) -> Iterator[Finding]:
    sets = ordered(detector.sets)
    for name, found in sets[:1]:
        worst = min(LABELS, key=lambda label: found.per_class_f1[label])
        yield Finding(
            f"{detector.name}: on {title(name)} it is right in {interval(found.accuracy)} of {found.rows:,} rows; "
            f"{worst} is its weakest emotion, with an F1 of {number(found.per_class_f1[worst])}."
        )
    ours = next((found for name, found in sets if title(name) == SETS[EMOTION_TEST]), None)
    if ours:
        yield from _published_findings(detector.name, ours, report.published)
    if ours and ours.ambiguous:
        yield _ambiguous_finding(detector.name, ours.ambiguous)


def _published_findings(name: str, ours: DetectorOnSet, published: Sequence[Published]) -> Iterator[Finding]:
    """The highest figure of each kind: what a model card says of itself is often of the validation split."""
    for status in sorted({figure.status for figure in published}):
        best = max((figure for figure in published if figure.status == status), key=attrgetter("accuracy"))
        side = "above" if best.accuracy > ours.accuracy.high else "below" if best.accuracy < ours.accuracy.low else "within"
        yield Finding(
            f"{name}: the highest {status} accuracy on emotion/test, {number(best.accuracy)} of {best.model}, "
            f"is {side} our interval {interval(ours.accuracy)}."
        )


def _ambiguous_finding(name: str, found: AmbiguousWords) -> Finding:
    return Finding(
        f"{name}: {found.mistakes} of its {found.mistakes + found.mistakes_elsewhere} mistakes on emotion/test stand in the "
        f"{found.rows} rows whose most telling word carries two labels in the training split. To say that word's commonest label "
        f"is a mistake in {found.mistakes_of_commonest_label} of them."
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
    gains: dict[str, dict[Emotion, Interval]] = {}
    for each in personas.personas:
        for comparison in each.comparisons:
            gains.setdefault(comparison.against, {})[each.persona] = comparison.gain
    for against, found in gains.items():
        hits = sum(gain.value >= GAIN_TARGET and gain.low > 0 for gain in found.values())
        worst = min(found, key=lambda persona: found[persona].value)
        yield Finding(
            f"Hit rate at least {100 * GAIN_TARGET:.0f} points over “{against}”, interval clear of zero: {hits} of {len(found)} personas "
            f"(smallest gain: {worst}, {points(found[worst])} points).",
            hits == len(found),
        )
