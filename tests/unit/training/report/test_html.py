"""The report's page: well-formed, complete, ordered, self-contained, and safe with whatever an answer holds."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from models.emotions import LABELS, Emotion
from training.report.findings import findings
from training.report.format import interval, ordered, p_value, points, title
from training.report.html import render, write_report
from training.report.schema import (
    AmbiguousWords,
    Answer,
    ArmReport,
    Bin,
    ChainReport,
    DetectorOnSet,
    DetectorReport,
    Interval,
    JudgeReport,
    Paired,
    PersonaReport,
    PersonasReport,
    Published,
    Report,
)

ATTACK = "<script>alert('x')</script><img src=\"http://evil.example/x.png\" onerror=alert(1)>{{ 7 * 7 }}"
VOID = {"meta", "br", "img", "link", "hr", "input"}
SET_NAMES = ("emotion_test", "goemotions_dev_broad", "goemotions_dev_strict", "unheard_of", "ordinary_held_out_topics")


class Numbers:
    """Numbers between 0 and 1, none of them twice, to be found again in the page."""

    def __init__(self) -> None:
        self.given = 100

    def next(self) -> float:
        self.given += 1
        return self.given / 1000

    def interval(self, value: float | None = None) -> Interval:
        low, middle, high = self.next(), self.next(), self.next()
        return Interval(value=middle if value is None else value, low=low, high=high)


def detector_on_set(numbers: Numbers, rows: int) -> DetectorOnSet:
    return DetectorOnSet(
        rows=rows,
        accuracy=numbers.interval(),
        macro_f1=numbers.interval(),
        per_class_f1={label: numbers.next() for label in LABELS},
        confusion=[[1000 + rows + 6 * i + j for j in range(6)] for i in range(5)] + [[0] * 6],
        ece_before=numbers.next(),
        ece_after=numbers.next(),
        reliability=[Bin(rows=3, confidence=0.4, accuracy=0.35), Bin(rows=0, confidence=0, accuracy=0)],
    )


def arm(numbers: Numbers, hit_rate: float | None = None, **others: float) -> ArmReport:
    rates = {name: others.get(name, numbers.next()) for name in ("distinct_1", "distinct_2", "repetition", "echo_rate", "stop_rate")}
    return ArmReport(answers=40, hit_rate=numbers.interval(hit_rate), masked_hit_rate=numbers.interval(), words_mean=31.25, **rates)


def persona(numbers: Numbers, name: Emotion) -> PersonaReport:
    rates = {"base": arm(numbers), "prompted": arm(numbers), "adapter": arm(numbers)}
    compared = [Paired(against=each, gain=numbers.interval(), only_adapter=21, only_other=3, p_value=2e-5) for each in ("base", "prompted")]
    return PersonaReport(persona=name, arms=rates, comparisons=compared)


def personas(numbers: Numbers) -> PersonasReport:
    judge = JudgeReport(
        name="judge-x",
        content_hash="feed",
        trained_on="replies & posts",
        accuracy={"emotion_test": numbers.interval()},
        written_answers={label: numbers.interval() for label in LABELS},
    )
    return PersonasReport(
        base="gemma-x",
        max_tokens=96,
        temperature=0.8,
        top_p=0.95,
        judge=judge,
        personas=[persona(numbers, label) for label in LABELS],
        separability=numbers.interval(),
        chain=ChainReport(messages=240, detected=numbers.interval(), hit_rate=numbers.interval()),
        worst=[Answer(persona=Emotion.JOY, message=ATTACK, answer=ATTACK, judged=Emotion.FEAR, judge_score=0.011)] * 10,
    )


@pytest.fixture(scope="module")
def report() -> Report:
    numbers = Numbers()
    detectors = [
        DetectorReport(
            name=name,
            base="base-x",
            content_hash="c0ffee",
            parameters=22_713_216,
            artifact_mib=21.5,
            temperature=numbers.next(),
            single_p50_ms=7.5,
            texts_per_s=412,
            sets={each: detector_on_set(numbers, 100 * place) for place, each in enumerate(SET_NAMES)},
        )
        for name in ("small", "large")
    ]
    published = [Published(model="someone/bert", accuracy=0.941, macro_f1=0.917, status="self-reported")]
    return Report(
        created="2026-11-24",
        environment={"python": "3.12", "packages": {"torch": "2.13.0<b>"}},
        detectors=detectors,
        published=[*published, Published(model="other/net", accuracy=0.931, status="verified")],
        personas=personas(numbers),
    )


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return render(report)


class Page(HTMLParser):
    """The text of a page, its tags and their attributes. Fails where a tag is closed that is not the open one."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.shown: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.shown).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.shown.append(data)


def intervals(value: object) -> list[Interval]:
    """All of them, however deep."""
    if isinstance(value, Interval):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else vars(value).values()
    return [found for each in inner if isinstance(each, (dict, list)) or hasattr(each, "model_fields_set") for found in intervals(each)]


def test_both_files_are_written_and_the_json_reads_back(report: Report, html: str, tmp_path: Path) -> None:
    page = write_report(report, tmp_path / "new" / "folder")
    assert sorted(file.name for file in page.parent.iterdir()) == ["report.html", "report.json"]
    assert Report.model_validate_json((page.parent / "report.json").read_text("utf-8")) == report
    assert page.read_text("utf-8") == html


def test_the_page_is_well_formed_and_loads_nothing(html: str) -> None:
    page = Page(html)
    assert html.startswith("<!doctype html>")
    assert page.tags.count("html") == page.tags.count("body") == page.tags.count("title") == 1
    assert not {"script", "img", "link", "iframe", "object", "base", "form"} & set(page.tags)
    loaded = [value for name, value in page.attributes if name in {"src", "href", "xlink:href", "srcset", "action", "data"}]
    assert loaded
    assert all(value.startswith("#") for value in loaded)
    assert not re.search(r"@import|url\((?!#)", html)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_links_inside_the_page_lead_somewhere(report: Report, html: str) -> None:
    for some in (html, render(report.model_copy(update={"personas": None}))):
        page = Page(some)
        ids = {value for name, value in page.attributes if name == "id"}
        assert {value[1:] for name, value in page.attributes if name.endswith("href")} <= ids


def test_untrusted_text_is_shown_and_never_run(html: str) -> None:
    assert "<script" not in html
    assert "<b>" not in html
    page = Page(html)
    assert page.text.count(ATTACK) == 20
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert "2.13.0<b>" in page.text


def test_every_interval_is_shown(report: Report, html: str) -> None:
    text = Page(html).text
    assert report.personas
    gains = [test.gain for each in report.personas.personas for test in each.comparisons]
    found = intervals(report)
    assert len(found) == 2 * 10 + 1 + 6 + 6 * (3 * 2 + 2) + 3
    for each in found:
        assert (points(each) if each in gains else interval(each)) in text


def test_every_other_number_is_shown(report: Report, html: str) -> None:
    text = Page(html).text
    assert report.personas
    for detector in report.detectors:
        shown = [detector.temperature]
        for found in detector.sets.values():
            shown += [*found.per_class_f1.values(), found.ece_before, found.ece_after]
            assert all(str(count) in text for row in found.confusion for count in row)
        assert all(f"{value:.3f}" in text for value in shown)
    for each in (arm for one in report.personas.personas for arm in one.arms.values()):
        for value in (each.distinct_1, each.distinct_2, each.repetition, each.echo_rate, each.stop_rate):
            assert f"{value:.3f}" in text
    assert all(one in text for one in ("22,713,216", "21.5 MiB", "7.5 ms", "412 texts/s", "c0ffee", "feed", "31.2", "< 0.0001", "0.0042"))


def test_published_figures_stand_beside_ours(report: Report, html: str) -> None:
    text = Page(html).text
    ours = report.detectors[0].sets["emotion_test"]
    assert f"small (ours) {interval(ours.accuracy)} {interval(ours.macro_f1)} measured here" in text
    assert "someone/bert 0.941 0.917 self-reported other/net 0.931 not given verified" in text


def test_there_is_a_plot_for_each_set_and_persona(html: str) -> None:
    page = Page(html)
    assert page.tags.count("svg") == 2 * len(SET_NAMES) + 6
    assert html.count('class="heat"') == 2 * len(SET_NAMES)


def test_ordinary_messages_come_first(report: Report, html: str) -> None:
    order = [name for name, _ in ordered(report.detectors[0].sets)]
    assert order == ["ordinary_held_out_topics", "emotion_test", "goemotions_dev_strict", "goemotions_dev_broad", "unheard_of"]
    text = Page(html).text
    heads = [
        "accuracy ordinary messages",
        "emotion/test",
        "GoEmotions, strict",
        "ECE, ordinary",
        "Personas: share",
        "What the numbers say",
    ]
    places = [text.index(head, text.index("Environment")) for head in heads]
    assert places == sorted(places)


def test_titles_of_sets() -> None:
    assert title("emotion/test") == title("emotion_test") == "emotion/test"
    assert title("goemotions_test") == "goemotions_test"


def test_detectors_alone(report: Report) -> None:
    text = Page(render(report.model_copy(update={"personas": None, "published": []}))).text
    assert "The judge" not in text
    assert "Published" not in text
    assert interval(report.detectors[1].sets["unheard_of"].accuracy) in text


def test_nothing_measured() -> None:
    assert "Environment" in Page(render(Report(created="now", environment={}, detectors=[], published=[], personas=None))).text


def with_adapters(report: Report, hit_rates: list[float], gain: float, low: float = 0.1, **others: float) -> Report:
    """The report with these hit rates and measures of the six adapters."""
    assert report.personas
    numbers = Numbers()
    changed = []
    for each, rate in zip(report.personas.personas, hit_rates, strict=True):
        test = Paired(against="base", gain=Interval(value=gain, low=low, high=1), only_adapter=9, only_other=1, p_value=0.02)
        changed.append(each.model_copy(update={"arms": {"adapter": arm(numbers, rate, **others)}, "comparisons": [test]}))
    return report.model_copy(update={"detectors": [], "personas": report.personas.model_copy(update={"personas": changed})})


def test_targets_that_are_met(report: Report) -> None:
    reached = {"stop_rate": 0.97, "echo_rate": 0.01, "distinct_2": 0.6}
    found = list(findings(with_adapters(report, [0.8] * 6, 0.25, **reached)))
    assert [each.met for each in found] == [True] * 5
    assert found[0].text == "Hit rate at least 0.8: 6 of 6 personas (lowest: sadness, 0.800)."
    assert found[4].text == (
        "Hit rate at least 25 points over “base”, interval clear of zero: 6 of 6 personas "
        "(smallest gain: sadness, +25.0 [+10.0, +100.0] points)."
    )


def test_one_persona_below_misses_the_target(report: Report) -> None:
    missed = {"stop_rate": 0.969, "echo_rate": 0.011, "distinct_2": 0.599}
    found = list(findings(with_adapters(report, [0.9] * 5 + [0.725], 0.2, **missed)))
    assert [each.met for each in found] == [False] * 5
    assert found[0].text == "Hit rate at least 0.8: 5 of 6 personas (lowest: surprise, 0.725)."
    assert "highest" in found[2].text


def test_a_gain_whose_interval_holds_zero_misses_the_target(report: Report) -> None:
    reached = {"stop_rate": 0.97, "echo_rate": 0.01, "distinct_2": 0.6}
    found = list(findings(with_adapters(report, [0.8] * 6, 0.5, low=0.0, **reached)))
    assert [each.met for each in found] == [True] * 4 + [False]


@pytest.mark.parametrize(("accuracy", "met"), [(0.935, True), (0.9349, False)])
def test_the_first_detectors_targets(report: Report, accuracy: float, met: bool) -> None:
    ours = detector_on_set(Numbers(), 10).model_copy(update={"accuracy": Interval(value=accuracy, low=0.3, high=1), "ece_after": 0.03})
    first, second = (detector.model_copy(update={"sets": {"emotion_test": ours}}) for detector in report.detectors)
    found = list(findings(report.model_copy(update={"detectors": [first, second], "published": [], "personas": None})))
    targets = [each for each in found if each.met is not None]
    assert [(each.met, each.text.startswith(first.name)) for each in targets] == [(met, True), (False, True), (True, True)]
    assert targets[0].text.endswith(f"accuracy on emotion_test at least 0.935: {accuracy:.3f}.")


@pytest.mark.parametrize(("published", "side"), [(0.5, "above"), (0.2, "below"), (0.35, "within")])
def test_the_highest_published_figure_against_our_interval(report: Report, published: float, side: str) -> None:
    ours = detector_on_set(Numbers(), 10).model_copy(update={"accuracy": Interval(value=0.4, low=0.3, high=0.45)})
    detector = report.detectors[0].model_copy(update={"sets": {"emotion_test": ours}})
    figures = [Published(model=f"m{accuracy}", accuracy=accuracy, status="verified") for accuracy in (0.1, published)]
    found = list(findings(report.model_copy(update={"detectors": [detector], "published": figures, "personas": None})))
    assert found[-1].text.endswith(
        f"highest verified accuracy on emotion/test, {published:.3f} of m{published}, is {side} our interval 0.400 [0.300, 0.450]."
    )


def test_what_a_card_says_of_itself_does_not_stand_for_what_was_verified(report: Report) -> None:
    detector = report.detectors[0].model_copy(update={"sets": {"emotion_test": detector_on_set(Numbers(), 10)}})
    figures = [Published(model="net", accuracy=0.94, status="self-reported"), Published(model="net", accuracy=0.92, status="verified")]
    texts = [each.text for each in findings(report.model_copy(update={"detectors": [detector], "published": figures, "personas": None}))]
    assert [("self-reported" in text, "verified" in text) for text in texts if "of net" in text] == [(True, False), (False, True)]


def test_where_the_mistakes_stand_is_said(report: Report) -> None:
    words = AmbiguousWords(rows=258, mistakes=112, mistakes_of_commonest_label=116, mistakes_elsewhere=17)
    ours = detector_on_set(Numbers(), 10).model_copy(update={"ambiguous": words})
    detector = report.detectors[0].model_copy(update={"sets": {"emotion_test": ours}})
    *_, last = findings(report.model_copy(update={"detectors": [detector], "personas": None}))
    assert "112 of its 129 mistakes on emotion/test stand in the 258 rows" in last.text
    assert last.text.endswith("is a mistake in 116 of them.")


def test_how_numbers_are_written() -> None:
    assert points(Interval(value=-0.0625, low=-0.1, high=0.031)) == "−6.2 [−10.0, +3.1]"
    assert p_value(0.00004) == "< 0.0001"
    assert p_value(0.0214) == "0.0214"
