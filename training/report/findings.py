"""Findings: sentences that follow from a report's numbers.

Each is a fact, or a target that is met or missed.
"""

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from models.emotions import LABELS, Emotion
from training.report.format import (
    ADAPTER,
    EMOTION_TEST,
    FEW_SHOT,
    REFERENCE,
    SETS,
    interval,
    number,
    ordered,
    points,
    set_title,
)
from training.report.schema import (
    DetectorReport,
    DetectorSetResult,
    Interval,
    LabelNoise,
    PersonasReport,
    Published,
    Report,
)
from training.report.targets import (
    DETECTOR_TARGETS,
    FEW_SHOT_GAIN_TARGET,
    GAIN_TARGET,
    PERSONA_TARGETS,
    SELECTION_TARGET,
    TRIGRAM_TARGET,
    Target,
)


class Finding(NamedTuple):
    """A sentence about the numbers."""

    text: str
    met: bool | None = None  # if a target is met; None for a fact


def findings(report: Report) -> Iterator[Finding]:
    """Yield the findings of a report: targets of the first detector, detectors, personas."""
    for detector in report.detectors[:1]:
        yield from _detector_targets(detector)
    for detector in report.detectors:
        yield from _detector_facts(detector, report.published)
    if report.personas:
        yield from _persona_targets(report.personas)
        yield from _gain_targets(report.personas)
        yield from _sense_targets(report.personas)


def _detector_targets(detector: DetectorReport) -> Iterator[Finding]:
    for name, targets in DETECTOR_TARGETS.items():
        if name in detector.sets:
            for target in targets:
                yield _detector_target(detector.name, name, target, detector.sets[name])


def _detector_target(
    detector: str, set_name: str, target: Target, result: DetectorSetResult
) -> Finding:
    value = target.measure(result)
    limit = f"{'at least' if target.at_least else 'at most'} {target.limit:g}"
    text = f"{detector}: {target.name} on {set_name} {limit}: {number(value)}."
    return Finding(text, target.is_met(value))


def _detector_facts(detector: DetectorReport, published: Sequence[Published]) -> Iterator[Finding]:
    sets = ordered(detector.sets)
    for name, result in sets[:1]:
        worst = min(LABELS, key=lambda label: result.per_class_f1[label])
        yield Finding(
            f"{detector.name}: on {set_title(name)} it is right in {interval(result.accuracy)} "
            f"of {result.rows:,} rows; {worst} is its weakest emotion, "
            f"with an F1 of {number(result.per_class_f1[worst])}."
        )
    test = next((result for name, result in sets if set_title(name) == SETS[EMOTION_TEST]), None)
    if test:
        yield from _published_facts(detector.name, test, published)
    if test and test.ambiguous:
        yield _label_noise_fact(detector.name, test.ambiguous)


def _published_facts(
    name: str, result: DetectorSetResult, published: Sequence[Published]
) -> Iterator[Finding]:
    """Compare with the highest figure of each status.

    Self-reported figures are often those of the validation split.
    """
    for status in sorted({figure.status for figure in published}):
        figures = [figure for figure in published if figure.status == status]
        best = max(figures, key=attrgetter("accuracy"))
        yield Finding(
            f"{name}: the highest {status} accuracy on emotion/test, {number(best.accuracy)} "
            f"of {best.model}, is {_side(best.accuracy, result.accuracy)} our interval "
            f"{interval(result.accuracy)}."
        )


def _side(value: float, estimate: Interval) -> str:
    if value > estimate.high:
        return "above"
    return "below" if value < estimate.low else "within"


def _label_noise_fact(name: str, noise: LabelNoise) -> Finding:
    mistakes = noise.mistakes + noise.mistakes_elsewhere
    return Finding(
        f"{name}: {noise.mistakes} of its {mistakes} mistakes on emotion/test are in the "
        f"{noise.rows} rows whose most informative word has two labels in the training split. "
        f"Always predicting that word's most common label would be wrong in "
        f"{noise.mistakes_of_commonest_label} of these rows."
    )


def _persona_targets(personas: PersonasReport) -> Iterator[Finding]:
    for target in PERSONA_TARGETS:
        values = {each.persona: target.measure(each.arms[ADAPTER]) for each in personas.personas}
        hits = sum(map(target.is_met, values.values()))
        worst = (min if target.at_least else max)(values, key=values.__getitem__)
        limit = f"{'at least' if target.at_least else 'at most'} {target.limit:g}"
        extreme = "lowest" if target.at_least else "highest"
        yield Finding(
            f"{target.name.capitalize()} {limit}: {hits} of {len(values)} personas "
            f"({extreme}: {worst}, {number(values[worst])}).",
            hits == len(values),
        )


def _gain_targets(personas: PersonasReport) -> Iterator[Finding]:
    """Yield one finding for each arm that the adapters are compared with."""
    gains: dict[str, dict[Emotion, Interval]] = {}
    for each in personas.personas:
        for comparison in each.comparisons:
            gains.setdefault(comparison.against, {})[each.persona] = comparison.gain
    for against, by_persona in gains.items():
        yield _gain_target(against, by_persona)


def _sense_targets(personas: PersonasReport) -> Iterator[Finding]:
    arms = personas.sense.arms
    if not {ADAPTER, REFERENCE} <= set(arms):
        return
    ours, ceiling = arms[ADAPTER].message_p1, arms[REFERENCE].message_p1
    yield Finding(
        f"The encoder picks the message of an answer in {interval(ours)}; target: at least "
        f"{SELECTION_TARGET:g} of the written references' {interval(ceiling)}.",
        ours.value >= SELECTION_TARGET * ceiling.value,
    )
    share = arms[ADAPTER].trigram_share
    yield Finding(
        f"Most frequent three words at most in {TRIGRAM_TARGET:g} of the answers: "
        f"“{arms[ADAPTER].trigram}” in {number(share)}.",
        share <= TRIGRAM_TARGET,
    )


def _gain_target(against: str, gains: dict[Emotion, Interval]) -> Finding:
    target = FEW_SHOT_GAIN_TARGET if against == FEW_SHOT else GAIN_TARGET
    hits = sum(gain.value >= target and gain.low > 0 for gain in gains.values())
    worst = min(gains, key=lambda persona: gains[persona].value)
    return Finding(
        f"Hit rate at least {100 * target:.0f} points over “{against}”, interval above zero: "
        f"{hits} of {len(gains)} personas (smallest gain: {worst}, {points(gains[worst])} points).",
        hits == len(gains),
    )
