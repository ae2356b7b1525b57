"""Findings of a report: targets that are met or missed, and facts."""

import pytest

from support.sample_report import Numbers, sample_arm, sample_report, sample_set_result
from training.report.findings import findings
from training.report.schema import (
    DetectorReport,
    Interval,
    LabelNoise,
    PairedComparison,
    Published,
    Report,
)

MEASURES_AT_THE_TARGETS = {"stop_rate": 0.97, "echo_rate": 0.01, "distinct_2": 0.6}
MEASURES_BEYOND_THE_TARGETS = {"stop_rate": 0.969, "echo_rate": 0.011, "distinct_2": 0.599}


@pytest.fixture(scope="module")
def report() -> Report:
    return sample_report()


def with_adapters(
    report: Report,
    hit_rates: list[float],
    gain: Interval,
    measures: dict[str, float],
) -> Report:
    """Replace the six adapters of the report, and leave out the detectors."""
    assert report.personas
    numbers = Numbers()
    changed = []
    for each, hit_rate in zip(report.personas.personas, hit_rates, strict=True):
        comparison = PairedComparison(
            against="base", gain=gain, only_adapter=9, only_other=1, p_value=0.02
        )
        arms = {"adapter": sample_arm(numbers, hit_rate, **measures)}
        changed.append(each.model_copy(update={"arms": arms, "comparisons": [comparison]}))
    sense = report.personas.sense.model_copy(update={"arms": {}})
    personas = report.personas.model_copy(update={"personas": changed, "sense": sense})
    return report.model_copy(update={"detectors": [], "personas": personas})


def with_test_results(report: Report, published: list[Published], **results: object) -> Report:
    """Leave out the personas, and give both detectors the same results on emotion/test."""
    ours = sample_set_result(Numbers(), 10).model_copy(update=results)
    detectors = [
        detector.model_copy(update={"sets": {"emotion_test": ours}})
        for detector in report.detectors
    ]
    return report.model_copy(
        update={"detectors": detectors, "published": published, "personas": None}
    )


def with_first_detector(report: Report) -> Report:
    first: list[DetectorReport] = report.detectors[:1]
    return report.model_copy(update={"detectors": first})


def test_adapters_at_the_targets_meet_them(report: Report) -> None:
    gain = Interval(value=0.25, low=0.1, high=1)
    found = list(findings(with_adapters(report, [0.8] * 6, gain, MEASURES_AT_THE_TARGETS)))
    assert [each.met for each in found] == [True] * 5
    assert "6 of 6 personas (lowest: sadness, 0.800)" in found[0].text
    assert "“base”" in found[4].text
    assert "(smallest gain: sadness, +25.0 [+10.0, +100.0] points)" in found[4].text


def test_one_persona_below_a_target_misses_it(report: Report) -> None:
    gain = Interval(value=0.2, low=0.1, high=1)
    hit_rates = [0.9] * 5 + [0.725]
    found = list(findings(with_adapters(report, hit_rates, gain, MEASURES_BEYOND_THE_TARGETS)))
    assert [each.met for each in found] == [False] * 5
    assert "5 of 6 personas (lowest: surprise, 0.725)" in found[0].text
    assert "highest" in found[2].text


def test_gain_whose_interval_contains_zero_misses_the_target(report: Report) -> None:
    gain = Interval(value=0.5, low=0.0, high=1)
    found = list(findings(with_adapters(report, [0.8] * 6, gain, MEASURES_AT_THE_TARGETS)))
    assert [each.met for each in found] == [True] * 4 + [False]


@pytest.mark.parametrize(("accuracy", "met"), [(0.935, True), (0.9349, False)])
def test_only_the_first_detector_has_targets(report: Report, accuracy: float, met: bool) -> None:
    estimate = Interval(value=accuracy, low=0.3, high=1)
    shown = with_test_results(report, [], accuracy=estimate, ece_after=0.03)
    targets = [each for each in findings(shown) if each.met is not None]
    name = report.detectors[0].name
    assert [each.met for each in targets] == [met, False, True]
    assert all(each.text.startswith(name) for each in targets)
    assert f"accuracy on emotion_test at least 0.935: {accuracy:.3f}" in targets[0].text


@pytest.mark.parametrize(("published", "side"), [(0.5, "above"), (0.2, "below"), (0.35, "within")])
def test_compares_the_highest_published_figure_with_our_interval(
    report: Report, published: float, side: str
) -> None:
    figures = [
        Published(model=f"m{accuracy}", accuracy=accuracy, status="verified")
        for accuracy in (0.1, published)
    ]
    estimate = Interval(value=0.4, low=0.3, high=0.45)
    *_, last = findings(with_test_results(report, figures, accuracy=estimate))
    assert f"{published:.3f} of m{published}, is {side} our interval" in last.text
    assert "0.400 [0.300, 0.450]" in last.text


def test_compares_self_reported_and_verified_figures_separately(report: Report) -> None:
    figures = [
        Published(model="net", accuracy=0.94, status="self-reported"),
        Published(model="net", accuracy=0.92, status="verified"),
    ]
    shown = with_first_detector(with_test_results(report, figures))
    texts = [each.text for each in findings(shown) if "of net" in each.text]
    statuses = [("self-reported" in text, "verified" in text) for text in texts]
    assert statuses == [(True, False), (False, True)]


def test_reports_the_share_of_mistakes_with_label_noise(report: Report) -> None:
    noise = LabelNoise(
        rows=258, mistakes=112, mistakes_of_commonest_label=116, mistakes_elsewhere=17
    )
    *_, last = findings(with_test_results(report, [], ambiguous=noise))
    assert "112 of its 129 mistakes on emotion/test" in last.text
    assert "258 rows" in last.text
    assert "wrong in 116" in last.text


@pytest.mark.parametrize(
    ("message_p1", "trigram_share", "met"),
    [(0.61, 0.06, [True, True]), (0.59, 0.061, [False, False])],
)
def test_sense_is_measured_against_the_references(
    report: Report, message_p1: float, trigram_share: float, met: list[bool]
) -> None:
    assert report.personas
    arms = report.personas.sense.arms
    ceiling = Interval(value=0.8, low=0.7, high=0.9)
    ours = ceiling.model_copy(update={"value": message_p1})
    changed = {
        "reference": arms["reference"].model_copy(update={"message_p1": ceiling}),
        "adapter": arms["adapter"].model_copy(
            update={"message_p1": ours, "trigram_share": trigram_share}
        ),
    }
    sense = report.personas.sense.model_copy(update={"arms": changed})
    personas = report.personas.model_copy(update={"sense": sense})
    found = findings(report.model_copy(update={"detectors": [], "personas": personas}))
    assert [
        each.met for each in found if "three words" in each.text or "encoder" in each.text
    ] == met


@pytest.mark.parametrize(("against", "met"), [("few-shot", True), ("base", False)])
def test_gain_over_examples_has_a_lower_target(report: Report, against: str, met: bool) -> None:
    gain = Interval(value=0.15, low=0.05, high=0.25)
    changed = with_adapters(report, [0.9] * 6, gain, MEASURES_AT_THE_TARGETS)
    assert changed.personas
    personas = [
        each.model_copy(
            update={"comparisons": [each.comparisons[0].model_copy(update={"against": against})]}
        )
        for each in changed.personas.personas
    ]
    again = changed.model_copy(
        update={"personas": changed.personas.model_copy(update={"personas": personas})}
    )
    assert list(findings(again))[4].met is met
