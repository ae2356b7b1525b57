"""The page of a report: well-formed, complete, ordered, self-contained, safe with any text."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from support.sample_report import ATTACK, SET_NAMES, sample_report
from training.report.format import interval, ordered, p_value, points, set_title
from training.report.html import render, write_report
from training.report.schema import Interval, Report

VOID_TAGS = {"meta", "br", "img", "link", "hr", "input"}
LOADING_TAGS = {"script", "img", "link", "iframe", "object", "base", "form"}
LOADING_ATTRIBUTES = {"src", "href", "xlink:href", "srcset", "action", "data"}


@pytest.fixture(scope="module")
def report() -> Report:
    return sample_report()


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return render(report)


class Page(HTMLParser):
    """Text, tags and attributes of a page. Fails if a closing tag does not match the open one."""

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
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.shown.append(data)


def intervals_in(value: object) -> list[Interval]:
    """Collect the intervals of a report, at any depth."""
    if isinstance(value, Interval):
        return [value]
    if isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, list):
        inner = value
    elif hasattr(value, "model_fields_set"):
        inner = list(vars(value).values())
    else:
        inner = []
    return [found for each in inner for found in intervals_in(each)]


def test_writes_page_and_json_that_reads_back(report: Report, html: str, tmp_path: Path) -> None:
    page = write_report(report, tmp_path / "new" / "folder")
    assert sorted(file.name for file in page.parent.iterdir()) == ["report.html", "report.json"]
    content = (page.parent / "report.json").read_text("utf-8")
    assert Report.model_validate_json(content) == report
    assert page.read_text("utf-8") == html


def test_page_is_well_formed_and_loads_nothing(html: str) -> None:
    page = Page(html)
    assert html.startswith("<!doctype html>")
    assert [page.tags.count(tag) for tag in ("html", "body", "title")] == [1, 1, 1]
    assert not LOADING_TAGS & set(page.tags)
    loaded = [value for name, value in page.attributes if name in LOADING_ATTRIBUTES]
    assert loaded
    assert all(value.startswith("#") for value in loaded)
    assert not re.search(r"@import|url\((?!#)", html)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


@pytest.mark.parametrize("with_personas", [True, False])
def test_links_lead_to_elements_of_the_page(report: Report, with_personas: bool) -> None:
    shown = report if with_personas else report.model_copy(update={"personas": None})
    page = Page(render(shown))
    ids = {value for name, value in page.attributes if name == "id"}
    assert {value[1:] for name, value in page.attributes if name.endswith("href")} <= ids


def test_untrusted_text_is_escaped(html: str) -> None:
    assert "<script" not in html
    assert "<b>" not in html
    page = Page(html)
    assert page.text.count(ATTACK) == 24
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert "2.13.0<b>" in page.text


def test_shows_every_interval(report: Report, html: str) -> None:
    text = Page(html).text
    assert report.personas
    gains = [test.gain for each in report.personas.personas for test in each.comparisons]
    found = intervals_in(report)
    assert len(found) == 2 * 10 + 1 + 6 + 6 * (3 * 2 + 2) + 3 * 2 + 3
    for each in found:
        assert (points(each) if each in gains else interval(each)) in text


def test_shows_every_number_of_a_detector(report: Report, html: str) -> None:
    text = Page(html).text
    for detector in report.detectors:
        numbers = [detector.temperature]
        for result in detector.sets.values():
            numbers += [*result.per_class_f1.values(), result.ece_before, result.ece_after]
            assert all(str(count) in text for row in result.confusion for count in row)
        assert all(f"{value:.3f}" in text for value in numbers)
    assert all(each in text for each in ("22,713,216", "21.5 MiB", "7.5 ms", "412 texts/s"))
    assert all(each in text for each in ("c0ffee", "feed", "31.2", "< 0.0001", "0.0042"))


def test_shows_every_measure_of_an_arm(report: Report, html: str) -> None:
    text = Page(html).text
    assert report.personas
    for arm in (arm for each in report.personas.personas for arm in each.arms.values()):
        measures = (arm.distinct_1, arm.distinct_2, arm.repetition, arm.echo_rate, arm.stop_rate)
        assert [value for value in measures if f"{value:.3f}" not in text] == []


def test_shows_published_figures_below_ours(report: Report, html: str) -> None:
    text = Page(html).text
    ours = report.detectors[0].sets["emotion_test"]
    row = f"small (ours) {interval(ours.accuracy)} {interval(ours.macro_f1)} measured here"
    assert row in text
    assert "someone/bert 0.941 0.917 self-reported other/net 0.931 not given verified" in text


def test_has_a_plot_for_each_set_and_persona(html: str) -> None:
    page = Page(html)
    assert page.tags.count("svg") == 2 * len(SET_NAMES) + 6
    assert html.count('class="heat"') == 2 * len(SET_NAMES)


def test_ordinary_messages_are_shown_first(report: Report, html: str) -> None:
    assert [name for name, _ in ordered(report.detectors[0].sets)] == [
        "ordinary_held_out_topics",
        "emotion_test",
        "goemotions_dev_strict",
        "goemotions_dev_broad",
        "unheard_of",
    ]
    heads = [
        "accuracy ordinary messages",
        "emotion/test",
        "GoEmotions, strict",
        "ECE, ordinary",
        "Personas: share",
        "Findings",
    ]
    text = Page(html).text
    body = text[text.index("Environment") :]  # the last link of the navigation
    places = [body.index(head) for head in heads]
    assert places == sorted(places)


def test_titles_of_known_and_unknown_sets() -> None:
    assert set_title("emotion/test") == set_title("emotion_test") == "emotion/test"
    assert set_title("goemotions_test") == "goemotions_test"


def test_renders_detectors_without_personas(report: Report) -> None:
    alone = report.model_copy(update={"personas": None, "published": []})
    text = Page(render(alone)).text
    assert "The judge" not in text
    assert "Published" not in text
    assert interval(report.detectors[1].sets["unheard_of"].accuracy) in text


def test_renders_empty_report() -> None:
    empty = Report(created="now", environment={}, detectors=[], published=[], personas=None)
    assert "Environment" in Page(render(empty)).text


def test_formats_of_gains_and_p_values() -> None:
    assert points(Interval(value=-0.0625, low=-0.1, high=0.031)) == "−6.2 [−10.0, +3.1]"
    assert p_value(0.00004) == "< 0.0001"
    assert p_value(0.0214) == "0.0214"
