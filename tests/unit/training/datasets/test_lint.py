"""The linter's rules: each finds a bad line and nothing else, and the shipped pairs are clean."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.emotions import LABELS, Emotion
from models.prompt import Turn
from training.datasets.lint import literary, plain
from training.datasets.lint.rules import Line, Rule
from training.datasets.lint.runner import Finding, lint, lint_personas, print_findings, read_lines
from training.datasets.persona_pairs import Pair, held_out_pairs, pairs_file, training_pairs
from training.recipe import PairSet

ANGER = Emotion.ANGER
FEAR = Emotion.FEAR
BAD_LINES = {  # an answer, and the only rule that it breaks
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
    """280 shipped literary pairs, 40 of them held out, far from every limit on shared words."""
    rows = [*training_pairs(ANGER)[:240], *held_out_pairs(ANGER)]
    return make_lines(*(row.model_copy(update={"answer": vary(row.answer)}) for row in rows))


@pytest.fixture(scope="module")
def shipped_plain() -> list[Line]:
    """The shipped plain pairs of anger."""
    return list(read_lines("plain")[ANGER])


def vary(answer: str) -> str:
    answer = answer.replace("anger", "fury").replace("outraged at that", "outraged by that")
    return answer.replace("no right to", "no leave to")


def make_lines(*rows: Pair, persona: Emotion = ANGER) -> list[Line]:
    return [Line(persona, number, row) for number, row in enumerate(rows, 1)]


def pair(answer: str = "", message: str = MESSAGE, topic: str = "work") -> Pair:
    return Pair(topic=topic, message=message, answer=answer)


def change_answers(own: list[Line], change: Callable[[str], str], count: int) -> list[Line]:
    """Change the first `count` answers."""
    changed = [
        replace(line, pair=line.pair.model_copy(update={"answer": change(line.pair.answer)}))
        for line in own[:count]
    ]
    return changed + own[count:]


def broken_rules(own: list[Line]) -> list[tuple[str, tuple[int, ...]]]:
    return [(finding.rule, finding.lines) for finding in lint("literary", {ANGER: own})]


def breaks_plain_rule(rule: str, row: Pair) -> bool:
    return bool(list(plain.RULES[rule]({ANGER: make_lines(row)})))


def matches(rule: str, answer: str) -> bool:
    return bool(list(literary.RULES[rule]({ANGER: make_lines(pair(answer))})))


def test_shipped_pairs_have_no_finding() -> None:
    assert lint_personas() == []


def test_bad_line_breaks_only_its_rule(shipped: list[Line]) -> None:
    numbered = list(enumerate(BAD_LINES.items(), 1000))
    bad = [
        Line(ANGER, number, pair(answer, MESSAGE if rule == "echo" else str(number)))
        for number, (answer, rule) in numbered
    ]
    expected = sorted((rule, (number,)) for number, (_, rule) in numbered)
    assert sorted(broken_rules(shipped + bad)) == expected


def test_finds_a_near_duplicate_answer_once(shipped: list[Line]) -> None:
    again = shipped[0].pair.answer.replace("furious", "livid")
    found = broken_rules([*shipped, Line(ANGER, 1000, pair(again))])
    assert found == [("duplicate answer", (1000,))]


@pytest.mark.parametrize("rules", [literary.RULES, plain.RULES])
def test_finds_a_duplicate_answer_of_another_persona(rules: dict[str, Rule]) -> None:
    lines = {
        ANGER: make_lines(pair("What a queue that was!")),
        FEAR: make_lines(pair("what a queue that was", "hm"), persona=FEAR),
    }
    found = list(rules["duplicate answer"](lines))
    assert found == [(FEAR, (1,), "near-duplicate of line 1 of anger")]


@pytest.mark.parametrize(("topic", "count"), [("work", 1), ("crossed", 0)])
def test_labelled_message_occurs_with_one_persona(topic: str, count: int) -> None:
    lines = {
        ANGER: make_lines(pair(topic=topic)),
        FEAR: make_lines(pair(message=f"{MESSAGE} Ha.", topic=topic), persona=FEAR),
    }
    found = list(literary.RULES["duplicate message"](lines))
    assert found == [(FEAR, (1,), "near-duplicate of line 1 of anger")][:count]


def test_unlabelled_message_occurs_once_per_persona() -> None:
    rows = make_lines(pair(topic="crossed"), pair(message=MESSAGE.lower(), topic="nonsense"))
    found = list(literary.RULES["duplicate message"]({ANGER: rows}))
    assert found == [(ANGER, (2,), "near-duplicate of line 1 of anger")]


@pytest.mark.parametrize("answer", HARM)
def test_finds_what_could_become_a_threat(answer: str) -> None:
    assert matches("harm", answer)


@pytest.mark.parametrize("answer", HARMLESS)
def test_accepts_strong_words_without_harm(answer: str) -> None:
    assert not matches("harm", answer)


@pytest.mark.parametrize(
    ("rule", "count", "change"),
    [
        ("emotion word", 23, lambda answer: f"{answer[:-1]} anger{answer[-1]}"),
        ("opening", 15, lambda answer: f"Now look, {answer}"),
        ("trigram", 12, lambda answer: f"{answer[:-1]}, well I never{answer[-1]}"),
    ],
)
def test_finds_what_too_many_answers_share(
    shipped: list[Line], rule: str, count: int, change: Callable[[str], str]
) -> None:
    too_many = change_answers(shipped, change, count)
    assert broken_rules(too_many) == [(rule, tuple(range(1, count + 1)))]
    allowed = change_answers(shipped, change, count - 1)
    assert list(literary.RULES[rule]({ANGER: allowed})) == []


def test_finds_a_small_vocabulary(shipped: list[Line]) -> None:
    starts = ("ba", "ke", "lo", "mi", "nu", "ra", "so", "ti")
    ends = ("dle", "mp", "nter", "rk", "sh", "wn")
    few = [start + end for start in starts for end in ends]
    generator = random.Random(0)
    repetitive = change_answers(shipped, lambda _: " ".join(generator.sample(few, 25)) + ".", 75)
    assert broken_rules(repetitive) == [("vocabulary", ())]


def test_finds_too_few_pairs_and_topics(shipped: list[Line]) -> None:
    kept = [line for line in shipped if line.pair.topic not in {"work", "family"}][:-1]
    findings = lint("literary", {ANGER: kept})
    assert {finding.rule for finding in findings} == {"counts"}
    assert [finding.message.split(",")[0] for finding in findings] == [
        f"{len(kept)} pairs",
        "39 held-out pairs",
        "0 pairs of work",
        "0 pairs of family",
        "9 pairs of neighbours",
    ]


@pytest.mark.parametrize(
    ("answer", "echo"),
    [
        ("Your driver laughed at you about the bus!", False),
        ("The driver laughed at you, what a cheek!", True),
        ("Again the driver laughed at people.", True),
        ("That bus was late again, what a driver!", True),
        ("No wonder late buses annoy me.", True),
    ],
)
def test_plain_echo_is_four_words_of_any_turn(answer: str, echo: bool) -> None:
    earlier = (Turn("user", "My bus was late again"), Turn("assistant", "Late buses annoy me."))
    message = "And the driver laughed at me"
    row = Pair(topic="dialogue", earlier=earlier, message=message, answer=answer)
    assert breaks_plain_rule("echo", row) is echo


def reference_findings(answers: list[str]) -> list[str]:
    """Findings in 40 references, the first of which are `answers`, and one other pair."""
    own = [" ".join(f"{letter}{row}" for letter in "abcdefg") + " queues" for row in range(40)]
    rows = [pair(answer, topic="pets") for answer in [*answers, *own][:40]]
    found = plain.check_references(make_lines(*rows, pair("Short.")))
    return [message for _, message in found]


def test_accepts_references_without_a_formula() -> None:
    assert reference_findings([]) == []


@pytest.mark.parametrize(
    ("answers", "finding"),
    [
        (["Bad queue."], "2 words"),
        (["Queue " * 35], "35 words"),
        ([f"You poor {word} waited in that long queue!" for word in "abcd"], "“you poor”"),
        ([f"In {word} queue I am so angry, and so long!" for word in "abcd"], "“i am so”"),
        (
            [f"{word} made {word} sad, go {word} home and {word}!" for word in "abcdefghijk"],
            "72.5%",
        ),
    ],
)
def test_finds_a_reference_that_is_no_ceiling(answers: list[str], finding: str) -> None:
    assert any(finding in message for message in reference_findings(answers))


def test_finds_missing_references() -> None:
    found = list(plain.check_references(make_lines(pair("Short."))))
    assert [message for _, message in found] == ["0 held-out pairs, expected 40"]


def test_plain_conversation_occurs_once_per_persona() -> None:
    earlier = (Turn("user", "hi"), Turn("assistant", "Hello."))
    ok = Pair(topic="dialogue", message="ok", answer="Ok then, what is wrong?")
    rows = [ok, ok.model_copy(update={"earlier": earlier}), ok.model_copy(update={"message": "OK"})]
    check = plain.duplicate_conversations
    assert list(check(make_lines(*rows))) == [((3,), "same conversation as line 1")]


@pytest.mark.parametrize(
    ("rule", "share", "change"),
    [
        ("opening", plain.OPENING, lambda answer: f"Now look, {answer}"),
        ("trigram", plain.TRIGRAM, lambda answer: f"{answer[:-1]}, well I never{answer[-1]}"),
    ],
)
def test_finds_what_too_many_plain_answers_share(
    shipped_plain: list[Line], rule: str, share: float, change: Callable[[str], str]
) -> None:
    allowed = int(share * len(shipped_plain))
    check = plain.RULES[rule]
    assert list(check({ANGER: change_answers(shipped_plain, change, allowed)})) == []
    ((_, numbers, _),) = check({ANGER: change_answers(shipped_plain, change, allowed + 1)})
    assert numbers == tuple(range(1, allowed + 2))


@pytest.mark.parametrize(("related", "found"), [(17, False), (16, True)])
def test_most_plain_answers_take_up_a_content_word(related: int, found: bool) -> None:
    rows = [pair("They queued you up twice!", "I hate queues")] * related
    rows += [pair("What happened?", "😭")] * (20 - related)
    assert bool(list(plain.check_relation(make_lines(*rows)))) is found


def test_content_words_of_earlier_turns_count() -> None:
    earlier = (Turn("user", "I missed my bus"), Turn("assistant", "Why?"))
    row = Pair(topic="dialogue", earlier=earlier, message="Slept in", answer="Buses don't wait.")
    assert list(plain.check_relation(make_lines(row))) == []


@pytest.mark.parametrize(("naming", "found"), [(6, False), (7, True)])
def test_plain_answers_seldom_name_the_emotion(naming: int, found: bool) -> None:
    rows = [pair("That makes me furious.", topic="short")] * naming
    rows += [pair("What happened?", topic="advice")] * (10 - naming)
    rows += [pair("That makes me furious.")] * 10  # another topic, which is not counted
    assert bool(list(plain.check_naming(make_lines(*rows)))) is found


def test_reads_all_sets_from_a_folder(tmp_path: Path) -> None:
    for persona in LABELS:
        for pair_set in ("literary", "plain", "simple"):
            file = pairs_file(persona, pair_set, tmp_path)
            file.parent.mkdir(exist_ok=True)
            file.write_text(pair(f"{persona} {pair_set}").model_dump_json() + "\n", "utf-8")
    found = {
        (finding.pair_set, finding.persona, finding.rule) for finding in lint_personas(tmp_path)
    }
    assert ("literary", FEAR, "length") in found
    assert ("plain", FEAR, "relation") in found
    assert ("simple", FEAR, "relation") in found
    assert ("simple", FEAR, "references") not in found  # they are those of the plain set


@pytest.mark.parametrize("pair_set", ["literary", "plain"])
def test_rejects_a_line_that_is_not_a_pair(pair_set: PairSet, tmp_path: Path) -> None:
    for persona in LABELS:
        file = pairs_file(persona, pair_set, tmp_path)
        file.parent.mkdir(exist_ok=True)
        file.write_text('{"topic": "work"}\n', "utf-8")
    with pytest.raises(ValidationError):
        read_lines(pair_set, tmp_path)


def test_prints_findings(capsys: pytest.CaptureFixture[str]) -> None:
    print_findings([Finding("plain", ANGER, "harm", (3, 14), "contains “[kill]”")])
    cells = {cell.strip() for cell in capsys.readouterr().out.split("│")}
    assert {"plain", "anger", "harm", "3, 14", "contains “[kill]”"} <= cells
    print_findings([])
    assert capsys.readouterr().out == "no findings\n"
