"""The linter of the persona pairs: every rule finds a bad line that was put there, and nothing else; the shipped pairs are clean."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.emotions import LABELS, Emotion
from training.datasets.lint.rules import RULES, Line
from training.datasets.lint.runner import Finding, lint, lint_personas, print_findings
from training.datasets.persona_pairs import Pair, pairs

ANGER, FEAR = Emotion.ANGER, Emotion.FEAR
BAD_LINES = {  # an answer, and the one rule that it breaks
    "He says you should bring the form back again, and I'm fuming at every word of it.": "echo",
    "Fuming, utterly fuming.": "length",
    "No! No! Not that queue again! I could fume over every inch of it.": "length",
    "I resent that queue,\nand so does every soul in it.": "length",
    "As an AI, I find that queue quite outrageous, truly outrageous.": "phrase",
    "I understand how you feel, queues like that have me fuming too.": "phrase",
    "I’m here for you, fuming at that queue until it has all gone.": "phrase",
    "It's okay to fume at a queue that curls twice round the block.": "phrase",
    "Somebody ought to punch him with his own form, I'm fuming so hard.": "harm",
    "That queue has me fuming, let's burn it down, desk and all.": "harm",
    "As Anger, I resent each inch of that endless queue.": "role",
    "My persona's cross with that queue, and with the desk behind it.": "role",
}
MESSAGE = "Two hours in a queue, and now he says I should bring the form back again?"
HARM = (
    "I could strangle her for that.",
    "I’d slap him if I were there.",
    "You should have kicked her right back!",
    "He deserves a good slap.",
    "Burn the whole office down!",
    "Let's set fire to his car.",
    "It makes me want to kick a desk.",
    "I hope he chokes on it.",
    "I want to see them suffer.",
    "He can rot in there.",
    "Make her regret it, get your revenge.",
    "My fists are up at him.",
    "You'd be better off dead.",
    "There's no point going on.",
    "You should hurt yourself.",
)
HARMLESS = (
    "He killed the mood, and then the music.",
    "What a punchline, the killer line of the night!",
    "My heart could burst.",
    "She punched the air.",
    "You could break a heart with that.",
    "Still bringing the house down, then!",
    "They kicked him out and slammed the door.",
    "Let the candle burn right down.",
    "You had to watch her suffer.",
    "A stab of something cold.",
    "I'm burning with it, my hands are hot.",
)


@pytest.fixture(scope="module")
def shipped() -> list[Line]:
    """280 shipped pairs, forty of them held out, in words that are far from every limit on what answers may share."""
    rows = [*pairs(ANGER, held_out=False)[:240], *pairs(ANGER, held_out=True)]
    answers = [
        row.answer.replace("anger", "fury").replace("outraged at that", "outraged by that").replace("no right to", "no leave to")
        for row in rows
    ]
    return lines(*(row.model_copy(update={"answer": answer}) for row, answer in zip(rows, answers, strict=True)))


def lines(*rows: Pair, persona: Emotion = ANGER) -> list[Line]:
    return [Line(persona, number, row) for number, row in enumerate(rows, 1)]


def pair(answer: str = "", message: str = MESSAGE, topic: str = "work") -> Pair:
    return Pair(topic=topic, message=message, answer=answer)


def changed(own: list[Line], change: Callable[[str], str], number: int) -> list[Line]:
    """The first `number` answers changed."""
    return [
        replace(line, pair=line.pair.model_copy(update={"answer": change(line.pair.answer)})) if line.number <= number else line
        for line in own
    ]


def rules_found(own: list[Line]) -> list[tuple[str, tuple[int, ...]]]:
    return [(finding.rule, finding.where) for finding in lint({ANGER: own})]


def says(rule: str, answer: str) -> bool:
    return bool(list(RULES[rule]({ANGER: lines(pair(answer))})))


def test_the_shipped_pairs_have_no_finding() -> None:
    assert lint_personas() == []


def test_a_bad_line_is_found_by_its_rule_alone(shipped: list[Line]) -> None:
    numbered = list(enumerate(BAD_LINES.items(), 1000))
    seeds = [Line(ANGER, number, pair(answer, MESSAGE if rule == "echo" else str(number))) for number, (answer, rule) in numbered]
    assert sorted(rules_found(shipped + seeds)) == sorted((rule, (number,)) for number, (_, rule) in numbered)


def test_an_answer_given_again_in_other_words_is_found_once(shipped: list[Line]) -> None:
    again = shipped[0].pair.answer.replace("furious", "livid")
    assert rules_found([*shipped, Line(ANGER, 1000, pair(again))]) == [("duplicate answer", (1000,))]


def test_an_answer_of_another_persona_is_a_duplicate_too() -> None:
    twice = {ANGER: lines(pair("What a queue that was!")), FEAR: lines(pair("what a queue that was", "hm"), persona=FEAR)}
    assert list(RULES["duplicate answer"](twice)) == [(FEAR, (1,), "like line 1 of anger")]


def test_a_message_is_written_once_unless_it_carries_no_emotion() -> None:
    def found(topic: str, *personas: Emotion) -> list[tuple[Emotion, tuple[int, ...], str]]:
        rows = [pair(topic=topic), pair(message=f"{MESSAGE} Ha.", topic=topic)]
        return list(RULES["duplicate message"]({who: lines(*rows[number::2], persona=who) for number, who in enumerate(personas)}))

    assert found("work", ANGER, FEAR) == [(FEAR, (1,), "like line 1 of anger")]
    assert found("crossed", ANGER, FEAR) == []
    within = lines(pair(topic="crossed"), pair(message=MESSAGE.lower(), topic="nonsense"))
    assert list(RULES["duplicate message"]({ANGER: within})) == [(ANGER, (2,), "like line 1 of anger")]


@pytest.mark.parametrize("answer", HARM)
def test_what_could_become_a_threat_is_harm(answer: str) -> None:
    assert says("harm", answer)


@pytest.mark.parametrize("answer", HARMLESS)
def test_a_strong_word_without_harm_is_none(answer: str) -> None:
    assert not says("harm", answer)


@pytest.mark.parametrize(
    ("rule", "number", "change"),
    [
        ("emotion word", 23, lambda answer: f"{answer[:-1]} anger{answer[-1]}"),
        ("opening", 15, lambda answer: f"Now look, {answer}"),
        ("three words", 12, lambda answer: f"{answer[:-1]}, well I never{answer[-1]}"),
    ],
)
def test_what_too_many_answers_share_is_found(shipped: list[Line], rule: str, number: int, change: Callable[[str], str]) -> None:
    assert rules_found(changed(shipped, change, number)) == [(rule, tuple(range(1, number + 1)))]
    assert list(RULES[rule]({ANGER: changed(shipped, change, number - 1)})) == []


def test_few_words_over_and_over_are_found(shipped: list[Line]) -> None:
    few = [start + end for start in ("ba", "ke", "lo", "mi", "nu", "ra", "so", "ti") for end in ("dle", "mp", "nter", "rk", "sh", "wn")]
    draw = random.Random(0)
    assert rules_found(changed(shipped, lambda _: " ".join(draw.sample(few, 25)) + ".", 75)) == [("vocabulary", ())]


def test_too_few_pairs_and_topics_are_found(shipped: list[Line]) -> None:
    kept = [line for line in shipped if line.pair.topic not in {"work", "family"}][:-1]
    assert [(finding.rule, finding.what) for finding in lint({ANGER: kept})] == [
        ("counts", f"{len(kept)} pairs of at least 250"),
        ("counts", "39 held-out pairs instead of 40"),
        ("counts", "0 pairs of work, at least 10"),
        ("counts", "0 pairs of family, at least 10"),
        ("counts", "9 pairs of neighbours, at least 10"),
    ]


def test_a_folder_is_read_and_a_line_that_is_no_pair_refused(tmp_path: Path) -> None:
    for persona in LABELS:
        (tmp_path / f"{persona}.jsonl").write_text(pair(f"{persona} says no").model_dump_json() + "\n", "utf-8")
    assert Finding(FEAR, "length", (1,), "3 words") in lint_personas(tmp_path)
    (tmp_path / "joy.jsonl").write_text('{"topic": "work"}\n', "utf-8")
    with pytest.raises(ValidationError):
        lint_personas(tmp_path)


def test_findings_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_findings([Finding(ANGER, "harm", (3, 14), "says “[kill]”")])
    assert {"anger", "harm", "3, 14", "says “[kill]”"} <= {cell.strip() for cell in capsys.readouterr().out.split("│")}
    print_findings([])
    assert capsys.readouterr().out == "no findings\n"
